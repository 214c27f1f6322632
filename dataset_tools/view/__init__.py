"""What people look at: previews, statistics and masks of what is annotated."""
