"""torchvision's ImageNet weights for Detectron2: ``MODEL.WEIGHTS torchvision://resnet18``, and their names here."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler
from torchvision.models import ResNet18_Weights

from dataset_tools.errors import UserError

TORCHVISION_PREFIX = "torchvision://"
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


class TorchvisionWeights(PathHandler):
    """Resolves ``torchvision://resnet18`` to torchvision's own file in ``TORCH_HOME``, downloading it once.

    The download is torchvision's, with its check of the hash. The file stays as torchvision wrote it: the names are
    changed when it is loaded, so that there is no second file to keep in step and no lock to take.
    """

    def _get_supported_prefixes(self) -> list[str]:
        return [TORCHVISION_PREFIX]

    def _get_local_path(self, path: str, **kwargs: object) -> str:
        name = path.removeprefix(TORCHVISION_PREFIX)
        if name not in WEIGHTS:
            raise UserError(
                f"MODEL.WEIGHTS is {path}",
                remedy=f"Known are {', '.join(TORCHVISION_PREFIX + known for known in WEIGHTS)}",
            )
        weights = WEIGHTS[name]
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
        if not file.exists():
            try:
                weights.get_state_dict(progress=True, check_hash=True)
            except (OSError, RuntimeError) as error:  # no network; a file with another hash
                raise UserError(
                    f"torchvision's weights could not be downloaded ({error})",
                    file=path,
                    remedy=f"Put {file.name} into {file.parent}, or name your copy with MODEL.WEIGHTS FILE.pth, "
                    "or train from scratch: configs/mask_rcnn_R_18_FPN_scratch.yaml, which has MODEL.WEIGHTS ''",
                ) from error
        return str(file)


PathManager.register_handler(TorchvisionWeights(), allow_override=True)
