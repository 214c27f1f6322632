#!/usr/bin/env python
"""Trains and evaluates a Mask R-CNN with a ResNet-18 FPN backbone: Detectron2's tools/train_net.py for LabelMe data."""

from __future__ import annotations

import argparse
import os
import sys

from dataset_tools.errors import UserError, run_command

EXAMPLES = """examples:
  python train_net.py --config-file configs/mask_rcnn_R_18_FPN.yaml DATASETS.ROOT datasets/mine OUTPUT_DIR output/mine
  python train_net.py --config-file output/mine/config.yaml --resume
  python train_net.py --config-file output/mine/config.yaml --eval-only MODEL.WEIGHTS output/mine/model_final.pth
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The flags of Detectron2's own parser, whose import would take seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config-file", required=True, metavar="FILE", help="one of configs/, or the config.yaml of a run"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of OUTPUT_DIR")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on the test split")
    parser.add_argument(
        "--num-gpus", type=int, default=1, help="GPUs on this machine (default: %(default)s, or the CPU)"
    )
    parser.add_argument("--num-machines", type=int, default=1, help="machines in all (default: %(default)s)")
    parser.add_argument("--machine-rank", type=int, default=0, help="this machine's number, from 0")
    # A port for each user, so that two people on one machine do not meet; as in Detectron2.
    port = 2**15 + 2**14 + hash(os.getuid() if sys.platform != "win32" else 1) % 2**14
    parser.add_argument(
        "--dist-url", default=f"tcp://127.0.0.1:{port}", help="where the processes meet (default: %(default)s)"
    )
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="configuration keys and their values"
    )
    return parser.parse_args(arguments)


def main(args: argparse.Namespace) -> None:
    """One process of the run: the only one, or one for each GPU."""
    from polymask.engine.setup import setup
    from polymask.engine.trainer import Trainer, evaluate_only

    cfg = setup(args)
    if args.eval_only:
        evaluate_only(cfg)
        return
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()


def _process(args: argparse.Namespace) -> None:
    """``main`` with its errors in words, also where it is one of several processes."""
    code = run_command(lambda: main(args))
    if code:
        sys.exit(code)


def launch_main() -> int:
    args = parse_arguments()
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    import torch
    from detectron2.engine import launch

    gpus = torch.cuda.device_count()
    if args.num_gpus > max(gpus, 1):  # 1 is also the word for a machine without any
        raise UserError(f"--num-gpus is {args.num_gpus}, and PyTorch finds {gpus} here", remedy="Ask for fewer")
    try:
        launch(_process, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, args=(args,))
    except torch.multiprocessing.ProcessExitedException as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run_command(launch_main))
