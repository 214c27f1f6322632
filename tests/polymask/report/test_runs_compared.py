import json

import pytest

from dataset_tools.errors import UserError
from polymask.evaluation.coco import detections_file
from polymask.evaluation.records import Interval
from polymask.report.page import comparison_page
from polymask.report.run import read_run
from polymask.report.runs_compared import common_split, compare_runs, differing_settings, names_of, signed, verdict
from polymask.report.write import write_comparison


@pytest.fixture
def two(folder):
    """Runs on the same photos: one outlines well, the other 6 px off."""
    return [read_run(folder("good", shift=1.0)), read_run(folder("bad", shift=6.0))]


def test_the_worse_run_is_below_by_an_interval_of_its_own(two):
    compared = compare_runs(two)
    assert compared.split == "test" and compared.photos == 4 and len(set(compared.names)) == 2
    figures = {row.name: row for row in compared.tables[0].rows}
    first, second = figures["Mask AP"].cells
    assert first.value > second.value + 10 and first.difference is None
    assert second.difference == pytest.approx(second.value - first.value)
    assert second.interval.low <= second.difference <= second.interval.high < 0
    assert [row.name for row in compared.tables[1].rows] == ["Car", "Sign Board"]
    assert " below " in compared.sentences[0] and "more than the choice of photos explains" in compared.sentences[0]
    assert [plot.title for plot in compared.plots] == ["Loss in training", "Learning rate"]
    assert compared.settings == [("DATASETS.ROOT", ["dataset", "dataset"])], "they differ by the folders around them"


def test_cocos_own_figure_has_a_row_where_a_run_has_another(folder, detections):
    """The second run has the detections of the first, and of a class in a photo a hundred more."""
    runs = [folder("one"), folder("more")]
    found = json.loads(detections_file(runs[0], "street_test").read_text())
    detections(runs[1], "test", [found[0] | {"score": 0.95}] * 101 + found)
    compared = compare_runs([read_run(run) for run in runs])
    (row,) = [row for row in compared.tables[0].rows if "COCO" in row.name and "Mask" in row.name]
    figures = {row.name: row for row in compared.tables[0].rows}
    assert row.cells[0].value == figures["Mask AP"].cells[0].value
    assert row.cells[1].value != figures["Mask AP"].cells[1].value
    assert not any("COCO" in row.name for row in compare_runs([read_run(runs[0])] * 2).tables[0].rows)


def test_a_run_does_not_differ_from_itself(folder):
    run = read_run(folder())
    compared = compare_runs([run, run])
    assert all(cell.difference in (None, 0.0) for table in compared.tables for row in table.rows for cell in row.cells)
    assert "the same as" in compared.sentences[0] and "whichever photos" in compared.sentences[0]
    assert compared.settings == []


def test_the_page_of_a_comparison(two, tmp_path, browser):
    page_file = write_comparison([run.folder for run in two] + [two[0].folder], tmp_path / "compared" / "runs.html")
    complaints = []
    page = browser.new_page(viewport={"width": 375, "height": 800})
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(r.url))
    page.goto(page_file.as_uri())
    assert complaints == [] and page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.locator("#figures table").count() == 3 and page.locator("#training svg").count() == 2
    assert "not recorded" in page.locator("#facts").inner_text()
    page.close()


def test_other_photos_do_not_compare(folder):
    runs = [read_run(folder("one")), read_run(folder("two", test=5, val=2))]
    with pytest.raises(UserError, match="other photos or annotations"):
        common_split(runs)


def test_other_classes_do_not_compare(folder):
    runs = [read_run(folder("one")), read_run(folder("two", names=("Car", "Bus")))]
    with pytest.raises(UserError, match="other photos or annotations"):
        common_split(runs)


def test_a_split_in_common_is_needed(folder):
    runs = [read_run(folder("one", test=4)), read_run(folder("two", val=2))]
    with pytest.raises(UserError, match="no split in common"):
        compare_runs(runs)


def test_four_runs_are_too_many(folder):
    with pytest.raises(UserError, match="4 runs cannot be compared"):
        compare_runs([read_run(folder())] * 4)


def test_runs_of_the_same_name_are_called_by_their_paths(run, tmp_path):
    same = [run(tmp_path / "a" / "x"), run(tmp_path / "b" / "x")]
    assert names_of(same) == ["a/x", "b/x"]
    assert names_of([same[0], same[0]]) == ["x", "x"]
    assert names_of([same[0], run(tmp_path / "y")]) == ["x", "y"]


@pytest.mark.parametrize(
    ("values", "interval", "words"),
    [
        (
            (50.0, 54.2),
            (1.0, 7.0),
            "4.2 above one; the difference is somewhere between +1.0 and +7.0 (95 %), more than",
        ),
        ((50.0, 46.0), (-9.0, 1.0), "4.0 below one; the difference is somewhere between \N{MINUS SIGN}9.0 and +1.0"),
        ((None, 46.0), None, "nothing is annotated"),
    ],
)
def test_verdicts(analysis, figures, values, interval, words):
    before, now = (analysis(segm=figures(value)) for value in values)
    intervals = {"AP": Interval(*interval)} if interval else {}
    assert words in verdict("one", "two", now, before, intervals)


def test_settings_that_differ(run):
    first, second = (
        run(settings={"A": 1, "B": (2,), "OUTPUT_DIR": "x"}),
        run(settings={"A": 1, "B": (3,), "OUTPUT_DIR": "y"}),
    )
    assert differing_settings([first, second]) == [("B", ["2", "3"])]


def test_signs():
    assert [signed(value) for value in (1.26, -1.26, -0.01)] == ["+1.3", "\N{MINUS SIGN}1.3", "0.0"]


def test_times_are_shown_where_they_are_recorded(two, run):
    recorded = [run(), run()]
    assert "1 min 1 s" in comparison_page(recorded, compare_runs(two))
