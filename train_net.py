#!/usr/bin/env python
"""Trains and evaluates a Mask R-CNN with a ResNet-18 FPN backbone: Detectron2's tools/train_net.py for LabelMe data."""

from __future__ import annotations

import argparse
import sys

from dataset_tools.errors import run_command

EXAMPLES = """examples:
  python train_net.py --config-file configs/mask_rcnn_R_18_FPN.yaml DATASETS.ROOT datasets/mine OUTPUT_DIR output/mine
  python train_net.py --config-file configs/mask_rcnn_R_18_FPN.yaml --dry-run DATASETS.ROOT datasets/mine
  python train_net.py --config-file output/mine/config.yaml --resume
  python train_net.py --config-file configs/mini_scratch.yaml --folds 5 DATASETS.ROOT datasets/mine OUTPUT_DIR output/folds
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
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--resume", action="store_true", help="go on from the last checkpoint of OUTPUT_DIR")
    instead.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS on the test split")
    instead.add_argument("--dry-run", action="store_true", help="say and show what would be done, and train nothing")
    parser.add_argument("--folds", type=int, metavar="K", help="K trainings, which hold out a K-th of all photos each")
    parser.add_argument("--final", action="store_true", help="with --folds: then train on all photos")
    # Without defaults: torchrun, which starts the processes itself, must not meet them.
    parser.add_argument("--num-gpus", type=int, help="GPUs on this machine, or processes on its CPU (default: 1)")
    parser.add_argument("--num-machines", type=int, help="machines in all (default: 1)")
    parser.add_argument("--machine-rank", type=int, help="this machine's number, from 0")
    parser.add_argument("--dist-url", metavar="URL", help="where the processes of several machines meet")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="configuration keys and values")
    return parser.parse_args(arguments)


def main(args: argparse.Namespace, with_report: bool = True) -> None:
    """One process of the run: the only one, or one of several (see ``polymask.engine.launch``)."""
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    from polymask.data.workers import lost_workers_reported

    with lost_workers_reported():
        _run(args, with_report)


def _run(args: argparse.Namespace, with_report: bool) -> None:
    from polymask.engine.setup import setup
    from polymask.engine.trainer import Trainer, evaluate_only
    from polymask.report.write import report_on

    cfg = setup(args)
    if args.eval_only:
        evaluate_only(cfg)
        report_on(cfg)
        return
    if args.dry_run:
        from polymask.engine.dry_run.rehearsal import dry_run

        dry_run(cfg)
        return
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    trainer.train()
    if with_report:
        report_on(cfg)


def run_command_line(arguments: list[str]) -> None:
    """A training of a cross-validation, which has one report on all of them."""
    main(parse_arguments(arguments), with_report=False)


def launch_main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    if args.folds is None and not args.final:
        from polymask.engine.launch import launch

        return launch(main, args)
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    from polymask.engine.folds import cross_validate
    from polymask.report.write import report_on

    return cross_validate(run_command_line, report_on, args)


if __name__ == "__main__":
    sys.exit(run_command(launch_main))
