"""Each kind of mistake, made alone among photos of which all is known; and what looks like it and is usual."""

import json

import numpy as np
import pytest

from dataset_tools.geometry.rle import encode
from polymask.evaluation.read import read_detections, read_truth
from polymask.review.suspects import LEAST_SCORE, find_suspects

SIZE = 96  # px
CAR, BOARD, BIKE = 1, 2, 3
CLASSES = ("Car", "Board", "Bike")


def split(folder, photos):
    """The truth and the detections of photos; each is what is annotated, (class, box), and found, (class, box, score)."""
    images, annotations, found = [], [], []
    for number, (annotated, detected) in enumerate(photos, start=1):
        images.append({"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE})
        for category, (x, y, w, h), *crowd in annotated:
            outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            own = {"id": len(annotations) + 1, "image_id": number, "category_id": category, "bbox": [x, y, w, h]}
            annotations.append(own | {"area": w * h, "segmentation": outline, "iscrowd": int(bool(crowd))})
        for category, (x, y, w, h), score in detected:
            code = encode(np.ones((h, w), dtype=bool), (SIZE, SIZE), x, y)
            segmentation = {"size": list(code.size), "counts": code.counts}
            own = {"image_id": number, "category_id": category, "bbox": [x, y, w, h], "score": score}
            found.append(own | {"segmentation": segmentation})
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "test.json").write_text(json.dumps(content))
    truth = read_truth(folder / "test.json")
    return truth, read_detections(found, truth)


def usual(count=30):
    """Photos with a car and a board of about 25 x 20 px, which are found where they are, or nearly."""
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(count):
        car, board = ((x, y, int(rng.integers(16, 34)), 20) for x, y in ((4, 60), (60, 10)))
        near = [(x + int(rng.integers(-1, 2)), y + int(rng.integers(-1, 2)), w, h) for x, y, w, h in (car, board)]
        scores = rng.uniform(0.8, 1, 2).tolist()
        photos.append(([(CAR, car), (BOARD, board)], [(CAR, near[0], scores[0]), (BOARD, near[1], scores[1])]))
    return photos


@pytest.fixture
def listed(tmp_path):
    """What is listed of the usual photos and others: kind, photo (from 1) and box."""

    def run(*others, count=30):
        truth, found = split(tmp_path, [*others, *usual(count)])
        suspects = find_suspects(truth, found)
        assert all(LEAST_SCORE <= suspect.score <= 1 for suspect in suspects)
        assert [s.score for s in suspects] == sorted((s.score for s in suspects), reverse=True)
        return [(s.kind, s.photo + 1, s.box) for s in suspects]

    return run


SPOT, NEXT = (40, 40, 20, 20), (42, 41, 20, 20)


def test_a_detection_without_pixels_is_not_missing(listed):
    assert listed(([(CAR, (4, 60, 25, 20))], [(CAR, (4, 60, 25, 20), 0.9), (BOARD, (60, 60, 0, 0), 0.95)])) == []


def test_photos_as_usual_are_not_suspect(listed):
    assert listed() == []
    assert listed(([], []), count=0) == [], "nor is nothing"
    assert listed(([(CAR, SPOT)], []), count=0) == [], "nor what nothing is known about"


MADE = {
    "missing": ([], [(CAR, SPOT, 0.95)]),
    "wrong class": ([(BOARD, SPOT)], [(CAR, NEXT, 0.95)]),
    "bad outline": ([(CAR, SPOT)], [(CAR, (46, 44, 20, 20), 0.95)]),
    "duplicate": ([(CAR, SPOT), (CAR, NEXT)], [(CAR, SPOT, 0.95)]),
    "unsupported": ([(CAR, SPOT)], []),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_mistake_is_found(listed, kind):
    ((found, photo, box),) = listed(MADE[kind])
    assert (found, photo) == (kind, 1) and box in (tuple(map(float, SPOT)), tuple(map(float, NEXT)))


def test_all_kinds_are_in_one_list(listed):
    assert sorted((kind, photo) for kind, photo, _ in listed(*MADE.values())) == [
        (kind, photo) for photo, kind in sorted(enumerate(MADE, start=1), key=lambda pair: pair[1])
    ]


ALIKE = {
    "sees things everywhere": [([], [(CAR, SPOT, 0.9)])] * 60,
    "is unsure": [([], [(CAR, SPOT, 0.3)])],
    "sees the same twice": [([(CAR, SPOT)], [(CAR, SPOT, 0.9), (BOARD, SPOT, 0.85)])],
    "sees a part": [([(CAR, SPOT)], [(CAR, SPOT, 0.9), (BOARD, (40, 40, 8, 8), 0.85)])],
    "takes all boards of this photographer for cars": [([(BOARD, SPOT)], [(CAR, SPOT, 0.9)])] * 90,
    "is as sure of the annotated class": [([(BOARD, SPOT)], [(BOARD, SPOT, 0.9), (CAR, SPOT, 0.9)])],
    "knows no bikes": [([(BIKE, SPOT)], [(CAR, SPOT, 0.9)])] * 12,
    "does not find bikes": [([(BIKE, SPOT)], [])] * 12,
    "misses small cars": [([(CAR, (40, 40, 4, 4))], [])] * 60,
    "outlines loosely": [([(CAR, SPOT)], [(CAR, (40 + d, 40 + d // 2, 20, 20), 0.9)]) for d in range(8)] * 8,
}


@pytest.mark.parametrize("photos", ALIKE.values(), ids=ALIKE)
def test_what_this_model_does_often_is_not_suspect(listed, photos):
    assert listed(*photos) == []


def test_overlapping_objects_that_the_model_tells_apart_are_no_duplicates(listed):
    one, other = (30, 40, 20, 20), (36, 40, 20, 20)
    annotated = [(CAR, one), (CAR, other)]
    assert listed((annotated, [(CAR, one, 0.9), (CAR, other, 0.8)])) == []
    assert [kind for kind, *_ in listed((annotated, [(CAR, one, 0.9), (BOARD, other, 0.8)]))] == ["duplicate"]
    assert listed(([(CAR, SPOT), (BOARD, NEXT)], [(CAR, SPOT, 0.9), (BOARD, NEXT, 0.9)])) == [], "a board on a car"
    beside = [(CAR, one), (CAR, (45, 40, 20, 20))]
    assert [kind for kind, *_ in listed((beside, []))] == ["unsupported"] * 2, "they hardly overlap"


def test_crowds_are_not_suspect_and_hide_what_is_in_them(listed):
    crowd = (CAR, (36, 36, 50, 40), True)
    assert listed(([crowd], [(CAR, SPOT, 0.95)])) == []
    assert listed(([crowd], [])) == []
    assert listed(([crowd, crowd], [])) == []
    assert listed(([crowd], [(BOARD, (36, 36, 50, 40), 0.95)])) == []


def test_an_annotation_is_listed_once(listed):
    assert listed(([(BOARD, SPOT), (BOARD, SPOT)], [(CAR, SPOT, 0.95)])) in (
        [("wrong class", 1, SPOT), ("duplicate", 1, SPOT)],
        [("duplicate", 1, SPOT), ("wrong class", 1, SPOT)],
    )


def test_the_reason_says_what_was_measured(tmp_path):
    truth, found = split(tmp_path, [*MADE.values(), *usual()])
    reasons = {suspect.kind: suspect.reason for suspect in find_suspects(truth, found)}
    assert "Car" in reasons["missing"] and "0.95" in reasons["missing"]
    assert "annotated as Board, found as Car with confidence 0.95" in reasons["wrong class"]
    assert "0.39" in reasons["bad outline"], "14 x 16 of 576 px"
    assert "0.75" in reasons["duplicate"], "18 x 19 of 458 px"
    assert "%" in reasons["unsupported"]


def test_what_is_contradicted_more_often_scores_less(tmp_path):
    scores = []
    for times in (1, 8):
        truth, found = split(tmp_path, [*[MADE["unsupported"]] * times, *usual()])
        scores.append(find_suspects(truth, found)[0].score)
    assert scores[0] > scores[1]
