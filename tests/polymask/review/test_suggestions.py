"""What is said about a suggestion."""

import csv
import io

import numpy as np
import pytest

from polymask.review.suggestions import Suggestion, SuggestionResult, UnreadablePhoto, as_csv, reason, summary


@pytest.fixture
def suggestion():
    def make(**changes):
        values = {"rank": 1, "photo": 'deep/a "1", b.jpg', "file": "deep/a.json", "uncertainty": 1.25, "distance": 0.5}
        return Suggestion(**values | {"nearest": "b.jpg", "detections": 3, "drawn": 2, "reason": "why"} | changes)

    return make


def test_the_reason_names_what_the_model_is_least_sure_of():
    said = reason(np.array([0.99, 0.4, 0.72, 0.06, 0.52]), ["bar", "disc", "bar", "bar", "disc"])
    assert said == "3 of 5 detections score 0.25 to 0.75; least sure: disc 0.52, disc 0.40, bar 0.72"
    assert reason(np.array([0.9]), ["bar"]) == "0 of 1 detections score 0.25 to 0.75; least sure: bar 0.90"
    assert reason(np.array([]), []) == "nothing found"


def test_the_csv_gives_back_what_was_put_in(suggestion):
    first = suggestion(distance=None, nearest=None)
    rows = list(csv.DictReader(io.StringIO(as_csv([first, suggestion(rank=2)]))))
    assert rows[0] == {
        "rank": "1", "photo": 'deep/a "1", b.jpg', "file": "deep/a.json", "uncertainty": "1.2500", "distance": "",
        "nearest": "", "detections": "3", "drawn": "2", "reason": "why",
    }  # fmt: skip
    assert (rows[1]["distance"], rows[1]["nearest"]) == ("0.5000", "b.jpg")


def test_the_summary_says_what_was_left_out(suggestion, tmp_path):
    suggestions = [suggestion(rank=rank, photo=f"{rank}.jpg") for rank in range(1, 13)]
    said = summary(
        SuggestionResult(suggestions, 20, 3, 1, 2, [UnreadablePhoto("broken.jpg", "it is no picture")]),
        tmp_path / "a b",
    )
    assert "3 photos with an annotation file, 1 copies" in said
    assert "broken.jpg: it is no picture" in said
    assert "Nothing was found in 2 photos" in said
    assert "12 of 19 photos, with 24 objects" in said
    assert "10.jpg" in said and "11.jpg" not in said and "and 2 more" in said
    assert f"labelme '{tmp_path}/a b'" in said
