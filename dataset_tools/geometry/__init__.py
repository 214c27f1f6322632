"""Polygons, masks and run-length codes: pure functions on arrays. Nothing here imports another room."""
