"""The API as programs use it: by what its OpenAPI page says, and with photos that break."""

import asyncio
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from web.app import Limits, create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def client(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def run(coroutine):
    """In a thread of its own: an open browser of other tests has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def post(app, *bodies, path="/api/predict"):
    """The answers to requests that are sent all at once."""

    async def send():
        async with client(app) as session:
            return await asyncio.gather(*(session.post(path, content=body) for body in bodies))

    return run(send())


def encoded(photo, kind="PNG", **options):
    file = io.BytesIO()
    photo.save(file, kind, **options)
    return file.getvalue()


def whole_mask(instance, size):
    """(H, W): the mask of an instance at the size of its photo, (width, height)."""
    mask = np.zeros(size[::-1], dtype=bool)
    height, width = instance.pixels.shape
    mask[instance.top : instance.top + height, instance.left : instance.left + width] = instance.pixels
    return mask


def white_png(side):
    """A PNG of side x side px in black and white: a few kB, and 900 MB in memory for a side of 30,000."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate = zlib.compressobj(9)
    rows = b"".join(deflate.compress(b"\0" + b"\xff" * (side // 8)) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def app(model):
    return create_app(model, Limits(waiting=4))


@pytest.fixture(scope="module")
def schema(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_what_the_openapi_page_promises(schema, data):
    """Requests that schemathesis makes up; none of its bodies is a photo."""
    operations = [result.ok() for result in schema.get_all_operations()]
    case = data.draw(data.draw(st.sampled_from(operations)).as_strategy())
    case.call_and_validate(checks=CHECKS)


def test_found_is_what_the_model_finds(app, model, photo_file):
    (answer,) = post(app, photo_file.read_bytes())
    found, expected = answer.json(), model.predict(photo_file)
    assert (found["width"], found["height"]) == Image.open(photo_file).size
    assert len(found["instances"]) == 3
    for one, instance in zip(found["instances"], expected.instances, strict=True):
        assert (one["class_index"], one["score"]) == (instance.category, pytest.approx(instance.score))
        assert np.array_equal(coco_mask.decode(one["annotation"]["segmentation"]), whole_mask(instance, expected.size))
    assert [len(one["shapes"]) for one in found["instances"]] == [2, 1, 1]


def test_the_page_and_what_it_loads(app):
    async def get():
        async with client(app) as session:
            paths = ("/", "/static/page.js", "/static/rle.js", "/static/style.css", "/static/example.jpg", "/docs")
            return [await session.get(path) for path in paths]

    for answer in run(get()):
        assert answer.status_code == 200
        assert ("Content-Security-Policy" in answer.headers) == (answer.url.path != "/docs")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "no body"),
        (b"GIF89a, or so it says", 422, "photo"),
        (encoded(Image.new("RGB", (64, 64)), "JPEG")[:-200], 422, "photo"),
        (white_png(30_000), 413, "pixels"),
        (bytes(2**20 + 1), 413, "1 MiB"),
    ],
)
def test_what_is_refused(model, body, status, words):
    app = create_app(model, Limits(size=2**20))
    (answer,) = post(app, body)
    assert answer.status_code == status and words in answer.json()["detail"]


def test_a_body_that_does_not_end(model):
    async def endless():
        while True:
            yield b"0"
            await asyncio.sleep(0.05)

    app = create_app(model, Limits(seconds=0.3))
    (answer,) = post(app, endless())
    assert answer.status_code == 408


def test_many_at_once(app, photo_file):
    answers = post(app, *[photo_file.read_bytes()] * 50)
    busy = [answer for answer in answers if answer.status_code == 503]
    assert busy and all("busy" in answer.json()["detail"] and answer.headers["Retry-After"] for answer in busy)
    found = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(found) + len(busy) == 50 and all(one == found[0] for one in found)
    (after,) = post(app, photo_file.read_bytes())
    assert after.json() == found[0]
