"""From what people have drawn with LabelMe and other programs to a dataset folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dataset_tools.dataset.make import ConversionResult, make_dataset
from dataset_tools.dataset.options import DatasetOptions, check_options
from dataset_tools.sources.open import open_annotations


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(DatasetOptions):
    """What the user asked for of a folder of annotations, or of a file of them.

    Attributes:
        source: the folder or the file, as ``open_annotations`` takes it.
        photos: the folder of the photos, where they are not under the source.
        encoding: of the files.
        attribute: of the regions of VIA, which is the class; None if that is clear.
        negatives: photos without an annotation file are photos with nothing in them.
    """

    command: ClassVar[str] = "convert"

    source: Path
    photos: Path | None = None
    encoding: str = "utf-8"
    attribute: str | None = None
    negatives: bool = False


def convert(options: ConvertOptions) -> ConversionResult:
    """Turn annotations into a dataset folder.

    Raises:
        UserError: the options are wrong.
        BadData: files have errors and are not to be skipped, or nothing is left. No folder is made or changed then.
    """
    check_options(options, [options.source, options.photos or options.source])
    source = open_annotations(
        options.source, options.photos, options.encoding, options.attribute, options.negatives, options.output
    )
    return make_dataset(source, options)
