"""Whole reports of generated runs, also of those in which something is missing."""

import logging
import re
import shlex
from types import SimpleNamespace

import pytest

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.engine.run_files import RunFacts, write_facts
from polymask.report.write import report_on, write_comparison, write_report


def text_of(page):
    """What one reads of a page, without the tags and the pictures."""
    return re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)


def assert_readable(page):
    for word in ("NaN", "nan", "None", "inf"):
        assert not re.search(rf"\b{word}\b", text_of(page)), word


def test_a_run_is_reported_on(folder):
    run = folder()
    page = write_report(run)
    text = text_of(page)
    assert page == run / "report.html" and page.stat().st_size < 10e6
    assert "Split: test. Photos: 4. Annotated objects: 8." in text
    assert "6 of 8 objects are found" in text and "0 with a wrong class, and 2 are missed" in text
    assert "the one with the best F1 on VAL" in text
    assert "Split: val. Photos: 2." in text_of(write_report(run, "val"))
    assert_readable(page)


def test_a_report_names_no_folder_of_this_machine(folder, tmp_path):
    """It may be sent to others; the dataset of these runs is at an absolute path, and so are the runs."""
    runs = [folder("one"), folder("two")]
    for run in runs:
        place = run.parent / "with space"
        line = shlex.join(
            ["python", f"{place}/train_net.py", "MODEL.WEIGHTS", f"{place}/a.pth", f"--config-file={place}/c"]
        )
        write_facts(run, RunFacts(command_lines=(line, f"{line} 'half"), evaluation_command_line=line))
    for page in (write_report(runs[0]), write_comparison(runs)):
        content = page.read_text()
        assert str(tmp_path) not in content and tmp_path.name not in content
    text = text_of(runs[0] / "report.html")
    assert "train_net.py" in text and "a.pth" in text and "--config-file=c" in text
    assert "ROOT: dataset" in text and "one/run" in text_of(runs[0] / "comparison.html")


def test_val_alone(folder):
    page = write_report(folder(val=3))
    assert "Split: val. Photos: 3." in text_of(page) and "the best F1 on this split itself" in text_of(page)
    assert_readable(page)


def test_a_single_photo(folder):
    page = write_report(folder(test=1))
    assert "Split: test. Photos: 1." in text_of(page)
    assert_readable(page)


def test_nothing_was_found(folder, detections):
    run = folder()
    for split in ("val", "test"):
        detections(run, split, [])
    page = write_report(run)
    assert "The model finds nothing at all." in text_of(page)
    assert_readable(page)


def test_a_class_without_annotations(folder):
    run = folder(names=("Car", "Bus"))
    for split in ("val", "test"):
        path = run.parent / "dataset" / f"{split}.json"
        path.write_text(path.read_text().replace('"category_id":2', '"category_id":1'))
    page = write_report(run)
    assert "Classes without an instance in the test split" in text_of(page)
    assert_readable(page)


def test_detections_of_other_photos_are_an_error_in_words(folder, detections):
    run = folder()
    detections(run, "test", [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5,
                              "segmentation": {"size": [64, 64], "counts": "0000"}}])  # fmt: skip
    with pytest.raises(UserError, match="another dataset"):
        write_report(run)


def test_broken_detections_are_an_error_in_words(folder):
    run = folder()
    (run / "inference/street_test/coco_instances_results.json").write_text("[{]")
    with pytest.raises(UserError, match="coco_instances_results.json"):
        write_report(run)


def configured(run, val=("street_val",), test=("street_test",)):
    config = run / "config.yaml"
    root = load_config(config, []).DATASETS.ROOT if config.exists() else ""
    return SimpleNamespace(OUTPUT_DIR=str(run), DATASETS=SimpleNamespace(ROOT=root, VAL=val, TEST=test))


def test_after_a_training_an_error_is_a_line_in_the_log(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="polymask"):
        report_on(configured(tmp_path))
    assert "not written" in caplog.text and "not the folder of a run" in caplog.text


def test_after_a_training_without_an_evaluation_nothing_is_asked_for(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="polymask"):
        report_on(configured(tmp_path, val=(), test=()))
    assert [record.levelname for record in caplog.records] == ["INFO"] and "Nothing was evaluated" in caplog.text


def test_after_a_training_the_report_is_there(folder):
    run = folder()
    report_on(configured(run))
    assert (run / "report.html").is_file()
