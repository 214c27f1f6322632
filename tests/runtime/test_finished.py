"""What is kept of a command that was stopped; ``test_main`` stops one."""

import pytest

from runtime import RuntimeProblem
from runtime.finished import Finished

COMMAND = {"model": "0f", "threshold": 0.5, "save": ["coco"]}
FOUND = {"image": {"file_name": "ä.png"}, "annotations": [{"score": 0.75}]}


def test_what_was_added_is_there_when_the_command_goes_on(tmp_path):
    first = Finished(tmp_path / "out", COMMAND, resume=False)
    first.add("ä.png", FOUND)
    second = Finished(tmp_path / "out", COMMAND, resume=True)
    second.add("b.png", {})
    assert second.photos == {"ä.png"} and second.results() == {"ä.png": FOUND, "b.png": {}}
    second.path.unlink()
    assert not list((tmp_path / "out").iterdir())
    assert Finished(tmp_path / "out", COMMAND, resume=True).photos == set()


def test_a_line_that_was_being_written_does_not_count(tmp_path):
    Finished(tmp_path, COMMAND, resume=False).add("a.png", FOUND)
    (record,) = tmp_path.iterdir()
    whole = record.read_bytes()
    record.write_bytes(whole + whole.splitlines()[-1][:-1])
    again = Finished(tmp_path, COMMAND, resume=True)
    assert again.photos == {"a.png"} and record.read_bytes() == whole


def test_another_command_may_not_go_on(tmp_path):
    Finished(tmp_path, COMMAND, resume=False)
    for different in ({"model": "1e"}, {"threshold": 0.4}, {"save": ["coco", "labelme"]}):
        with pytest.raises(RuntimeProblem, match="same model"):
            Finished(tmp_path, COMMAND | different, resume=True)
    for content in (b"", b"\n", b"{\n"):
        (tmp_path / ".unfinished.jsonl").write_bytes(content)
        with pytest.raises(RuntimeProblem, match="same model"):
            Finished(tmp_path, COMMAND, resume=True)
    with pytest.raises(RuntimeProblem, match="--resume"):
        Finished(tmp_path, COMMAND, resume=False)
