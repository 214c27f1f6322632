"""What is compared, each in a separate process: nothing is imported here that another one would pay for with memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """What a program looks at, and with what.

    Attributes:
        run: the folder of a training.
        file: its network as ONNX.
        size: the short side of photos for the network, in px.
        longest: what the long side may have at most, in px.
        photos: files.
        threads: that compute together.
    """

    run: Path
    file: Path
    size: int
    longest: int
    photos: Sequence[Path]
    threads: int


@dataclass(frozen=True)
class Measured:
    """Seconds a photo, the first one left out, which pays for memory; and all that a process had at most, in MiB."""

    seconds: float
    memory: float


def write_network(job: Job) -> None:
    """As ``polymask export`` writes it, which would also compare it with the model."""
    from polymask.export.description import describe, encode_description
    from polymask.export.onnx_format import write_onnx

    predictor = _predictor(job)
    job.file.write_bytes(write_onnx(predictor.model, encode_description(describe(predictor.cfg, job.run))))


def measure(program: str, job: Job) -> Measured:
    """To be called in a new process."""
    look = PROGRAMS[program](job)
    look(job.photos[0])
    begin = time.monotonic()
    for photo in job.photos:
        look(photo)
    seconds = (time.monotonic() - begin) / len(job.photos)
    return Measured(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _predictor(job: Job):  # type: ignore[no-untyped-def]  # its class is not imported for the others
    from polymask.inference.predictor import Predictor

    sizes = ("INPUT.MIN_SIZE_TEST", str(job.size), "INPUT.MAX_SIZE_TEST", str(job.longest), "MODEL.DEVICE", "cpu")
    return Predictor.from_run(job.run, overrides=sizes)


def _pytorch(job: Job) -> Callable[[Path], object]:
    return _predictor(job).predict


def _onnxruntime(job: Job) -> Callable[[Path], object]:
    from runtime import Model

    return Model(job.file, job.threads).predict


def _openvino(job: Job) -> Callable[[Path], object]:
    """OpenVINO in the place of onnxruntime, with the same resizing before it and the same masks after it."""
    import openvino

    from runtime import Model

    class Session:
        def __init__(self) -> None:
            # On some processors the default is half precision.
            hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": job.threads}
            self._network = openvino.Core().compile_model(job.file, "CPU", hints)

        def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
            found = self._network(inputs)
            return [found[name] for name in outputs]

    model = Model(job.file, job.threads)
    model._session = Session()
    return model.predict


PROGRAMS: dict[str, Callable[[Job], Callable[[Path], object]]] = {
    "PyTorch": _pytorch,
    "onnxruntime": _onnxruntime,
    "OpenVINO": _openvino,
}
