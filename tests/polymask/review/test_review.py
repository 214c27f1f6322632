"""The command on a run's folder: its page, its table, and LabelMe files that labelme opens and convert takes back."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from labelme._label_file import read_label_file

from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.dataset.folds import write_folds
from dataset_tools.errors import run_command
from dataset_tools.to_labelme.from_dataset import ToLabelmeOptions, to_labelme
from polymask.__main__ import main
from polymask.config.load import load_config
from tests.polymask.report.conftest import make_folder

DETECTIONS = "inference/street_test/coco_instances_results.json"


@pytest.fixture
def run(tmp_path):
    """A run on 24 photos with a car and a sign each, which are found but in the first photo; some are annotated wrongly."""
    return make_run(tmp_path)


def make_run(folder, names=("Car", "Sign Board")):
    run = make_folder(folder / "one", names, shift=0.5, test=24)
    path = run.parent / "dataset/test.json"
    content = json.loads(path.read_text())
    cars, signs = ({one["image_id"]: one for one in content["annotations"] if one["category_id"] == c} for c in (1, 2))
    apart = sorted(list(cars)[1:], key=lambda number: -abs(cars[number]["bbox"][1] - signs[number]["bbox"][1]))
    missing, wrong, duplicate = apart[:3]
    content["annotations"].remove(cars[missing])
    cars[wrong]["category_id"] = 2
    content["annotations"].append(cars[duplicate] | {"id": 99})
    path.write_text(json.dumps(content))
    planted = {"missing": missing, "wrong class": wrong, "duplicate": duplicate, "unsupported": 1}
    (run / "planted.json").write_text(json.dumps({kind: f"test{number - 1}" for kind, number in planted.items()}))
    return run


def planted_in(run):
    """The photo of each mistake, without its suffix."""
    return json.loads((run / "planted.json").read_text())


@pytest.fixture
def review(monkeypatch, capsys):
    """Runs the command, and returns its exit code and what it says."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["polymask", "review", *map(str, arguments)])
        code = run_command(main)
        said = capsys.readouterr()
        return code, said.out + said.err

    return command


def table(folder):
    with (folder / "review.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_lists_what_is_wrong(run, review):
    code, said = review(run)
    assert not code and "labelme" in said
    rows = table(run / "review")
    found = {(row["kind"], Path(row["photo"]).stem) for row in rows}
    assert found == {*planted_in(run).items()}
    assert [row["number"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert f"{len(rows)} annotations" in said and rows[0]["reason"] in said
    for row in rows:
        assert row["file"] == f"to_correct/{Path(row['photo']).stem}.json"


def test_labelme_opens_the_files_and_shows_what_is_suspected(run, review):
    review(run)
    folder = run / "review"
    rows = {row["kind"]: row for row in table(folder)}
    for path in [*folder.glob("*/*.json")]:
        read = read_label_file(str(path))
        assert (path.parent / read.image_path).is_file(), "labelme pages through photos: they are beside the files"
        noted = [shape["description"] for shape in read.shapes if shape["description"]]
        assert bool(noted) == bool(read.flags) == (path.parent.name == "to_correct")
    wrong = read_label_file(str(folder / rows["wrong class"]["file"]))
    number, reason = rows["wrong class"]["number"], rows["wrong class"]["reason"]
    assert wrong.flags == {f"#{number} wrong class": False}
    assert [shape["label"] for shape in wrong.shapes if reason in shape["description"]] == ["Sign Board"]
    missing = read_label_file(str(folder / rows["missing"]["file"]))
    (suggested,) = [shape for shape in missing.shapes if shape["label"] == "__ignore__"]
    assert "Car" in suggested["description"] and suggested["shape_type"] == "polygon"
    left, top = (float(rows["missing"][side]) for side in ("left", "top"))
    assert min(x for x, _ in suggested["points"]) == pytest.approx(left, abs=1.5)
    assert min(y for _, y in suggested["points"]) == pytest.approx(top, abs=1.5)


def photos_of(dataset):
    """The photos of all splits by their names, with their sizes and sorted annotations."""
    photos = {}
    for split in ("train", "val", "test"):
        content = json.loads((dataset / f"{split}.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for image in content["images"]:
            own = [one for one in content["annotations"] if one["image_id"] == image["id"]]
            outlines = sorted((names[one["category_id"]], one["segmentation"]) for one in own)
            photos[Path(image["file_name"]).name] = (image["width"], image["height"], outlines)
    return photos


def test_uncorrected_files_are_converted_to_the_same_dataset(run, review, tmp_path):
    review(run, "--output", tmp_path / "out")
    classes = tuple((tmp_path / "out/classes.txt").read_text().splitlines())
    convert(ConvertOptions(source=tmp_path / "out", output=tmp_path / "back", classes=classes))
    to_labelme(ToLabelmeOptions(run.parent / "dataset", tmp_path / "plain", split="test", copy_photos=True))
    convert(ConvertOptions(source=tmp_path / "plain", output=tmp_path / "expected", classes=classes))
    assert photos_of(tmp_path / "back") == photos_of(tmp_path / "expected") and len(photos_of(tmp_path / "back")) == 24
    assert json.loads((tmp_path / "back/dataset.json").read_text())["classes"] == ["Car", "Sign Board"]


def test_a_cross_validation_keeps_the_classes_that_it_does_not_measure(review, tmp_path):
    """A class in one photo alone is in no pooled truth; its annotation is in the files all the same, and not suspect."""
    run = make_folder(tmp_path / "one", ("Car", "Sign Board", "Tram"), test=8)
    dataset = run.parent / "dataset"
    content = json.loads((dataset / "test.json").read_text())
    content["annotations"] = [one for one in content["annotations"] if one["category_id"] < 3 or one["image_id"] == 5]
    (dataset / "test.json").write_text(json.dumps(content))
    card = json.loads((dataset / "dataset.json").read_text())
    card["splits"]["test"] |= {"instances": 17, "instances_per_class": {"Car": 8, "Sign Board": 8, "Tram": 1}}
    (dataset / "dataset.json").write_text(json.dumps(card))
    folds = write_folds(dataset, run / "datasets", 2, seed=0)
    for part in folds.parts:
        (run / part.name).mkdir()
        (run / part.name / "results.json").write_text(json.dumps({f"{part.name}_test": {}}))
    cfg = load_config(run / "config.yaml", ["DATASETS.ROOT", str(folds.pooled)])
    (run / "config.yaml").write_text(cfg.dump())
    found = run / "inference/street_pooled_test/coco_instances_results.json"
    (run / DETECTIONS).parent.rename(found.parent)
    found.write_text(json.dumps([one for one in json.loads(found.read_text()) if one["category_id"] < 3]))
    assert not review(run)[0]
    assert not [row for row in table(run / "review") if "Tram" in row["reason"]]
    labels = [shape["label"] for path in run.glob("review/*/*.json") for shape in read_label_file(str(path)).shapes]
    assert sorted(label for label in labels if label != "__ignore__") == ["Car"] * 8 + ["Sign Board"] * 8 + ["Tram"]


def test_a_suggestion_counts_when_it_is_renamed(run, review, tmp_path):
    review(run, "--output", tmp_path / "out")
    photo = planted_in(run)["missing"]
    path = tmp_path / f"out/to_correct/{photo}.json"
    path.write_text(path.read_text().replace("__ignore__", "Car"))
    convert(ConvertOptions(source=tmp_path / "out", output=tmp_path / "back", classes=("Car", "Sign Board")))
    assert [name for name, _ in photos_of(tmp_path / "back")[f"{photo}.png"][2]] == ["Car", "Sign Board"]


def test_the_page_shows_each_suspect_and_filters_by_kind(run, review, opened):
    review(run)
    rows = table(run / "review")
    page = opened(run / "review/review.html")
    assert page.locator(".photo:visible .reason").all_inner_texts() == [row["reason"] for row in rows]
    assert page.locator(".photo img").count() == 2 * len(rows)
    decode = "(image) => { image.loading = 'eager'; return image.decode(); }"  # which fails for what is not a picture
    page.evaluate(f"Promise.all([...document.querySelectorAll('.photo img')].map({decode}))")
    page.locator("select[name=kind]").select_option(label="wrong class")
    assert page.locator(".photo:visible .file").all_inner_texts() == [
        f"to_correct/{planted_in(run)['wrong class']}.json"
    ]
    page.locator(".photo:visible .pair").click()
    assert page.locator("dialog").is_visible() and "found as Car" in page.locator("dialog .about").inner_text()


def test_nothing_of_a_label_runs_in_the_page(review, opened, tmp_path):
    run = make_run(tmp_path, names=("<img src=x onerror=alert(1)>", "$a$b_"))
    assert not review(run)[0]
    page = opened(run / "review/review.html")
    assert any("<img src=x" in reason for reason in page.locator(".reason").all_inner_texts())
    assert not re.search("<img src=x", (run / "review/review.html").read_text())


def test_nothing_suspect_is_a_page_too(review, tmp_path):
    run = make_folder(tmp_path / "one", test=4)
    (run / DETECTIONS).write_text("[]")
    code, said = review(run)
    assert not code and "0 annotations" in said
    assert "Nothing stands out" in (run / "review/review.html").read_text() and table(run / "review") == []
    assert len([*(run / "review/others").glob("*.json")]) == 4


def test_what_somebody_has_is_never_overwritten(run, review, tmp_path):
    review(run)
    before = files_of(run / "review")
    code, said = review(run)
    assert code == 2 and "corrected by hand" in said and files_of(run / "review") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").write_text("mine")
    assert review(run, "--output", tmp_path / "mine")[0] == 2
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert review(run, "--output", tmp_path / "link")[0] == 2
    assert files_of(tmp_path / "mine") == {"a.txt": b"mine"}


def lose_dataset(run):
    shutil.rmtree(run.parent / "dataset")


def lose_photo(run):
    (run.parent / "dataset/photos/test5.png").unlink()


def lose_detections(run):
    shutil.rmtree(run / "inference/street_test")


def damage_detections(run):
    (run / DETECTIONS).write_text("[{]")


def lose_config(run):
    (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (lose_dataset, 2, "dataset folder"),
        (lose_photo, 1, "test5.png"),
        (lose_detections, 2, "--eval-only"),
        (damage_detections, 2, "coco_instances_results.json"),
        (lose_config, 2, "config.yaml"),
    ],
)
def test_what_is_gone_is_said_and_nothing_is_written(run, review, damage, code, words):
    damage(run)
    found, said = review(run)
    assert words in said and "Traceback" not in said
    assert found == code and not (run / "review").exists() and not [*run.glob(".*.part")]


def test_the_same_run_gives_the_same_bytes(run, review, tmp_path):
    for name in ("first", "second"):
        review(run, "--output", tmp_path / name)
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")
