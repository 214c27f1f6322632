import codecs
import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from numpy._core import multiarray, numeric

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.modeling.checkpoint import Checkpointer
from polymask.modeling.zoo_pickle import read_zoo_file

ARRAYS = OrderedDict(a=np.arange(6, dtype=np.float32).reshape(2, 3), b=np.float32(3))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_come_through(tmp_path, protocol):
    content = {"model": ARRAYS, "__author__": "Detectron2", "one": ["note"], "two": ["notes", "more"]}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = read_zoo_file(tmp_path / "zoo.pkl")
    np.testing.assert_array_equal(loaded["model"]["a"], ARRAYS["a"])
    assert loaded["model"]["b"] == 3
    assert loaded["model"]["a"].flags.writeable, "or PyTorch warns"


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.ones((2, 3), np.float16)),
        np.array([True, False]),
        np.arange(3, dtype=">i8"),
    ],
    ids=["by columns", "bool", "big-endian"],
)
def test_arrays_of_all_kinds_come_through(tmp_path, array, protocol):
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": {"a": array}, "__author__": "x"}, protocol=protocol))
    loaded = read_zoo_file(tmp_path / "zoo.pkl")["model"]["a"]
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == array.dtype


def test_the_attributes_of_a_state_dict_are_no_hindrance(tmp_path):
    state = torch.nn.Linear(2, 3).state_dict()
    for name in state:
        state[name] = state[name].numpy()
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": state, "__author__": "x"}))
    assert vars(state) and list(read_zoo_file(tmp_path / "zoo.pkl")["model"]) == ["weight", "bias"]


def test_files_of_numpy_1_come_through(tmp_path):
    """numpy 1, with which the zoo was written, called the module numpy.core."""
    text = pickle.dumps({"model": {"a": ARRAYS["a"]}, "__author__": "Detectron2"}, protocol=2)
    old = text.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != text
    (tmp_path / "zoo.pkl").write_bytes(old)
    np.testing.assert_array_equal(read_zoo_file(tmp_path / "zoo.pkl")["model"]["a"], ARRAYS["a"])


class Call:
    """Asks the one who unpickles it to call a function."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "in an array of objects"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_program_is_not_run(tmp_path, protocol, hidden):
    victim = tmp_path / "victim"
    evil = Call(open, str(victim), "w")
    if hidden:
        evil = np.array([evil], dtype=object)
    content = {"model": {"a": evil}, "__author__": "Detectron2"}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(UserError, match=f"evil.pkl.*{'O8' if hidden else 'open'}.*nothing of it was run"):
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
        with pytest.raises(UserError, match=encoding):
            read_zoo_file(tmp_path / "evil.pkl")


def zoo_file(value, protocol=2):
    return pickle.dumps({"model": {"a": value}, "__author__": "x"}, protocol=protocol)


def with_state(dtype, *state):
    """A dtype whose pickle gives it a state that numpy itself would not."""
    return Call(np.dtype, dtype, False, True, state=(3, *state))


def with_key(*steps):
    """A zoo-like pickle that holds a dict, whose key the last of some steps of pickle leave on the stack."""
    *before, key = steps
    content = b"}X\x05\0\0\0model}sX\x0a\0\0\0__author__}"
    return b"\x80\x02" + b"".join(before) + content + key + b"K\0ss."


DOUBLED = b")q\0" + b"h\0h\0\x86q\0" * 60  # a tuple of twice the same tuple, 60 times, as number 0 in memory
OBJECTS = with_state("O8", "|", None, None, None, 8, 8, 0)  # pointers, with the flag cleared that guards them
FAR = with_state("V8", "|", None, ("x",), {"x": (np.dtype("f4"), 1 << 30)}, 8, 1, 0)  # a field 1 GiB behind it
LARGE = with_state("V1", "|", None, None, None, 1 << 30, 1, 0)
CRAFTED = {
    **{
        f"{name} {kind}": zoo_file(value)
        for name, dtype in (("objects", OBJECTS), ("far", FAR), ("large", LARGE))
        for kind, value in (
            ("scalar", Call(multiarray.scalar, dtype, b"\x10" * 8)),
            ("buffer", Call(numeric._frombuffer, b"\x10" * 8, dtype, (1,), "C")),
            (
                "array",
                Call(multiarray._reconstruct, np.ndarray, (0,), b"b", state=(1, (1,), dtype, False, b"\x10" * 8)),
            ),
        )
    },
    "shape": zoo_file(Call(numeric._frombuffer, b"\x10" * 8, np.dtype("f4"), (1 << 40,), "C")),
    "empty shape": zoo_file(Call(numeric._frombuffer, b"", np.dtype("f4"), (0, 1 << 62), "C")),
    "parts of an element": zoo_file(Call(numeric._frombuffer, b"\x10" * 7, np.dtype("f4"), (2,), "C")),
    "text that is not bytes": zoo_file(Call(numeric._frombuffer, "\u20ac" * 4, np.dtype("f4"), (1,), "C")),
    "a size": zoo_file(Call(numeric._frombuffer, 1 << 40, np.dtype("u1"), (1 << 40,), "C")),
    "the same bytes many times": pickle.dumps(
        {
            "model": {
                str(n): Call(numeric._frombuffer, MANY, U1, (len(MANY),), "C")
                for MANY, U1 in [(b"0" * 1_000_000, np.dtype("u1"))]
                for n in range(20_000)
            },
            "__author__": "x",
        }
    ),
    "attributes of a function": zoo_file(Call(codecs.encode, "x", "latin1", state=(None, {"__defaults__": ()}))),
    "a set": zoo_file({1, 2}, protocol=4),
    "a number as key": zoo_file({1: 2}),
    "key that takes for ever": with_key(DOUBLED, b"h\0"),
    "key that overflows": with_key(b")" + b"\x85" * 900_000),
    "type that takes for ever": with_key(DOUBLED, b"cnumpy\ndtype\nh\0\x85R"),
    "name that takes for ever": with_key(DOUBLED, b"h\0h\0\x93"),
    "pairs of a dict that take for ever": with_key(DOUBLED, b"ccollections\nOrderedDict\n]h\0K\0\x86a\x85R"),
    "encoding that takes for ever": with_key(DOUBLED, b"c_codecs\nencode\nh\0h\0\x86R"),
    "place in memory": with_key(b"K\0r\xff\xff\xff\x7f"),
    "long bytes": with_key(b"\x8e" + (1 << 40).to_bytes(8, "little")),
    "long bytearray": with_key(b"\x96" + (1 << 40).to_bytes(8, "little")),
    "long number": with_key(b"\x8b\xff\xff\xff\x7f"),
    "many steps": with_key(b"N" * 2_000_000),
    "nothing": b".",
    "no mark": b"\x80\x02t.",
    "half": zoo_file(ARRAYS["a"])[:-9],
}

READ = """
import resource, sys
from pathlib import Path
from dataset_tools.errors import UserError
from polymask.modeling.zoo_pickle import read_zoo_file

resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        value = read_zoo_file(file)["model"]["a"]
        print(file.stem, "is read:", repr(value), value.sum())
    except (UserError, ValueError):
        print(file.stem, "is refused")
"""


def test_crafted_pickles_are_refused(tmp_path):
    """In a separate process, which a pointer of the file's choice would end, and with little memory."""
    for name, content in CRAFTED.items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, timeout=300, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == sorted(f"{name} is refused" for name in CRAFTED)


@pytest.mark.parametrize("content", [{"blobs": {"a": ARRAYS["a"]}}, [1, 2], {"model": {}}])
def test_other_pickles_are_refused_in_words(tmp_path, content):
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="not of Detectron2's model zoo"):
        read_zoo_file(tmp_path / "other.pkl")


def test_a_coco_checkpoint_is_fine_tuned_for_other_classes(tmp_path):
    """The recipe's network with fewer channels: what the file knows of the dataset's classes is the file's, too."""
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

    model = ours()
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Checkpointer(model, classes=["drone", "Auto"], new_heads=True, synonyms={"Auto": "Car"}).load(str(path))
    expected = {name: torch.from_numpy(arrays[name]) for name in start}
    for kind in ("weight", "bias"):  # COCO's third class is its car; its last row of scores is of the background
        for layer, rows in (("box_predictor.cls_score", 1), ("box_predictor.bbox_pred", 4), ("mask_head.predictor", 1)):
            name = f"roi_heads.{layer}.{kind}"
            parts = [start[name][:rows], expected[name][2 * rows : 3 * rows]]
            expected[name] = torch.cat(parts + [expected[name][80:]] * ("cls_score" in name))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name

    with pytest.raises(UserError, match="MODEL.NEW_HEADS True"):
        Checkpointer(ours(), classes=["a", "b"]).load(str(path))
    # As many classes as COCO, by chance: they are others all the same.
    same_number = ours(80)
    start = same_number.roi_heads.box_predictor.cls_score.weight[:80].clone()
    Checkpointer(same_number, classes=[str(i) for i in range(80)], new_heads=True).load(str(path))
    assert torch.equal(same_number.roi_heads.box_predictor.cls_score.weight[:80], start)
