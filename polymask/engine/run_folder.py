"""What may be written into a run's folder, which may be a stranger's, and by whom."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from dataset_tools.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: there nothing keeps a second run out of the folder
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

LOCK_NAME = "run.lock"
# In the folder of a cross-validation, the runs of its folds, and that of the training on all photos.
FOLDS, FINAL = "fold_*", "final"
# What a run does not write as a temporary file that it renames, which would take the place of a link: folders, and files
# that Detectron2 and TensorBoard open themselves. A pattern without a star finds no link that leads nowhere.
_WRITTEN_IN_PLACE = (
    f"{LOCK_NAME}*",
    "log.txt*",
    "metrics.json*",
    "events.out.tfevents.*",
    "inference*",
    "inference/*",
    "inference/*/instances_predictions.pth*",
    "pictures*",
    "wandb*",
    FOLDS,
    f"{FINAL}*",
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


def lock_folder(folder: Path) -> None:
    """Keeps a run's folder for this process until its end, however it ends; a second time does no harm.

    A lock of ``flock`` would also belong to the data loader's forked workers, which live on for seconds after a
    ``kill -9``, and ``--resume`` would be refused.

    Raises:
        UserError: another process has the folder.
    """
    if fcntl is None:
        return
    # The end of the process closes it.
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        holder = os.read(handle, 200).decode(errors="replace") or "another process"
        remedy = "Wait for its end, or set OUTPUT_DIR to another folder"
        raise UserError(f"{holder} writes into this folder", file=folder, remedy=remedy) from error
    except OSError as error:  # some network file systems
        log.warning("%s cannot be locked (%s): start no second run there.", folder, error.strerror)
    else:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
