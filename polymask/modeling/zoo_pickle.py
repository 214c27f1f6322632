"""Detectron2's model zoo: pickles of arrays, read by a machine that knows the steps of arrays and no others.

Python's ``pickle`` calls what a file names, and even numpy's own part in it lets a file make arrays that point anywhere.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.files import read_file

# The largest Mask R-CNN of the zoo has 0.6 GB, and an array of it takes about 30 steps.
MAX_BYTES = 2_000_000_000
MAX_STEPS = 1_000_000
# What the elements of arrays may be, as numpy writes it, and the order of their bytes.
NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
BYTE_ORDERS = ("<", ">", "=", "|")  # the last: of a single byte
# The steps, as pickletools calls them, that push what stands behind them.
VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
# Those that push one and the same thing, and those that nothing depends on.
EMPTY: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
IGNORED = {"PROTO", "FRAME", "STOP"}


def read_zoo_file(path: Path | str) -> dict[str, dict[str, Any]]:
    """The weights of a ``.pkl`` of Detectron2's zoo, ``{"model": {name: array}}``, without the rest of its content.

    Raises:
        UserError: it is another kind of pickle, or holds more than arrays of numbers, none of which was run.
        ValueError: it is not a whole pickle.
    """
    try:
        pickled = read_file(path, MAX_BYTES)
        content = _Machine().run(pickled)
        if not isinstance(content, dict) or not {"model", "__author__"} <= content.keys():
            raise UserError(
                "this pickle is not of Detectron2's model zoo, which has 'model' and '__author__'",
                file=path,
                remedy="Use a checkpoint of Detectron2; those of Caffe2 and of other projects have to be converted first",
            )
        return {"model": _arrays(content["model"], most=len(pickled))}
    except UnpicklingError as error:
        raise UserError(
            f"this pickle {error}, which weights have no use for; nothing of it was run",
            file=path,
            remedy="Use another source for these weights: a pickle can hold a program",
        ) from error
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror}", file=path, remedy="Correct MODEL.WEIGHTS") from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError("it is not a pickle of arrays") from error


def _arrays(model: dict[str, Any], most: int) -> dict[str, Any]:
    """The arrays of a model by their names; all together they have at most so many bytes, or some stand for others."""
    found = {name: value for name, value in model.items() if isinstance(value, _Array)}
    if sum(len(array.content) for array in found.values()) > most:
        raise UnpicklingError("has arrays with more bytes than itself")
    return model | {name: array.read() for name, array in found.items()}


class _Type:
    """A numpy dtype: first what the elements are, then, by BUILD, the order of their bytes."""

    def __init__(self, elements: str, *_how_to_copy: object):
        self.elements = _one_of(NUMBERS, elements, "arrays of the type")
        self.order = "="

    def build(self, state: tuple) -> None:
        self.order = _one_of(BYTE_ORDERS, state[1], "the byte order")


class _Array:
    """A numpy array: first nothing, then, by BUILD, what will be read as an array."""

    def __init__(self, *_class_and_shape: object):
        self.content: bytes | bytearray | str = b""

    def build(self, state: tuple) -> None:
        _, self.shape, self.type, self.by_columns, self.content = state

    def read(self) -> np.ndarray:
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        flat = np.frombuffer(bytearray(content), self.type.order + self.type.elements)
        return flat.reshape(self.shape, order="F" if self.by_columns else "C")  # refuses a shape of other size


def _filled(content: bytes, kind: _Type, shape: tuple[int, ...] = (), order: str = "C") -> _Array:
    array = _Array()
    array.build((1, shape, kind, order == "F", content))
    return array


def _bytes(text: str, encoding: str) -> str:
    """How Python 3 writes bytes for Python 2: as text in which each character stands for a byte."""
    _one_of(("latin1",), encoding, "bytes in the encoding")
    return text


def _one_of(known: tuple[str, ...], value: str, what: str) -> str:
    if not isinstance(value, str):  # what is nested a thousand times takes for ever to write out
        raise TypeError(what)
    if value not in known:
        raise UnpicklingError(f"has {what} {value[:40]!r}")
    return value


def _mapping() -> dict[str, Any]:
    """An empty dict. dict() itself would take keys and values, and so hash keys of any kind."""
    return {}


# What a file may name, and what stands in its place.
NAMES: dict[str, Callable[..., Any] | None] = {
    "numpy ndarray": None,
    "numpy dtype": _Type,
    "collections OrderedDict": _mapping,
    "_codecs encode": _bytes,
}
for core in ("numpy.core", "numpy._core"):  # as numpy 1, with which the zoo was written, and numpy 2 call it
    NAMES |= {
        f"{core}.multiarray _reconstruct": _Array,
        f"{core}.multiarray scalar": lambda kind, content: _filled(content, kind),
        f"{core}.numeric _frombuffer": _filled,
    }


class _Machine:
    """Pickle's machine: a stack, marked places in it, and a memory by numbers. All that it calls is in NAMES."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def run(self, pickled: bytes) -> Any:
        for number, (step, argument, _) in enumerate(pickletools.genops(pickled)):
            if number == MAX_STEPS:
                raise UnpicklingError(f"has more than {MAX_STEPS} steps")
            if step.name in VALUES:
                self.stack.append(argument)
            elif step.name in EMPTY:
                self.stack.append(EMPTY[step.name]())
            elif step.name not in IGNORED:
                self.do(step.name, argument)
        return self.stack.pop()

    def do(self, step: str, argument: Any) -> None:
        stack = self.stack
        match step:
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.last(int(step[-1]))))
            case "LIST":
                stack.append(self.since_mark())
            case "APPEND" | "APPENDS":
                items = self.last(1) if step == "APPEND" else self.since_mark()
                stack[-1].extend(items)
            case "DICT":
                items = self.since_mark()
                stack.append({})
                self.set_items(items)
            case "SETITEM":
                self.set_items(self.last(2))
            case "SETITEMS":
                self.set_items(self.since_mark())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memory[argument] = stack[-1]
            case "MEMOIZE":
                self.memory[len(self.memory)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memory[argument])
            case "GLOBAL":
                stack.append(_named(argument))
            case "STACK_GLOBAL":
                stack.append(_named(" ".join(self.last(2))))
            case "REDUCE":
                (arguments,) = self.last(1)
                stack[-1] = stack[-1](*arguments)
            case "BUILD":
                (state,) = self.last(1)
                if not isinstance(stack[-1], dict):  # PyTorch gives its OrderedDict attributes
                    stack[-1].build(state)
            case _:
                raise UnpicklingError(f"has the step {step}")

    def last(self, number: int) -> list[Any]:
        """Takes so many values from the stack."""
        if len(self.stack) < number:
            raise IndexError("the stack is empty")
        return [self.stack.pop() for _ in range(number)][::-1]

    def since_mark(self) -> list[Any]:
        """Takes what is above the last mark from the stack."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def set_items(self, items: list[Any]) -> None:
        """Gives the dict on top of the stack keys and their values in turn."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # what is nested a thousand times takes for ever to hash
                raise UnpicklingError(f"has a key of the type {type(key).__name__}")
            self.stack[-1][key] = value


def _named(name: str) -> Any:
    if name not in NAMES:
        raise UnpicklingError(f"asks for {name.replace(' ', '.')[:80]}")
    return NAMES[name]
