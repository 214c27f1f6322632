"""Videos through the demo: read and written by OpenCV."""

import os
import struct

import cv2
import numpy as np
import pytest

from dataset_tools.errors import UserError
from polymask.demo.video import VideoFile, open_video, video_target
from polymask.inference.predictor import read_photo
from polymask.inference.visualizer import DRAWN_WIDTH

RATE = 12.5


def write_video(path, frames, codec="mp4v"):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), RATE, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


@pytest.fixture(scope="module")
def frames(photos):
    return [read_photo(path) for path in sorted(photos.glob("*.png"))]


@pytest.mark.parametrize("extra", [[], ["--batch-size", "4"], ["--tile", "100", "--overlap", "0.4"]])
def test_a_video(run_demo, frames, tmp_path, extra):
    source = write_video(tmp_path / "street.mp4", frames)
    assert run_demo("--video-input", source, "--output", tmp_path / "out", *extra) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["street.mp4"]
    written, rate = read_video(tmp_path / "out/street.mp4")
    height, width = frames[0].shape[:2]
    size = (DRAWN_WIDTH, round(height * DRAWN_WIDTH / width))
    assert rate == RATE and len(written) == len(frames) and written[0].shape[1::-1] == size
    for frame, drawn in zip(frames, written, strict=True):
        frame = cv2.resize(frame, size)
        changed = (np.abs(frame.astype(int) - drawn).max(axis=2) > 60).mean()
        assert 0.02 < changed < 0.5, "an object or two is drawn"


def test_a_video_that_is_cut_off(run_demo, frames, tmp_path):
    source = write_video(tmp_path / "street.avi", frames * 3, codec="MJPG")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(UserError, match="of its 18 frames can be decoded") as caught:
        run_demo("--video-input", source, "--output", tmp_path / "seen.mp4")
    assert caught.value.exit_code == 1
    written, _ = read_video(tmp_path / "seen.mp4")
    assert 3 <= len(written) < 17 and f"only {len(written)} of" in str(caught.value)


def test_a_duration_that_is_longer_than_the_frames_is_no_fault(frames, tmp_path, caplog):
    """As that of sound. Matroska has no number of frames, but a duration: the first float64 behind the id 44 89."""
    source = write_video(tmp_path / "street.mkv", frames * 3, codec="MJPG")
    content = bytearray(source.read_bytes())
    place = content.index(b"\x44\x89\x88") + 3
    (duration,) = struct.unpack(">d", content[place : place + 8])
    content[place : place + 8] = struct.pack(">d", 1.5 * duration)
    source.write_bytes(content)
    with open_video(source) as video:
        assert video.frames > 20 and len([*video]) == 18
    assert "18 frames" in caplog.text


@pytest.mark.parametrize("rate", [12.5, 29.97, 119.937, 239.847, 240.0])
def test_rates_of_cameras_are_written(frames, tmp_path, rate):
    video = VideoFile(tmp_path / "a.mp4", rate)
    for frame in frames:
        video.write(frame)
    video.close()
    assert read_video(tmp_path / "a.mp4")[1] == pytest.approx(rate, abs=0.005)


@pytest.mark.parametrize("content", [b"", b"no video at all", None])
def test_a_file_that_is_not_a_video(run_demo, tmp_path, content):
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match="a.mp4.*video"):
        run_demo("--video-input", tmp_path / "a.mp4", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_video_whose_name_is_not_unicode(run_demo, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    path.touch()
    for output in ([], ["--output", tmp_path / "out"]):
        with pytest.raises(UserError, match=r"udcff.mp4.*Unicode"):
            run_demo("--video-input", path, *output)


def test_where_a_video_goes(tmp_path):
    source = tmp_path / "a.mp4"
    source.touch()
    assert video_target(source, tmp_path / "out") == tmp_path / "out/a.mp4"
    assert video_target(source, tmp_path / "b.mp4") == tmp_path / "b.mp4"
    for output, words in (
        (tmp_path, "overwrite its source"),
        (source, "overwrite its source"),
        (tmp_path / "b.mkv", "mp4"),
    ):
        with pytest.raises(UserError, match=words):
            video_target(source, output)


def test_a_video_that_is_interrupted_keeps_its_frames(frames, tmp_path):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"the one before")
    video = VideoFile(target, RATE)
    for frame in frames[:3]:
        video.write(frame)
    assert target.read_bytes() == b"the one before"
    video.close()
    assert len(read_video(target)[0]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_camera_is_shown_and_not_written(run_demo, tmp_path):
    with pytest.raises(UserError, match="in a window"):
        run_demo("--webcam", "--output", tmp_path)


def test_no_camera():
    if cv2.VideoCapture(0).isOpened():
        pytest.skip("there is one here")
    with pytest.raises(UserError, match="no camera"), open_video(0):
        pass


def test_no_screen(run_demo, frames, photos, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    source = write_video(tmp_path / "street.mp4", frames)
    for what in (["--input", photos / "0.png"], ["--video-input", source]):
        with pytest.raises(UserError, match="no screen.*--output"):
            run_demo(*what)
