import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Five blocks of 16 MiB that come and go ten times: how many pages the system had to provide for them.
FAULTS = """
import resource
from polymask.memory import keep_freed_memory
{call}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(10):
    blocks = [b"x" * 2**24 for _ in range(5)]
    del blocks
print(faults() - before)
"""


def page_faults(call):
    code = FAULTS.format(call=call)
    return int(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_taken_again_without_the_system():
    assert page_faults("keep_freed_memory()") < page_faults("") / 2
