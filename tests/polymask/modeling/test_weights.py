import socket
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from torchvision.models import ResNet18_Weights

from dataset_tools.errors import EXIT_USAGE, UserError
from polymask.config.load import load_config
from polymask.modeling.checkpoint import Checkpointer
from polymask.modeling.weights import local_weights

CACHED_NAME = Path(ResNet18_Weights.IMAGENET1K_V1.url).name


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty TORCH_HOME."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def new_model(*overrides):
    given = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2", *overrides]
    return build_model(load_config("configs/mask_rcnn_R_18_FPN.yaml", given))


def load(model, path):
    return Checkpointer(model, classes=["a", "b"]).load(str(path))


def bottom_up_tensors(model):
    names = model.backbone.bottom_up.state_dict()
    return {name: tensor for name, tensor in names.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
def test_every_tensor_of_the_backbone_is_loaded_and_no_other(norm, torchvision_file, torchvision_resnet18):
    model = new_model("MODEL.BACKBONE.FREEZE_AT", "0", "MODEL.RESNETS.NORM", norm)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load(model, torchvision_file)
    loaded = bottom_up_tensors(model)
    assert len(loaded) == 100
    theirs = [t for name, t in torchvision_resnet18.state_dict().items() if not name.startswith("fc.") and t.dim() > 0]
    assert len(theirs) == 100
    # Whatever the names: the two hold the same tensors.
    assert sorted(t.double().sum().item() for t in loaded.values()) == sorted(t.double().sum().item() for t in theirs)
    for name, tensor in model.state_dict().items():
        if not name.startswith("backbone.bottom_up."):
            assert torch.equal(tensor, before[name]), name


def timm_resnet18():
    """Random tensors with the names and shapes of timm's resnet18, as its ``timm/models/resnet.py`` has them."""
    shapes = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    norms = {"bn1": 64}
    channels = 64
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for block in (f"layer{layer}.0", f"layer{layer}.1"):
            shapes |= {f"{block}.conv1.weight": (width, channels, 3, 3), f"{block}.conv2.weight": (width, width, 3, 3)}
            norms |= {f"{block}.bn1": width, f"{block}.bn2": width}
            if channels != width:
                shapes[f"{block}.downsample.0.weight"] = (width, channels, 1, 1)
                norms[f"{block}.downsample.1"] = width
            channels = width
    for norm, width in norms.items():
        shapes |= {f"{norm}.{name}": (width,) for name in ("weight", "bias", "running_mean", "running_var")}
    counters = {f"{norm}.num_batches_tracked": torch.tensor(7) for norm in norms}
    return {name: torch.rand(shape) for name, shape in shapes.items()} | counters


def test_timm_s_file_is_read_as_torchvision_s(tmp_path):
    theirs = timm_resnet18()
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    model = new_model()
    load(model, tmp_path / "pytorch_model.bin")
    loaded = bottom_up_tensors(model)
    for name, there in {
        "stem.conv1.weight": "conv1.weight",
        "stem.conv1.norm.running_var": "bn1.running_var",
        "res2.1.conv2.weight": "layer1.1.conv2.weight",
        "res3.0.shortcut.weight": "layer2.0.downsample.0.weight",
        "res5.0.shortcut.norm.running_mean": "layer4.0.downsample.1.running_mean",
        "res5.1.conv1.norm.bias": "layer4.1.bn1.bias",
    }.items():
        assert torch.equal(loaded[name], theirs[there]), name
    used = [tensor for name, tensor in theirs.items() if not name.startswith("fc.") and tensor.dim() > 0]
    assert sorted(t.double().sum().item() for t in loaded.values()) == sorted(t.double().sum().item() for t in used)


def test_torchvision_scheme_reads_the_cache_of_torch_home(torch_home, torchvision_file):
    (torch_home / CACHED_NAME).write_bytes(torchvision_file.read_bytes())
    from_cache, from_file = new_model(), new_model()
    load(from_cache, "torchvision://resnet18")
    load(from_file, torchvision_file)
    for name, tensor in bottom_up_tensors(from_cache).items():
        assert torch.equal(tensor, bottom_up_tensors(from_file)[name]), name


def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_without_network_both_ways_out_are_named(torch_home, monkeypatch):
    no_network(monkeypatch)
    with pytest.raises(UserError) as caught:
        load(new_model(), "torchvision://resnet18")
    message = str(caught.value)
    assert CACHED_NAME in message and str(torch_home) in message
    assert "MODEL.WEIGHTS FILE.pth" in message and "MODEL.WEIGHTS ''" in message
    assert caught.value.exit_code == EXIT_USAGE
    assert not list(torch_home.iterdir()), "a failed download must leave nothing behind"


def test_unknown_name_is_an_error(torch_home):
    with pytest.raises(UserError, match="torchvision://resnet18"):
        load(new_model(), "torchvision://resnet19")


def test_a_missing_tensor_of_the_backbone_is_an_error(torchvision_resnet18, tmp_path):
    state = dict(torchvision_resnet18.state_dict())
    del state["layer3.1.bn2.running_var"]
    torch.save(state, tmp_path / "r18.pth")
    with pytest.raises(UserError, match=r"1 tensors missing there.*res4\.1\.conv2\.norm\.running_var"):
        load(new_model(), tmp_path / "r18.pth")


def test_another_depth_is_an_error(tmp_path):
    import torchvision

    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "r34.pth")
    with pytest.raises(UserError, match="does not fit the model"):
        load(new_model(), tmp_path / "r34.pth")


def test_the_name_of_a_file_is_that_file(torchvision_file, monkeypatch):
    monkeypatch.chdir(torchvision_file.parent)
    assert local_weights(torchvision_file.name).samefile(torchvision_file)
    assert local_weights(str(torchvision_file)) == torchvision_file


def test_the_zoo_is_read_from_the_cache_of_detectron2(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    file = tmp_path / "detectron2/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x/1378/model_final_f10217.pkl"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    name = file.relative_to(tmp_path / "detectron2")
    assert local_weights(f"detectron2://{name}").samefile(file)


def test_a_zoo_that_cannot_be_reached_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    no_network(monkeypatch)
    with pytest.raises(UserError, match="detectron2://a/b.pkl: .*could not be downloaded.*MODEL.WEIGHTS") as caught:
        load(new_model(), "detectron2://a/b.pkl")
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    "path", ["/x.pth", "/detectron2/ImageNetPretrained/MSRA/R-50.pkl", "/../../x.pth", "/x?a#b.pkl"]
)
def test_weights_are_not_fetched_from_the_web(stranger, tmp_path, path):
    """Neither as weights, nor as a file of the cache that another address would lead to."""
    address, asked = stranger
    with pytest.raises(UserError, match="http.*Download.*MODEL.WEIGHTS") as caught:
        load(new_model(), address + path)
    assert caught.value.exit_code == EXIT_USAGE and asked == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:9/x.pkl",
        "ftp://127.0.0.1:9/x.pkl",
        "https://1drv.ms/u/x",
        "catalog://ImageNetPretrained/FAIR/R-50",
        "file:///etc/passwd",
        "HTTP://127.0.0.1:9/x.pkl",
        "torchvision://../resnet18",
        "detectron2://",
        "detectron2:///etc/x.pkl",
        "detectron2://../x.pkl",
        "detectron2://a/../../x.pkl",
        "detectron2://a/..",
        "detectron2://a//x.pkl",
        "detectron2://a/%2e%2e/x.pkl",
        "detectron2://a\\..\\x.pkl",
        "detectron2://a/x.pkl?y=/../z",
        "detectron2://a/x.pkl\n",
        "detectron2://http://127.0.0.1:9/x.pkl",
    ],
)
def test_no_other_address_is_resolved(address, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="MODEL.WEIGHTS|model zoo"):
        local_weights(address)
    assert list(tmp_path.iterdir()) == []
