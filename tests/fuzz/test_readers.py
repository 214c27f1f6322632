"""Every file of the corpora is read or refused; ``python -m tests.fuzz.coverage_guided`` looks for more of them."""

import random
import subprocess

import pytest

from tests.fuzz import readers
from tests.fuzz.coverage_guided import CORPORA, mutated_values
from tests.fuzz.readers import READERS, Reader, check, prepare
from tests.fuzz.valid_cases import SECRET

LARGEST = 8_000
FILES = sorted(path for path in CORPORA.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path):
    prepare(tmp_path / "case")
    return tmp_path / "case"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_corpora(path, folder):
    check(READERS[path.parent.name], path.read_bytes(), folder)


@pytest.mark.parametrize("name", READERS)
def test_each_reader_has_files_that_it_reads_whole(name, folder):
    files = [path.read_bytes() for path in FILES if path.parent.name == name]
    assert len([content for content in files if not check(READERS[name], content, folder)]) > 1


def test_every_file_has_a_reader_and_is_small():
    assert {path.parent.name for path in FILES} == set(READERS)
    assert max(path.stat().st_size for path in FILES) <= LARGEST


def _raise(path):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (_raise, "^$"),
        (lambda path: (path.parents[1] / SECRET).read_bytes(), "secret"),
        (lambda path: path.with_name("b.json").touch(), "b.json"),
        (lambda path: path.unlink(), "os.remove"),
        (lambda path: subprocess.run(["true"], check=True), "true"),
    ],
)
def test_wrong_readers_are_seen(wrong, said, folder):
    with pytest.raises((AssertionError, ZeroDivisionError), match=said):
        check(Reader("a.json", (wrong,)), b"{}", folder)


def test_a_slow_reader_is_seen(folder, monkeypatch):
    monkeypatch.setattr(readers, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match="it took"):
        check(Reader("a.json", (lambda path: sum(range(100_000)),)), b"{}", folder)


def test_a_step_that_refuses_does_not_hide_the_next(folder):
    with pytest.raises(ZeroDivisionError):
        check(Reader("dataset.json", (*READERS["card"].steps, _raise)), b"{}", folder)


@pytest.mark.parametrize("content", [b'{"a": [1, 2, {"b": "c"}]}', b"a: 1\n", b"[]", b"1", b"\x80\x02}.", b""])
def test_a_mutation_is_bytes(content):
    mutated = {mutated_values(random.Random(number), content) for number in range(50)}
    assert len(mutated) > 10 and all(isinstance(item, bytes) for item in mutated)
