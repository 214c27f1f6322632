import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.modeling.checkpoint import CLASS_LAYERS, Checkpointer
from polymask.modeling.zoo import read_zoo_file

ARRAYS = OrderedDict(a=np.arange(6, dtype=np.float32).reshape(2, 3), b=np.float32(3))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_come_through(tmp_path, protocol):
    content = {"model": ARRAYS, "__author__": "Detectron2"}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = read_zoo_file(tmp_path / "zoo.pkl")
    np.testing.assert_array_equal(loaded["model"]["a"], ARRAYS["a"])
    assert loaded["model"]["b"] == 3


def test_files_of_numpy_1_come_through(tmp_path):
    """numpy 1, with which the zoo was written, called the module numpy.core."""
    text = pickle.dumps({"model": {"a": ARRAYS["a"]}, "__author__": "Detectron2"}, protocol=2)
    old = text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != text
    (tmp_path / "zoo.pkl").write_bytes(old)
    np.testing.assert_array_equal(read_zoo_file(tmp_path / "zoo.pkl")["model"]["a"], ARRAYS["a"])


class Call:
    """Asks the one who unpickles it to call a function."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "in an array of objects"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_program_is_not_run(tmp_path, protocol, hidden):
    victim = tmp_path / "victim"
    evil = Call(open, str(victim), "w")
    if hidden:
        evil = np.array([evil], dtype=object)
    content = {"model": {"a": evil}, "__author__": "Detectron2"}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(UserError, match="evil.pkl.*open.*nothing of it was run"):
        read_zoo_file(tmp_path / "evil.pkl")
    assert not victim.exists()


@pytest.mark.parametrize("function", [eval, exec, getattr, __import__, np.load, np.fromfile, torch.load])
def test_no_other_function_is_let_in(tmp_path, function):
    content = {"model": {"a": Call(function, "1")}, "__author__": "x"}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="nothing of it was run"):
        read_zoo_file(tmp_path / "evil.pkl")


def test_only_the_harmless_encoding_is_let_in(tmp_path):
    import _codecs

    for encoding in ("rot13", "zlib", "idna"):
        content = {"model": {"a": Call(_codecs.encode, "x", encoding)}, "__author__": "x"}
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content, protocol=2))
        with pytest.raises(pickle.UnpicklingError, match=encoding):
            read_zoo_file(tmp_path / "evil.pkl")


@pytest.mark.parametrize("content", [{"blobs": {"a": ARRAYS["a"]}}, [1, 2], {"model": {}}])
def test_other_pickles_are_refused_in_words(tmp_path, content):
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="not of Detectron2's model zoo"):
        read_zoo_file(tmp_path / "other.pkl")


def test_a_coco_checkpoint_is_fine_tuned_for_other_classes(tmp_path):
    """The recipe's network with fewer channels: all but what depends on the 80 classes is the file's."""
    small = [
        "MODEL.DEVICE", "cpu", "MODEL.FPN.OUT_CHANNELS", "8", "MODEL.ROI_BOX_HEAD.FC_DIM", "8",
        "MODEL.ROI_MASK_HEAD.CONV_DIM", "8",
    ]  # fmt: skip
    coco = build_model(
        load_config("configs/mask_rcnn_R_50_FPN_coco.yaml", [*small, "MODEL.ROI_HEADS.NUM_CLASSES", "80"])
    )
    arrays = {name: tensor.numpy() + 0.01 for name, tensor in coco.state_dict().items()}
    # Old files of the zoo also hold what now comes from the configuration.
    extra = {
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
        "pixel_mean": np.zeros((3, 1, 1)),
    }
    path = tmp_path / "coco.pkl"
    path.write_bytes(pickle.dumps({"model": arrays | extra, "__author__": "Detectron2 Model Zoo"}, protocol=2))

    def ours(classes=2):
        return build_model(
            load_config("configs/mask_rcnn_R_50_FPN_coco.yaml", [*small, "MODEL.ROI_HEADS.NUM_CLASSES", str(classes)])
        )

    model, start = ours(), None
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Checkpointer(model, classes=["a", "b"], new_heads=True).load(str(path))
    new = {name for name in start if CLASS_LAYERS.search(name)}
    assert new == {
        f"roi_heads.{layer}.{kind}"
        for layer in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_head.predictor")
        for kind in ("weight", "bias")
    }
    for name, tensor in model.state_dict().items():
        expected = start[name] if name in new else torch.from_numpy(arrays[name])
        assert torch.equal(tensor, expected), name

    with pytest.raises(UserError, match="MODEL.NEW_HEADS True"):
        Checkpointer(ours(), classes=["a", "b"]).load(str(path))
    # As many classes as COCO, by chance: they are others all the same.
    same_number = ours(80)
    start = same_number.roi_heads.box_predictor.cls_score.weight.clone()
    Checkpointer(same_number, classes=[str(i) for i in range(80)], new_heads=True).load(str(path))
    assert torch.equal(same_number.roi_heads.box_predictor.cls_score.weight, start)
