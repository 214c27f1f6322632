"""What a run writes about itself: ``config.yaml``, and ``run.json`` (versions, device, time, memory)."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import detectron2
import msgspec
import torch
import torchvision
from detectron2.config import CfgNode
from detectron2.utils import comm

from dataset_tools.errors import UserError
from dataset_tools.files import read_file, write_atomically
from polymask.config.keys import AUTO

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CONFIG_NAME = "config.yaml"
FOLDS_CONFIG_NAME = "folds.yaml"  # of a cross-validation, as it was typed: what all its trainings begin with
FACTS_NAME = "run.json"
PROJECT = Path(__file__).resolve().parents[2]
GIT_TIMEOUT = 10  # seconds: on a network disk git may take one


class RunFacts(msgspec.Struct, frozen=True):
    """A training, with all the times that it was resumed, and the last evaluation. It depends on the clock.

    Attributes:
        command_lines: of the training and of each time it was resumed.
        versions: of what it last ran with, by name; polymask's is git's commit, with a ``+`` where files differ from
            it, and is missing where there is no git.
        device: that it last ran on, with its name.
        precision: in which it was trained last: float32, float16 or bfloat16; empty where that is not known.
        processes: as many trained together.
        iterations: that the training has come to.
        training_seconds: of the iterations and the evaluations among them, all times added up. What a training did
            between its last checkpoint and the moment it was killed does not count.
        evaluation_seconds: of the evaluation at the end, or of a later ``--eval-only``; None if there was none.
        peak_memory_gib: the most that one process held, of the GPU where there is one, else of the machine.
        evaluation_command_line: of a later ``--eval-only``, if there was one.
    """

    command_lines: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    device: str = ""
    precision: str = ""
    processes: int = 1
    iterations: int = 0
    training_seconds: float = 0.0
    evaluation_seconds: float | None = None
    peak_memory_gib: float = 0.0
    evaluation_command_line: str | None = None


def read_facts(folder: Path) -> RunFacts | None:
    """The facts of a run; None where it has recorded none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FACTS_NAME
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(read_file(path), type=RunFacts)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"the facts of the run cannot be read: {error}", file=path, remedy="Delete this file"
        ) from error


def write_facts(folder: Path, facts: RunFacts) -> None:
    """Writes ``run.json`` in one step."""
    write_atomically(folder / FACTS_NAME, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")


def write_config(cfg: CfgNode, name: str = CONFIG_NAME) -> None:
    """Writes a configuration into its OUTPUT_DIR: to be called when nothing can be wrong with it any more.

    The device is left open in it, for it belongs to the machine and not to the run.
    """
    if comm.is_main_process():
        portable = cfg.clone()
        portable.defrost()
        portable.MODEL.DEVICE = AUTO
        write_atomically(Path(cfg.OUTPUT_DIR) / name, portable.dump().encode())


def facts_of_an_evaluation(earlier: RunFacts | None, seconds: float, device: str) -> RunFacts:
    """The facts of a run, of which nothing may be known so far, after an ``--eval-only`` that took so long."""
    earlier = earlier or RunFacts(
        versions=versions(), device=device_in_words(device), peak_memory_gib=peak_memory_gib(device)
    )
    return msgspec.structs.replace(earlier, evaluation_seconds=seconds, evaluation_command_line=command_line())


def command_line() -> str:
    """This process's, as one would type it."""
    return shlex.join(["python", *sys.argv])


def versions() -> dict[str, str]:
    """Of what decides over a result."""
    found = {
        "Python": platform.python_version(),
        "torch": str(torch.__version__),  # a TorchVersion, not a str
        "torchvision": torchvision.__version__,
        "detectron2": detectron2.__version__,
        "polymask": _commit(),
    }
    return {name: version for name, version in found.items() if version}


def device_in_words(device: str) -> str:
    """``cpu`` or ``cuda`` with the name of the thing, as far as the system tells."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    threads = torch.get_num_threads()
    return f"CPU ({_processor()}), {threads} thread{'s' if threads > 1 else ''}"


def peak_memory_gib(device: str) -> float:
    """The most memory that this process has held so far: of the GPU that is its device, else of the machine.

    0 where Python does not know it: on Windows.
    """
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    if resource is None:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _processor() -> str:
    listing = Path("/proc/cpuinfo")  # Linux, where platform.processor() knows nothing
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """Git's commit of this project itself, whichever repository surrounds it or the environment names; or nothing."""
    git = ["git", f"--git-dir={PROJECT / '.git'}", f"--work-tree={PROJECT}", "-c", "core.fsmonitor=false"]
    command = [*git, "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        found = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=GIT_TIMEOUT, env=plain, cwd=PROJECT
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()
