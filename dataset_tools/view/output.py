"""Where pictures and tables may be written."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.sources.source import ShapeSource, Source


def check_place(output: Path, source: Source) -> None:
    """Refuse to write into a folder of annotations: pictures would be taken for photos, JSON files for annotations.

    Raises:
        UserError: it is inside the folder that is read.
    """
    folders = {source.root.resolve(), source.photo_root.resolve()}
    if isinstance(source, ShapeSource) and not folders.isdisjoint(output.resolve().parents):
        reason = "this is inside the folder that is read, where it would be taken for photos and annotations"
        raise UserError(reason, file=output, remedy="Choose another --output")
