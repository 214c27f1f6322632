"""Where pictures and tables may be written, and what of what is there may be replaced."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.source import Source


def check_output_folder(output: Path, source: Source, made_in: Callable[[Path], Collection[str]], what: str) -> None:
    """Refuse to replace anything but an empty folder, or what the same command has made there earlier.

    Args:
        output: the folder to make.
        source: what it is made of.
        made_in: which files in a folder the command has made, as paths relative to it with POSIX slashes.
        what: in words, what the command makes.

    Raises:
        UserError: the folder holds other things, or is in the LabelMe folder.
    """
    check_place(output, source)
    if not (output.exists() or output.is_symlink()):
        return
    if not _is_replaceable(output, made_in):
        raise UserError(f"this exists and does not hold {what} only", file=output, remedy="Choose another --output")


def check_place(output: Path, source: Source) -> None:
    """Refuse to write into a LabelMe folder: pictures would be taken for photos, JSON files for annotations.

    Raises:
        UserError: it is inside the LabelMe folder.
    """
    folders = {source.root.resolve(), source.photo_root.resolve()}
    if isinstance(source, LabelmeFolder) and not folders.isdisjoint(output.resolve().parents):
        reason = "this is inside the LabelMe folder, where it would be taken for photos and annotations"
        raise UserError(reason, file=output, remedy="Choose another --output")


def _is_replaceable(output: Path, made_in: Callable[[Path], Collection[str]]) -> bool:
    if output.is_symlink() or not output.is_dir():
        return False
    files = [path for path in output.rglob("*") if path.is_symlink() or not path.is_dir()]
    if not files:
        return not any(output.iterdir())
    if not all(path.is_file() and not path.is_symlink() for path in files):  # no command makes links or pipes
        return False
    return {path.relative_to(output).as_posix() for path in files} <= set(made_in(output))
