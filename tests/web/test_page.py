"""The page in a real browser: photos in, masks, filters and downloads out."""

import json
import threading
import time

import labelme
import numpy as np
import pytest
import uvicorn
from PIL import Image

from tests.web.test_app import whole_mask
from web.app import create_app

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(model):
    """Of a server that runs as long as the tests of this file."""
    server = uvicorn.Server(uvicorn.Config(create_app(model), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser, address):
    """The page, which fails the test if it complains or asks another server for something."""
    complaints = []

    def watched(refusals=False, **options):
        opened = browser.new_page(**options)
        # Chromium itself reports each answer of the server that is a refusal.
        is_expected = lambda text: refusals and text.startswith("Failed to load resource")  # noqa: E731
        opened.on("console", lambda message: is_expected(message.text) or complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda r: r.url.startswith((address, "blob:", "data:")) or complaints.append(r.url))
        opened.goto(address)
        opened.locator("#classes input").first.wait_for()
        return opened

    yield watched
    assert complaints == []


def upload(page, *photos):
    page.locator("#files").set_input_files(photos)
    for photo in range(len(photos)):
        page.locator("article").nth(photo).locator("button[data-do=coco]:enabled").wait_for()


def overlay(page):
    """(H, W, 4): what is drawn over the first photo, in red, green, blue and alpha."""
    width, height, values = page.evaluate(
        """() => {
            const canvas = document.querySelector("article .overlay");
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(canvas, 0, 0);
            return [canvas.width, canvas.height, [...copy.getImageData(0, 0, canvas.width, canvas.height).data]];
        }"""
    )
    return np.array(values, dtype=np.uint8).reshape(height, width, 4)


def threshold(page, value):
    page.locator("#threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def downloaded(page, what):
    with page.expect_download() as download:
        page.locator(f"button[data-do={what}]").first.click()
    return download.value


def test_masks_are_drawn_where_they_are_found(page, model, photo_file):
    opened = page()
    upload(opened, photo_file)
    threshold(opened, 0.5)
    found = model.predict(photo_file).scoring(0.5)
    expected = np.any([whole_mask(instance, found.size) for instance in found.instances], axis=0)
    drawn = overlay(opened)[:, :, 3] > 0
    assert expected.any() and drawn[expected].all()
    # Beside masks there are boxes and their labels alone, and within the first box the gap between its pieces is free.
    left, top, right, bottom = (round(value) for value in found.instances[0].box)
    gap = np.s_[(top + bottom) // 2, left + 3 : right - 3]
    assert not expected[gap].any() and not drawn[gap].any()


def test_threshold_and_classes_choose_without_a_new_prediction(page, photo_file):
    opened = page()
    upload(opened, photo_file)
    requests = []
    opened.on("request", lambda request: requests.append(request.url))
    threshold(opened, 0.05)
    everything = np.count_nonzero(overlay(opened)[:, :, 3])
    for box in opened.locator("#classes input").all():
        box.uncheck()
    assert not overlay(opened).any() and "Nothing" in opened.locator(".summary").inner_text()
    opened.locator("#classes input").first.check()
    assert 0 < np.count_nonzero(overlay(opened)[:, :, 3]) < everything
    threshold(opened, 1)
    assert not overlay(opened).any()
    assert requests == []


def test_downloads_hold_what_is_shown(page, model, photo_file, tmp_path):
    opened = page()
    upload(opened, photo_file)
    threshold(opened, 0.5)
    kept = [instance.score for instance in model.predict(photo_file).scoring(0.5).instances]
    coco = json.loads(downloaded(opened, "coco").path().read_text())
    assert [one["score"] for one in coco["annotations"]] == pytest.approx(kept)
    assert [category["name"] for category in coco["categories"]] == list(model.classes)
    file = tmp_path / "photo.json"
    file.write_bytes(downloaded(opened, "labelme").path().read_bytes())
    (tmp_path / photo_file.name).write_bytes(photo_file.read_bytes())
    shapes = labelme.LabelFile(str(file)).shapes
    assert [(shape["label"], shape["group_id"]) for shape in shapes] == [("bar", 1), ("bar", 1), ("disc", None)]
    picture = Image.open(downloaded(opened, "picture").path())
    assert picture.size == Image.open(photo_file).size


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(page, photo_file, scheme):
    opened = page(viewport=PHONE, color_scheme=scheme)
    upload(opened, photo_file, photo_file)
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_zoom_and_the_keyboard(page, photo_file):
    opened = page()
    upload(opened, photo_file)
    width = opened.locator(".layers").bounding_box()["width"]
    opened.locator(".view").focus()
    opened.keyboard.press("+")
    assert opened.locator(".layers").bounding_box()["width"] > 1.4 * width
    opened.locator("#threshold").focus()
    before = opened.locator("#threshold").input_value()
    opened.keyboard.press("ArrowRight")
    assert float(opened.locator("#threshold").input_value()) > float(before)


def test_the_example_and_a_file_that_is_not_a_photo(page, tmp_path):
    opened = page(refusals=True)
    opened.locator("#example").click()
    opened.locator("button[data-do=coco]:enabled").wait_for()
    text = tmp_path / "notes.jpg"
    text.write_text("milk, bread")
    opened.locator("#files").set_input_files(text)
    opened.locator("article .error").wait_for()
    assert "photo" in opened.locator("article .error").inner_text()
