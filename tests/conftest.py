"""What all tests share."""

import polymask.threads  # noqa: F401  isort: skip  (before anything that loads PyTorch)

import os
import shutil

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, each of which takes one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium without a window, driven by Playwright; the tests skip where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium to look at the page with (Debian: apt-get install chromium)")
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield started
        started.close()
