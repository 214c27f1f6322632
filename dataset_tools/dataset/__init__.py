"""From annotated photos to a dataset folder: read, checked, split, written."""
