"""The file as PyTorch sees it: what comes out, and its description."""

import io

import pytest
import torch

from polymask.export.torchscript_format import TorchScriptNetwork, write_torchscript
from polymask.export.tracing import DESCRIPTION


@pytest.fixture(scope="module")
def content(predictor):
    return write_torchscript(predictor.model, "was drin ist: ä")


def test_it_finds_what_the_model_finds(content, assert_agrees):
    assert_agrees(TorchScriptNetwork(content))


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated")
def test_the_file_says_what_it_is(content):
    extra = {DESCRIPTION: ""}
    torch.jit.load(io.BytesIO(content), _extra_files=extra)
    assert extra[DESCRIPTION].decode() == "was drin ist: ä"
