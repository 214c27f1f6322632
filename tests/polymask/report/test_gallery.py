import base64
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymask.evaluation.records import KINDS, PhotoAnalysis
from polymask.report.gallery import BEST, FOR_EACH_FILTER, MOST_PHOTOS, RANDOM, SIZES, WORST, choose, draw_gallery
from polymask.report.run import read_run

CLASSES = ("Car", "Bus", "Van")


def random_photos(count, seed):
    rng = np.random.default_rng(seed)

    def some(names):
        return tuple(name for name in names if rng.random() < 0.2)

    return [
        PhotoAnalysis(index + 1, f"{index}.jpg", float(rng.choice([0, 0.25, 0.5, 1])), some(CLASSES), some(KINDS), 2, 9)
        for index in range(count)
    ]


@given(st.builds(random_photos, st.integers(0, 120), st.integers(0, 2**32)))
def test_the_choice(split):
    chosen = choose(split, CLASSES)
    ids = [c.photo.image_id for c in chosen]
    assert len(set(ids)) == len(ids) == min(len(ids), MOST_PHOTOS)
    assert [c.photo.score for c in chosen] == sorted(c.photo.score for c in chosen)
    groups = Counter(c.group for c in chosen)
    assert groups["worst"] <= WORST and groups["best"] <= BEST and groups["random"] <= RANDOM
    worst = [c.photo.score for c in chosen if c.group == "worst"]
    rest = [p.score for p in split if p.image_id not in {c.photo.image_id for c in chosen if c.group == "worst"}]
    assert not worst or (max(worst) < 1 and max(worst) <= min(rest, default=1))
    if len(split) <= WORST:
        assert len(chosen) == len(split), "of few photos all are shown"
    if len(chosen) < MOST_PHOTOS:
        for kind in KINDS:
            there = sum(kind in photo.kinds for photo in split)
            assert sum(kind in c.photo.kinds for c in chosen) >= min(FOR_EACH_FILTER, there)
        for name in CLASSES:
            there = sum(name in photo.classes for photo in split)
            assert sum(name in c.photo.classes for c in chosen) >= min(FOR_EACH_FILTER, there)
    assert choose(split, CLASSES) == chosen


def pixels(address):
    header, _, content = address.partition(",")
    assert header == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), dtype=np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def gallery_of(analysis, of_class):
    """Draws the test split of a run's folder, whose photos are numbered from 1."""

    def draw(folder, **options):
        record = read_run(folder)
        return draw_gallery(record, analysis(*map(of_class, record.card.classes), photos=4), **options)

    return draw


def test_annotations_and_detections_are_drawn(folder, gallery_of):
    gallery = gallery_of(folder())
    assert gallery.unreadable == 0 and [card.photo.image_id for card in gallery.cards] == [1, 2, 3, 4]
    for card in gallery.cards:
        truth, prediction = pixels(card.truth).astype(int), pixels(card.prediction).astype(int)
        assert truth.shape == prediction.shape == (card.height, card.width, 3) == (640, 640, 3)
        assert np.abs(truth - prediction).max() > 60, "shifted detections, or none"
    bare = pixels(gallery.cards[0].prediction)
    assert np.abs(bare.astype(int) - pixels(gallery.cards[0].truth)).max() > 60, (
        "below its class's threshold nothing is drawn"
    )


def test_the_budget_is_kept(folder, gallery_of):
    run = folder(test=4)
    large, small = (gallery_of(run, budget=budget).cards for budget in (8_000_000, 60_000))
    assert len(large) == 4 and large[0].width == SIZES[0][0]
    assert small[0].width == SIZES[-1][0] and [card.photo.image_id for card in small] == [1, 2][: len(small)]
    assert sum(len(card.truth) + len(card.prediction) for card in small) <= 60_000


def test_a_photo_that_cannot_be_read_is_left_out(folder, gallery_of, caplog):
    run = folder()
    (run.parent / "dataset/photos/test1.png").write_bytes(b"no photo")
    gallery = gallery_of(run)
    assert gallery.unreadable == 1 and [card.photo.image_id for card in gallery.cards] == [1, 3, 4]
    assert "test1.png" in caplog.text
