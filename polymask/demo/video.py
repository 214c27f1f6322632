"""Videos and the camera, read and written by OpenCV."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.text import is_text

SUFFIX = ".mp4"
# MPEG-4 Part 2. OpenCV's packages on PyPI hold no encoder for H.264.
CODEC = "mp4v"
# Frames a second of a video that does not say how many it has.
USUAL_RATE = 25.0
# A container may count a frame that it does not hold.
FRAMES_OF_DOUBT = 1
# These store no count: OpenCV computes it from the duration, which is that of the sound where this is longer.
WITHOUT_COUNT = (".mkv", ".webm")
# MPEG-4 Part 2 has a clock of so many ticks a second at most.
MOST_TICKS = 65_535

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Video:
    """The frames of a video file, or of the camera.

    Attributes:
        name: for messages.
        capture: OpenCV's, from which each frame can be read once.
        rate: frames a second.
        frames: how many it says it has; 0 where it does not say, as a camera.
    """

    name: str
    capture: cv2.VideoCapture
    rate: float
    frames: int

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames as (H, W, 3) uint8, BGR, turned as the file says.

        Raises:
            UserError: there is none, or some cannot be decoded: the file is damaged or cut. Where the file does not store
                their number, this is a warning.
        """
        seen = 0
        while (read := self.capture.read())[0]:
            seen += 1
            yield read[1]
        if not seen:
            raise UserError(
                "OpenCV cannot read this as a video",
                file=self.name,
                remedy="Convert it, to .mp4 say",
                exit_code=EXIT_DATA,
            )
        if seen < self.frames - FRAMES_OF_DOUBT:
            if self.name.lower().endswith(WITHOUT_COUNT):
                log.warning("%s: %d frames, and by its duration there would be %d.", self.name, seen, self.frames)
                return
            raise UserError(
                f"only {seen} of its {self.frames} frames can be decoded; what was seen in them is kept",
                file=self.name,
                remedy="Repair or convert the video",
                exit_code=EXIT_DATA,
            )


@contextmanager
def open_video(source: Path | int) -> Iterator[Video]:
    """A video file, or the camera of a number.

    Raises:
        UserError: there is none, or its name is not Unicode text.
    """
    if isinstance(source, Path):
        _check_is_text(source)
        if not source.is_file():
            raise UserError("there is no such video", file=source, remedy="Correct --video-input")
    is_camera = isinstance(source, int)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # or it prints a page where there is no camera
    capture = cv2.VideoCapture(source if is_camera else str(source))
    try:
        if is_camera and not capture.isOpened():
            raise UserError("there is no camera here that OpenCV can open", remedy="Connect one, or use --video-input")
        rate = capture.get(cv2.CAP_PROP_FPS)
        yield Video(
            name=f"camera {source}" if is_camera else str(source),
            capture=capture,
            rate=rate if 0 < rate < 1000 else USUAL_RATE,
            frames=0 if is_camera else max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        )
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(level)


def video_target(source: Path, output: Path) -> Path:
    """The video to write: ``--output`` itself, or one named after the source in that folder.

    Raises:
        UserError: it would overwrite the source, is another kind of video, or has a name that is not Unicode text.
    """
    is_file = bool(output.suffix) and not output.is_dir()
    if is_file and output.suffix.lower() != SUFFIX:
        raise UserError(
            f"videos are written as {SUFFIX}", file=output, remedy=f"Name a folder, or a file ending in {SUFFIX}"
        )
    target = output if is_file else output / f"{source.stem}{SUFFIX}"
    if target.resolve() == source.resolve():
        raise UserError("the video would overwrite its source", file=target, remedy="Choose another --output")
    _check_is_text(target)
    return target


def _check_is_text(video: Path) -> None:
    """Refuse a name that is not Unicode text: with one, OpenCV crashes."""
    if not is_text(str(video)):
        raise UserError("the name of this video is not Unicode text", file=ascii(str(video)), remedy="Rename it")


class VideoFile:
    """A video that takes its place in one step, when it is closed: with the frames it has got by then.

    Args:
        target: ends in ``.mp4``.
        rate: frames a second.
    """

    def __init__(self, target: Path, rate: float):
        self.target = target
        # OpenCV writes it as a fraction of thousandths, and refuses one with too many ticks.
        self.rate = rate if 1000 * rate <= MOST_TICKS else round(rate, 2)
        self._part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{SUFFIX}")
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: np.ndarray) -> bool:
        """Adds a frame, (H, W, 3) uint8 in BGR, as large as the first."""
        if self._writer is None:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            height, width = frame.shape[:2]
            code = cv2.VideoWriter.fourcc(*CODEC)
            writer = cv2.VideoWriter(str(self._part), code, self.rate, (width, height))
            if not writer.isOpened():
                self._part.unlink(missing_ok=True)
                raise UserError("OpenCV cannot write this video", file=self.target, remedy="Choose another --output")
            self._writer = writer
        self._writer.write(frame)
        return True

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
            os.replace(self._part, self.target)
