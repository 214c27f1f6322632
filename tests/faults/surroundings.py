"""What a machine can do to a command: a full disk, a folder that nobody may write, photos that go, little memory."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image

from dataset_tools.errors import EXIT_DATA, EXIT_USAGE
from tests.faults.trial import (
    PATIENCE,
    Trial,
    annotated_photos,
    begin,
    contents,
    convert,
    difference,
    end,
    must,
    polymask,
    run,
    training,
)

MEGABYTE = 1_000_000
MEMORY = 3 * 2**30  # bytes that each process may write to
FOR_EVER = ["SOLVER.MAX_ITER", "100000"]


class CannotMount(Exception):
    """The system mounts nothing for this user."""


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[str], None]]:
    """An empty disk in memory of so many bytes at a new folder; yields what changes its options, such as ``ro``.

    Raises:
        CannotMount: this takes root on Linux.
    """
    folder.mkdir()

    def mount(*arguments: str) -> None:
        try:
            subprocess.run(["mount", *arguments, str(folder)], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or error
            raise CannotMount(f"no disk can be mounted: {reason}".strip()) from error

    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")
    try:
        yield lambda option: mount("-o", f"remount,{option}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def conversion_on_a_full_disk(folder: Path) -> Iterator[Trial]:
    photos = annotated_photos(folder / "photos", train=4, val=2)
    disk = folder / "disk"
    with small_disk(disk, 2 * MEGABYTE):
        must(run(convert(photos, disk / "dataset")))
        before = contents(disk)
        (disk / "filler").write_bytes(bytes(19 * MEGABYTE // 10))
        failure = run(convert(photos, disk / "dataset", "--overwrite", "--images", "copy"), EXIT_USAGE, "No space left")
        (disk / "filler").unlink()
        yield Trial("disk full", "convert --overwrite", failure or difference(contents(disk), before))


def training_on_a_full_disk(folder: Path) -> Iterator[Trial]:
    photos = annotated_photos(folder / "photos", train=4)
    must(run(convert(photos, folder / "dataset")))
    disk = folder / "disk"
    with small_disk(disk, 50 * MEGABYTE):
        must(run(training(folder / "dataset", disk / "run", values=["SOLVER.MAX_ITER", "2"])))
        before = contents(disk / "run")
        states = {name: before[name] for name in ("model_0000001.pth", "last_checkpoint")}
        room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(room - MEGABYTE))
        resume = training(folder / "dataset", disk / "run", "--resume")
        failure = run(resume, EXIT_USAGE, "model_0000001.pth")
        left = contents(disk / "run")
        failure = failure or difference({name: left.get(name) for name in states}, states)
        failure = failure or ", ".join(name for name in left if name.startswith("."))
        (disk / "filler").unlink()
        yield Trial("disk full", "a training saves a state", failure or run(resume))


def read_only(folder: Path) -> Iterator[Trial]:
    """Commands whose output nobody may write: one line that says so."""
    photos = annotated_photos(folder / "photos", train=4, val=2, test=2)
    must(run(convert(photos, folder / "dataset")))
    disk = folder / "disk"
    with small_disk(disk, 50 * MEGABYTE) as change:
        must(run(convert(photos, disk / "dataset")))
        must(run(training(folder / "dataset", disk / "run")))
        change("ro")
        before = contents(disk)
        lines = {
            "convert": convert(photos, disk / "new"),
            "convert --overwrite": convert(photos, disk / "dataset", "--overwrite"),
            "to-labelme": polymask("-m", "dataset_tools", "to-labelme", folder / "dataset", "--output", disk / "new"),
            "a training": training(folder / "dataset", disk / "new"),
            "--resume": training(folder / "dataset", disk / "run", "--resume", values=["SOLVER.MAX_ITER", "8"]),
            "compare": polymask("-m", "polymask", "compare", disk / "run"),
            "report": polymask("-m", "polymask", "report", disk / "run"),
        }
        for case, line in lines.items():
            failure = run(line, EXIT_USAGE, "Read-only")
            yield Trial("read-only folder", case, failure or difference(contents(disk), before))


def _empty(photo: Path) -> None:
    photo.write_bytes(b"")


def _halve(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])


def _shrink(photo: Path) -> None:
    Image.new("RGB", (64, 64)).save(photo)


CHANGES: dict[str, Callable[[Path], None]] = {
    "vanish": Path.unlink,
    "become empty": _empty,
    "are cut in half": _halve,
    "get another size": _shrink,
}


def photos_that_go(folder: Path, case: str, workers: int) -> Iterator[Trial]:
    """Photos change while a training reads them: one is named, and --resume goes on when they are back."""
    photos = annotated_photos(folder / "photos", train=2)
    must(run(convert(photos, folder / "dataset")))
    before = contents(photos)
    values = ["DATALOADER.NUM_WORKERS", str(workers)]
    process = begin(training(folder / "dataset", folder / "run", values=[*values, *FOR_EVER]))
    wait_for_rows(process, folder / "run", 3)
    for photo in photos.rglob("*.png"):
        CHANGES[case](photo)
    failure = end(process, EXIT_DATA, ".png")
    for name, content in before.items():
        if content is not None:
            (photos / name).write_bytes(content)
    yield Trial("photos change in a training", f"they {case}, {workers} workers", failure or _resumes(folder, values))


def worker_dies(folder: Path) -> Iterator[Trial]:
    photos = annotated_photos(folder / "photos", train=2)
    must(run(convert(photos, folder / "dataset")))
    values = ["DATALOADER.NUM_WORKERS", "1"]
    process = begin(training(folder / "dataset", folder / "run", values=[*values, *FOR_EVER]))
    wait_for_rows(process, folder / "run", 3)
    [worker] = children(process.pid)
    os.kill(worker, signal.SIGKILL)
    failure = end(process, EXIT_USAGE, "a process that loads photos was lost")
    yield Trial("worker killed", "that loads the photos of a training", failure or _resumes(folder, values))


def _resumes(folder: Path, values: list[str]) -> str:
    """What is wrong with two more updates of a training that has ended; nothing if nothing is."""
    states = sorted((folder / "run").glob("model_0*.pth"))
    updates = int(states[-1].stem.removeprefix("model_")) + 1 if states else 0
    longer = [*values, "SOLVER.MAX_ITER", str(updates + 2)]
    return run(training(folder / "dataset", folder / "run", "--resume", values=longer))


def children(parent: int) -> list[int]:
    """The numbers of the processes that a process has started and that are not gone."""
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def wait_for_rows(process: subprocess.Popen, output: Path, rows: int) -> None:
    """Waits until a training has done so many updates."""
    history, patience = output / "history.csv", time.monotonic() + PATIENCE
    while not history.exists() or history.read_text().count("\n") < rows + 1:
        if process.poll() is not None or time.monotonic() > patience:
            raise RuntimeError(f"the training did not begin: {end(process)}")
        time.sleep(0.01)


def one_core() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def all_of_these() -> None:
    one_core()
    little_memory()


# What is taken from the environment, what is put into it, and what else happens to a process.
MACHINES: dict[str, tuple[set[str], dict[str, str], Callable[[], None] | None]] = {
    "no HOME": ({"HOME"}, {}, None),
    "a HOME that is not there": (set(), {"HOME": "/nowhere"}, None),
    "LC_ALL=C": (set(), {"LC_ALL": "C"}, None),
    "one core": (set(), {}, one_core),
    "3 GiB": (set(), {}, little_memory),
    "all of these": ({"HOME"}, {"LC_ALL": "C"}, all_of_these),
}


def photos_named_abroad(folder: Path) -> Path:
    """A LabelMe folder whose photos have names that are not ASCII."""
    photos = annotated_photos(folder, train=4, val=2)
    for annotation in list(photos.rglob("*.json")):
        name = f"Straße_日本_{annotation.stem}"
        annotation.write_text(annotation.read_text().replace(f'"{annotation.stem}.png"', f'"{name}.png"'))
        annotation.with_suffix(".png").rename(annotation.with_name(f"{name}.png"))
        annotation.rename(annotation.with_name(f"{name}.json"))
    return photos


def convert_and_train(folder: Path, photos: Path, machine: str = "") -> tuple[str, dict[str, torch.Tensor]]:
    """What is wrong with a conversion and a training on a bare machine, and its weights."""
    missing, variables, prepare = MACHINES[machine] if machine else (set(), {}, None)
    environment = {name: value for name, value in os.environ.items() if name not in missing} | variables
    for line in (
        convert(photos, folder / "dataset"),
        training(folder / "dataset", folder / "run", values=["DATALOADER.NUM_WORKERS", "-1"]),
    ):
        if failure := run(line, environment=environment, preexec_fn=prepare):
            return failure, {}
    return "", torch.load(folder / "run" / "model_final.pth", weights_only=True)["model"]


def bare_machine(folder: Path) -> Iterator[Trial]:
    """On each of these a training works, and has the same weights."""
    photos = photos_named_abroad(folder / "photos")
    failure, expected = convert_and_train(folder / "plain", photos)
    must(failure)
    for machine in MACHINES:
        failure, weights = convert_and_train(folder / machine, photos, machine)
        if not failure and not all(torch.equal(weights[name], expected[name]) for name in expected):
            failure = "other weights"
        yield Trial("bare machine", machine, failure)
