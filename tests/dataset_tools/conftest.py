"""LabelMe folders built in a temporary folder: a few small photos and the files that annotate them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.dataset.make import ConversionResult

SIZE = (64, 48)  # (width, height): not square, so that a swap of the two shows


class LabelmeFolder:
    """A LabelMe folder that a test fills."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir()

    def photo(self, name: str, size: tuple[int, int] = SIZE, orientation: int | None = None, seed: int = 0) -> Path:
        """A photo of a smooth random scene; ``size`` is the size in the file, before any turning."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        picture.save(path, exif=exif)
        return path

    def json(self, name: str, shapes: list[dict], image_path: str | None = "a.jpg", size=SIZE, **keys) -> Path:
        """An annotation file as labelme 6 writes it; ``keys`` replace or add top-level keys."""
        content = {
            "version": "6.3.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": image_path,
            "imageData": None,
            "imageHeight": size[1] if size else None,
            "imageWidth": size[0] if size else None,
        }
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content | keys), encoding="utf-8")
        return path

    def pair(self, stem: str, shapes: list[dict], seed: int = 0, **keys) -> None:
        """A photo and its annotation file of one name."""
        self.photo(f"{stem}.jpg", seed=seed)
        self.json(f"{stem}.json", shapes, f"{stem.rpartition('/')[2]}.jpg", **keys)

    def convert(self, output: Path | None = None, **options) -> ConversionResult:
        """Convert into the folder ``dataset`` beside this one."""
        return convert(ConvertOptions(source=self.root, output=output or self.dataset, **options))

    @property
    def dataset(self) -> Path:
        return self.root.parent / "dataset"

    def split(self, name: str = "train") -> dict:
        """The COCO file of one split, as any JSON reader sees it."""
        return json.loads((self.dataset / f"{name}.json").read_text(encoding="utf-8"))


def _shape(label: str, points, shape_type: str | None = "polygon", group_id=None, **keys) -> dict:
    shape = {"label": label, "points": points, "group_id": group_id, "shape_type": shape_type, "flags": {}}
    return {key: value for key, value in (shape | keys).items() if value is not ...}


def _square(label: str = "car", left: float = 8, top: float = 8, side: float = 16, **keys) -> dict:
    """A square with whole corners: its pixels can be counted on one's fingers."""
    right, bottom = left + side, top + side
    return _shape(label, [[left, top], [right, top], [right, bottom], [left, bottom]], **keys)


def _mask_shape(label: str, mask: np.ndarray, corner=(0, 0), mode: str = "L", box=None, **keys) -> dict:
    """A mask shape: ``mode`` is the PNG's, with 0 and 1 in it as labelme writes them; ``box`` is its box's sides."""
    pixels = Image.fromarray(mask.astype(np.uint8))
    if mode == "1":
        pixels = Image.fromarray(mask.astype(bool))
    width, height = box or mask.shape[::-1]
    points = [list(corner), [corner[0] + width - 1, corner[1] + height - 1]]
    return _shape(label, points, "mask", mask=_base64_png(pixels), **keys)


def _base64_png(picture: Image.Image, **options) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG", **options)
    return base64.b64encode(stream.getvalue()).decode("ascii")


@pytest.fixture(autouse=True)
def clean_catalogs():
    """Detectron2's catalogs are the whole process's: what a test registers is gone after it."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def folder(tmp_path: Path) -> LabelmeFolder:
    return LabelmeFolder(tmp_path / "photos")


@pytest.fixture(scope="session")
def shape():
    return _shape


@pytest.fixture(scope="session")
def square():
    return _square


@pytest.fixture(scope="session")
def mask_shape():
    return _mask_shape


class _CountedLabel(str):
    """A label that counts how often labels are compared: the work of all who look for one among the others."""

    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        _CountedLabel.comparisons += 1
        return str.__eq__(self, other)


@pytest.fixture
def counted_label():
    _CountedLabel.comparisons = 0
    return _CountedLabel


@pytest.fixture(scope="session")
def base64_png():
    return _base64_png


@pytest.fixture(scope="session")
def codes():
    """The codes of findings, as a set."""
    return lambda findings: {finding.rule.code for finding in findings}
