"""Labels as text in pictures: a font that has their letters, whatever the script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import distribution

from PIL import ImageFont

# Pillow's own font has little more than the letters of English. Matplotlib brings one with Greek, Cyrillic, Arabic and
# more, which is found without importing matplotlib; the others are those that systems have for Chinese, Japanese, Korean,
# Thai and Hindi.
_FONTS = (
    str(distribution("matplotlib").locate_file("matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf")),
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
    "LeelawUI.ttf",
    "Arial Unicode.ttf",
)

# A noncharacter, of which every font shows its box for what it does not have.
_IN_NO_FONT = "\uffff"

# A label that is longer is cut: it would cover the picture.
_LONGEST = 30


def captions(labels: Sequence[str]) -> dict[str, str]:
    """What stands for each label in a picture: the label itself on one line, ``#3`` for the third if no font has it."""
    return {label: _caption(label, number) for number, label in enumerate(labels, start=1)}


def _caption(label: str, number: int) -> str:
    text = "".join(character if character.isprintable() else " " for character in label).strip()
    if not text or path_for(text) is None:
        return f"#{number}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@cache
def path_for(text: str) -> str | None:
    """The file of a font that has every letter of a text; None if there is none."""
    for path in _FONTS:
        try:
            font = ImageFont.truetype(path, 16)
        except OSError:
            continue
        missing = bytes(font.getmask(_IN_NO_FONT))
        if all(bytes(font.getmask(letter)) != missing for letter in set(text)):
            return path
    return None


def families_for(texts: Iterable[str]) -> list[str]:
    """The names by which matplotlib knows the fonts that ``path_for`` finds for some texts."""
    return list(dict.fromkeys(_family(name) for text in texts if (name := path_for(text)) is not None))


@cache
def _family(name: str) -> str:
    from matplotlib import font_manager

    path = str(ImageFont.truetype(name).path)
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()


@cache
def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font for a text, so many pixels high."""
    return ImageFont.truetype(path_for(text) or _FONTS[0], size)
