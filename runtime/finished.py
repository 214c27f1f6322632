"""What is done already, so that a command that was stopped can go on."""

import json
import tempfile
from pathlib import Path

from .photos import RuntimeProblem


class Finished:
    """A hidden file in the output folder: the command, then a line of JSON for each photo that is done: its path, and the result.

    One that is there without ``resume``, or is another command's, raises a RuntimeProblem.
    """

    def __init__(self, output: Path, command: dict, resume: bool):
        self.path = output / ".unfinished.jsonl"  # deleted when all is done
        lines = [json.dumps(command).encode()]
        if self.path.exists():
            *there, _ = self.path.read_bytes().split(b"\n")  # the last line is empty, or was being written
            if not resume or there[:1] != lines:
                remedy = "Repeat it with --resume and the same model, threshold and --save, or choose another --output"
                raise RuntimeProblem(output, "a command was stopped here", remedy)
            lines = there
        self.photos: set[str] = {json.loads(line)[0] for line in lines[1:]}  # what was done before
        write(self.path, b"\n".join([*lines, b""]))

    def add(self, photo: str, result: dict) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([photo, result]) + "\n")

    def results(self) -> dict[str, dict]:
        return dict(map(json.loads, self.path.read_text().splitlines()[1:]))


def write(path: Path, content: bytes) -> None:
    """Writes a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        Path(folder, "part").write_bytes(content)
        Path(folder, "part").replace(path)
