import pytest
import torch
from detectron2.modeling import build_model

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config import load_config
from polymask.engine.checkpoint import Checkpointer

SMALL = [
    "MODEL.DEVICE",
    "cpu",
    "MODEL.FPN.OUT_CHANNELS",
    "16",
    "MODEL.ROI_BOX_HEAD.FC_DIM",
    "16",
    "MODEL.ROI_MASK_HEAD.CONV_DIM",
    "16",
]


def new_model(classes=2):
    return build_model(load_config("configs/mini_scratch.yaml", [*SMALL, "MODEL.ROI_HEADS.NUM_CLASSES", str(classes)]))


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of a model of the classes a and b, and its model."""
    model = new_model()
    Checkpointer(model, str(tmp_path), classes=["a", "b"]).save("model")
    return tmp_path / "model.pth", model


def test_a_round_trip_keeps_every_tensor(saved):
    path, model = saved
    other = new_model()
    Checkpointer(other, classes=["a", "b"]).load(str(path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("model", "classes", "words"),
    [
        (lambda: new_model(), ["b", "a"], r"\['a', 'b'\].*\['b', 'a'\]"),
        (lambda: new_model(3), ["a", "b", "c"], "classes"),
        (
            lambda: build_model(
                load_config("configs/mini_scratch.yaml", ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2"])
            ),
            ["a", "b"],
            "other shapes",
        ),
    ],
    ids=["order", "number", "architecture"],
)
def test_a_checkpoint_that_does_not_fit_is_refused(saved, model, classes, words):
    with pytest.raises(UserError, match=words) as caught:
        Checkpointer(model(), classes=classes).load(str(saved[0]))
    assert caught.value.exit_code == EXIT_USAGE and str(saved[0]) in str(caught.value)


def test_a_missing_tensor_is_named(saved):
    path, _ = saved
    content = torch.load(path, weights_only=True)
    del content["model"]["roi_heads.mask_head.deconv.bias"]
    torch.save(content, path)
    with pytest.raises(UserError, match="1 tensors missing there, such as roi_heads.mask_head.deconv.bias"):
        Checkpointer(new_model(), classes=["a", "b"]).load(str(path))


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", b"PK\x03\x04 half a file"], ids=["empty", "text", "half"]
)
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="broken.pth"):
        Checkpointer(new_model(), classes=["a", "b"]).load(str(path))


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "victim"), "w"))

    torch.save({"model": {}, "extra": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError):
        Checkpointer(new_model(), classes=["a", "b"]).load(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "victim").exists()


def test_no_file_is_wrong_usage(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint") as caught:
        Checkpointer(new_model(), classes=["a", "b"]).load(str(tmp_path / "none.pth"))
    assert caught.value.exit_code == EXIT_USAGE
