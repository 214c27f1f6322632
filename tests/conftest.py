"""What all tests share."""

import polymask.threads  # noqa: F401  isort: skip  (before anything that loads PyTorch)
