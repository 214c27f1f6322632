"""A training is killed at every event in its folder, resumed, and ends with the same weights: by ckpt-chaos.

https://github.com/rkb32/ckpt-chaos counts the files that a process creates, moves or removes, kills a training before
each of these events (and once more with the file cut in half, where Python opened it by its name), resumes it, and
compares. A resume from another state than the newest whole one is a failure, too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from ckpt_chaos.byo import run_byo

from tests.faults.trial import ROOT, Trial, annotated_photos, convert, must, run, training

# What torchrun says to its processes beside the variables of ckpt-chaos.
AS_TORCHRUN = {"TORCHELASTIC_RUN_ID": "faults", "LOCAL_WORLD_SIZE": "2"}


def kill_saves(folder: Path, processes: int, killed: int = 0, most: int = 1000) -> Iterator[Trial]:
    """Kills a training of so many processes at its file events.

    Args:
        folder: new; for the dataset and all trainings.
        processes: 1, or 2 as torchrun starts them.
        killed: the rank of the process that is killed.
        most: where there are more moments to kill at, so many of them, evenly spread.
    """
    fault = f"save killed, {processes} process{'es' if processes > 1 else ''}" + (f", rank {killed}" if killed else "")
    photos = annotated_photos(folder / "photos", train=4, val=2)
    must(run(convert(photos, folder / "dataset")))
    command = training(folder / "dataset", "{out}")
    resume = training(folder / "dataset", "{out}", "--resume")
    variables = {"OMP_NUM_THREADS": "1", **(AS_TORCHRUN if processes > 1 else {})}
    variables["CKPT_CHAOS_CRASH_RANK"] = str(killed)  # which run_byo leaves at 0
    with mock.patch.dict(os.environ, variables), contextlib.chdir(ROOT):
        rows = run_byo(
            command,
            resume,
            folder / "trainings",
            max_points=most,
            result_file="{out}/model_final.pth",
            checkpoint_glob="{out}/model_0*.pth",
            step_regex=r"Starting training from iteration (\d+)",
            ranks=processes,
            crash_rank=killed,
        )
    for row in rows:
        is_control = row.label.startswith("no crash")
        # To cut a file in half, ckpt-chaos waits until it is closed, which the log of several processes never is.
        skipped = "" if row.crashed or is_control else "it ended without being killed"
        yield Trial(fault, row.label, "" if row.verdict == "PASS" else row.verdict, skipped)
