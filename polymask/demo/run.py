"""From the command line of ``demo.py`` to results: photos, a video or the camera, in batches, whole or in tiles."""

from __future__ import annotations

import hashlib
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
from detectron2.utils import comm
from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import opened_for_reading
from dataset_tools.text import one_line
from dataset_tools.to_labelme.annotation_files import folder_of_all
from polymask.demo.journal import Journal
from polymask.demo.photos import InputPhoto, find_photos
from polymask.demo.results import (
    COCO_NAME,
    LABELME_NAME,
    Results,
    Window,
    check_are_free,
    demand_screen,
    is_one_picture,
    open_results,
)
from polymask.demo.tracks import SUFFIXES, Tracks
from polymask.demo.video import Video, VideoFile, open_video, video_target
from polymask.inference.detections import Detections
from polymask.inference.drawing import draw_detections
from polymask.inference.predictor import Predictor, predictor_config, read_photo
from polymask.inference.tiles import Detect, check_tiling, detect_in_tiles
from polymask.inference.tracker import Tracker
from polymask.inference.visualizer import LARGEST

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
        resume: go on with a demo that was stopped, of the same options.
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
    resume: bool = False
    tile: int | None = None
    overlap: float | None = None


def run(options: DemoOptions) -> None:
    """Look at all that is named and keep what is found; where there are several processes, each takes its share.

    Raises:
        UserError: something in the options is wrong, and nothing is written; or a photo could not be read.
    """
    _check(options)
    if options.input:
        _run_photos(options, find_photos(options.input, options.output))
    else:
        _run_video(CAMERA if options.video_input is None else options.video_input, options)


def _check(options: DemoOptions) -> None:
    if options.batch_size < 1:
        raise UserError(f"--batch-size is {options.batch_size}", remedy="Use 1 or more photos at a time")
    if options.tile is not None:
        check_tiling(options.tile, _overlap(options))
    elif options.overlap is not None:
        raise UserError("--overlap is of tiles, and there are none", remedy="Add --tile, or leave it out")
    if options.webcam and options.output is not None:
        raise UserError("what the camera sees is shown in a window", remedy="Leave out --output")
    is_many = options.input and options.output is not None and not is_one_picture(options.output)
    if not is_many and (options.resume or comm.get_world_size() > 1):
        reason = "--resume, --num-gpus and torchrun are for many photos, whose results go into a folder"
        raise UserError(reason, remedy="Leave them out, or name photos with --input and a folder with --output")
    kinds, what = (PHOTO_KINDS, "photos") if options.input else (VIDEO_KINDS, "videos")
    for kind in options.save:
        if kind not in kinds:
            raise UserError(f"--save {kind} is not for {what}", remedy=f"Of {what} save {', '.join(kinds)}")
    if set(options.save) != {"pictures"} and options.output is None:
        raise UserError(f"--save {' '.join(options.save)} needs a folder", remedy="Add --output")


def _overlap(options: DemoOptions) -> float:
    return OVERLAP if options.overlap is None else options.overlap


def _run_photos(options: DemoOptions, photos: Sequence[InputPhoto]) -> None:
    cfg = _config(options)
    journal, output = None, options.output
    if output is not None and not is_one_picture(output):
        journal = Journal(output, _settings(cfg, options), options.resume)
    resumed = journal is not None and journal.is_resumed
    results = open_results(output, options.save, photos, resumed)
    detect = _detector(Predictor(cfg, options.half), options)
    waiting = list(photos)
    comm.synchronize()  # what one process writes must not be there while another looks
    with ExitStack() as stack:
        if journal is not None:
            waiting = [photo for photo in photos if not journal.is_done(photo)]
            journal.begin()
            results.append(journal)  # the last one: its line says that the photo is done
        for kind in results:
            stack.enter_context(closing(kind))
        failed = _look(waiting[comm.get_rank() :: comm.get_world_size()], detect, results, _at_a_time(options))
        failed = sum(comm.all_gather(failed))  # when all processes are done
        if journal is not None and output is not None:
            journal.finish(photos, output / COCO_NAME if "coco" in options.save else None, cfg.DATASETS.CLASSES)
    if output is not None and failed < len(photos) and comm.is_main_process():
        _say_what_reads(output, options.save, photos)
    if failed:
        reason = f"{failed} of {len(photos)} photos could not be read"
        raise UserError(reason, remedy="Repair or remove them; the others are done", exit_code=EXIT_DATA)


def _settings(cfg: CfgNode, options: DemoOptions) -> str:
    """A short name of what decides about the results."""
    weights = Path(cfg.MODEL.WEIGHTS)
    digest = ""
    if weights.is_file():
        with opened_for_reading(weights) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    parts = (cfg.dump(), digest, options.half, options.tile, _overlap(options), sorted(options.save))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _look(photos: Sequence[InputPhoto], detect: Detect, results: Sequence[Results], at_a_time: int) -> int:
    """Looks at photos and keeps what is found, until nothing more is wanted; returns how many could not be read."""
    failed = 0
    with tqdm(total=len(photos), unit="photo", disable=None if comm.is_main_process() else True) as bar:
        for batch in _batches(photos, at_a_time):
            readable = list(_readable(batch))
            failed += len(batch) - len(readable)
            for (photo, pixels), found in zip(readable, detect([pixels for _, pixels in readable]), strict=True):
                if not all([kind.save(photo, pixels, found) for kind in results]):  # noqa: C419 - each kind must save
                    return failed
                shown = one_line(str(photo.path))
                log.info("%s: %d instance%s", shown, len(found), "" if len(found) == 1 else "s")
            bar.update(len(batch))
    return failed


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


def _run_video(source: Path | int, options: DemoOptions) -> None:
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
            if "pictures" in options.save:
                picture = draw_detections(frame, found, largest=max(LARGEST, *frame.shape))
                if not shown.write(picture):
                    break
            written += 1
    for file in ([target] if "pictures" in options.save and target else []) + list(files.values()):
        log.info("%s: %d frames -> %s", one_line(str(source)), written, one_line(str(file)))


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
