import pytest

from polymask.evaluation.records import KINDS
from polymask.report.advice import NOISE, Outcomes, advise, outcomes, summary
from polymask.report.run import Fold


def findings(advice):
    return [f"{item.subject} {item.finding}".strip() for item in advice]


def test_nothing_is_said_where_nothing_stands_out(analysis, run):
    assert advise(analysis(), run()) == []


def test_the_costly_mistake_of_a_class_comes_with_its_remedy(analysis, of_class, run):
    evaluated = analysis(of_class("Car"), of_class("Sign Board", errors={"duplicate": 11.2}))
    (advice,) = advise(evaluated, run())
    assert advice.subject == "Sign Board" and advice.finding == "loses points of AP50 to duplicates: 11.2"
    assert "`MODEL.ROI_HEADS.NMS_THRESH_TEST` (now 0.5)" in advice.remedy
    assert advice.cost == pytest.approx(5.6), "of the mean over two classes"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mistake_has_words(analysis, of_class, run, kind):
    (advice,) = advise(analysis(of_class("Car", errors={kind: 2 * NOISE})), run())
    assert advice.subject == "Car" and advice.finding.endswith(": 2.0") and advice.remedy


def test_the_most_costly_comes_first(analysis, of_class, run):
    evaluated = analysis(
        of_class("Car", errors={"missed": 6.0, "duplicate": 30.0}), of_class("Sign Board", errors={"background": 12.0})
    )
    assert [item.cost for item in advise(evaluated, run())] == [15.0, 6.0, 3.0]


def test_a_cheap_mistake_is_not_worth_a_sentence(analysis, of_class, run):
    evaluated = analysis(of_class("Car", errors={"missed": 1.9 * NOISE}), of_class("Sign Board"))
    assert advise(evaluated, run()) == [], "less than the threshold in the mean over two classes"


def test_what_is_spread_over_many_classes_is_said_of_all(analysis, of_class, run):
    classes = [of_class(f"class {index}", errors={"missed": 4.0}) for index in range(10)]
    (advice,) = advise(analysis(*classes, errors={"missed": 4.0}), run(train_instances={c.name: 500 for c in classes}))
    assert advice.subject == "" and advice.finding.startswith("All classes together") and "4.0" in advice.finding


def test_classes_with_the_same_mistake_share_a_sentence(analysis, of_class, run):
    evaluated = analysis(of_class("Car", errors={"missed": 6.0}), of_class("Sign Board", errors={"missed": 30.0}))
    (advice,) = advise(evaluated, run())
    assert findings([advice]) == ["Sign Board loses points of AP50 to objects that are not found: 30.0, Car 6.0"]
    assert advice.cost == 18.0


def test_the_class_that_it_is_taken_for_is_named(analysis, of_class, run):
    evaluated = analysis(
        of_class("Car", errors={"classification": 9.0}),
        of_class("Bus"),
        of_class("Van"),
        confusion=((5, 2, 7, 1), (0, 9, 0, 0), (0, 0, 9, 0), (0, 0, 0, 0)),
    )
    (advice,) = advise(evaluated, run(train_instances=dict.fromkeys(("Car", "Bus", "Van"), 500)))
    assert advice.remedy.startswith("Most often Car is taken for Van (7 of 20).")


def test_outcomes_are_read_off_the_confusion_matrix(analysis, of_class):
    evaluated = analysis(
        of_class("Car", instances=10), of_class("Bus", instances=6), confusion=((7, 1, 2), (0, 5, 1), (3, 1, 0))
    )
    assert outcomes(evaluated) == Outcomes(right=12, confused=1, missed=3, unmatched=4)
    said = " ".join(summary(evaluated))
    assert "12 of 16" in said and "1 with a wrong class" in said and "3 are missed" in said and "annotation: 4." in said


def aps_on_val(*values):
    return {"validation/segm/AP": tuple((99 * (i + 1), value) for i, value in enumerate(values))}


def test_an_ap_that_still_rises_asks_for_a_longer_training(analysis, run):
    (advice,) = advise(analysis(), run(curves=aps_on_val(10.0, 20.0, 26.0)))
    assert "from 20.0 to 26.0" in advice.finding and "before you annotate more" in advice.remedy
    assert advise(analysis(), run(curves=aps_on_val(10.0, 26.0, 26.0 + NOISE / 2))) == []
    assert advise(analysis(), run(curves=aps_on_val(26.0))) == [], "one value does not rise"


def test_of_folds_a_class_that_is_not_in_two_of_them_has_a_sentence(run, analysis, of_class):
    """The dataset folder with all photos as its test split has an empty train split, of which nothing is said."""
    folds = run(train_instances={}, folds=(Fold("fold_0", ()), Fold("fold_1", ())))
    (untested,) = advise(analysis(of_class("Car"), of_class("Bus", instances=0)), folds)
    assert "two folds" in untested.finding and untested.finding.endswith(": Bus")


def test_classes_without_annotations_are_named(analysis, of_class, run):
    evaluated = analysis(of_class("Car"), of_class("Bus", instances=0), of_class("Van", instances=0))
    (untested,) = advise(evaluated, run(train_instances=dict.fromkeys(("Car", "Bus", "Van"), 500)))
    assert "test split" in untested.finding and untested.finding.endswith(": Bus, Van")
    (untrained,) = advise(analysis(of_class("Car"), of_class("Bus")), run(train_instances={"Car": 500}))
    assert "train split" in untrained.finding and untrained.finding.endswith(": Bus")


def test_a_model_that_finds_nothing(analysis, figures, run):
    nothing = analysis(segm=figures(0.0), detections=0, mean_iou=None)
    advice = advise(nothing, run())
    assert "finds nothing" in advice[0].finding and "it was 0.02" in advice[0].remedy
    assert "finds nothing" in summary(nothing)[-1]


def test_a_split_without_annotations(analysis, of_class, figures, run):
    bare = analysis(of_class("Car", instances=0), segm=figures(None), mean_iou=None, detections=3, photos=1)
    first, last = summary(bare)
    assert "Photos: 1." in first and "no AP" in last
    assert [item.finding.endswith(": Car") for item in advise(bare, run())] == [True]


def test_intervals_come_with_the_figures(analysis, figures):
    def sentences(width):
        return " ".join(summary(analysis(photos=14, segm=figures(60.0, width=width))))

    assert "Photos: 14." in sentences(20.0) and "60.0 (95 %: 50 to 70)" in sentences(20.0)
