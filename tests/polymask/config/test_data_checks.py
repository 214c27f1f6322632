import logging

import pytest

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.config.data_checks import check_training_data, check_validation_data
from tests.polymask.config.configs import scheduled


def records(*classes_of_photos):
    return [{"annotations": [{"category_id": index} for index in classes]} for classes in classes_of_photos]


def test_a_batch_larger_than_the_dataset():
    with pytest.raises(UserError, match="IMS_PER_BATCH is 4, and there are 3 training photos"):
        check_training_data(scheduled("SOLVER.IMS_PER_BATCH", "4"), records([0], [1], [0, 1]))


def test_more_classes_than_annotations():
    with pytest.raises(UserError, match="1 annotations for 2 classes") as caught:
        check_training_data(scheduled(), records([0], []))
    assert caught.value.exit_code == EXIT_DATA


def test_a_val_split_without_an_instance(caplog):
    """There is no AP on it: nothing is ever better than before, and no weights are the best."""
    empty, annotated = records([], []), records([], [0])
    patient = scheduled("TEST.EARLY_STOPPING_PATIENCE", "3")
    with pytest.raises(UserError, match="no annotated object.*EARLY_STOPPING_PATIENCE") as caught:
        check_validation_data(patient, empty)
    assert caught.value.exit_code == EXIT_DATA
    with caplog.at_level(logging.WARNING):
        check_validation_data(patient, annotated)
        check_validation_data(scheduled(), [])
        assert all(record.levelno < logging.WARNING for record in caplog.records)
        check_validation_data(scheduled(), empty)
    assert "no best checkpoint is kept" in caplog.text


def test_a_class_without_an_instance_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        check_training_data(scheduled(), records([0], [0]))
    assert "Sign Board" in caplog.text and "Car" not in caplog.text
