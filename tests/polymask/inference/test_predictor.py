"""A trained model outside its training."""

import json
import os

import cv2
import msgspec
import numpy as np
import pycocotools.mask
import pytest
import torch
import yaml
from detectron2.engine import DefaultPredictor
from labelme._label_file import read_label_file
from PIL import EpsImagePlugin, Image

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.inference.detections import shared_area
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.modeling.precision import half_type


@pytest.fixture(scope="module")
def predictor(overfitted):
    weights = ["MODEL.WEIGHTS", str(overfitted / "model_final.pth")]
    return Predictor(predictor_config(overfitted / "config.yaml", weights, confidence_threshold=0.3))


def test_sees_what_the_evaluation_saw(predictor, overfitted, tiny_dataset):
    """One photo through the predictor gives the detections that the evaluation wrote for it."""
    image = json.loads((tiny_dataset / "train.json").read_text())["images"][0]
    root = tiny_dataset / json.loads((tiny_dataset / "dataset.json").read_text())["image_root"]
    found = predictor(read_photo(root / image["file_name"]))["instances"]
    written = json.loads((overfitted / "inference/tiny_train/coco_instances_results.json").read_text())
    expected = [entry for entry in written if entry["image_id"] == image["id"] and entry["score"] >= 0.3]
    assert len(found) == len(expected) >= 2
    assert found.scores.tolist() == pytest.approx([entry["score"] for entry in expected], abs=1e-6)
    assert [index + 1 for index in found.pred_classes.tolist()] == [entry["category_id"] for entry in expected]
    for mask, entry in zip(found.pred_masks.numpy(), expected, strict=True):
        assert np.array_equal(mask, pycocotools.mask.decode(entry["segmentation"]).astype(bool))


def test_finds_the_bar_and_the_disc(predictor, tiny_dataset):
    """Against the photo itself: the mask of the bar is where the photo is yellow, that of the disc where it is dark."""
    photo = read_photo(sorted((tiny_dataset.parent / "labelme/train").glob("*.png"))[0])
    found = predictor(photo)["instances"]
    best = {
        predictor.classes[index]: mask.numpy()
        for index, mask in list(zip(found.pred_classes, found.pred_masks, strict=True))[::-1]
    }
    truth = {"bar": photo[:, :, 1] > 200, "disc": photo[:, :, 1] < 60}
    for name, pixels in truth.items():
        assert (best[name] & pixels).sum() / (best[name] | pixels).sum() > 0.8, name


def test_a_run_in_a_line(predictor, overfitted, tiny_dataset, tmp_path):
    """A file and its pixels give what the predictor gives that was put together by hand, which labelme and json can write."""
    path = sorted((tiny_dataset.parent / "labelme/train").glob("*.png"))[0]
    ours = Predictor.from_run(overfitted, 0.3)
    found = ours.predict(str(path))
    assert found == ours.predict(path) == ours.predict(read_photo(path)) == predictor.detect([read_photo(path)])[0]
    assert len(found) >= 2
    (tmp_path / "a.json").write_bytes(found.to_labelme(os.path.relpath(path, tmp_path)))
    assert len(read_label_file(str(tmp_path / "a.json")).shapes) >= len(found)
    assert [entry["score"] for entry in json.loads(msgspec.json.encode(found.to_coco()))] == [d.score for d in found]
    best = ["MODEL.WEIGHTS", str(overfitted / "model_final.pth"), "TEST.DETECTIONS_PER_IMAGE", "1"]
    assert len(Predictor.from_run(str(overfitted), 0.3, best).predict(path)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["nothing", "grey", "alpha", "float", "empty"],
)
def test_what_is_not_a_photo(predictor, wrong):
    with pytest.raises(UserError, match="not a photo.*BGR"):
        predictor.predict(wrong)


@pytest.mark.parametrize("missing", ["config.yaml", "model_final.pth"])
def test_a_folder_that_is_not_a_finished_run(overfitted, tmp_path, missing):
    for name in {"config.yaml", "model_final.pth"} - {missing}:
        (tmp_path / name).symlink_to(overfitted / name)
    with pytest.raises(UserError, match=missing):
        Predictor.from_run(tmp_path)


def photos_of(dataset):
    return [read_photo(path) for path in sorted((dataset.parent / "labelme").rglob("*.png"))]


def assert_same(found, expected, pixels_apart=0.0, scores_apart=1e-4):
    """That two lists of detections are the same objects, up to a share of each mask and a difference of the scores."""
    assert [d.category for d in found] == [d.category for d in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=scores_apart)
        shared = shared_area(one.mask, other.mask)
        assert shared >= (1 - pixels_apart) * (one.mask.area + other.mask.area - shared) > 0


def test_detect_finds_what_the_default_predictor_finds(predictor, tiny_dataset):
    for photo in photos_of(tiny_dataset):
        instances, (found,) = DefaultPredictor.__call__(predictor, photo)["instances"], predictor.detect([photo])
        assert len(instances) == len(found) >= 1
        assert [d.score for d in found] == instances.scores.tolist()
        assert [d.category for d in found] == instances.pred_classes.tolist()
        assert [list(d.box) for d in found] == instances.pred_boxes.tensor.tolist()
        height, width = photo.shape[:2]
        assert found.size == (width, height) and found.classes == predictor.classes
        for detection, mask in zip(found, instances.pred_masks.numpy(), strict=True):
            assert np.array_equal(detection.mask.pixels_in((0, 0, width, height)), mask)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_model_gets_what_detectron2_gives_it(predictor, tiny_dataset, monkeypatch, order):
    photo = cv2.resize(photos_of(tiny_dataset)[0], (301, 203))
    seen = []
    monkeypatch.setattr(predictor, "input_format", order)
    monkeypatch.setattr(predictor, "model", lambda inputs: seen.extend(inputs) or [{}])
    predictor(photo)
    assert torch.equal(predictor.input_for(photo)["image"], seen[0]["image"])


def test_a_batch_is_its_photos_one_by_one(predictor, tiny_dataset):
    """Also of several sizes, whose predictions padding would change."""
    photos = photos_of(tiny_dataset)
    photos = [photos[0], photos[1][:, :100], photos[2], cv2.resize(photos[3], (300, 300)), photos[4][:100], photos[5]]
    batch = predictor.detect(photos)
    assert sum(map(len, batch)) >= 6
    for photo, found in zip(photos, batch, strict=True):
        (alone,) = predictor.detect([photo])
        assert_same(found, alone, pixels_apart=0.01)
        assert np.allclose([d.box for d in found], [d.box for d in alone], atol=0.05)


def test_half_precision_sees_the_same(predictor, overfitted, tiny_dataset):
    weights = ["MODEL.WEIGHTS", str(overfitted / "model_final.pth")]
    half = Predictor(predictor_config(overfitted / "config.yaml", weights, confidence_threshold=0.3), half=True)
    photos = photos_of(tiny_dataset)[:6]
    whole = [found.scoring(0.6) for found in predictor.detect(photos)]
    found = half.detect(photos)
    assert (found != predictor.detect(photos)) == (half_type("cpu") is not None), "rounded as the hardware allows"
    assert sum(map(len, whole)) >= 6
    for some, expected in zip(found, whole, strict=True):
        for detection in expected:
            alike = [d for d in some if d.category == detection.category]
            best = max(alike, key=lambda d: shared_area(d.mask, detection.mask))
            # Scores near 1 are rounded to 1, so that of the boxes on an object another one may be kept.
            assert_same([best], [detection], pixels_apart=0.25, scores_apart=0.1)
    assert half(photos[0])["instances"].scores.tolist() == [d.score for d in found[0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1)])
def test_a_photo_of_any_shape(predictor, size):
    assert len(predictor.detect([np.zeros((*size, 3), dtype=np.uint8)])) == 1


def test_a_run_of_a_gpu_is_used_on_a_machine_without(overfitted, tmp_path):
    config = yaml.safe_load((overfitted / "config.yaml").read_text())
    config["MODEL"]["DEVICE"] = "cuda"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    Predictor(predictor_config(tmp_path / "config.yaml", ["MODEL.WEIGHTS", str(overfitted / "model_final.pth")], 0.5))


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_is_a_probability(overfitted, threshold):
    with pytest.raises(UserError, match="from 0 to 1"):
        predictor_config(overfitted / "config.yaml", [], threshold)


def test_needs_the_config_of_a_run():
    with pytest.raises(UserError, match="config.yaml"):
        Predictor(predictor_config("configs/mini_scratch.yaml", [], 0.5))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(tmp_path, orientation):
    stored = np.zeros((20, 30, 3), dtype=np.uint8)
    stored[:5, :5] = (255, 0, 0)  # red, in the stored corner 0, 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    # Where the stored first row and first column are shown: the definition in CIPA DC-008, tag 0x0112.
    rows, columns = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    vertical, horizontal = (rows, columns) if rows in "tb" else (columns, rows)
    y, x = {"t": 0, "b": -1}[vertical], {"l": 0, "r": -1}[horizontal]
    assert photo.shape[:2] == ((20, 30) if orientation <= 4 else (30, 20))
    assert tuple(photo[y, x]) == (0, 0, 255), "red in BGR"
    assert photo.any(axis=2).sum() == 25


def test_a_broken_photo_is_a_data_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    with pytest.raises(UserError, match="a.jpg") as caught:
        read_photo(tmp_path / "a.jpg")
    assert caught.value.exit_code == EXIT_DATA


def test_an_eps_named_as_a_photo_starts_no_ghostscript(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", "EPS")
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # to be looked for again
    with pytest.raises(UserError, match="a.jpg.*cannot be read"):
        read_photo(tmp_path / "a.jpg")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("size", [1, 100, 400])
def test_a_photo_that_is_cut_off_is_a_data_error(tmp_path, size):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:size])
    with pytest.raises(UserError, match="a.png.*cannot be read"):
        read_photo(tmp_path / "a.png")


def test_a_photo_of_too_many_pixels_is_a_data_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)  # Pillow's default, which labelme takes away
    Image.new("1", (15000, 15000)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="too many pixels.*decompression bomb"):
        read_photo(tmp_path / "a.png")
