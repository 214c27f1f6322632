"""Detectron2's model zoo: pickled weights, read without running what a pickle may hold."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric

from dataset_tools.errors import UserError


def _bytes_of(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2; the function that it names can do more."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding}")
    return text.encode(encoding)


# All that a pickle of arrays needs. What an array of objects holds passes the same gate.
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("_codecs", "encode"): _bytes_of,
}
for core in ("numpy.core", "numpy._core"):  # as numpy 1, with which the zoo was written, and numpy 2 call it
    ALLOWED |= {
        (f"{core}.multiarray", "_reconstruct"): multiarray._reconstruct,
        (f"{core}.multiarray", "scalar"): multiarray.scalar,
        (f"{core}.numeric", "_frombuffer"): numeric._frombuffer,  # type: ignore[attr-defined]  # numpy's stubs lack it
    }


def read_zoo_file(path: Path | str) -> dict[str, Any]:
    """The content of a ``.pkl`` of Detectron2's zoo: ``{"model": {name: array}, "__author__": ...}``.

    Raises:
        UserError: it is another kind of pickle, or holds more than arrays, none of which was run.
    """
    with open(path, "rb") as file:
        content = _ArraysOnly(file, str(path)).load()
    if not isinstance(content, dict) or not {"model", "__author__"} <= content.keys():
        raise UserError(
            "this pickle is not of Detectron2's model zoo, which has 'model' and '__author__'",
            file=path,
            remedy="Use a checkpoint of Detectron2; those of Caffe2 and of other projects have to be converted first",
        )
    return content


class _ArraysOnly(pickle.Unpickler):
    def __init__(self, file: Any, path: str):
        super().__init__(file, encoding="latin1")  # Python 2 wrote some of them
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise UserError(
                f"this pickle asks for {module}.{name}, which weights have no use for; nothing of it was run",
                file=self._path,
                remedy="Use another source for these weights: a pickle can hold a program",
            )
        return ALLOWED[module, name]
