"""What is done already, so that a command that was stopped can go on."""

import json
import tempfile
from pathlib import Path
from typing import Any

from .photos import RuntimeProblem


class Finished:
    """A hidden file in the output folder: the command, then a line of JSON for each photo that is done.

    One that is there without ``resume``, or is another command's, raises a RuntimeProblem.
    """

    def __init__(self, output: Path, command: dict[str, Any], resume: bool):
        self._path = output / ".unfinished.jsonl"
        if (stopped := self._path.exists()) and not resume:
            raise RuntimeProblem(output, "a command was stopped here", "Add --resume, or choose another --output")
        begun = json.dumps(command).encode()
        # The last line is empty, or was being written.
        lines = self._path.read_bytes().split(b"\n")[:-1] if stopped else [begun]
        if lines[:1] != [begun]:
            reason = "a command with another model, threshold or --save was stopped here"
            raise RuntimeProblem(output, reason, "Repeat that command, or choose another --output")
        self.places: set[str] = {json.loads(line)[0] for line in lines[1:]}  # what was done before
        write(self._path, b"\n".join([*lines, b""]))

    def add(self, place: str, result: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps([place, result]) + "\n")

    def results(self) -> dict[str, dict[str, Any]]:
        """What was added, by place."""
        with self._path.open() as file:
            return dict(map(json.loads, list(file)[1:]))

    def forget(self) -> None:
        self._path.unlink()


def write(path: Path, content: bytes) -> None:
    """Writes a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        Path(folder, "part").write_bytes(content)
        Path(folder, "part").replace(path)
