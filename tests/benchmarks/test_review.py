"""What is planted, what hotcoco finds, and how a list is scored."""

import json

import numpy as np
import pytest

from benchmarks.review import KINDS, Mistake, hotcoco_candidates, plant, score, to_table


def labelme_files(photos=40):
    rng = np.random.default_rng(0)
    files = {}
    for number in range(photos):
        shapes = []
        for index in range(5):
            x, y = 60.0 * index + rng.uniform(0, 20), rng.uniform(0, 60)
            points = [[x, y], [x + 30, y], [x + 30, y + 20]]
            shapes.append({"label": "ab"[index % 2], "points": points, "group_id": None, "shape_type": "polygon"})
        photo = {"imagePath": f"{number}.png", "imageWidth": 320, "imageHeight": 200}
        files[f"train/{number}.json"] = photo | {"shapes": shapes}
    return files


def counts(files):
    return {name: len(file["shapes"]) for name, file in files.items()}


def test_four_percent_of_each_kind_are_planted():
    files = labelme_files()
    before = json.dumps(files)
    changed, planted = plant(files, 0)
    assert json.dumps(files) == before
    assert {kind: [mistake.kind for mistake in planted].count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 8)
    assert sum(counts(changed).values()) == 200 - 8 + 8 + 8, "removed, drawn twice, invented"
    assert plant(files, 0) == (changed, planted) and plant(files, 1)[1] != planted


def test_each_mistake_is_what_it_says():
    files = labelme_files()
    changed, planted = plant(files, 3)
    for mistake in planted:
        name = mistake.photo.replace(".png", ".json")
        boxes = [boxed(shape) for shape in changed[name]["shapes"]]
        at_it = [
            shape["label"] for shape, box in zip(changed[name]["shapes"], boxes) if box == pytest.approx(mistake.box)
        ]
        original = [
            shape for shape in files[name]["shapes"] if np.abs(np.subtract(boxed(shape), mistake.box)).max() < 5
        ]
        if mistake.kind == "missing":
            assert not at_it and len(original) == 1
        elif mistake.kind == "wrong class":
            assert len(at_it) == 1 and at_it[0] != original[0]["label"]
        elif mistake.kind == "unsupported":
            x, y, width, height = mistake.box
            assert len(at_it) == 1 and x >= 0 and y >= 0 and x + width <= 320 and y + height <= 200
        else:
            moved = np.hypot(*np.subtract(boxed(original[0])[:2], mistake.box[:2])) / 30
            assert moved == pytest.approx(0.02) if mistake.kind == "duplicate" else 0.05 <= moved <= 0.15


def boxed(shape):
    points = np.array(shape["points"])
    return [*points.min(axis=0), *np.ptp(points, axis=0)]


def test_nothing_but_the_shapes_tells_what_was_planted():
    files = labelme_files()
    changed, planted = plant(files, 0)
    for name, file in changed.items():
        assert {**file, "shapes": None} == {**files[name], "shapes": None}
        assert {(*shape,) for shape in file["shapes"]} <= {("label", "points", "group_id", "shape_type")}
    last = {mistake.photo: changed[mistake.photo.replace(".png", ".json")]["shapes"][-1] for mistake in planted}
    invented = [mistake for mistake in planted if mistake.kind == "unsupported"]
    assert not all(boxed(last[mistake.photo]) == pytest.approx(mistake.box) for mistake in invented)


def test_a_suspect_is_right_once_in_its_kind_and_place():
    here, there = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 10.0, 10.0)
    planted = [Mistake("missing", "a", here), Mistake("duplicate", "a", here), Mistake("missing", "b", there)]
    found = [
        Mistake("missing", "a", (1.0, 0.0, 10.0, 10.0)),
        Mistake("missing", "a", here),  # found already
        Mistake("wrong class", "a", here),  # another kind
        Mistake("missing", "b", here),  # another place
        Mistake("duplicate", "a", here),
        Mistake("missing", "b", there),
    ]
    scores = score(found, planted)
    assert scores["missing"] == {"planted": 2, "precision": 2 / 4, "recall": 1.0}
    assert scores["duplicate"] == {"planted": 1, "precision": 1.0, "recall": 1.0}
    assert scores["wrong class"] == {"planted": 0, "precision": 0.0, "recall": 0.0}
    assert scores["all"] == {"planted": 3, "precision": 3 / 6, "recall": 1.0}
    assert score([found[2]] * 6 + found, planted)["all"]["recall"] == 0, "it is too late"


def test_candidates_of_hotcoco_are_missing_objects_and_wrong_classes(tmp_path):
    squares = [[[left, 0, left + 10, 0, left + 10, 10, left, 10]] for left in (0, 20, 40)]
    truth = {
        "images": [{"id": 7, "file_name": "train/a.png", "width": 60, "height": 20}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": index + 1, "image_id": 7, "category_id": 1, "segmentation": outline, "iscrowd": 0, "area": 100}
            | {"bbox": [outline[0][0], 0, 10, 10]}
            for index, outline in enumerate(squares[:2])
        ],
    }
    detections = [
        {"image_id": 7, "category_id": category, "segmentation": squares[place], "score": score}
        | {"bbox": [squares[place][0][0], 0, 10, 10]}
        for place, category, score in [(0, 1, 0.9), (1, 2, 0.8), (2, 1, 0.95), (2, 2, 0.1)]
    ]
    for name, content in [("truth", truth), ("detections", detections)]:
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    missing, wrong = hotcoco_candidates(tmp_path / "truth.json", tmp_path / "detections.json")
    assert missing == Mistake("missing", "train/a.png", [40, 0, 10, 10])
    assert wrong == Mistake("wrong class", "train/a.png", [20, 0, 10, 10])


def test_the_table_has_the_mean_over_seeds_and_their_range():
    here = (0.0, 0.0, 10.0, 10.0)
    planted = [Mistake("missing", "a", here), Mistake("duplicate", "b", here)]
    seeds = [{"polymask": score(planted[:most], planted), "hotcoco": score([], planted)} for most in (2, 0)]
    rows = {
        cells[1]: cells[2:-1] for cells in ([c.strip() for c in row.split("|")] for row in to_table(seeds).splitlines())
    }
    assert rows["missing"] == ["1", "0.50 (0.00 to 1.00)", "0.50 (0.00 to 1.00)", "0.00", "0.00"]
    assert rows["duplicate"] == ["1", "0.50 (0.00 to 1.00)", "0.50 (0.00 to 1.00)", "", ""], "hotcoco has none of them"
    assert rows["bad outline"] == ["0", "", "", "", ""]
