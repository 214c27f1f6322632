"""Videos and the camera, read and written by OpenCV."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from detectron2.utils.video_visualizer import VideoVisualizer

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.demo.results import show
from polymask.inference.detections import Detection
from polymask.inference.drawing import instances_of
from polymask.inference.visualizer import DRAWN_WIDTH, metadata_of

log = logging.getLogger(__name__)

SUFFIX = ".mp4"
# MPEG-4 Part 2. OpenCV's packages on PyPI hold no encoder for H.264.
CODEC = "mp4v"
# Frames a second of a video that does not say how many it has.
USUAL_RATE = 25.0
# A container may count a frame that it does not hold.
FRAMES_OF_DOUBT = 1


class Video:
    """The frames of a video file, or of the camera.

    Attributes:
        rate: frames a second.
        frames: how many it says it has; 0 where it does not say, as a camera.
    """

    def __init__(self, source: Path | int):
        self.source = source
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else USUAL_RATE
        self.frames = 0 if isinstance(source, int) else max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames as (H, W, 3) uint8, BGR, turned as the file says.

        Raises:
            UserError: there is none, or some cannot be decoded: the file is damaged or cut.
        """
        seen = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            seen += 1
            yield frame
        if not seen:
            raise UserError(
                "this is no video that OpenCV can read",
                file=self.name,
                remedy="Convert it, to .mp4 say",
                exit_code=EXIT_DATA,
            )
        if seen < self.frames - FRAMES_OF_DOUBT:
            raise UserError(
                f"only {seen} of its {self.frames} frames can be decoded; what was seen in them is kept",
                file=self.name,
                remedy="Repair or convert the video",
                exit_code=EXIT_DATA,
            )

    @property
    def is_open(self) -> bool:
        return self._capture.isOpened()

    def close(self) -> None:
        self._capture.release()


@contextmanager
def open_video(source: Path | int) -> Iterator[Video]:
    """A video file, or the camera of a number.

    Raises:
        UserError: there is none.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # or it prints a page where there is no camera
    if isinstance(source, Path) and not source.is_file():
        raise UserError("there is no such video", file=source, remedy="Correct --video-input")
    video = Video(source)
    try:
        if isinstance(source, int) and not video.is_open:
            raise UserError("there is no camera here that OpenCV can open", remedy="Connect one, or use --video-input")
        yield video
    finally:
        video.close()
        cv2.utils.logging.setLogLevel(level)


def video_target(source: Path, output: Path) -> Path:
    """The video to write: ``--output`` itself, or one named after the source in that folder.

    Raises:
        UserError: it would overwrite the source, or is another kind of video.
    """
    is_file = bool(output.suffix) and not output.is_dir()
    if is_file and output.suffix.lower() != SUFFIX:
        raise UserError(
            f"videos are written as {SUFFIX}", file=output, remedy=f"Name a folder, or a file ending in {SUFFIX}"
        )
    target = output if is_file else output / f"{source.stem}{SUFFIX}"
    if target.resolve() == source.resolve():
        raise UserError("the video would overwrite its source", file=target, remedy="Choose another --output")
    return target


class VideoFile:
    """A video that takes its place in one step, when it is closed: with the frames it has got by then.

    Args:
        target: ends in ``.mp4``.
        rate: frames a second.
    """

    def __init__(self, target: Path, rate: float):
        self.target = target
        self.rate = rate
        self.frames = 0
        self._part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{SUFFIX}")
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> bool:
        """Adds a frame, (H, W, 3) uint8 in BGR, as large as the first."""
        if self._writer is None:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            height, width = frame.shape[:2]
            self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter_fourcc(*CODEC), self.rate, (width, height))
            if not self._writer.isOpened():
                raise UserError("OpenCV cannot write this video", file=self.target, remedy="Choose another --output")
        self._writer.write(frame)
        self.frames += 1
        return True

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
        if self.frames:
            os.replace(self._part, self.target)
        else:
            self._part.unlink(missing_ok=True)


class VideoWindow:
    """A window that shows frames as they come; Escape ends it."""

    def write(self, frame: np.ndarray) -> bool:
        return show(frame, wait=False)

    def close(self) -> None:
        cv2.destroyAllWindows()


class FrameDrawer:
    """Draws detections onto the frames of one video, by Detectron2's VideoVisualizer.

    Its own colours are random, and may be too dark to read: it gets those of the classes, as on photos.
    """

    def __init__(self, classes: Sequence[str]):
        metadata = metadata_of(classes)
        self._colours = [tuple(channel / 255 for channel in colour) for colour in metadata.thing_colors]
        self._visualizer = VideoVisualizer(metadata)

    def draw(self, frame: np.ndarray, found: Sequence[Detection]) -> np.ndarray:
        """The frame, (H, W, 3) uint8 in BGR, with masks, class names and scores; enlarged to ``DRAWN_WIDTH`` at least.

        The Visualizer's letters have one size: on a small frame they would cover each other and the objects.
        """
        scale = max(1.0, DRAWN_WIDTH / frame.shape[1])
        enlarged = cv2.resize(frame, None, fx=scale, fy=scale)
        instances = instances_of(found, enlarged.shape[:2], scale)
        instances.COLOR = [self._colours[detection.category] for detection in found]
        drawn = self._visualizer.draw_instance_predictions(enlarged[:, :, ::-1], instances)
        return np.ascontiguousarray(drawn.get_image()[:, :, ::-1])
