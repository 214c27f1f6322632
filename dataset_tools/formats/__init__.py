"""Files to typed records and back, and nothing else: one file for each format."""
