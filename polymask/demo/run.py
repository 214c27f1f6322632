"""From the command line of ``demo.py`` to results: photos, a video or the camera, in batches, whole or in tiles."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from detectron2.config import CfgNode
from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.text import one_line
from dataset_tools.to_labelme.annotation_files import folder_of_all
from polymask.demo.photos import InputPhoto, find_photos
from polymask.demo.results import COCO_NAME, LABELME_NAME, Window, check_are_free, demand_screen, open_results
from polymask.demo.tracks import SUFFIXES, Tracks
from polymask.demo.video import Video, VideoFile, open_video, video_target
from polymask.inference.detections import Detections
from polymask.inference.drawing import draw_detections
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.inference.tiles import Detect, check_tiling, detect_in_tiles
from polymask.inference.tracker import Tracker

log = logging.getLogger(__name__)

CAMERA = 0  # the first one, as in Detectron2's demo
Item = TypeVar("Item")

# What can be written of photos, and of videos.
PHOTO_KINDS, VIDEO_KINDS = ("pictures", "coco", "labelme"), ("pictures", *SUFFIXES)

# Of neighbouring tiles, if the user says nothing.
OVERLAP = 0.2


@dataclass(frozen=True)
class DemoOptions:
    """What the user asked for: the flags of ``demo.py``, under their names.

    Attributes:
        config_file, opts: see ``polymask.config.load_config``.
        input: photos, folders and patterns; or video_input: a video file; or webcam: the camera.
        output: a folder or a file; None shows a window.
        save: what to write: some of PHOTO_KINDS or VIDEO_KINDS; the ``pictures`` of a video are a video.
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


def run(options: DemoOptions) -> int:
    """Look at all that is named and keep what is found; the exit code is 1 where a photo could not be read.

    Raises:
        UserError: something in the options is wrong. Nothing is written then.
    """
    _check(options)
    if options.input:
        return _run_photos(options, find_photos(options.input, options.output))
    return _run_video(CAMERA if options.video_input is None else options.video_input, options)


def _check(options: DemoOptions) -> None:
    if options.batch_size < 1:
        raise UserError(f"--batch-size is {options.batch_size}", remedy="Use 1 or more photos at a time")
    if options.tile is not None:
        check_tiling(options.tile, _overlap(options))
    elif options.overlap is not None:
        raise UserError("--overlap is of tiles, and there are none", remedy="Add --tile, or leave it out")
    if options.webcam and options.output is not None:
        raise UserError("what the camera sees is shown in a window", remedy="Leave out --output")
    kinds, what = (PHOTO_KINDS, "photos") if options.input else (VIDEO_KINDS, "videos")
    for kind in options.save:
        if kind not in kinds:
            raise UserError(f"--save {kind} is not for {what}", remedy=f"Of {what} save {', '.join(kinds)}")
    if set(options.save) != {"pictures"} and options.output is None:
        raise UserError(f"--save {' '.join(options.save)} needs a folder", remedy="Add --output")


def _overlap(options: DemoOptions) -> float:
    return OVERLAP if options.overlap is None else options.overlap


def _run_photos(options: DemoOptions, photos: Sequence[InputPhoto]) -> int:
    cfg = _config(options)
    failed = 0
    with ExitStack() as stack:
        results = open_results(options.output, options.save, photos, cfg.DATASETS.CLASSES)
        detect = _detector(Predictor(cfg, options.half), options)
        for kind in results:
            stack.enter_context(closing(kind))
        bar = stack.enter_context(tqdm(total=len(photos), unit="photo", disable=None))
        for batch in _batches(photos, _at_a_time(options)):
            readable = list(_readable(batch))
            failed += len(batch) - len(readable)
            for (photo, pixels), found in zip(readable, detect([pixels for _, pixels in readable]), strict=True):
                if not all([kind.save(photo, pixels, found) for kind in results]):  # noqa: C419 - each kind must save
                    return EXIT_DATA if failed else 0
                shown = one_line(str(photo.path))
                log.info("%s: %d instance%s", shown, len(found), "" if len(found) == 1 else "s")
            bar.update(len(batch))
    if failed:
        log.error("%d of %d photos could not be read.", failed, len(photos))
    if failed < len(photos) and options.output is not None:
        _say_what_reads(options.output, options.save, photos)
    return EXIT_DATA if failed else 0


def _say_what_reads(output: Path, kinds: Sequence[str], photos: Sequence[InputPhoto]) -> None:
    """The commands that make a dataset folder of what was written."""
    folder = str(folder_of_all(photo.path for photo in photos))
    readers = {
        "coco": ["adopt", str(output / COCO_NAME), "--images-root", folder],
        "labelme": ["convert", str(output / LABELME_NAME), "--photos", folder],
    }
    for kind, words in readers.items():
        if kind in kinds:
            command = shlex.join(["python", "-m", "dataset_tools", *words, "--output", "DATASET_FOLDER"])
            log.info("To train on it, once it is corrected: %s", one_line(command))


def _readable(photos: Iterable[InputPhoto]) -> Iterator[tuple[InputPhoto, np.ndarray]]:
    """The photos with their pixels, without those that cannot be read: these are reported."""
    for photo in photos:
        try:
            yield photo, read_photo(photo.path)
        except UserError as error:
            log.error("error: %s", error)


def _run_video(source: Path | int, options: DemoOptions) -> int:
    target, files = None, {}
    if isinstance(source, Path) and options.output is not None:
        target = video_target(source, options.output)
        files = {kind: target.with_suffix(SUFFIXES[kind]) for kind in options.save if kind in SUFFIXES}
        check_are_free(list(files.values()))
    written = 0
    with ExitStack() as stack:
        video = stack.enter_context(open_video(source))
        if target is None:
            demand_screen()
        cfg = _config(options)
        detect, tracker, tracks = _detector(Predictor(cfg, options.half), options), Tracker(video.rate), None
        if files:
            tracks = Tracks(files, Path(video.name).stem, cfg.DATASETS.CLASSES, video.rate)
            stack.enter_context(closing(tracks))
        shown = stack.enter_context(closing(Window() if target is None else VideoFile(target, video.rate)))
        for frame, found in _found_in(video, detect, _at_a_time(options)):
            found = tracker.follow(found)
            if tracks:
                tracks.add(found)
            if "pictures" in options.save and not shown.write(draw_detections(frame, found, largest=max(frame.shape))):
                break
            written += 1
    for file in ([target] if "pictures" in options.save and target else []) + list(files.values()):
        log.info("%s: %d frames -> %s", one_line(str(source)), written, one_line(str(file)))
    return 0


def _found_in(video: Video, detect: Detect, batch_size: int) -> Iterator[tuple[np.ndarray, Detections]]:
    with tqdm(total=video.frames or None, unit="frame", disable=None) as bar:
        for frames in _batches(video, batch_size):
            for frame, found in zip(frames, detect(frames), strict=True):
                yield frame, found
                bar.update()


def _config(options: DemoOptions) -> CfgNode:
    return predictor_config(options.config_file, list(options.opts), options.confidence_threshold)


def _detector(predictor: Predictor, options: DemoOptions) -> Detect:
    side = options.tile
    if side is None:
        return predictor.detect
    overlap, batch_size = _overlap(options), options.batch_size
    return lambda photos: [detect_in_tiles(predictor.detect, photo, side, overlap, batch_size) for photo in photos]


def _at_a_time(options: DemoOptions) -> int:
    """Photos or frames to hold in memory; in tiles they are large, and a batch is one of tiles."""
    return options.batch_size if options.tile is None else 1


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
