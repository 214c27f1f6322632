"""Text as files hold it and terminals show it: encodings, names that are not text, characters that steer a terminal."""

from __future__ import annotations

UTF8_BOM = b"\xef\xbb\xbf"

# Characters of a line and of a table's cell that are shown: few paths are longer, but a label may have millions.
LONGEST_LINE = 2000
LONGEST_CELL = 60

# Longer integers do not fit 64 bits, where msgspec reads a float, too; no count or coordinate needs them.
_LONGEST_INTEGER = 18


def is_text(path: str) -> bool:
    """Whether a path can be written into JSON: file systems take names that are not text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_integer(digits: str) -> int | float:
    """A whole number of JSON for msgspec: a float, where it has too many digits for 64 bits."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def visible(text: str) -> str:
    """The text with everything escaped that could steer a terminal: names of files and labels may hold anything."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """``visible`` text without an end of a line, either: for a name in a table or in a list.

    Of a text with more than ``most`` characters the middle is left out, and replaced by how many these were.
    """
    if len(text) > most:
        start, end = text[: most // 2], text[-(most // 2) :]
        text = f"{start} [{len(text) - len(start) - len(end):,} more characters] {end}"
    return visible(text).replace("\n", "\\n")
