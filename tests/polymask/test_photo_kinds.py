"""The table of photos in docs/datasets.md: a row, a test, through all entry points. All of them give one verdict."""

import io
import json
import logging
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from detectron2.data.detection_utils import read_image

import demo
from dataset_tools.__main__ import main as dataset_tools
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.images.header import ImageError, read_header
from polymask.config.data_checks import check_photos
from polymask.config.load import load_config
from polymask.data.mapper import EvaluationMapper, TrainMapper
from polymask.report.side_by_side import read_photo_of_size
from polymask.review.suggest import suggest
from tests.dataset_tools.pictures import SIZE
from tests.photo_kinds import KINDS

DOCS = Path(__file__).parents[2] / "docs/datasets.md"
MANY = "several pages or frames"


def name_of(row, number):
    return f"{re.sub(r'[^a-zA-Z0-9]+', '_', row)}_{number}"


def files_of(row, folder):
    """The photos of a row, written into a folder, each with a LabelMe file of a square."""
    files = {}
    for number, kind in enumerate(KINDS[row]):
        path = folder / f"{name_of(row, number)}{kind.suffix}"
        path.write_bytes(kind.content)
        files[path] = kind
        width, height = SIZE[::-1] if row == "turned by EXIF" else SIZE
        shape = {"label": "bar", "points": [[4, 4], [40, 4], [40, 40]], "shape_type": "polygon"}
        record = {"version": "6.3.1", "flags": {}, "shapes": [shape], "imagePath": path.name, "imageData": None}
        path.with_suffix(".json").write_text(json.dumps(record | {"imageWidth": width, "imageHeight": height}))
    return files


def record_of(path):
    """What Detectron2 knows of a photo in the frame of its pixels; a guess for one that is refused."""
    try:
        width, height = read_header(path).size
    except ImageError:
        width, height = SIZE
    return {"file_name": str(path), "width": width, "height": height, "image_id": 1, "annotations": []}


@pytest.fixture(scope="module")
def run(train_in, train_photos_only, tmp_path_factory):
    """A model that has seen next to nothing."""
    folder = tmp_path_factory.mktemp("run")
    return train_in(folder, "SOLVER.MAX_ITER", "1", dataset=train_photos_only)


@pytest.fixture(scope="module")
def looked_at(run, tmp_path_factory):
    """demo.py and suggest on the photos of all rows at once: the folder of their results, and what they said."""
    photos, results, log = tmp_path_factory.mktemp("all"), tmp_path_factory.mktemp("results"), io.StringIO()
    for row in KINDS:
        files_of(row, photos)
    for path in photos.glob("*.json"):
        path.unlink()
    handler = logging.StreamHandler(log)
    logging.getLogger("polymask").addHandler(handler)
    words = [
        "--config-file",
        run / "config.yaml",
        "--input",
        photos,
        "--output",
        results / "demo",
        "--save",
        "pictures",
        "coco",
    ]
    with pytest.raises(UserError, match="could not be read") as ended:
        demo.main([str(word) for word in [*words, "--opts", "MODEL.WEIGHTS", run / "model_final.pth"]])
    said = log.getvalue()
    suggest(run / "config.yaml", photos, results / "suggest", top=1000, min_score=0.5)
    logging.getLogger("polymask").removeHandler(handler)
    assert ended.value.exit_code == EXIT_DATA
    return results, [said, log.getvalue().removeprefix(said)]


def test_the_table_is_that_of_the_docs():
    table = DOCS.read_text().partition("| kind of photo |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE) == list(KINDS)


@pytest.mark.parametrize("row", KINDS)
def test_dataset_tools(row, tmp_path, capsys):
    """check, convert and preview."""
    folder = tmp_path / "photos"
    folder.mkdir()
    files = files_of(row, folder)
    for command in ("check", "convert", "preview"):
        words = ["--output", str(tmp_path / command), "--jobs", "1"] if command != "check" else ["--all", "--jobs", "1"]
        code = dataset_tools([command, str(folder), *words])
        said = "".join(capsys.readouterr())
        refused = {
            path: kind
            for path, kind in files.items()
            if kind.refused and not (command == "convert" and kind.shows_late)
        }
        assert code == (EXIT_DATA if refused and (command != "preview" or len(refused) == len(files)) else 0), said
        for path, kind in files.items():
            line = "\n".join(line for line in said.splitlines() if path.name in line or path.stem in line)
            if path in refused:
                assert kind.refused in line, said
            assert (MANY in said and f"has {kind.frames}" in line) == (kind.frames > 1), said
    assert (tmp_path / "convert/dataset.json").exists() == (not refused)


@pytest.mark.parametrize("row", KINDS)
def test_polymask(row, tmp_path, run, caplog):
    """A training, its check before it, an evaluation, and what a report reads."""
    cfg = load_config(run / "config.yaml", ["INPUT.FORMAT", "RGB", "INPUT.MIN_SIZE_TEST", "0"])
    mappers = [TrainMapper.for_training(cfg), TrainMapper.for_validation(cfg), EvaluationMapper(cfg)]
    for path, kind in files_of(row, tmp_path).items():
        record = record_of(path)
        readers = [partial(check_photos, {"TRAIN": [record]}), *(partial(mapper, record) for mapper in mappers)]
        readers.append(partial(read_photo_of_size, path, record["width"], record["height"]))
        if kind.refused:
            for reader in readers[kind.shows_late :]:
                with pytest.raises(UserError, match=re.escape(kind.refused)) as caught:
                    reader()
                assert caught.value.exit_code == EXIT_DATA and path.name in str(caught.value)
            continue
        _, _, validated, evaluated, photo = [reader() for reader in readers]
        pixels = np.asarray(evaluated["image"]).transpose(1, 2, 0)
        assert np.array_equal(pixels, read_image(str(path), "RGB"))
        assert np.array_equal(pixels, np.asarray(validated["image"]).transpose(1, 2, 0))
        assert np.array_equal(pixels, photo[..., ::-1])
        if kind.levels is not None:
            expected = kind.levels if kind.levels.ndim == 3 else kind.levels[..., None]
            assert np.abs(pixels - expected.astype(float)).max() <= kind.tolerance
        assert (MANY in caplog.text) == (kind.frames > 1)
        caplog.clear()


@pytest.mark.parametrize("row", KINDS)
def test_looking_at_photos(row, tmp_path, looked_at):
    """demo.py and suggest."""
    results, texts = looked_at
    listed = {Path(image["file_name"]).name for image in json.loads((results / "demo/coco.json").read_text())["images"]}
    for path, kind in files_of(row, tmp_path).items():
        for said in texts:
            line = "\n".join(line for line in said.splitlines() if path.name in line)
            assert (kind.refused or "") in line, said
            assert (f"{kind.frames} pages or frames" in line) == (kind.frames > 1), said
        assert (path.name in listed) == (kind.refused is None)
        assert (results / f"demo/{path.name}.png").exists() == (kind.refused is None)
        assert (results / f"suggest/{path.stem}.json").exists() == (kind.refused is None)
