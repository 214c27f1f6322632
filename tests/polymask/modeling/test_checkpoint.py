import errno
import os
import resource
import signal
import stat
import subprocess
import sys

import pytest
import torch
from detectron2.modeling import build_model

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.load import load_config
from polymask.modeling.checkpoint import Checkpointer

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


@pytest.mark.parametrize("content", [[1, 2], 3, {"model": [1]}])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other.pth: not a checkpoint"):
        Checkpointer(new_model(), classes=["a", "b"]).load(str(tmp_path / "other.pth"))


@pytest.mark.parametrize("environment", ["", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("name", ["evil.pth", "evil.pyth", "evil"])
def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch, name, environment):
    if environment:
        monkeypatch.setenv(environment, "1")

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "victim"), "w"))

    torch.save({"model": {}, "extra": Evil()}, tmp_path / name)
    with pytest.raises(UserError, match="holds more than weights") as caught:
        Checkpointer(new_model(), classes=["a", "b"]).load(str(tmp_path / name))
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "victim").exists()


def test_no_file_is_wrong_usage(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint") as caught:
        Checkpointer(new_model(), classes=["a", "b"]).load(str(tmp_path / "none.pth"))
    assert caught.value.exit_code == EXIT_USAGE


class State:
    """What a trainer has beside the model, as plain as a checkpoint can hold it."""

    def __init__(self, value=0.0):
        self.value = {
            "iteration": 4,
            "optimizer": {"lr": 0.1, "step": torch.tensor(value)},
            "names": ["a"],
            "best": -float("inf"),
        }

    def state_dict(self):
        return self.value

    def load_state_dict(self, state):
        self.value = state


def folder_of(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_state_is_resumed_and_weights_are_not(tmp_path):
    model = new_model()
    checkpointer = Checkpointer(model, str(tmp_path), classes=["a", "b"], trainer=State(2.0))
    checkpointer.save("model_0000004")
    checkpointer.save_weights("model_best", iteration=3)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000004.pth"
    assert set(torch.load(tmp_path / "model_best.pth", weights_only=True)) == {"model", "classes", "iteration"}
    other = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"], trainer=State())
    other.resume_or_load("", resume=True)
    assert other.checkpointables["trainer"].value["optimizer"]["step"].item() == 2.0
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_other_weights_under_the_same_names(tmp_path):
    model = new_model()
    doubled = {name: 2 * tensor for name, tensor in model.state_dict().items()}
    Checkpointer(model, str(tmp_path), classes=["a", "b"]).save_weights("model_final", doubled)
    saved = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]
    assert all(torch.equal(tensor, saved[name]) for name, tensor in doubled.items())


def test_spoilt_weights_are_not_saved(tmp_path):
    model = new_model()
    checkpointer = Checkpointer(model, str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    before = folder_of(tmp_path)
    with torch.no_grad():
        model.roi_heads.mask_head.predictor.bias[1] = float("nan")
    with pytest.raises(UserError, match="roi_heads.mask_head.predictor.bias"):
        checkpointer.save("model_0000002")
    assert folder_of(tmp_path) == before


def test_a_full_disk_leaves_the_state_before_whole(tmp_path):
    """A limit on the size of files, to which the system answers in the middle of the writing as to a full disk."""
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    before = folder_of(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        with pytest.raises(
            UserError, match="model_0000002.pth: this file could not be saved .*model_0000001.pth"
        ) as caught:
            checkpointer.save("model_0000002")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.__cause__.errno in (errno.EFBIG, errno.ENOSPC)
    assert folder_of(tmp_path) == before, "nothing half-written either"
    checkpointer.resume_or_load("", resume=True)


_DIE_AT = """
import os, signal, sys
from tests.polymask.modeling.test_checkpoint import Checkpointer, new_model

replace, left = os.replace, int(sys.argv[1])

def replace_or_die(*paths):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    replace(*paths)

os.replace = replace_or_die
Checkpointer(new_model(), sys.argv[2], classes=["a", "b"]).save("model_0000002")
"""


def test_a_folder_that_cannot_be_forced_to_the_disk(tmp_path, monkeypatch):
    """As on some network file systems: the file itself is there, and that is what can be had."""
    fsync = os.fsync

    def refuse_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(refused, os.strerror(refused))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    refused = errno.EINVAL
    Checkpointer(new_model(), str(tmp_path), classes=["a", "b"]).save("model_0000001")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model_0000001.pth"]
    refused = errno.EIO
    with pytest.raises(UserError, match="Input/output error"):
        Checkpointer(new_model(), str(tmp_path), classes=["a", "b"]).save("model_0000002")
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000001.pth"


@pytest.mark.parametrize(("replaced", "newest"), [(0, "model_0000001.pth"), (1, "model_0000002.pth")])
def test_killed_while_saving(tmp_path, replaced, newest):
    """SIGKILL at the two moments that count: all is written but not in place, and in place but not the last one.

    In a separate process: a fork of this one would wait forever for the threads that it lacks.
    """
    Checkpointer(new_model(), str(tmp_path), classes=["a", "b"]).save("model_0000001")
    killed = subprocess.run([sys.executable, "-c", _DIE_AT, str(replaced), tmp_path])
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000001.pth"
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.resume_or_load("", resume=True)
    assert checkpointer.get_checkpoint_file() == str(tmp_path / newest), "no whole state is lost"


def test_whoever_names_another_state_goes_on_from_it(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    checkpointer.save("model_0000002")
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth\n")
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0000001.pth")


def test_without_the_name_of_the_last_state_the_newest_is_it(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000002")
    checkpointer.save("model_0000001")
    (tmp_path / "last_checkpoint").unlink()
    assert checkpointer.has_checkpoint()
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0000002.pth")


def test_a_broken_last_state_names_another(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    checkpointer.save("model_0000002")
    (tmp_path / "model_0000002.pth").write_bytes(b"PK half")
    with pytest.raises(UserError, match="model_0000002.pth: not a checkpoint.*Write model_0000001.pth into"):
        checkpointer.resume_or_load("", resume=True)


def test_a_broken_last_state_that_is_the_only_one(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    (tmp_path / "model_0000001.pth").write_bytes(b"PK half")
    with pytest.raises(UserError, match="model_0000001.pth: not a checkpoint.*begin again in another OUTPUT_DIR"):
        checkpointer.resume_or_load("", resume=True)


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\xff\xfe", b"output/run/model_0000001.pth", b"model_final.pth"])
def test_the_name_of_the_last_state_is_lost(tmp_path, content):
    """A training that started from the beginning in its place would replace the states that are there."""
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    (tmp_path / "last_checkpoint").write_bytes(content)
    with pytest.raises(UserError, match="last_checkpoint: .*Write model_0000001.pth into"):
        checkpointer.resume_or_load("", resume=True)


def test_weights_alone_are_no_state(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"], trainer=State())
    checkpointer.save("model_0000001")
    checkpointer.save_weights("model_0000001")
    with pytest.raises(UserError, match="holds weights alone"):
        checkpointer.resume_or_load("", resume=True)
    checkpointer.resume_or_load(str(tmp_path / "model_0000001.pth"), resume=False)


def test_no_state_of_another_model_is_recommended(tmp_path):
    checkpointer = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"])
    checkpointer.save("model_0000001")
    checkpointer.save("model_0000002")
    other = Checkpointer(new_model(3), str(tmp_path), classes=["a", "b"])
    with pytest.raises(UserError, match="does not fit the model") as caught:
        other.resume_or_load("", resume=True)
    assert "model_0000001" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(b"\xff\xd8\xff\xe0 JFIF", "holds more than weights"), (b"", "empty")])
def test_a_file_that_is_none_has_words_of_our_own(tmp_path, content, words):
    """PyTorch's recommend to load it in a way that runs what is in it."""
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        Checkpointer(new_model(), classes=["a", "b"]).load(str(path))
    assert "weights_only" not in str(caught.value)


def test_new_heads_are_not_for_a_resume(tmp_path):
    model = new_model()
    Checkpointer(model, str(tmp_path), classes=["a", "b"]).save("model_0000001")
    other = Checkpointer(new_model(), str(tmp_path), classes=["a", "b"], new_heads=True)
    other.resume_or_load("", resume=True)
    name = "roi_heads.box_predictor.0.cls_score.weight"
    assert torch.equal(other.model.state_dict()[name], model.state_dict()[name])


def test_new_heads_for_other_classes(saved):
    path, model = saved
    other = new_model(3)
    with pytest.raises(UserError, match="MODEL.NEW_HEADS True"):
        Checkpointer(other, classes=["a", "b", "c"]).load(str(path))
    Checkpointer(other, classes=["a", "b", "c"], new_heads=True).load(str(path))
    assert torch.equal(
        other.state_dict()["backbone.fpn_lateral2.weight"], model.state_dict()["backbone.fpn_lateral2.weight"]
    )


def test_new_heads_for_a_detector_of_boxes(saved):
    """Its checkpoint has no mask head, as those of Faster R-CNN in Detectron2's model zoo."""
    path, model = saved
    content = torch.load(path, weights_only=True)
    content["model"] = {k: v for k, v in content["model"].items() if not k.startswith("roi_heads.mask_head.")}
    torch.save(content, path)
    with pytest.raises(UserError, match="tensors missing there"):
        Checkpointer(new_model(), classes=["a", "b"]).load(str(path))
    other = new_model(3)
    Checkpointer(other, classes=["a", "b", "c"], new_heads=True).load(str(path))
    name = "roi_heads.box_head.0.fc1.weight"  # of a cascade's first stage
    assert torch.equal(other.state_dict()[name], model.state_dict()[name])
    del content["model"][name]
    torch.save(content, path)
    with pytest.raises(UserError, match=f"1 tensors missing there, such as {name}"):
        Checkpointer(other, classes=["a", "b", "c"], new_heads=True).load(str(path))


def rows_of(model, name):
    return model.state_dict()[f"roi_heads.{name}"].detach().clone()


def test_new_heads_keep_the_classes_that_the_checkpoint_knows(saved):
    """b and c of a checkpoint of a and b, in the three stages of a cascade, whose boxes are the same for all classes."""
    path, trained = saved
    model = new_model()
    names = [f"box_predictor.{stage}.cls_score" for stage in range(3)] + ["mask_head.predictor"]
    start = {f"{name}.{kind}": rows_of(model, f"{name}.{kind}") for name in names for kind in ("weight", "bias")}
    Checkpointer(model, classes=["B", "c"], new_heads=True).load(str(path))
    for name, at_random in start.items():
        there = rows_of(trained, name)
        background = [there[2:]] if "cls_score" in name else []
        assert torch.equal(rows_of(model, name), torch.cat([there[1:2], at_random[1:2], *background])), name
    others = [name for name in model.state_dict() if name.removeprefix("roi_heads.") not in start]
    assert sum(".bbox_pred." in name for name in others) == 6
    assert all(torch.equal(model.state_dict()[name], trained.state_dict()[name]) for name in others)


def test_new_heads_for_boxes_of_each_class(tmp_path):
    """Weights alone, as Detectron2 writes them without class names, and with ours added."""
    plain = [*SMALL, "MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.ROI_HEADS.NAME", "StandardROIHeads",
             "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False"]  # fmt: skip
    trained, named, nameless = (build_model(load_config("configs/mini_scratch.yaml", plain)) for _ in range(3))
    starts = [rows_of(model, "box_predictor.bbox_pred.weight") for model in (named, nameless)]
    for model, classes in ((named, {"classes": ["a", "b"]}), (nameless, {})):
        torch.save({"model": trained.state_dict(), "iteration": 9, **classes}, tmp_path / "trained.pth")
        Checkpointer(model, classes=["b", "c"], new_heads=True).load(str(tmp_path / "trained.pth"))
    there = rows_of(trained, "box_predictor.bbox_pred.weight")
    assert torch.equal(rows_of(named, "box_predictor.bbox_pred.weight"), torch.cat([there[4:], starts[0][4:]]))
    assert torch.equal(rows_of(nameless, "box_predictor.bbox_pred.weight"), starts[1])


@pytest.mark.parametrize(
    ("classes", "synonyms", "words"),
    [
        (["a", "b", "c"], {}, "model.pth: .*names 3 classes, and has scores of 2"),
        ("ab", {}, "model.pth: .*not a list of names"),
        ([1, 2], {}, "model.pth: .*not a list of names"),
        (["a", "b"], {"c": "d"}, "'d', which is not a class of the checkpoint"),
        (None, {"c": "a"}, "does not name its classes"),
    ],
)
def test_classes_that_cannot_be_matched(saved, classes, synonyms, words):
    path, _ = saved
    content = torch.load(path, weights_only=True) | {"classes": classes}
    torch.save(content, path)
    with pytest.raises(UserError, match=words):
        Checkpointer(new_model(), classes=["b", "c"], new_heads=True, synonyms=synonyms).load(str(path))
