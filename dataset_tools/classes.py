"""Class lists as users write them."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.instances import RESERVED_LABELS


def parse_classes(text: str) -> tuple[str, ...]:
    """The classes in order, from the name of a text file with one a line, or from a list with commas.

    Empty lines are passed over, and so is what LabelMe's own lists begin with (``__ignore__``, ``_background_``).

    Raises:
        UserError: it looks like a file and there is none, or the file is no UTF-8 text.
    """
    path = Path(text)
    if path.is_file():
        try:
            names = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"the class list cannot be read: {error}", file=path, remedy="Save it as UTF-8 text, one class a line"
            ) from error
    elif path.suffix.lower() == ".txt" or "/" in text:
        raise UserError(
            "there is no such class list",
            file=path,
            remedy="Pass --classes a text file with one class a line, or a list like car,dog",
        )
    else:
        names = text.split(",")
    stripped = (name.strip() for name in names)
    return tuple(name for name in stripped if name and name not in RESERVED_LABELS)
