import csv
import os

import pytest
from detectron2.engine import HookBase

from dataset_tools.errors import UserError
from polymask.engine.hooks.history import HISTORY_NAME, History, read_curves
from polymask.engine.hooks.validation import MASK_AP


def script(iterations):
    """An evaluation in every third iteration."""
    steps = [
        {
            "lr": 0.1 / (i + 1),
            "total_loss": 3.0 / (i + 3),
            "loss_mask": 1.0 / (i + 3),
            "loss_cls": 2.0 / (i + 3),
            "time": 9.0,
        }
        for i in range(iterations)
    ]
    for i in range(2, iterations, 3):
        steps[i] |= {
            MASK_AP: 10.0 + i,
            "validation/bbox/AP": float("nan"),
            "validation/total_loss": 1.0,
            "street_val/segm/AP": 1.0,
        }
    return steps


def rows(folder):
    with (folder / HISTORY_NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_iteration_in_order_and_exact(scripted, tmp_path):
    steps = script(6)
    scripted(steps, History(tmp_path, validated=True))
    assert [int(row["iteration"]) for row in rows(tmp_path)] == list(range(6))
    for row, step in zip(rows(tmp_path), steps, strict=True):
        assert float(row["total_loss"]) == step["total_loss"] and float(row["lr"]) == step["lr"]
        assert row[MASK_AP] == (repr(step[MASK_AP]) if MASK_AP in step else "")
    assert "time" not in rows(tmp_path)[0], "the clock is never the same twice"


def test_what_comes_after_the_checkpoint_is_cut_off_and_written_again(scripted, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    steps = script(8)
    scripted(steps, History(whole, validated=True))
    scripted(steps, History(tmp_path, validated=True), max_iter=6)
    with (tmp_path / HISTORY_NAME).open("a") as file:
        file.write("6,0.0142")  # killed in the middle of a row
    scripted(steps, History(tmp_path, validated=True), start=4)
    assert (tmp_path / HISTORY_NAME).read_bytes() == (whole / HISTORY_NAME).read_bytes()


@pytest.mark.parametrize("half", ["1", "5", "\0\0"])
def test_a_half_row_is_no_row(scripted, tmp_path, half):
    """Of iteration 12, say, cut off where a page of the disk ended: of which iteration it is cannot be seen."""
    steps = script(8)
    scripted(steps, History(tmp_path, validated=True), max_iter=6)
    with (tmp_path / HISTORY_NAME).open("a") as file:
        file.write(half)
    scripted(steps, History(tmp_path, validated=True), start=6)
    assert [row["iteration"] for row in rows(tmp_path)] == [str(i) for i in range(8)]
    assert [float(row["total_loss"]) for row in rows(tmp_path)] == [step["total_loss"] for step in steps]


def test_a_full_disk_names_the_file(scripted, tmp_path):
    class FillTheDisk(HookBase):
        def after_step(self):
            if self.trainer.iter == 1:
                (tmp_path / HISTORY_NAME).unlink()
                (tmp_path / HISTORY_NAME).symlink_to("/dev/full")

    with pytest.raises(UserError, match="history.csv: this file could not be written .*No space left"):
        scripted(script(3), FillTheDisk(), History(tmp_path, validated=False))


def test_a_new_training_begins_a_new_file(scripted, tmp_path):
    (tmp_path / HISTORY_NAME).write_text("iteration\n0\n1\n")
    scripted(script(1), History(tmp_path, validated=False))
    assert [row["iteration"] for row in rows(tmp_path)] == ["0"]


def test_a_resumed_training_may_have_other_columns(scripted, tmp_path):
    steps = script(4)
    scripted(steps, History(tmp_path, validated=False), max_iter=2)
    steps[2]["loss_rpn"] = steps[3]["loss_rpn"] = 0.5
    scripted(steps, History(tmp_path, validated=True), start=2)
    assert [row["loss_rpn"] for row in rows(tmp_path)] == ["", "", "0.5", "0.5"]
    assert [row[MASK_AP] for row in rows(tmp_path)] == ["", "", "12.0", ""]
    assert float(rows(tmp_path)[0]["loss_mask"]) == steps[0]["loss_mask"]


def test_curves_are_the_columns_with_their_iterations(tmp_path):
    (tmp_path / "history.csv").write_text("iteration,lr,total_loss,validation/segm/AP\n0,0.1,3.0,\n1,0.1,nan,40.0\n")
    assert read_curves(tmp_path / "history.csv") == {
        "lr": ((0, 0.1), (1, 0.1)),
        "total_loss": ((0, 3.0),),
        "validation/segm/AP": ((1, 40.0),),
    }


def test_a_history_without_iterations_is_an_error(tmp_path):
    (tmp_path / "history.csv").write_text("lr,total_loss\n0.1,3.0\n")
    with pytest.raises(ValueError, match="iteration"):
        read_curves(tmp_path / "history.csv")


def test_a_history_of_40_gb_is_not_read(tmp_path):
    (tmp_path / "history.csv").touch()
    os.truncate(tmp_path / "history.csv", 40 << 30)
    with pytest.raises(OSError, match="bytes"):
        read_curves(tmp_path / "history.csv")
