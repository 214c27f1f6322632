"""The file as other programs see it: what comes out, and its description."""

import onnx

from polymask.export.onnx_format import OPSET, OnnxNetwork
from polymask.export.tracing import DESCRIPTION, OUTPUTS


def test_it_finds_what_the_model_finds(onnx_content, assert_agrees):
    assert_agrees(OnnxNetwork(onnx_content))


def test_the_model_goes_on_in_evaluation_mode(predictor, onnx_content):
    assert not predictor.model.training


def test_the_file_says_what_it_is(onnx_content):
    file = onnx.load_from_string(onnx_content)
    onnx.checker.check_model(file)
    assert {entry.domain: entry.version for entry in file.opset_import} == {"": OPSET}
    assert {entry.key: entry.value for entry in file.metadata_props} == {DESCRIPTION: "what is in it"}
    assert [entry.name for entry in file.graph.output] == list(OUTPUTS)
    (image,) = file.graph.input
    sides = image.type.tensor_type.shape.dim
    assert (sides[0].dim_value, sides[1].dim_param, sides[2].dim_param) == (3, "height", "width")
