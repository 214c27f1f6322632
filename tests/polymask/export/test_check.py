"""Files that are broken, but not in their metadata: the figures show it."""

import copy

import onnx
import pytest
from detectron2.layers import ROIAlign

from polymask.export.check import check
from polymask.export.onnx_format import OnnxNetwork, write_onnx
from polymask.export.photos import photos_in


@pytest.fixture(scope="module")
def photos(tiny_dataset):
    return photos_in(tiny_dataset.parent / "labelme")[:2]


def swapped_channels(model):
    weights = model.backbone.bottom_up.stem.conv1.weight
    weights.data = weights.data.flip(1)
    model.pixel_mean, model.pixel_std = model.pixel_mean.flip(0), model.pixel_std.flip(0)


def wrong_mean(model):
    model.pixel_mean = model.pixel_mean.flip(0)  # BGR's, for pixels in RGB


def half_a_pixel(model):
    for module in model.modules():
        if isinstance(module, ROIAlign):
            module.aligned = False


def other_filter(content):
    """The feature pyramid's levels are enlarged by another filter, as by a wrong operator of an exporter."""
    file = onnx.load_from_string(content)
    resizes = [node for node in file.graph.node if node.op_type == "Resize"]
    assert len(resizes) == 3
    for node in resizes:
        (mode,) = [attribute for attribute in node.attribute if attribute.name == "mode"]
        mode.s = b"linear"
    return file.SerializeToString()


def faults(predictor, content, photos):
    said = list(check(predictor, OnnxNetwork(content), photos).comparison.faults())
    return [
        fault for fault in said if "nothing could be checked" not in fault
    ]  # two photos have less than 50 instances


def test_a_whole_file_has_no_faults(predictor, onnx_content, photos):
    assert faults(predictor, onnx_content, photos) == []


@pytest.mark.parametrize("damage", [swapped_channels, wrong_mean, half_a_pixel])
def test_a_damaged_network_is_seen(predictor, photos, damage):
    model = copy.deepcopy(predictor.model)
    damage(model)
    said = " ".join(faults(predictor, write_onnx(model, "what is in it"), photos))
    assert "box" in said or "alone" in said


def test_operators_that_are_too_old_are_seen(predictor, photos):
    said = " ".join(faults(predictor, write_onnx(predictor.model, "what is in it", opset=11), photos))
    assert "box" in said or "alone" in said


def test_another_filter_is_seen(predictor, onnx_content, photos):
    said = " ".join(faults(predictor, other_filter(onnx_content), photos))
    assert "box" in said or "alone" in said
