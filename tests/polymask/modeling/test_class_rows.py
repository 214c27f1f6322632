import logging

import pytest
import torch

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.modeling.class_rows import match_classes, parse_synonyms, take_rows

SCORES, BOXES, MASKS = (
    f"roi_heads.{layer}.weight"
    for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_head.predictor")
)
WIDTH = 3


def layers(classes, first, boxes=None, masks=None):
    """A model's class layers, each row filled with a number of its own from ``first`` on."""
    rows = {SCORES: classes + 1, BOXES: 4 * (boxes or classes), MASKS: masks or classes}
    made = {}
    for name, count in rows.items():
        numbers = torch.arange(first, first + count, dtype=torch.float32)
        made[name] = numbers[:, None].repeat(1, WIDTH) if name != MASKS else numbers[:, None, None, None]
        first += count
    return made


def numbers_of(tensor):
    return tensor.flatten(1)[:, 0].tolist()


@pytest.mark.parametrize(
    ("ours", "theirs", "synonyms", "same"),
    [
        (["Car", "drone"], ["person", "car"], {}, {0: 1}),
        (["STRASSE"], ["straße"], {}, {0: 0}),
        (["Vehiculo", "Moto"], ["car", "Motorcycle"], {"vehiculo": "CAR", "Moto": "motorcycle"}, {0: 0, 1: 1}),
        (["Car", "car", "CAR"], ["car", "Car"], {}, {0: 1, 1: 0, 2: 0}),
        (["van", "car"], ["car"], {"van": "car"}, {0: 0, 1: 0}),
        (["car", "truck"], ["truck", "car"], {"car": "truck"}, {0: 0, 1: 0}),
        (["a"], ["b"], {}, {}),
        (["a"], [], {}, {}),
    ],
)
def test_classes_of_the_same_name(ours, theirs, synonyms, same):
    assert match_classes(ours, theirs, synonyms) == same


@pytest.mark.parametrize(
    ("theirs", "synonyms", "words"),
    [
        (["car"], {"Vehicle": "car"}, "'Vehicle', which is not a class of the dataset: did you mean 'Vehiculo'"),
        (["car"], {"Vehiculo": "bus"}, "'bus', which is not a class of the checkpoint.*car"),
        ([], {"Vehiculo": "car"}, "does not name its classes"),
    ],
)
def test_a_synonym_of_nothing_is_an_error(theirs, synonyms, words):
    with pytest.raises(UserError, match=words) as caught:
        match_classes(["Vehiculo"], theirs, synonyms)
    assert "MODEL.CLASS_SYNONYMS" in str(caught.value) and caught.value.exit_code == EXIT_USAGE


def test_synonyms_as_text():
    assert parse_synonyms("Vehiculo=Car, Señal de alto = Stop Sign") == {
        "Vehiculo": "Car",
        "Señal de alto": "Stop Sign",
    }
    assert parse_synonyms("") == {}
    for text in ("Vehiculo", "a=b=c", "=car", "a=b,a=c"):
        with pytest.raises(UserError, match="MODEL.CLASS_SYNONYMS"):
            parse_synonyms(text)


def test_rows_of_the_same_classes_and_of_the_background():
    """Two classes here, of which the second is the first of three there."""
    start, trained = layers(2, first=100), layers(3, first=500)
    taken = take_rows(start, trained, ["new", "Car"], ["car", "b", "c"], {})
    assert numbers_of(taken[SCORES]) == [100, 500, 503]
    assert numbers_of(taken[BOXES]) == [103, 104, 105, 106, 504, 505, 506, 507]
    assert numbers_of(taken[MASKS]) == [111, 516]
    assert numbers_of(start[SCORES]) == [100, 101, 102], "the model itself is left alone"


def test_what_is_one_for_all_classes_is_taken_whole():
    start, trained = layers(2, first=100, boxes=1, masks=1), layers(3, first=500, boxes=1, masks=1)
    taken = take_rows(start, trained, ["a", "b"], ["c", "d", "e"], {})
    assert numbers_of(taken[SCORES]) == [100, 101, 503]
    assert torch.equal(taken[BOXES], trained[BOXES]) and torch.equal(taken[MASKS], trained[MASKS])


@pytest.mark.parametrize(("here", "there"), [(1, None), (None, 1)])
def test_what_is_one_for_all_classes_in_one_model_alone_starts_at_random(here, there, caplog):
    start, trained = layers(2, first=100, boxes=here, masks=here), layers(3, first=500, boxes=there, masks=there)
    with caplog.at_level(logging.INFO):
        taken = take_rows(start, trained, ["car", "b"], ["car", "d", "e"], {})
    assert set(taken) == {SCORES} and numbers_of(taken[SCORES]) == [500, 101, 503]
    assert "come the background, car (car); at random start b, all boxes, all masks." in caplog.text


def test_one_class_is_all_classes():
    start, trained = layers(1, first=100), layers(1, first=500)
    taken = take_rows(start, trained, ["a"], ["b"], {})
    assert numbers_of(taken[SCORES]) == [100, 501]
    assert torch.equal(taken[BOXES], trained[BOXES]) and torch.equal(taken[MASKS], trained[MASKS])


def test_a_checkpoint_that_does_not_name_its_classes(caplog):
    taken = take_rows(layers(2, first=100), layers(2, first=500), ["a", "b"], None, {})
    assert numbers_of(taken[SCORES]) == [100, 101, 502] and numbers_of(taken[MASKS]) == [111, 112]
    assert [record.levelname for record in caplog.records if "does not name its classes" in record.getMessage()] == [
        "WARNING"
    ]


def test_what_the_checkpoint_lacks_is_left_out():
    start, trained = layers(2, first=100), layers(2, first=500)
    del trained[MASKS]
    assert set(take_rows(start, trained, ["a", "b"], ["a", "b"], {})) == {SCORES, BOXES}
    assert take_rows(start, {}, ["a", "b"], None, {}) == {}


@pytest.mark.parametrize(
    ("trained", "theirs", "words"),
    [
        (layers(3, first=0), ["a", "b"], "names 2 classes, and has scores of 3"),
        (layers(3, first=0, boxes=2), ["a", "b", "c"], "bbox_pred.weight has 8 rows, for 3 classes"),
        (layers(3, first=0, masks=4), None, "predictor.weight has 4 rows, for 3 classes"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(trained, theirs, words):
    with pytest.raises(ValueError, match=words):
        take_rows(layers(2, first=100), trained, ["a", "b"], theirs, {})
