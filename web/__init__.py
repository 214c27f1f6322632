"""A page on which photos are dropped, and what an exported model finds on them is seen."""
