"""Valid LabelMe files, and the ways to spoil them: the same number always spoils the same file in the same way."""

from __future__ import annotations

import base64
import copy
import functools
import io
import json
import math
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

SIZE = (64, 48)  # (width, height) of the photos

# Stands in a file for the folder above the LabelMe folder; whoever writes the file puts the path in its place.
ABOVE = "@ABOVE@"

# A photo in that folder, to which no file may lead.
SECRET = "secret.jpg"

_ORIENTATION = 0x0112  # the EXIF tag

# fmt: off

# What JSON's writer would not write. In the tree it is the text "@RAW<index>@".
_RAW = (
    b"1e999", b"-1e999", b"1e-999", b"01", b"1.", b".5", b"+1", b"0x10", b"1_0", b"-", b"9" * 5000, b"0." + b"3" * 5000,
    b"[" * 500 + b"]" * 500, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"a":' * 100_000,
    b"", b"nul", b"undefined", b"'a'", b"//a\n1", b"-NaN",
    b'"\\uZZZZ"', b'"\\ud83d"', b'"\x01"', b'"\xff"', b'"\xed\xa0\x80"',
)

# What JSON can say, and LabelMe would not.
_NUMBERS = (
    0, -0.0, 1, -1, 2, 0.5, -0.001, 5e-324, 1e-9, 47, 48, 49, 63, 64, 65, 1e4, 1e6, 1000000.01, 1e9, -1e9, 1e308,
    -1e308, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**18, 10**19, 10**400, math.nan, math.inf,
    -math.inf,
)
_TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "a\udc80", "\x1b[2Jred", "\r\n", "\u202e", "\ufeff", "e\u0301", "\U0001f697",
    "Car", "car ", "cars", "car 1", "__ignore__", "_background_", "1", "true", "null",
    "%s{0}", 'a"b\\c', "x" * 300,
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

# What stands in the place of a value that has few good ones.
_KINDS = (
    "polygon", "rectangle", "circle", "oriented_rectangle", "mask", "line", "linestrip", "point", "points",
    "cuboid", "Polygon", "", None, 0, "polygon ",
)
_GROUPS = (None, 0, 1, -1, True, False, "1", "", 1.0, 1.5, 10**18, 10**19, 2**63, [1], {"a": 1}, math.nan)
_FILE_NAMES = (
    "a.JSON", "a.jpg.json", "A.json", "train.json", "dataset.json", "sub/a.json", "a b.json", "ä.json",
    "a..json", "-.json", "a\n.json", "images/a.json",
)
_ENCODINGS = (
    "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "latin-1", "cp1252", "shift_jis", "utf-7", "utf-8-sig",
)

# What the user may ask for besides.
_OPTIONS = (
    {"repair": True}, {"holes": True}, {"drop_duplicates": True}, {"line_width": 3.0}, {"strip_numbers": True},
    {"images": "copy"}, {"images": "resize", "max_size": 40}, {"encoding": "gbk"}, {"encoding": "utf-16"},
    {"classes": ("car", "bus")}, {"skip_bad": True},
)
_SCALES = (1e-9, 1e-3, 1e3, 1e5, 1e300, -1)
_SHIFTS = (-1000, -30, 0.5, 30, 1e6)
# fmt: on


@dataclass
class Draft:
    """A case in the making: the annotation file as a tree, and the photos by their names.

    Attributes:
        name: of the annotation file.
        photos: the photos beside it.
        steps: what has been done to it, for people.
    """

    name: str
    tree: dict
    photos: dict[str, bytes]
    steps: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """One spoilt file.

    Attributes:
        name, content: of the annotation file.
        photos: those beside it, by their names.
        options: of the conversion.
        steps: what was done to it, in words.
    """

    name: str
    content: bytes
    photos: dict[str, bytes]
    options: dict[str, object] = field(default_factory=dict)
    steps: str = ""


def case(number: int) -> Case:
    """The case of a number."""
    rng = random.Random(number)
    seed = rng.choice(seeds())
    draft = copy.deepcopy(seed)
    draft.steps.append(f"seed {seeds().index(seed)}")
    in_bytes = rng.random() < 0.3
    for _ in range(rng.choice((0, 1)) if in_bytes else rng.choice((1, 1, 1, 2, 3))):
        _spoil(rng, draft, rng.choice(_OF_TREES))
    if rng.random() < 0.1:
        _spoil(rng, draft, rng.choice(_OF_FOLDERS))
    content = _dump(rng, draft.tree)
    for _ in range(rng.choice((1, 1, 2)) if in_bytes else 0):
        spoil = rng.choice(_OF_BYTES)
        content = spoil(rng, content)
        draft.steps.append(spoil.__name__.strip("_"))
    options = rng.choice(_OPTIONS) if rng.random() < 0.3 else {}
    return Case(draft.name, content, draft.photos, options, ", ".join([*draft.steps, *options]))


def unspoilt() -> Iterator[Case]:
    """The valid files themselves."""
    for seed in seeds():
        yield Case(seed.name, json.dumps(seed.tree).encode(), seed.photos)


def _spoil(rng: random.Random, draft: Draft, spoil: Callable[[random.Random, Draft], None]) -> None:
    try:
        spoil(rng, draft)
    except Exception:  # an earlier step left nothing to do it to
        draft.steps.append(f"({spoil.__name__.strip('_')})")
    else:
        draft.steps.append(spoil.__name__.strip("_"))


def _dump(rng: random.Random, tree: object) -> bytes:
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 2)))
    content = text.encode("utf-8", "surrogatepass")
    for index, raw in enumerate(_RAW):
        content = content.replace(b'"@RAW%d@"' % index, raw)
    return content


# Valid files


@functools.cache
def seeds() -> list[Draft]:
    """Valid files that between them have every type of shape, groups, masks, imageData, and every age of the format."""
    jpeg, png, turned = encoded(picture(1), "JPEG"), encoded(picture(2), "PNG"), encoded(picture(3), "JPEG", 6)
    blob = np.hypot(*np.mgrid[-1:1:12j, -1:1:16j]) < 0.9
    masks = [_mask("car", blob, (20, 10), group_id=1), _mask("Straße", blob, (60.5, 40.5), bits=True)]
    shapes, photo, data = [*_every_shape(), *masks], {"a.jpg": jpeg}, {"imageData": _base64(jpeg)}
    old = [{"label": "车", "line_color": None, "fill_color": None, "points": [[2, 3], [30, 5], [20, 40]]}]
    no_sizes = {"version": ..., "imageHeight": ..., "imageWidth": ..., "lineColor": [0, 255, 0, 128]}
    return [
        _draft("a.json", photo, shapes),
        _draft("a.json", photo, shapes[-4:]),
        _draft("a.json", photo, shapes[:4], **data),
        _draft("a.json", {}, shapes, **data),
        _draft("sub/a.json", {}, shapes[:2], imageData=_base64(png)),
        _draft("a.png.json", {"a.png": png, **photo}, shapes, imagePath="a.png"),
        _draft("a.json", {"a.jpg": turned}, shapes[:5], imageHeight=SIZE[0], imageWidth=SIZE[1]),
        _draft("a.json", photo, old, **no_sizes),
        _draft("a.json", photo, [_blob("car", (32, 24), 20, 400), _blob("car", (0, 24), 30, 40), *shapes[:1]]),
    ]


def _draft(name: str, photos: dict[str, bytes], shapes: list[dict], **keys) -> Draft:
    tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None}
    tree |= {"imageHeight": SIZE[1], "imageWidth": SIZE[0]} | keys
    return Draft(name, {key: value for key, value in tree.items() if value is not ...}, photos)


# Shapes without a surface, and how many points they have here.
_LINES = {"line": 2, "linestrip": 3, "point": 1, "points": 2}


def _every_shape() -> list[dict]:
    square = [[8.25, 8.5], [24.125, 8.75], [24.5, 24.25], [8.0, 24.0]]
    return [
        _shape("car", square),
        _shape("车", [[30.1, 5.3], [62.7, 9.9]], "rectangle"),
        _shape("bus", [[30.0, 30.0], [35.5, 33.3]], "circle"),
        _shape("car", [[40.0, 40.0], [70.0, 44.0], [69.0, 50.0], [39.0, 46.0]], group_id=0),
        _shape("car", [[4.0, 30.0], [12.0, 30.0], [12.0, 44.0], [4.0, 44.0]], group_id=0),
        _shape("bus", square, "oriented_rectangle"),
        _shape("bus", square, "rectangle"),
        _shape("bow tie", [[40.0, 10.0], [60.0, 30.0], [60.0, 10.0], [40.0, 30.0]]),
        _shape("__ignore__", square),
        *(_shape("line", square[:count], kind) for kind, count in _LINES.items()),
        _shape("car", [[44.0, 20.0], [52.0, 20.0], [48.0, 28.0]], group_id=1),
    ]


def _shape(label: str, points: list, shape_type: str = "polygon", group_id: int | None = None, **keys) -> dict:
    shape = {"label": label, "points": points, "group_id": group_id, "description": "", "shape_type": shape_type}
    return shape | {"flags": {}, "mask": None} | keys


def _blob(label: str, centre: tuple[float, float], radius: float, count: int) -> dict:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radii = radius * (1 + 0.2 * np.sin(5 * angles))
    points = np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)
    return _shape(label, points.tolist())


def _mask(label: str, pixels: np.ndarray, corner: tuple[float, float], bits: bool = False, **keys) -> dict:
    """A mask shape; ``bits`` for the PNG of labelme 5.4, of one bit a pixel."""
    (x, y), (height, width) = corner, pixels.shape
    stored = Image.fromarray(pixels if bits else pixels.astype(np.uint8))
    points = [[x, y], [x + width - 1, y + height - 1]]
    return _shape(label, points, "mask", mask=_base64(encoded(stored, "PNG")), **keys)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth random scene."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, orientation: int | None = None, **options) -> bytes:
    """A picture as the bytes of a file, with an EXIF flag on request."""
    exif = Image.Exif()
    if orientation is not None:
        exif[_ORIENTATION] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, **options, **({"exif": exif} if orientation is not None else {}))
    return stream.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


# Trees


def _places(tree: object) -> Iterator[tuple[dict | list, str | int]]:
    """Every (container, key) of a tree."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def _pick(rng: random.Random, tree: dict | list) -> tuple[dict | list, str | int]:
    """A (container, key), by a walk from the top, so that many coordinates do not hide the few other values."""
    while True:
        key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
        if not (isinstance(tree[key], dict | list) and tree[key]) or rng.random() < 0.25:
            return tree, key
        tree = tree[key]


def _delete(rng: random.Random, draft: Draft) -> None:
    container, key = _pick(rng, draft.tree)
    del container[key]


def _replace(rng: random.Random, draft: Draft) -> None:
    container, key = _pick(rng, draft.tree)
    container[key] = rng.choice(_VALUES)


def _exchange(rng: random.Random, draft: Draft) -> None:
    (one, key), (other, other_key) = _pick(rng, draft.tree), _pick(rng, draft.tree)
    one[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(one[key])


def _repeat(rng: random.Random, draft: Draft) -> None:
    container, key = _pick(rng, draft.tree)
    if isinstance(container, list):
        container[key:key] = copy.deepcopy([container[key]] * rng.choice((1, 2, 40)))
    else:
        container[rng.choice((key + " ", key.upper(), key.lower(), "", "score"))] = copy.deepcopy(container[key])


def _wrap(rng: random.Random, draft: Draft) -> None:
    container, key = _pick(rng, draft.tree)
    container[key] = rng.choice(([container[key]], {"value": container[key]}, str(container[key])))


def _another_number(rng: random.Random, draft: Draft) -> None:
    numbers = [place for place in _places(draft.tree) if isinstance(place[0][place[1]], int | float)]
    container, key = rng.choice(numbers)
    container[key] = rng.choice(
        (*_NUMBERS, container[key] + rng.uniform(-100, 100), container[key] * rng.choice((-1, 1e3)))
    )


def _another_text(rng: random.Random, draft: Draft) -> None:
    container, key = rng.choice([place for place in _places(draft.tree) if isinstance(place[0][place[1]], str)])
    container[key] = rng.choice((*_TEXTS, *_PATHS))


def _any_shape(rng: random.Random, draft: Draft) -> dict:
    return rng.choice(draft.tree["shapes"])


def _label(rng: random.Random, draft: Draft) -> None:
    _any_shape(rng, draft)["label"] = rng.choice(_TEXTS)


def _shape_type(rng: random.Random, draft: Draft) -> None:
    _any_shape(rng, draft)["shape_type"] = rng.choice(_KINDS)


def _group(rng: random.Random, draft: Draft) -> None:
    for shape in rng.sample(draft.tree["shapes"], min(2, len(draft.tree["shapes"]))):
        shape["group_id"] = rng.choice(_GROUPS)


def _one_group(rng: random.Random, draft: Draft) -> None:
    label = rng.choice(("car", None))
    for shape in draft.tree["shapes"]:
        shape |= {"group_id": 7} | ({"label": label} if label else {})


def _crowd(rng: random.Random, draft: Draft) -> None:
    """More instances than a byte can count."""
    draft.tree["shapes"] += copy.deepcopy([_any_shape(rng, draft)] * 300)


def _image_path(rng: random.Random, draft: Draft) -> None:
    draft.tree["imagePath"] = rng.choice(_PATHS)


def _sizes(rng: random.Random, draft: Draft) -> None:
    height, width, wild = draft.tree.get("imageHeight"), draft.tree.get("imageWidth"), rng.choice(_NUMBERS)
    pairs = [(width, height), (None, width), (height, None), (None, None), (0, 0), (wild, width), (height, wild)]
    pairs += [(str(height), width), (height, float(width)), (height + 1, width), (-height, width)]
    draft.tree["imageHeight"], draft.tree["imageWidth"] = rng.choice(pairs)


def _points(rng: random.Random, draft: Draft) -> None:
    """Points of another number, order or place."""
    shape = _any_shape(rng, draft)
    points, scale, shift = shape["points"], rng.choice(_SCALES), rng.choice(_SHIFTS)
    (x, y), step = points[0], rng.choice((0, 1e-7, 1e-15))
    others = [points[: rng.randrange(6)], [points[0]] * rng.randrange(9), points[::-1], rng.sample(points, len(points))]
    others += [[[x * scale, y * scale] for x, y in points], [[x + shift, y + shift] for x, y in points]]
    others += [[[int(x), int(y)] for x, y in points], [[x + i * 1e-7, y + i * step] for i in range(9)]]
    others += [_scribble(rng, rng.choice((4, 9, 60, 300)), reach) for reach in (1, 3)]
    shape["points"] = rng.choice(others)


def _no_points(rng: random.Random, draft: Draft) -> None:
    """Points of another structure."""
    shape = _any_shape(rng, draft)
    points = shape["points"]
    others = [[[*point, 0] for point in points], [point[:1] for point in points], [[] for _ in points]]
    others += [[*points, [1, 2, 3]], sum(points, []), [points], {"x": 1, "y": 2}, "1,2 3,4", [str(x) for x in points]]
    shape["points"] = rng.choice(others)


def _scribble(rng: random.Random, count: int, reach: float) -> list[list[float]]:
    """Random points; with a reach above 1 some are outside the photo."""
    low, high = (1 - reach) / 2, (1 + reach) / 2
    return [[rng.uniform(low, high) * side for side in SIZE] for _ in range(count)]


def _spoilt_mask(rng: random.Random, draft: Draft) -> None:
    shape = rng.choice([shape for shape in draft.tree["shapes"] if shape.get("mask")])
    shape["mask"] = _spoilt_picture(rng, shape["mask"])


def _spoilt_image_data(rng: random.Random, draft: Draft) -> None:
    data = draft.tree["imageData"] or _base64(encoded(picture(1), "JPEG"))
    draft.tree["imageData"] = _spoilt_picture(rng, data)


# Embedded pictures


def _spoilt_picture(rng: random.Random, text: str) -> object:
    """The base64 of another, broken or disguised picture, or no proper base64."""
    if rng.random() < 0.8:
        return _base64(rng.choice(_OF_PICTURES)(rng, base64.b64decode(text)))
    front, back = text[: len(text) // 2], text[len(text) // 2 :]
    others = [text[:-1], text[: rng.randrange(len(text))], f"{text}=", f"{text}A", text * 2, f"ä{text}", f"\0{text}"]
    others += [f"{front}{odd}{back}" for odd in ("\n", "-_", "*é", "=")] + ["", "====", 5, [text], None]
    return rng.choice([*others, f"data:image/png;base64,{text}", f"{ABOVE}/{SECRET}"])


def _claimed(rng: random.Random, content: bytes) -> bytes:
    """A PNG with another size, depth or colour type in its header, and the right checksum."""
    if not content.startswith(b"\x89PNG"):
        content = encoded(picture(4), "PNG")
    header = bytearray(content[12:29])
    at = rng.choice((4, 8, 12, 13, 15, 16))
    value = rng.choice((0, 1, 2**15, 13_377, 2**31 - 1)).to_bytes(4, "big") if at < 12 else bytes([rng.randrange(17)])
    header[at : at + len(value)] = value
    return content[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def _reencoded(rng: random.Random, content: bytes) -> bytes:
    """The same picture in another format or mode, or with an orientation flag."""
    image = Image.open(io.BytesIO(content))
    small = image.size[0] < 40  # a mask
    modes = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK")
    mode = rng.choice(modes)
    image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert("RGB").convert(mode)
    if small:
        image = image.point(lambda level: level * rng.choice((1, 100))) if mode == "L" else image
    kind = rng.choice(("PNG", "PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "JPEG2000", "ICO"))
    try:
        return (
            encoded(image, kind, rng.choice((None, None, *range(10)))) if rng.random() < 0.5 else encoded(image, kind)
        )
    except (OSError, ValueError, KeyError):  # a mode that the format does not have
        return encoded(image.convert("RGB"), "JPEG", rng.randrange(10))


def _another(rng: random.Random, content: bytes) -> bytes:
    """Another picture, of the same or another size."""
    size = rng.choice((SIZE, SIZE[::-1], (1, 1), (65, 48), (640, 480), (1, 3000)))
    return encoded(picture(rng.randrange(100), size), rng.choice(("JPEG", "PNG")))


def _large(rng: random.Random, content: bytes) -> bytes:
    """A small file of very many pixels."""
    side = rng.choice((3_000, 9_000, 13_500))  # the last is above the 178,956,970 pixels that Pillow opens
    row = b"\0" * ((side + 7) // 8 + 1)
    chunks = [
        (b"IHDR", side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])),
        (b"IDAT", zlib.compress(row * side, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


def _animated(rng: random.Random, content: bytes) -> bytes:
    frames = [picture(seed) for seed in range(3)]
    return encoded(frames[0], rng.choice(("GIF", "PNG", "WEBP", "TIFF")), save_all=True, append_images=frames[1:])


# Bytes, of files and of embedded pictures


def _span(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 8, 100, 5000)))


def _truncated(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(rng: random.Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 30)) if content else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _cut(rng: random.Random, content: bytes) -> bytes:
    start, stop = _span(rng, content)
    return content[:start] + content[stop:]


def _doubled(rng: random.Random, content: bytes) -> bytes:
    start, stop = _span(rng, content)
    return content[:stop] + content[start:]


def _inserted(rng: random.Random, content: bytes) -> bytes:
    start, _ = _span(rng, content)
    return (
        content[:start]
        + rng.choice((b"\0", b"\xff", b"\xef\xbb\xbf", b",", b"{", b'"', rng.randbytes(9)))
        + content[start:]
    )


def _marked(rng: random.Random, content: bytes) -> bytes:
    """A byte order mark, of UTF-8 or another encoding, once or twice."""
    return rng.choice((b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) + content


def _recoded(rng: random.Random, content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode(rng.choice(_ENCODINGS), "replace")


def _padded(rng: random.Random, content: bytes) -> bytes:
    return (
        rng.choice((b"", b" \n", b"\0", b"x"))
        + content
        + rng.choice((b"\0" * 9, b"\n\n", b",", b"x", content, b"\x1a"))
    )


def _key_twice(rng: random.Random, content: bytes) -> bytes:
    """One key of an object twice: which of the two counts is the reader's choice."""
    keys = list(re.finditer(rb'"\w+": ', content))
    if not keys:
        return content
    key = rng.choice(keys)
    value = rng.choice((b"null", b"5", b'"a"', b"[]", b"{}", b"NaN"))
    return content[: key.start()] + key.group() + value + b", " + content[key.start() :]


def _another_literal(rng: random.Random, content: bytes) -> bytes:
    """A number in the place of which stands something else."""
    numbers = list(re.finditer(rb"(?<=[ \[])-?\d+(\.\d+)?(?=[,\]\n}])", content))
    if not numbers:
        return content
    number = rng.choice(numbers)
    return content[: number.start()] + rng.choice(_RAW) + content[number.end() :]


def _nothing(rng: random.Random, content: bytes) -> bytes:
    return rng.choice(
        (b"", b" ", b"{}", b"[]", b"null", b"5", b'"shapes"', b'{"shapes": 5}', b'{"shapes": []}', b'[{"shapes": []}]')
    )


# What lies beside the file


def _no_photo(rng: random.Random, draft: Draft) -> None:
    draft.photos.clear()


def _another_photo(rng: random.Random, draft: Draft) -> None:
    """Another picture under the photo's name, perhaps of another size or turned, or none at all."""
    content = encoded(picture(5, rng.choice((SIZE, SIZE[::-1], (63, 48)))), "JPEG", rng.randrange(10))
    draft.photos[rng.choice(list(draft.photos))] = rng.choice((content, b"", b"no picture", _large(rng, b"")))


def _further_photo(rng: random.Random, draft: Draft) -> None:
    draft.photos[rng.choice(("a.png", "a.JPG", "a.jpeg", "sub/a.jpg", "other/a.jpg"))] = encoded(picture(6), "PNG")


def _renamed(rng: random.Random, draft: Draft) -> None:
    draft.name = rng.choice(_FILE_NAMES)


# fmt: off
# What a file may suffer; what stands here twice happens twice as often.
_OF_TREES = (
    _delete, _replace, _replace, _exchange, _repeat, _wrap, _another_number, _another_number, _another_text, _label,
    _shape_type, _group, _one_group, _crowd, _image_path, _sizes, _points, _points, _no_points, _spoilt_mask,
    _spoilt_mask, _spoilt_image_data, _spoilt_image_data,
)
_OF_PICTURES = (
    _truncated, _flipped, _flipped, _cut, _doubled, _claimed, _reencoded, _reencoded, _another, _large, _animated,
)
_OF_BYTES = (
    _truncated, _flipped, _flipped, _cut, _doubled, _inserted, _marked, _recoded, _recoded, _padded, _key_twice,
    _key_twice,    _another_literal, _another_literal, _nothing,
)
_OF_FOLDERS = (_no_photo, _another_photo, _further_photo, _renamed)
# fmt: on
