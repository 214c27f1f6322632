"""The page and its API. A photo comes as the body of a request, is read in memory, and is nowhere else."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from PIL import Image
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from runtime.model import Model
from runtime.photos import FORMATS, RuntimeProblem
from runtime.writers import to_coco, to_labelme

STATIC = Path(__file__).parent / "static"
# What the page may load, and that no other page may show it.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Limits:
    """What one request, and all together, may use.

    Attributes:
        size: of a photo's file, in bytes.
        pixels: of a photo.
        seconds: in which all bytes of a photo have to come.
        jobs: photos that are looked at at a time.
        waiting: photos that wait for that; with more the server is busy.
    """

    size: int = 32 * 2**20
    pixels: int = 100_000_000
    seconds: float = 30
    jobs: int = 1
    waiting: int = 8


class Problem(BaseModel):
    """What is wrong with a request, in words."""

    detail: str


class ClassOfObjects(BaseModel):
    """``colour``: red, green and blue, 0 to 255."""

    name: str
    colour: tuple[int, int, int]


class ModelFacts(BaseModel):
    """What scores less than ``lowest_score`` is never found; from ``threshold`` on, the page shows it at first."""

    classes: list[ClassOfObjects]
    lowest_score: float
    threshold: float


class Instance(BaseModel):
    """One object.

    ``class_index`` counts from 0. ``annotation`` is COCO's, with a run-length code of the mask and the score; ``shapes``
    are LabelMe's.
    """

    class_index: int
    class_name: str
    score: float
    annotation: dict
    shapes: list[dict]


class Found(BaseModel):
    """All that is found on a photo, best first; width and height in px are those of the photo as it is shown.

    ``labelme`` is the LabelMe file without shapes and without the photo's name.
    """

    width: int
    height: int
    instances: list[Instance]
    labelme: dict


BODY = {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
PROBLEMS: dict[int | str, dict] = {status: {"model": Problem} for status in (400, 408, 413, 422, 503)}


class Desk:
    """Where photos wait until they are looked at."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._jobs = asyncio.Semaphore(limits.jobs)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one photo.

        Raises:
            HTTPException: 503, there is none.
        """
        if self._waiting >= self._limits.waiting + self._limits.jobs:
            raise HTTPException(503, "busy: too many photos are waiting already", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def look(self, model: Model, photo: bytes) -> Found:
        async with self._jobs:
            return await run_in_threadpool(find, model, photo, self._limits)


def find(model: Model, photo: bytes, limits: Limits) -> Found:
    """What is found on a photo, given as its file.

    Raises:
        HTTPException: 413, it has too many pixels; 422, it cannot be read.
    """
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise HTTPException(413, str(error)) from error
    except Exception:  # of many kinds; the reader below says what is wrong, in words
        width = height = 0
    if width * height > limits.pixels:
        raise HTTPException(413, f"the photo has {width} x {height} pixels, and the limit is {limits.pixels:,} pixels")
    try:
        found = model.predict(photo)
    except RuntimeProblem as problem:
        raise HTTPException(422, str(problem)) from problem
    files = [json.loads(to_labelme(replace(found, instances=(one,)), "")) for one in found.instances]
    instances = [
        Instance(
            class_index=one.category, class_name=one.name, score=one.score, annotation=annotation, shapes=file["shapes"]
        )
        for one, annotation, file in zip(found.instances, to_coco(found), files, strict=True)
    ]
    empty = json.loads(to_labelme(replace(found, instances=()), ""))
    return Found(width=found.size[0], height=found.size[1], instances=instances, labelme=empty)


async def read_body(request: Request, limits: Limits) -> bytes:
    """A photo's bytes, which are held in memory: a form's would be written to a temporary file.

    Raises:
        HTTPException: 413, there are too many; 408, they take too long; 422, there are none; 400, nobody waits for an
            answer any more.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.size:
                    raise HTTPException(413, f"the file is larger than {limits.size / 2**20:g} MiB")
    except TimeoutError as error:
        raise HTTPException(408, f"the file has not come within {limits.seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection was closed before the file had come") from error
    if not body:
        raise HTTPException(422, "the request has no body: send the bytes of a photo")
    return bytes(body)


def create_app(model: Model, limits: Limits = Limits()) -> FastAPI:
    """The server's application, for one model."""
    # Of FastAPI's own pages, the scripts come from elsewhere.
    about = {"title": "polymask", "description": "Finds objects on photos, with their masks.", "version": "1"}
    app = FastAPIOffline(redoc_url=None, **about)
    desk = Desk(limits)

    @app.middleware("http")
    async def with_headers(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await respond(request)
        if request.url.path != "/docs":  # which has a script in the page
            response.headers.update(HEADERS)
        return response

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/api/model")
    def facts() -> ModelFacts:
        """What the model knows."""
        classes = [
            ClassOfObjects(name=name, colour=(red, green, blue))
            for name, (red, green, blue) in zip(model.classes, model.colours, strict=True)
        ]
        lowest = model.description["score_threshold"]
        return ModelFacts(classes=classes, lowest_score=lowest, threshold=model.confidence_threshold)

    @app.post("/api/predict", responses=PROBLEMS, openapi_extra={"requestBody": BODY})
    async def predict(request: Request) -> Found:
        """What is found on the photo whose file is the body: JPEG, PNG, WebP, TIFF, BMP or GIF."""
        async with desk.place():
            return await desk.look(model, await read_body(request, limits))

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
