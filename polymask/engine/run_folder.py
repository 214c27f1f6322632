"""What may be written into a run's folder, which may be a stranger's."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import UserError

# What a run does not write as a temporary file that it renames, which would take the place of a link: folders, and files
# that Detectron2 and TensorBoard open themselves. A pattern without a star finds no link that leads nowhere.
_WRITTEN_IN_PLACE = (
    "log.txt*",
    "metrics.json*",
    "events.out.tfevents.*",
    "inference*",
    "inference/*",
    "inference/*/instances_predictions.pth*",
    "pictures*",
)


def check_no_links(folder: Path) -> None:
    """Refuses links and pipes in a run's folder that would lead elsewhere what is written there: it may be a stranger's.

    Raises:
        UserError: a file that is appended to, or a folder for files, is a link or a named pipe.
    """
    for pattern in _WRITTEN_IN_PLACE:
        for path in sorted(folder.glob(pattern)):
            if path.is_symlink() or path.is_fifo():
                raise UserError(
                    "this is a link or a named pipe, and what a run writes would go elsewhere",
                    file=path,
                    remedy="Remove it, or put what it leads to in its place",
                )
