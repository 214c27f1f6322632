import pytest
from msgspec.structs import replace

from polymask.evaluation.records import KINDS
from polymask.report.advice import (
    COSTLY_ERROR,
    FEW_INSTANCES,
    LAGGING,
    MOST_SENTENCES,
    Outcomes,
    advise,
    outcomes,
    summary,
)


def findings(advice):
    return [f"{item.subject} {item.finding}".strip() for item in advice]


def test_nothing_is_said_where_nothing_stands_out(analysis, run):
    assert advise(analysis(), run()) == []


def test_the_costly_mistake_of_a_class_comes_with_its_remedy(analysis, of_class, run):
    evaluated = analysis(of_class("Car"), of_class("Sign Board", errors={"duplicate": 11.2}))
    (advice,) = advise(evaluated, run())
    assert advice.subject == "Sign Board" and advice.finding == "loses 11 points of AP50 to duplicates"
    assert "`MODEL.ROI_HEADS.NMS_THRESH_TEST` (now 0.5)" in advice.remedy
    assert advice.cost == pytest.approx(5.6), "of the mean over two classes"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mistake_has_words(analysis, of_class, run, kind):
    (advice,) = advise(analysis(of_class("Car", errors={kind: 2 * COSTLY_ERROR})), run())
    assert advice.subject == "Car" and advice.finding.startswith("loses 2.0 points of AP50 to ") and advice.remedy


def test_the_most_costly_comes_first(analysis, of_class, run):
    evaluated = analysis(
        of_class("Car", errors={"missed": 6.0, "duplicate": 30.0}), of_class("Sign Board", errors={"background": 12.0})
    )
    assert [item.cost for item in advise(evaluated, run())] == [15.0, 6.0, 3.0]


def test_a_cheap_mistake_is_not_worth_a_sentence(analysis, of_class, run):
    evaluated = analysis(of_class("Car", errors={"missed": 1.9 * COSTLY_ERROR}), of_class("Sign Board"))
    assert advise(evaluated, run()) == [], "less than the threshold in the mean over two classes"


def test_what_is_spread_over_many_classes_is_said_of_all(analysis, of_class, run):
    classes = [of_class(f"class {index}", errors={"missed": 4.0}) for index in range(10)]
    (advice,) = advise(analysis(*classes, errors={"missed": 4.0}), run(train_instances={c.name: 500 for c in classes}))
    assert advice.subject == "" and advice.finding.startswith("All classes together lose 4.0 points")


def test_classes_with_the_same_mistake_share_a_sentence(analysis, of_class, run):
    evaluated = analysis(of_class("Car", errors={"missed": 6.0}), of_class("Sign Board", errors={"missed": 30.0}))
    (advice,) = advise(evaluated, run())
    assert findings([advice]) == ["Sign Board loses 30 points of AP50 to objects that are not found, Car 6.0 points"]
    assert advice.cost == 18.0


def test_no_more_than_one_would_read(analysis, of_class, run):
    classes = [of_class(f"class {index}", instances=0) for index in range(MOST_SENTENCES + 1)]
    assert len(advise(analysis(*classes), run(train_instances={c.name: 500 for c in classes}))) == MOST_SENTENCES


def test_the_class_that_it_is_taken_for_is_named(analysis, of_class, run):
    evaluated = analysis(
        of_class("Car", errors={"classification": 9.0}),
        of_class("Bus"),
        of_class("Van"),
        confusion=((5, 2, 7, 1), (0, 9, 0, 0), (0, 0, 9, 0), (0, 0, 0, 0)),
    )
    (advice,) = advise(evaluated, run(train_instances=dict.fromkeys(("Car", "Bus", "Van"), 500)))
    assert advice.remedy.startswith("Most often Car is taken for Van (7 times).")


def test_a_class_with_few_instances_and_a_low_ap_wants_more(analysis, of_class, run):
    evaluated = analysis(of_class("Car", ap=70.0), of_class("Bus", ap=30.0))
    (advice,) = advise(evaluated, run(train_instances={"Car": 500, "Bus": FEW_INSTANCES - 1}))
    assert advice.subject == "Bus" and "99 instances to learn from" in advice.finding and advice.cost == 20.0
    assert advise(evaluated, run(train_instances={"Car": 500, "Bus": FEW_INSTANCES})) == []
    close = analysis(of_class("Car", ap=70.0), of_class("Bus", ap=70.1 - LAGGING))
    assert advise(close, run(train_instances={"Car": 500, "Bus": 9})) == [], "its AP does not stand out"


def test_loose_masks_and_small_objects(analysis, figures, run):
    loose = advise(analysis(segm=figures(AP50=60.0, AP75=28.0)), run())
    assert findings(loose) == [
        "Objects are found, but outlined loosely: the AP falls from 60 at IoU .50 to 28 at IoU .75"
    ]
    assert advise(analysis(segm=figures(AP50=60.0, AP75=38.0)), run()) == []
    small = advise(analysis(segm=figures(APs=19.0, APl=None)), run())
    assert findings(small) == [
        "Small objects (under 32 x 32 pixels) have a mask AP of 19 (between 17 and 21), larger ones up to 60"
    ]
    unsure = figures(APs=19.0)
    assert advise(analysis(segm=replace(unsure, APs=replace(unsure.APs, interval=None))), run()) == []
    assert advise(analysis(segm=figures(APs=None)), run()) == []


def curves(train, val=(), ap=()):
    """A loss for each iteration; on VAL so many values, evenly over the training."""
    steps = len(train)
    found = {"total_loss": tuple(enumerate(train))}
    for name, values in (("validation/total_loss", val), ("validation/segm/AP", ap)):
        if values:
            found[name] = tuple(((i + 1) * steps // len(values) - 1, value) for i, value in enumerate(values))
    return found


FALLING = [2.0 - i / 100 for i in range(100)]  # to 1.06 over the last tenth


def test_a_rising_loss_on_val_says_that_more_photos_would_help(analysis, run):
    (advice,) = advise(analysis(), run(curves=curves(FALLING, [1.5, 1.2, 1.4])))
    assert advice.finding.startswith("The loss on VAL was lowest after iteration 65 (1.20) and has risen to 1.40")
    assert "more photos would help" in advice.remedy


def test_a_loss_on_val_far_above_training_says_it_too(analysis, run):
    (advice,) = advise(analysis(), run(curves=curves(FALLING, [2.2, 2.0, 1.9])))
    assert "1.8 times that on the training photos (1.06)" in advice.finding
    assert advise(analysis(), run(curves=curves(FALLING, [1.5, 1.3, 1.2]))) == [], "no gap, nothing to say"


def test_an_ap_that_still_rises_asks_for_a_longer_training(analysis, run):
    (advice,) = advise(analysis(), run(curves=curves(FALLING, [1.3, 1.2, 1.1], [10.0, 20.0, 26.0])))
    assert "still rising" in advice.finding and "before you annotate more" in advice.remedy
    assert advise(analysis(), run(curves=curves(FALLING, ap=[10.0, 26.0, 26.5]))) == []
    assert advise(analysis(), run(curves=curves(FALLING, ap=[26.0]))) == [], "one value is no rise"


def test_noise_at_the_end_is_no_rise(analysis, run):
    assert advise(analysis(), run(curves=curves(FALLING, [1.5, 1.2, 1.21]))) == []


def test_a_class_without_annotations_is_named(analysis, of_class, run):
    evaluated = analysis(of_class("Car"), of_class("Bus", instances=0))
    (advice,) = advise(evaluated, run(train_instances={"Car": 500, "Bus": 500}))
    assert findings([advice]) == [
        "Bus has no annotated instance in the test split, so that nothing can be said about it"
    ]
    untrained = advise(analysis(of_class("Car"), of_class("Bus")), run(train_instances={"Car": 500}))
    assert findings(untrained) == ["Bus has no instance in the train split, so that nothing could learn it"]


def test_a_model_that_finds_nothing(analysis, figures, run):
    nothing = analysis(segm=figures(0.0), detections=0, mean_iou=None)
    advice = advise(nothing, run())
    assert "finds nothing" in advice[0].finding and "it was 0.02" in advice[0].remedy
    assert summary(nothing)[-1] == "The model finds nothing at all."


def test_a_split_without_annotations(analysis, of_class, figures, run):
    bare = analysis(of_class("Car", instances=0), segm=figures(None), mean_iou=None, detections=3, photos=1)
    assert summary(bare) == [
        "The model has looked at 1 photo of the test split, on which nothing is annotated: without them there is no AP."
    ]
    assert [item.subject for item in advise(bare, run())] == ["Car"]


def test_a_wide_interval_is_said_in_words(analysis, figures):
    def sentences(width):
        return " ".join(summary(analysis(photos=14, segm=figures(60.0, width=width))))

    assert "14 photos: the AP is somewhere between 50 and 70 (95 %)." in sentences(20.0)
    assert "somewhere" not in sentences(3.0)


def test_outcomes_are_read_off_the_confusion_matrix(analysis, of_class):
    evaluated = analysis(
        of_class("Car", instances=10), of_class("Bus", instances=6), confusion=((7, 1, 2), (0, 5, 1), (3, 1, 0))
    )
    assert outcomes(evaluated) == Outcomes(right=12, confused=1, missed=3, unmatched=4)
    said = "12 of 16 objects are found and named rightly, 1 taken for another class and 3 missed; 4 detections match"
    assert said in " ".join(summary(evaluated))


def test_one_of_a_kind_is_spelt_so(analysis, of_class):
    evaluated = analysis(of_class("Car", instances=1), photos=1, confusion=((1, 0), (1, 0)))
    assert summary(evaluated)[0].startswith("On 1 photo of the test split, on which 1 object is annotated,")
    assert (
        "1 of 1 object is found" in " ".join(summary(evaluated))
        and "1 detection matches no annotation" in summary(evaluated)[-2]
    )
