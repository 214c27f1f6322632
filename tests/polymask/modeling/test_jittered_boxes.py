import torch
from detectron2.structures import Boxes, pairwise_iou
from detectron2.utils.events import EventStorage
from hypothesis import given
from hypothesis import strategies as st

from polymask.config.load import load_config
from polymask.modeling.build import build_model
from polymask.modeling.jittered_boxes import jittered
from tests.polymask.modeling.test_build import photo

SIZE = (400, 600)  # height, width in px
corners = st.tuples(st.floats(0, 500), st.floats(0, 300))
sides = st.tuples(st.floats(4, 100), st.floats(4, 100))


@given(corners, sides, st.integers(1, 5), st.integers(0, 100))
def test_copies_lie_on_their_object_and_in_the_image(corner, side, copies, seed):
    torch.manual_seed(seed)
    left, top, width, height = *corner, *side
    original = Boxes(torch.tensor([[left, top, left + width, top + height], [0, 0, 50, 50]]))
    changed = jittered(original, copies, SIZE)
    assert len(changed) == 2 * copies and len(jittered(original[:0], copies, SIZE)) == 0
    ious = pairwise_iou(original, changed)
    assert (ious[0, ::2] > 0.5).all() and (ious[1, 1::2] > 0.5).all()
    assert (changed.tensor >= 0).all() and (changed.tensor <= torch.tensor([600, 400, 600, 400])).all()


def model(copies):
    values = ["MODEL.DEVICE", "cpu", "MODEL.ROI_HEADS.NUM_CLASSES", "2", "MODEL.ROI_HEADS.JITTERED_BOXES", str(copies)]
    torch.manual_seed(0)
    return build_model(load_config("configs/mini_scratch.yaml", [*values, "MODEL.ROI_HEADS.NAME", "StandardROIHeads"]))


def objects_in_training(copies):
    """How many of the sampled regions are on one of the two objects of a photo."""
    with EventStorage() as storage:
        model(copies).train()([photo()])
        return storage.latest()["roi_head/num_fg_samples"][0]


def test_the_heads_see_more_objects_in_a_training():
    assert objects_in_training(8) >= 2 + 2 * 8 > objects_in_training(0)


def test_an_evaluation_sees_none_of_them():
    with torch.no_grad():
        (without,), (with_copies,) = (model(copies).eval()([photo()]) for copies in (0, 8))
    assert torch.equal(without["instances"].pred_boxes.tensor, with_copies["instances"].pred_boxes.tensor)
