import pytest

from polymask.evaluation.analysis import analyse
from polymask.evaluation.records import KINDS
from polymask.report.advice import NOISE, Outcomes, advise, outcomes, summary
from polymask.report.run import Fold
from tests.polymask.evaluation.generated import Results, all_found, annotation, coco_content, detection


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
    assert advise(analysis(of_class("Car"), of_class("Bus")), folds) == []


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


# What is said of detections: for each sentence those that it is about, and beside them those that look alike.

LEFT, RIGHT = [10, 10, 50, 50], [150, 100, 50, 50]
NEAR, FAR, BETWEEN = [15, 10, 50, 50], [40, 10, 50, 50], [90, 60, 40, 40]  # IoU .82 with LEFT, .25, and 0 with both
PHOTOS = range(1, 11)


@pytest.fixture
def advised(tmp_path, run):
    """The advice on the detections of a run, in one text."""

    def advise_on(results, train_instances=None, **settings):
        truth, found = results.write(tmp_path)
        evaluated = analyse(truth, found, dataset="d", split="test", samples=10)
        evaluated_run = run(train_instances=train_instances or {c.name: 500 for c in evaluated.classes})
        evaluated_run.settings.update(settings)
        return " ".join(f"{item.subject} {item.finding}. {item.remedy}" for item in advise(evaluated, evaluated_run))

    return advise_on


def two_objects(found, annotated=((1, LEFT), (2, RIGHT))):
    """Ten photos with an object of class a and one of class b. ``found``: class, box, and less sure by how much."""
    annotations = [annotation(0, image, *one) for image in PHOTOS for one in annotated]
    annotations = [one | {"id": number} for number, one in enumerate(annotations, start=1)]
    detections = [
        detection(image, category, box, 0.9 - 0.01 * image - less) for image in PHOTOS for category, box, less in found
    ]
    return Results(coco_content(PHOTOS, annotations, 2), detections)


BOTH_FOUND = ((1, LEFT, 0), (2, RIGHT, 0))
ABOUT = {
    "the wrong class": (
        two_objects([(1, LEFT, 0), (1, RIGHT, 0)]),
        {"less sure than the right class": two_objects([*BOTH_FOUND, (1, RIGHT, 0.5)])},
    ),
    "wrong place or shape": (
        two_objects([(1, FAR, 0), (2, RIGHT, 0)]),
        {"with an IoU above .5": two_objects([(1, NEAR, 0), (2, RIGHT, 0)])},
    ),
    "the wrong class and the wrong place": (
        two_objects([*BOTH_FOUND, (2, FAR, -0.005)]),
        {"annotated, too": two_objects([*BOTH_FOUND, (2, FAR, -0.005)], ((1, LEFT), (2, FAR), (2, RIGHT)))},
    ),
    "to duplicates": (
        two_objects([*BOTH_FOUND, (1, NEAR, 0.005)]),
        {"two objects": two_objects([*BOTH_FOUND, (1, NEAR, 0.005)], ((1, LEFT), (1, NEAR), (2, RIGHT)))},
    ),
    "match no annotation": (
        two_objects([*BOTH_FOUND, (1, BETWEEN, -0.005)]),
        {"less sure than all others": two_objects([*BOTH_FOUND, (1, BETWEEN, 0.5)])},
    ),
    "objects that are not found": (
        two_objects([(1, LEFT, 0)]),
        {
            "found, but unsure": two_objects([(1, LEFT, 0), (2, RIGHT, 0.7)]),
            "more than COCO counts": all_found((1, 150)),
            "more than 100 of all classes": all_found((1, 60), (2, 60)),
        },
    ),
    "finds nothing": (two_objects([]), {"something, but unsure": two_objects([(1, LEFT, 0.7), (2, RIGHT, 0.7)])}),
}


@pytest.mark.parametrize("words", ABOUT)
def test_what_is_said_of_detections(advised, words):
    there, alike = ABOUT[words]
    assert words in advised(there)
    for case, results in alike.items():
        said = advised(results, **{"TEST.DETECTIONS_PER_IMAGE": 1000})
        assert words not in said and "find" not in said, case


def found_only(results, count, unsure=0):
    """The surest detections of each photo; and some where nothing is, less sure than all."""
    images = [image["id"] for image in results.content["images"]]
    kept = [[one for one in results.detections if one["image_id"] == image][:count] for image in images]
    others = [detection(image, 1, [230, 190, 8, 8], 0.01) for image in images for _ in range(unsure)]
    return Results(results.content, [*sum(kept, []), *others])


KEPT, PROPOSED = "TEST.DETECTIONS_PER_IMAGE", "MODEL.RPN.POST_NMS_TOPK_TEST"
MISSED = "objects that are not found"


def sparse_beside(results, count):
    """Photos with an object each, none of them found."""
    images = range(2, 2 + count)
    annotations = [annotation(1000 + image, image, 1, LEFT) for image in images]
    content = results.content | {"images": coco_content(range(1, 2 + count), [], 1)["images"]}
    return Results(content | {"annotations": content["annotations"] + annotations}, results.detections)


@pytest.mark.parametrize(
    ("results", "settings", "said", "not_said"),
    [
        (found_only(all_found((1, 150)), 100), {}, [KEPT, "50 of 150"], [PROPOSED, MISSED]),
        (found_only(all_found((1, 75), (2, 75)), 100), {}, [KEPT, "50 of 150"], [PROPOSED, MISSED]),
        (all_found((1, 150)), {KEPT: 150}, [], [KEPT, MISSED]),
        (found_only(all_found((1, 150)), 40), {}, [MISSED], [KEPT]),  # there is room for more
        (found_only(all_found((1, 150)), 20, unsure=80), {}, [KEPT, MISSED], []),  # only some of those are beyond it
        (found_only(all_found((1, 80)), 60, unsure=40), {}, [MISSED], [KEPT]),  # fewer objects than that
        (found_only(all_found((1, 150)), 120), {}, [MISSED], [KEPT]),  # evaluated with another limit
        (sparse_beside(found_only(all_found((1, 101)), 100), 20), {}, [KEPT, "1 of 121", MISSED], []),
        (found_only(all_found((1, 200)), 148), {PROPOSED: 150, KEPT: 1000}, [PROPOSED, "50 of 200"], [KEPT, MISSED]),
        (found_only(all_found((1, 200)), 148), {KEPT: 1000}, [MISSED], [KEPT, PROPOSED]),
        (found_only(all_found((1, 200)), 20), {PROPOSED: 150, KEPT: 1000}, [PROPOSED, MISSED], [KEPT]),
        (all_found((1, 200)), {PROPOSED: 150, KEPT: 1000}, [], [PROPOSED, KEPT, MISSED]),  # another limit
    ],
)
def test_limits_of_the_configuration_are_no_fault_of_the_model(advised, results, settings, said, not_said):
    text = advised(results, **settings)
    assert [words for words in said if words not in text] == [] == [words for words in not_said if words in text]


@pytest.mark.parametrize("found", [[(1, LEFT, 0)], []])
def test_detections_below_a_high_threshold_do_not_count(advised, found):
    """It explains what is missed before anything else does; the threshold of every configuration here does not."""
    key = "MODEL.ROI_HEADS.SCORE_THRESH_TEST"
    assert f"below 0.5 do not count (`{key}`)" in advised(two_objects(found), **{key: 0.5})
    assert key not in advised(two_objects(found), **{key: 0.05})
    assert key not in advised(two_objects(BOTH_FOUND), **{key: 0.5})


def test_cocos_own_ap_is_in_the_summary(tmp_path):
    def said_of(results):
        truth, found = results.write(tmp_path)
        return " ".join(summary(analyse(truth, found, dataset="d", split="test", samples=10)))

    assert "which gives a mask AP of 66.3 and a box AP of 66.3." in said_of(all_found((1, 150)))
    assert "COCO" not in said_of(all_found((1, 100), (2, 100)))
