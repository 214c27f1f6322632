"""Ways to break a LabelMe file: the same number always breaks the same file in the same way."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import math
import random
import re
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.fuzz.valid_cases import ABOVE, SECRET, SIZE, Case, as_base64, encoded, picture, valid_cases

# fmt: off
# What json.dumps does not write. In the tree it is the text "@RAW<index>@".
_RAW = (
    b"1e999", b"-1e999", b"1e-999", b"01", b"1.", b".5", b"+1", b"0x10", b"1_0", b"-", b"9" * 5000, b"0." + b"3" * 5000,
    b"[" * 500 + b"]" * 500, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"a":' * 100_000,
    b"", b"nul", b"undefined", b"'a'", b"//a\n1", b"-NaN",
    b'"\\uZZZZ"', b'"\\ud83d"', b'"\x01"', b'"\xff"', b'"\xed\xa0\x80"',
)
# What json.dumps writes, and LabelMe does not.
_NUMBERS = (
    0, -0.0, 1, -1, 2, 0.5, -0.001, 5e-324, 1e-9, 47, 48, 49, 63, 64, 65, 1e4, 1e6, 1000000.01, 1e9, -1e9, 1e308,
    -1e308, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**18, 10**19, 10**400, math.nan, math.inf,
    -math.inf,
)
_TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "a\udc80", "\x1b[2Jred", "\r\n", "\u202e", "\ufeff", "e\u0301", "\U0001f697",
    "Car", "car ", "cars", "car 1", "__ignore__", "_background_", "1", "true", "null", "%s{0}", 'a"b\\c', "x" * 300,
)
_PATHS = (
    f"../{SECRET}", f"..\\{SECRET}", "../../../../../../etc/hostname", "../photos/a.jpg", "./a.jpg", "sub/../a.jpg",
    f"{ABOVE}/{SECRET}", f"{ABOVE}/photos/a.jpg", f"{ABOVE}/photos/../{SECRET}", "/a.jpg", "//host/share/a.jpg",
    "C:\\photos\\a.jpg", "C:a.jpg", "file:///a.jpg", "~/a.jpg", ".", "..", "/", "\\", "whole.jpg", "a.json",
    "A.JPG", "gone.jpg", "a.jpg\0", "a.jpg/", "a.jpg/../a.jpg", "x" * 300 + ".jpg", "x/" * 3000 + "a.jpg",
    ".hidden.jpg",
)
_NESTED = functools.reduce(lambda inner, _: [inner], range(60), 1)
_OTHERS = (None, True, False, [], {}, [[]], [None], {"": 0}, {"label": "car"}, _NESTED)
_VALUES = (*_NUMBERS, *_TEXTS, *_PATHS, *_OTHERS, *(f"@RAW{index}@" for index in range(len(_RAW))))

# Values for keys that LabelMe knows.
_OF_KEYS = {
    "label": _TEXTS,
    "shape_type": (
        "polygon", "rectangle", "circle", "oriented_rectangle", "mask", "line", "linestrip", "point", "points",
        "cuboid", "Polygon", "", None, 0, "polygon ",
    ),
    "group_id": (None, 0, 1, -1, True, False, "1", "", 1.0, 1.5, 10**18, 10**19, 2**63, [1], {"a": 1}, math.nan),
    "imagePath": _PATHS,
    "imageHeight": (None, "48", 48.0, -48, *_NUMBERS),
    "imageWidth": (None, "64", 64.0, -64, *_NUMBERS),
}
_FILE_NAMES = (
    "a.JSON", "a.jpg.json", "A.json", "train.json", "dataset.json", "sub/a.json", "a b.json", "ä.json",
    "a..json", "-.json", "a\n.json", "images/a.json",
)
_ENCODINGS = (
    "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "latin-1", "cp1252", "shift_jis", "utf-7", "utf-8-sig",
)
# Options of the conversion.
_OPTIONS = (
    {"repair": True}, {"holes": True}, {"drop_duplicates": True}, {"line_width": 3.0}, {"strip_numbers": True},
    {"images": "copy"}, {"images": "resize", "max_size": 40}, {"encoding": "gbk"}, {"encoding": "utf-16"},
    {"classes": ("car", "bus")}, {"skip_bad": True},
)
# fmt: on


def broken_case(number: int) -> Case:
    """The broken case of a number."""
    rng = random.Random(number)
    start = rng.randrange(len(valid_cases()))
    valid, steps = valid_cases()[start], [f"valid case {start}"]
    name, tree, photos = valid.name, json.loads(valid.content), valid.photos
    as_bytes = rng.random() < 0.3
    for _ in range(rng.choice((0, 1)) if as_bytes else rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(TREE_CHANGES)
        steps.append(change.__name__)
        with contextlib.suppress(Exception):  # an earlier step left nothing that it could change
            change(rng, tree)
    content = json_bytes(rng, tree)
    for _ in range(rng.choice((1, 1, 2)) if as_bytes else 0):
        change = rng.choice(BYTE_CHANGES)
        steps.append(change.__name__)
        content = change(rng, content)
    if rng.random() < 0.1:
        photos = _other_photos(rng, photos)
        steps.append("other photos")
    if rng.random() < 0.03:
        name = rng.choice(_FILE_NAMES)
        steps.append(f"named {name!r}")
    options = rng.choice(_OPTIONS) if rng.random() < 0.3 else {}
    return Case(name, content, photos, options, ", ".join([*steps, *options]))


def json_bytes(rng: random.Random, tree: object) -> bytes:
    """A tree as JSON, also with what ``json.dumps`` does not write."""
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 2)))
    content = text.encode("utf-8", "surrogatepass")
    for index, raw in enumerate(_RAW):
        content = content.replace(b'"@RAW%d@"' % index, raw)
    return content


# Changes of the parsed file


def _pick(rng: random.Random, tree: dict | list) -> tuple[dict | list, str | int]:
    """A (container, key), by a walk from the top, so that the many coordinates do not crowd out everything else."""
    while True:
        key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        if not (isinstance(tree[key], dict | list) and tree[key]) or rng.random() < 0.25:
            return tree, key
        tree = tree[key]


def _containers(tree: object) -> Iterator[dict | list]:
    if isinstance(tree, dict | list):
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _containers(child)


def delete(rng: random.Random, tree: dict) -> None:
    container, key = _pick(rng, tree)
    del container[key]


def replace(rng: random.Random, tree: dict) -> None:
    container, key = _pick(rng, tree)
    container[key] = rng.choice((*_VALUES, [container[key]], {"value": container[key]}, str(container[key])))


def repeat(rng: random.Random, tree: dict) -> None:
    """An item of a list up to 40 times more, or a key under a similar name."""
    container, key = _pick(rng, tree)
    if isinstance(container, list):
        container[key:key] = [container[key]] * rng.choice((1, 2, 40))
    else:
        container[rng.choice((f"{key} ", key.upper(), "", "score"))] = container[key]


def change_known_key(rng: random.Random, tree: dict) -> None:
    key = rng.choice(list(_OF_KEYS))
    holder = rng.choice([tree, *tree["shapes"]] if key.startswith("image") else tree["shapes"])
    holder[key] = rng.choice(_OF_KEYS[key])


def change_number(rng: random.Random, tree: dict) -> None:
    lists = [items for items in _containers(tree) if isinstance(items, list) and items]
    numbers = rng.choice([items for items in lists if isinstance(items[0], int | float)])
    index = rng.randrange(len(numbers))
    numbers[index] = rng.choice((*_NUMBERS, numbers[index] + rng.uniform(-100, 100), numbers[index] * -1e3))


def one_group(rng: random.Random, tree: dict) -> None:
    for shape in tree["shapes"]:
        shape |= rng.choice(({"group_id": 7}, {"group_id": 7, "label": "car"}))


def many_shapes(rng: random.Random, tree: dict) -> None:
    """More instances than a byte can count."""
    tree["shapes"] += [rng.choice(tree["shapes"])] * 300


def change_points(rng: random.Random, tree: dict) -> None:
    """Other points, more or fewer of them, or another structure."""
    shape = rng.choice(tree["shapes"])
    points, (x, y) = shape["points"], shape["points"][0]
    scale, shift = rng.choice((1e-9, 1e-3, 1e3, 1e5, 1e300, -1)), rng.choice((-1000, -30, 0.5, 30, 1e6))
    step, reach, count = rng.choice((0, 1e-7, 1e-15)), rng.choice((1, 3)), rng.choice((4, 9, 60, 300))
    low, high = (1 - reach) / 2, (1 + reach) / 2  # with a reach of 3 most points are outside the photo
    others = [points[: rng.randrange(6)], [points[0]] * rng.randrange(9), points[::-1], rng.sample(points, len(points))]
    others += [[[x * scale, y * scale] for x, y in points], [[x + shift, y + shift] for x, y in points]]
    others += [[[int(x), int(y)] for x, y in points], [[x + i * 1e-7, y + i * step] for i in range(9)]]
    others += [[[rng.uniform(low, high) * side for side in SIZE] for _ in range(count)]] * 2
    others += [[[*point, 0] for point in points], [point[:1] for point in points], [*points, [1, 2, 3]], [points]]
    others += [sum(points, []), {"x": 1, "y": 2}, "1,2 3,4", [str(point) for point in points]]
    shape["points"] = rng.choice(others)


def change_picture(rng: random.Random, tree: dict) -> None:
    """The base64 of another or a broken picture as a mask or as imageData, or broken base64."""
    masks = [(shape, "mask") for shape in tree["shapes"] if shape.get("mask")]
    holder, key = rng.choice([*masks, (tree, "imageData")])
    text = holder[key] or as_base64(encoded(picture(1), "JPEG"))
    front, back = text[: len(text) // 2], text[len(text) // 2 :]
    others = [text[:-1], text[: rng.randrange(len(text))], f"{text}=", f"{text}A", text * 2, f"ä{text}", f"\0{text}"]
    others += [f"{front}{odd}{back}" for odd in ("\n", "-_", "*é", "=")] + ["", "====", 5, [text], None]
    others += [f"data:image/png;base64,{text}", f"{ABOVE}/{SECRET}"]
    changed = as_base64(rng.choice(PICTURE_CHANGES)(rng, base64.b64decode(text)))
    holder[key] = changed if rng.random() < 0.8 else rng.choice(others)


# Changes of pictures


def false_header(rng: random.Random, content: bytes) -> bytes:
    """A PNG with another size, depth or colour type in its header, and the right checksum."""
    png = content if content.startswith(b"\x89PNG") else encoded(picture(4), "PNG")
    header, at = bytearray(png[16:29]), rng.choice((0, 4, 8, 9, 11, 12))
    value = rng.choice((0, 1, 2**15, 13_377, 2**31 - 1)).to_bytes(4, "big") if at < 8 else bytes([rng.randrange(17)])
    header[at : at + len(value)] = value
    return png[:8] + _png_chunk(b"IHDR", bytes(header)) + png[33:]


def huge(rng: random.Random, content: bytes) -> bytes:
    """A small file of very many pixels."""
    side = rng.choice((3_000, 9_000, 13_500))  # the last is above the 178,956,970 pixels that Pillow opens
    rows = zlib.compress((b"\0" * ((side + 7) // 8 + 1)) * side, 9)
    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", rows) + _png_chunk(b"IEND", b"")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def encode_again(rng: random.Random, content: bytes) -> bytes:
    """The same or another picture in another format or mode, perhaps turned."""
    sizes = (SIZE, SIZE[::-1], (1, 1), (65, 48), (640, 480), (1, 3000))
    image = Image.open(io.BytesIO(content)) if rng.random() < 0.6 else picture(rng.randrange(100), rng.choice(sizes))
    try:
        image = image.convert(rng.choice(("1", "L", "P", "RGB", "RGBA", "LA", "I", "CMYK")))
        kind = rng.choice(("PNG", "PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "JPEG2000", "ICO"))
        return encoded(image, kind, rng.choice((None, None, None, *range(10))))
    except (OSError, ValueError, KeyError):  # a mode that the format does not have
        return encoded(image.convert("RGB"), "JPEG", rng.randrange(10))


# Changes of bytes, of files and of pictures


def splice(rng: random.Random, content: bytes) -> bytes:
    """Without a part, with a part twice, or with something between two parts."""
    start = rng.choice((0, len(content), rng.randrange(len(content) + 1)))
    stop = max(0, start + rng.choice((0, 0, 0, 1, 2, 8, 100, -8, -100, -5000, len(content))))
    between = rng.choice((b"", b"", b"\0", b"\xff", b",", b"{", b'"', b"\n\n", b"\x1a", b"\0" * 9, rng.randbytes(9)))
    return content[:start] + between + content[stop:]


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 30)) if content else 0):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def change_encoding(rng: random.Random, content: bytes) -> bytes:
    """Another encoding, or a byte order mark in front, of UTF-8 or another encoding, once or twice."""
    mark = rng.choice((b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
    return mark + content if mark else content.decode("utf-8", "replace").encode(rng.choice(_ENCODINGS), "replace")


def repeat_key(rng: random.Random, content: bytes) -> bytes:
    """A key of an object twice: which of the two counts is the reader's choice."""
    keys = list(re.finditer(rb'"\w+": ', content))
    if not keys:
        return content
    key = rng.choice(keys)
    value = rng.choice((b"null", b"5", b'"a"', b"[]", b"{}", b"NaN"))
    return content[: key.start()] + key.group() + value + b", " + content[key.start() :]


def replace_number(rng: random.Random, content: bytes) -> bytes:
    """A number replaced by something that is not JSON, or hardly."""
    numbers = list(re.finditer(rb"(?<=[ \[])-?\d+(\.\d+)?(?=[,\]\n}])", content))
    if not numbers:
        return content
    number = rng.choice(numbers)
    return content[: number.start()] + rng.choice(_RAW) + content[number.end() :]


def _other_photos(rng: random.Random, photos: dict[str, bytes]) -> dict[str, bytes]:
    """No photo, one more, or another picture or none under the name of one."""
    more = rng.choice(("a.png", "a.JPG", "a.jpeg", "sub/a.jpg", "other/a.jpg"))
    name = rng.choice(list(photos) or ["a.jpg"])
    other = encoded(picture(5, rng.choice((SIZE, SIZE[::-1], (63, 48)))), "JPEG", rng.randrange(10))
    changed = rng.choice((other, b"", b"no picture", huge(rng, b"")))
    return rng.choice(({}, photos | {more: encoded(picture(6), "PNG")}, photos | {name: changed}))


# fmt: off
# What stands here twice happens twice as often.
TREE_CHANGES = (
    delete, replace, replace, replace, repeat, change_known_key, change_known_key, change_known_key,
    change_known_key, change_number, change_number, one_group, many_shapes, change_points, change_points, change_points,
    change_picture, change_picture, change_picture,
)
PICTURE_CHANGES = (splice, splice, flip_bits, false_header, encode_again, encode_again, huge)
BYTE_CHANGES = (
    splice, splice, splice, flip_bits, flip_bits, change_encoding, change_encoding, repeat_key, repeat_key,
    replace_number, replace_number,
)
# fmt: on
