import json

from PIL import Image

from polymask.engine.hooks.loss_curve import draw_loss_curve, read_losses


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_losses_come_in_the_order_of_iterations_and_a_resumed_run_counts_once(tmp_path):
    write(
        tmp_path / "metrics.json",
        {"iteration": 39, "total_loss": 2.0, "loss_mask": 1.0, "lr": 0.1},
        {"iteration": 19, "total_loss": 3.0},
        {"iteration": 59, "total_loss": 1.9},
        {"iteration": 39, "total_loss": 2.5},  # the run was killed and resumed from iteration 30
        {"iteration": 59, "total_loss": 1.5, "street_val/segm/AP": 40.0},
    )
    assert read_losses(tmp_path / "metrics.json") == {
        "total_loss": [(19, 3.0), (39, 2.5), (59, 1.5)],
        "loss_mask": [(39, 1.0)],
    }


def test_the_curve_is_a_picture(tmp_path):
    write(tmp_path / "metrics.json", {"iteration": 19, "total_loss": 3.0}, {"iteration": 39, "total_loss": 2.0})
    draw_loss_curve(tmp_path / "metrics.json", tmp_path / "curve.png")
    assert Image.open(tmp_path / "curve.png").size == (960, 600)


def test_without_losses_there_is_no_picture(tmp_path):
    write(tmp_path / "metrics.json", {"iteration": 19, "lr": 0.1})
    draw_loss_curve(tmp_path / "metrics.json", tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()
