"""Where the weights of ``MODEL.WEIGHTS`` are; and torchvision's for ImageNet under Detectron2's names."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from detectron2.utils.file_io import PathManager
from torchvision.models import ResNet18_Weights

from dataset_tools.errors import UserError

TORCHVISION_PREFIX = "torchvision://"
ZOO_PREFIX = "detectron2://"
# A path in Detectron2's model zoo. Each name begins with a letter or a digit, so that none is "..".
ZOO_PATH = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
WEIGHTS = {"resnet18": ResNet18_Weights.IMAGENET1K_V1}
BOTTOM_UP = "backbone.bottom_up."

# torchvision's names -> Detectron2's, in this order. A block's third convolution of torchvision's is called downsample.
RENAMES = (
    (r"^conv1\.", "stem.conv1."),
    (r"^bn1\.", "stem.conv1.norm."),
    (r"^layer(\d)\.", lambda match: f"res{int(match[1]) + 1}."),
    (r"\.downsample\.0\.", ".shortcut."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
)
# The classifier over ImageNet's 1000 classes, and a counter that Detectron2's frozen normalisation does not have.
UNUSED = re.compile(r"^fc\.|\.num_batches_tracked$")


def is_torchvision_resnet(state_dict: dict[str, object]) -> bool:
    """Whether these are the names that torchvision gives the tensors of a ResNet."""
    return "conv1.weight" in state_dict and "layer1.0.conv1.weight" in state_dict


def from_torchvision(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of torchvision's ResNet under Detectron2's names: ``backbone.bottom_up.stem.conv1.weight``, ..."""
    renamed = {}
    for name, tensor in state_dict.items():
        if UNUSED.search(name):
            continue
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed[BOTTOM_UP + name] = tensor
    return renamed


def local_weights(address: str) -> Path:
    """The file that ``MODEL.WEIGHTS`` means, downloaded once where it is torchvision's or of Detectron2's model zoo.

    A configuration may come from a stranger, so nothing is fetched from other places.

    Args:
        address: ``torchvision://resnet18``, ``detectron2://`` and a path in the model zoo, or a file's name.

    Raises:
        UserError: it is another address, or cannot be downloaded.
    """
    if address.startswith(TORCHVISION_PREFIX):
        return _torchvision_file(address)
    if address.startswith(ZOO_PREFIX):
        return _zoo_file(address)
    if "://" in address:
        raise UserError(
            f"weights are fetched from {TORCHVISION_PREFIX} and {ZOO_PREFIX} only",
            file=address,
            remedy="Download them yourself, and name the file with MODEL.WEIGHTS",
        )
    return Path(address)


def _torchvision_file(address: str) -> Path:
    """torchvision's own file in ``TORCH_HOME``.

    The download is torchvision's, with its check of the hash. The file stays as torchvision wrote it: the names are
    changed when it is loaded, so that there is no second file to keep in step and no lock to take.
    """
    name = address.removeprefix(TORCHVISION_PREFIX)
    if name not in WEIGHTS:
        known = ", ".join(TORCHVISION_PREFIX + known for known in WEIGHTS)
        raise UserError(f"MODEL.WEIGHTS is {address}", remedy=f"Known are {known}")
    weights = WEIGHTS[name]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not file.exists():
        try:
            weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:  # no network; a file with another hash
            raise UserError(
                f"torchvision's weights could not be downloaded ({error})",
                file=address,
                remedy=f"Put {file.name} into {file.parent}, or name your copy with MODEL.WEIGHTS FILE.pth, "
                "or train from scratch: configs/mask_rcnn_R_18_FPN_scratch.yaml, which has MODEL.WEIGHTS ''",
            ) from error
    return file


def _zoo_file(address: str) -> Path:
    """A file of the model zoo in the cache that it has in common with Detectron2 (``FVCORE_CACHE``)."""
    if not ZOO_PATH.fullmatch(address.removeprefix(ZOO_PREFIX)):
        raise UserError(
            "this is not the address of a file in Detectron2's model zoo",
            file=address,
            remedy=f"Use an address such as {ZOO_PREFIX}COCO-InstanceSegmentation/.../model_final_f10217.pkl",
        )
    try:
        return Path(PathManager.get_local_path(address))
    except OSError as error:  # no network, no such file there
        raise UserError(
            f"these weights could not be downloaded ({error})",
            file=address,
            remedy="Download them elsewhere, and name the file with MODEL.WEIGHTS",
        ) from error
