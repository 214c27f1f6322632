"""What the benchmark of killed demos is made of."""

import os
import subprocess
import sys

import cv2

from benchmarks.many_photos import SIDE, family, make_photos, resident_mib


def test_photos_are_squares_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_photos(tmp_path / name, 3)
    first, second = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b"))
    assert first == second and len(set(first)) == 3
    assert cv2.imread(str(tmp_path / "a/000002.jpg")).shape == (SIDE, SIDE, 3)


def test_a_family_is_all_that_a_process_has_started():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.pid in family(os.getpid()) and resident_mib(child.pid) > 0
    child.communicate(b"\n")
    assert child.pid not in family(os.getpid()) and resident_mib(child.pid) == 0
