"""From the command line of ``demo.py`` to results: photos, a video or the camera, in batches, whole or in tiles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.demo.photos import find_photos
from polymask.demo.results import check_output, demand_screen, open_results
from polymask.demo.video import FrameDrawer, Video, VideoFile, VideoWindow, open_video, video_target
from polymask.inference.detections import Detection
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.inference.tiles import check_tiling, detect_in_tiles

log = logging.getLogger(__name__)

CAMERA = 0  # the first one, as in Detectron2's demo
Item = TypeVar("Item")

# Of neighbouring tiles, if the user says nothing.
OVERLAP = 0.2


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for: the flags of ``demo.py``, under their names.

    Attributes:
        config_file, opts: see ``polymask.config.load_config``.
        input: photos, folders and patterns; or video_input: a video file; or webcam: the camera.
        output: a folder or a file; None shows a window.
        save: of ``polymask.demo.results.KINDS``.
        confidence_threshold: what scores less is left out.
        batch_size: photos, frames or tiles that the model gets at a time.
        half: see ``Predictor``.
        tile, overlap: see ``detect_in_tiles``; no tiles where ``tile`` is None; an overlap of None is OVERLAP.
    """

    config_file: str
    opts: Sequence[str] = ()
    input: Sequence[str] = ()
    video_input: Path | None = None
    webcam: bool = False
    output: Path | None = None
    save: Sequence[str] = ("pictures",)
    confidence_threshold: float = 0.5
    batch_size: int = 1
    half: bool = False
    tile: int | None = None
    overlap: float | None = None


def _overlap(options: DemoOptions) -> float:
    return OVERLAP if options.overlap is None else options.overlap


def run(options: DemoOptions) -> int:
    """Does it all, and returns the exit code: 1 where a photo or a frame could not be read.

    Raises:
        UserError: something in the options is wrong. Nothing is written then.
    """
    _check(options)
    return _run_photos(options) if options.input else _run_video(options)


def _check(options: DemoOptions) -> None:
    if options.batch_size < 1:
        raise UserError(f"--batch-size is {options.batch_size}", remedy="Use 1 or more photos at a time")
    if options.tile is not None:
        check_tiling(options.tile, _overlap(options))
    elif options.overlap is not None:
        raise UserError("--overlap is of tiles, and there are none", remedy="Add --tile, or leave it out")
    if not options.input and set(options.save) != {"pictures"}:
        raise UserError(
            f"--save {' '.join(options.save)} is for photos",
            remedy="Leave it out, or take the video apart into photos first",
        )
    if options.webcam and options.output is not None:
        raise UserError("what the camera sees is shown in a window", remedy="Leave out --output")
    if options.output is None and set(options.save) != {"pictures"}:
        raise UserError(f"--save {' '.join(options.save)} needs a folder", remedy="Add --output")


def _run_photos(options: DemoOptions) -> int:
    photos = find_photos(options.input, options.output)
    if options.output is None:
        demand_screen()
    else:
        check_output(options.output, options.save, photos)
    predictor = _predictor(options)
    failed = 0
    with ExitStack() as stack:
        results = open_results(options.output, options.save, photos, predictor.classes)
        for kind in results:
            stack.enter_context(closing(kind))
        bar = stack.enter_context(tqdm(total=len(photos), unit="photo", disable=None))
        detect = _detector(predictor, options)
        for batch in _batches(photos, _at_a_time(options)):
            readable = []
            for photo in batch:
                try:
                    readable.append((photo, read_photo(photo.path)))
                except UserError as error:
                    log.error("error: %s", error)
                    failed += 1
            for (photo, pixels), found in zip(readable, detect([pixels for _, pixels in readable]), strict=True):
                if not all([kind.save(photo, pixels, found) for kind in results]):  # noqa: C419 - each kind must save
                    return EXIT_DATA if failed else 0
                log.info("%s: %d instance%s", photo.path, len(found), "" if len(found) == 1 else "s")
            bar.update(len(batch))
    if failed:
        log.error("%d of %d photos could not be read.", failed, len(photos))
    return EXIT_DATA if failed else 0


def _run_video(options: DemoOptions) -> int:
    target = None
    if options.output is not None:
        target = video_target(options.video_input, options.output)
    with open_video(CAMERA if options.webcam else options.video_input) as video:
        if target is None:
            demand_screen()
        predictor = _predictor(options)
        with closing(VideoWindow() if target is None else VideoFile(target, video.rate)) as results:
            drawer = FrameDrawer(predictor.classes)
            for frame, found in _found_in(video, _detector(predictor, options), _at_a_time(options)):
                if not results.write(drawer.draw(frame, found)):
                    break
    if target is not None:
        log.info("%s: %d frames -> %s", options.video_input, results.frames, target)
    return 0


def _found_in(
    video: Video, detect: Callable[[Sequence[np.ndarray]], list[list[Detection]]], batch_size: int
) -> Iterator[tuple[np.ndarray, list[Detection]]]:
    with tqdm(total=video.frames or None, unit="frame", disable=None) as bar:
        for frames in _batches(video, batch_size):
            for frame, found in zip(frames, detect(frames), strict=True):
                yield frame, found
                bar.update()


def _predictor(options: DemoOptions) -> Predictor:
    cfg = predictor_config(options.config_file, list(options.opts), options.confidence_threshold)
    return Predictor(cfg, options.half)


def _detector(predictor: Predictor, options: DemoOptions) -> Callable[[Sequence[np.ndarray]], list[list[Detection]]]:
    if options.tile is None:
        return predictor.detect
    in_tiles = partial(
        detect_in_tiles, predictor.detect, side=options.tile, overlap=_overlap(options), batch_size=options.batch_size
    )
    return lambda photos: [in_tiles(photo) for photo in photos]


def _at_a_time(options: DemoOptions) -> int:
    """Photos or frames to hold in memory; in tiles they are large, and a batch is one of tiles."""
    return options.batch_size if options.tile is None else 1


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
