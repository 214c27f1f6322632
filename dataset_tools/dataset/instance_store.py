"""What several processes have read, kept on the disk until it is needed, in a file for each of them.

So it takes neither memory nor the way from process to process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

# Bytes that are read at a time: mostly, what is fetched next lies behind what was fetched before.
_BUFFER = 1 << 16

# Where something is kept: the process whose file it is, the first byte, how many.
Slot = tuple[int, int, int]


class InstanceStore:
    """A folder of such files, which is gone when this is closed.

    Attributes:
        folder: for ``append_items``.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dataset_tools_")
        self.folder = self._folder.name
        self._files: dict[int, BinaryIO] = {}

    def fetch(self, slot: Slot) -> bytes:
        """What is kept there."""
        process, start, length = slot
        file = self._files.get(process)
        if file is None:
            file = self._files[process] = open(f"{self.folder}/{process}", "rb", buffering=_BUFFER)
        file.seek(start)
        return file.read(length)

    def close(self) -> None:
        """Remove the folder."""
        for file in self._files.values():
            file.close()
        self._folder.cleanup()


def append_items(folder: str, items: Sequence[bytes]) -> list[Slot]:
    """Keep some items in the file of this process; where each of them is."""
    process, slots = os.getpid(), []
    with open(f"{folder}/{process}", "ab") as file:
        start = file.tell()
        for item in items:
            slots.append((process, start, len(item)))
            start += len(item)
        file.write(b"".join(items))
    return slots
