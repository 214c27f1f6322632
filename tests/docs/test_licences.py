import re
import sys

import pytest

from docs import licences

# Each may be part of a work under Apache-2.0, as a library beside it.
COMPATIBLE = re.compile(r"Apache|BSD|BSL-1\.0|CC0-1\.0|MIT|MPL-2\.0|PSF|Python Software Foundation|Zlib")
NVIDIA = re.compile(r"(cuda|nvidia)-")


@pytest.fixture(scope="module")
def runs_with():
    return licences.runs_with()


def test_what_polymask_runs_with_goes_together_with_apache_2(runs_with):
    others = {
        name: licence
        for name, licence in runs_with.items()
        if not NVIDIA.match(name) and not all(COMPATIBLE.search(part) for part in licence.split(" AND "))
    }
    assert len(runs_with) > 40 and others == {}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems need a package more or less")
def test_the_page_is_current(runs_with):
    page = licences.PAGE.read_text(encoding="utf-8")
    rows = {f"| {name} | {licence} |" for name, licence in (runs_with | licences.labelme_needs()).items()}
    assert rows <= set(page.splitlines()), "run python -m docs.licences"
