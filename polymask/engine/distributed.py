"""How the processes of one run agree with each other; in a run of one process there is nothing to do."""

from __future__ import annotations

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch.nn.parallel import DistributedDataParallel

from dataset_tools.errors import UserError


def wrap(model: torch.nn.Module) -> torch.nn.Module:
    """The model in DistributedDataParallel if there are several processes; the others get the main one's weights.

    Detectron2's ``create_ddp_model`` names a device, which PyTorch refuses on the CPU. Buffers are broadcast once and
    not before each forward pass, in which no process needs another's: see :func:`synchronise_buffers`.
    """
    if comm.get_world_size() == 1:
        return model
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and dist.get_backend() == dist.Backend.NCCL:
        raise UserError(
            "MODEL.DEVICE is cpu, and the processes talk from GPU to GPU",
            remedy='Hide the GPUs: put CUDA_VISIBLE_DEVICES="" in front of the command',
        )
    device_ids = None if on_cpu else [comm.get_local_rank()]
    return DistributedDataParallel(model, device_ids=device_ids, forward_sync_buffers=False)


def synchronise_buffers(model: torch.nn.Module) -> None:
    """Gives all processes the main one's buffers: to be called on all of them before an evaluation.

    The running statistics of a BatchNorm differ between processes, because each sees other photos. The main process's
    are those that are saved, and so nothing has to be done before saving.
    """
    if comm.get_world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def reduce_flag(flag: bool) -> bool:
    """Whether the flag is set in any process: the same answer in all of them, which must all ask."""
    if comm.get_world_size() == 1:
        return flag
    device = "cuda" if dist.get_backend() == dist.Backend.NCCL else "cpu"
    flags = torch.tensor(flag, dtype=torch.int32, device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def weighted_mean(sums: dict[str, float], count: int) -> dict[str, float]:
    """The mean over the items of all processes, the same in all of them.

    Args:
        sums: of each quantity over this process's items; empty where it has none.
        count: how many items it has.

    Returns:
        The means under the names that any process has; empty where no process has an item.
    """
    shares = comm.all_gather((sums, count))
    items = sum(count for _, count in shares)
    names = dict.fromkeys(name for sums, _ in shares for name in sums)
    return {name: sum(sums.get(name, 0.0) for sums, _ in shares) / items for name in names}
