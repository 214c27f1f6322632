import pytest
from PIL import Image

from polymask.engine.hooks.loss_curve import draw_loss_curve

HISTORY = """iteration,lr,total_loss,loss_mask,validation/total_loss,validation/segm/AP
0,0.1,3.0,2.0,,
1,0.1,2.5,1.5,2.25,40.0
2,0.1,1.5,1.0,,
"""


def test_the_curve_is_a_picture(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    draw_loss_curve(tmp_path / "history.csv", tmp_path / "curve.png")
    assert Image.open(tmp_path / "curve.png").size == (1200, 600)


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    (tmp_path / "thesis").write_text("chapter 1")
    (tmp_path / "curve.png").symlink_to(tmp_path / "thesis")
    draw_loss_curve(tmp_path / "history.csv", tmp_path / "curve.png")
    assert (tmp_path / "thesis").read_text() == "chapter 1" and not (tmp_path / "curve.png").is_symlink()


@pytest.mark.parametrize("history", ["", "iteration,lr\n0,0.1\n"])
def test_without_losses_there_is_no_picture(tmp_path, history):
    (tmp_path / "history.csv").write_text(history)
    draw_loss_curve(tmp_path / "history.csv", tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()
