"""What the tests of polymask share."""

import pytest
import torch
import torchvision

from polymask.known_warnings import silence_known_warnings

silence_known_warnings()


@pytest.fixture(scope="session")
def torchvision_resnet18():
    """torchvision's ResNet-18 with random weights, its running statistics too: those of a new one are all 0 and 1."""
    torch.manual_seed(3)
    model = torchvision.models.resnet18(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def torchvision_file(torchvision_resnet18, tmp_path):
    """A local file in torchvision's format."""
    path = tmp_path / "resnet18.pth"
    torch.save(torchvision_resnet18.state_dict(), path)
    return path
