import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dataset_tools import geometry
from dataset_tools.rle import BadRle, Rle, decode


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_decodes_what_pycocotools_encodes(mask):
    encoded = geometry.encode(mask)
    assert np.array_equal(decode(Rle(tuple(encoded["size"]), encoded["counts"].decode("ascii"))), mask)


def test_long_runs():
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[10:2000, 300:3100] = True
    mask[5, 3999] = True
    assert np.array_equal(decode(Rle((3000, 4000), geometry.encode(mask)["counts"].decode("ascii"))), mask)


@pytest.mark.parametrize(
    "counts", ["", "5", "55", "04P", "P1", "zzzz", "~~~", " ", "é", "\0", "oooooooooooo1", "0O0i0", "O"]
)
def test_refuses_runs_that_are_no_mask(counts):
    """pycocotools decodes the first three to whatever is in memory."""
    with pytest.raises(BadRle):
        decode(Rle((5, 5), counts))


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_is_a_mask_or_refused(counts):
    try:
        mask = decode(Rle((6, 4), counts))
    except BadRle:
        return
    assert mask.shape == (6, 4)
    assert np.array_equal(geometry.decode({"size": [6, 4], "counts": counts}), mask)
