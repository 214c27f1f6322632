"""The page in a real browser: what one sees, what the filters do, and that nothing gets in or out."""

import base64
import re

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from polymask.report.gallery import Gallery, GalleryCard, choose
from polymask.report.page import duration, report_page
from polymask.report.run import read_run

HOSTILE = "<img src=x onerror=alert(1)>"
PHONE = {"width": 375, "height": 800}


def gallery_of(analysis):
    """The photos of an evaluation in plain grey."""
    jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 128, dtype=np.uint8))[1].tobytes()
    picture = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    chosen = choose(analysis.photos_detail, [c.name for c in analysis.classes])
    return Gallery([GalleryCard(c.photo, c.group, 640, 480, picture, picture) for c in chosen], 0)


@pytest.fixture
def written(tmp_path, folder, analysis, of_class):
    """Writes the report on hand-made figures of a folder's photos, and returns the file."""

    def write(names=("Car", "Sign Board"), classes=None, **fields):
        run = read_run(folder(names=names))
        evaluated = analysis(*(classes or map(of_class, names)), **fields)
        page = report_page(run, evaluated, None, gallery_of(evaluated))
        (tmp_path / "report.html").write_text(page)
        return tmp_path / "report.html"

    return write


def visible(page):
    return page.locator(".photo:visible .file").all_inner_texts()


def select(page, name, label):
    page.locator(f"select[name={name}]").select_option(label=label)


def test_the_filters_leave_what_they_say(written, opened):
    page = opened(written())
    every = ["000.jpg", "001.jpg", "002.jpg", "003.jpg"]  # 000 and 002 with a mistake, Car and Sign Board in turn
    assert visible(page) == every and page.locator("output").inner_text() == "4 of 4 photos"
    select(page, "kind", "classification")
    assert visible(page) == ["000.jpg"] and page.locator("output").inner_text() == "1 of 4 photos"
    select(page, "kind", "no mistake")
    assert visible(page) == ["001.jpg", "003.jpg"]
    select(page, "class", "Car")
    assert visible(page) == [] and page.locator(".no-photo").is_visible()
    select(page, "kind", "any or none")
    assert visible(page) == ["000.jpg", "002.jpg"] and not page.locator(".no-photo").is_visible()
    select(page, "class", "any class")
    select(page, "group", "best")
    assert visible(page) == ["003.jpg"]
    select(page, "group", "all shown")
    select(page, "order", "best first")
    assert visible(page) == every[::-1]


def test_a_photo_is_enlarged_and_left_by_keyboard(written, opened):
    expect = pytest.importorskip("playwright.sync_api").expect  # waits: a key's effects come a moment after it
    page = opened(written())
    page.locator(".photo .pair").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("000.jpg")
    expect(dialog.locator("img").nth(1)).to_have_js_property("naturalWidth", 640)
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("001.jpg")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(dialog, "round to the last").to_contain_text("003.jpg")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Enlarge 003.jpg")).to_be_focused()


def test_labels_are_text(written, opened, of_class):
    names = (HOSTILE, "</script><script>alert(2)</script>", "\"quoted\" & 'so'")
    classes = [of_class(name, errors={"missed": 30.0}) for name in names]
    page = opened(written(names=names, classes=classes))
    page.wait_for_timeout(300)  # for a picture that could not be loaded
    for name in names:
        assert page.locator("#figures tbody th", has_text=name).count() == 2
        assert page.locator(".advice .finding", has_text=name).count() >= 1
    select(page, "class", HOSTILE)
    assert page.locator(".photo:visible").count() == 2
    assert page.locator("script").count() == 1 and page.locator("img:not([src^='data:']):not(dialog img)").count() == 0


def test_file_names_are_text(written, opened, analysis):
    photos = [replace(photo, file_name=HOSTILE + photo.file_name) for photo in analysis().photos_detail]
    page = opened(written(photos_detail=tuple(photos)))
    assert visible(page)[0] == HOSTILE + "000.jpg"
    page.locator(".photo .pair").first.click()
    assert HOSTILE in page.locator("dialog .about").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(written, opened, of_class, scheme):
    names = [f"Class with a rather long name {index}" for index in range(4)] + ["W" * 60]
    file = written(names=tuple(names))
    page = opened(file, viewport=PHONE, color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.locator(".photo .pair").first.click()
    assert page.locator("dialog").evaluate("dialog => dialog.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background))) < 60) == (scheme == "dark")


def test_without_javascript_every_photo_is_there(written, browser):
    page = browser.new_page(java_script_enabled=False)
    page.goto(written().as_uri())
    assert page.locator(".photo").count() == 4 and not page.locator(".filters").is_visible()
    page.close()


def words_of(page):
    return page.locator("body").inner_text()


def test_what_is_undefined_is_a_dash(written, opened, of_class, figures):
    page = opened(
        written(
            classes=[of_class("Car", instances=0), of_class("Sign Board", instances=0)],
            segm=figures(None),
            mean_iou=None,
            thresholds_from="default",
        )
    )
    assert "\N{EN DASH}" in words_of(page)
    for word in ("NaN", "nan", "None", "undefined", "inf"):
        assert not re.search(rf"\b{word}\b", words_of(page)), word


def test_a_report_without_photos(folder, analysis, tmp_path, opened):
    page = report_page(read_run(folder()), analysis(photos=0), None, Gallery([], 2))
    (tmp_path / "report.html").write_text(page)
    text = words_of(opened(tmp_path / "report.html"))
    assert "There is no photo to show." in text and "2 of them could not be read." in text


def test_the_same_records_give_the_same_page(folder, analysis):
    run = read_run(folder())
    evaluated = analysis()
    pages = {report_page(run, evaluated, analysis(split="val"), gallery_of(evaluated)) for _ in range(2)}
    assert len(pages) == 1


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3661, "1 h 1 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("ap", "times"), [(66.34, 4), (None, 0)])
def test_cocos_own_figure_stands_beside_one_that_counts_more(written, figures, ap, times):
    """In a tile and in a row, for masks and for boxes."""
    page = written(segm=replace(figures(100.0), cocos_AP=ap)).read_text()
    assert page.count("COCO: 66.3<") == page.count("COCO:") == times
