"""The one exception type for everything a user can cause and mend."""

from __future__ import annotations

import copyreg
import os
import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dataset_tools.text import one_line

# Exit codes of every command: 0 is success, 1 says that the data has errors, 2 that the command
# or its configuration is wrong. argparse uses 2 for the same purpose.
EXIT_DATA = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # the shell's own number for Ctrl-C: 128 + SIGINT
EXIT_BROKEN_PIPE = 141  # likewise: 128 + SIGPIPE
EXIT_TERMINATED = 143  # likewise: 128 + SIGTERM


class UserError(Exception):
    """Something the user can mend: what is wrong, in which file, where in it, and what to do.

    As text it is one line without control characters, whatever the names in it hold.

    Args:
        reason: what is wrong, one sentence without a full stop.
        remedy: what to do about it, one sentence in the imperative without a full stop.
        file: the file or folder that it is about.
        place: where in that file, e.g. ``shapes[3].points[0]``.
        exit_code: ``EXIT_USAGE`` (the command or configuration is wrong) or ``EXIT_DATA`` (the data are).
    """

    def __init__(
        self,
        reason: str,
        *,
        remedy: str,
        file: Path | str | None = None,
        place: str | None = None,
        exit_code: int = EXIT_USAGE,
    ):
        self.reason = reason
        self.remedy = remedy
        self.file = file
        self.place = place
        self.exit_code = exit_code
        super().__init__(str(self))

    def __reduce__(self) -> tuple:
        # Exception's own way of pickling, on the way from another process, would lose the keywords.
        return copyreg.__newobj__, (type(self),), self.__dict__  # type: ignore[attr-defined]

    def __str__(self) -> str:
        where = ", ".join(str(part) for part in (self.file, self.place) if part)
        # Messages of libraries have several lines. Names that may hold the end of one are quoted with repr.
        reason = " ".join(line.strip() for line in f"{self.reason}. {self.remedy}.".split("\n"))
        return one_line(f"{where + ': ' if where else ''}{reason}")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: what is half-written is removed on the way."""


def run_command(command: Callable[[], int | None]) -> int:
    """Runs a command line's ``main`` and returns its exit code.

    A :class:`UserError`, and what the system refuses (a full disk, a file in the place of a folder), becomes a message
    on standard error. SIGTERM raises :class:`Terminated` meanwhile.
    """
    try:
        with _termination_raised(), _interruption_repeated():
            return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read the output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more when it ends
        return EXIT_BROKEN_PIPE
    except OSError as error:
        reason = f"the system refuses: {error.strerror or error}"
        remedy = "Look at the disk's free space and at the permissions"
        print(f"error: {UserError(reason, remedy=remedy, file=error.filename)}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        return EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Lets SIGTERM raise ``Terminated``, unless somebody has decided otherwise about it."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other may set a handler
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    process = os.getpid()

    def end(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)  # a process that was forked has the handler, but nothing to clean up
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _interruption_repeated() -> Iterator[None]:
    """Sends the signal again where its exception was lost.

    A signal that arrives while Python runs a destructor, or a callback of a weak reference, raises its exception
    there, and Python drops it: Ctrl-C would do nothing.
    """
    previous = sys.unraisablehook

    def repeat(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            return previous(lost)
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        threading.Timer(0.05, _send_to_main_thread, [number]).start()  # raised in this hook, it would be lost as well

    sys.unraisablehook = repeat
    try:
        yield
    finally:
        sys.unraisablehook = previous


def _send_to_main_thread(number: signal.Signals) -> None:
    if os.name == "posix":
        os.kill(os.getpid(), number)  # ends a wait as well
    else:
        interrupt_main(number)  # os.kill ends the process there
