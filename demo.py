#!/usr/bin/env python
"""Shows what a trained model sees in photos, videos or the camera: Detectron2's demo/demo.py for our trainings."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from dataset_tools.errors import run_command

EXAMPLES = """examples (with --opts MODEL.WEIGHTS output/mine/model_final.pth at the end of each):
  python demo.py --config-file output/mine/config.yaml --input photos --output pictures
  python demo.py --config-file output/mine/config.yaml --input 'photos/**/*.jpg' --output found --save coco labelme
  python demo.py --config-file output/mine/config.yaml --input aerial.tif --output pictures --tile 1024 --overlap 0.2
  python demo.py --config-file output/mine/config.yaml --video-input street.mp4 --output found --save pictures coco csv
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config.yaml of a run")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input", nargs="+", metavar="PATH", default=(), help="photos, folders of photos, or patterns in quotes"
    )
    source.add_argument("--video-input", type=Path, metavar="FILE", help="a video")
    source.add_argument("--webcam", action="store_true", help="the camera")
    parser.add_argument("--output", type=Path, metavar="PATH", help="a folder or a file; without it a window is shown")
    parser.add_argument(
        "--save",
        nargs="+",
        choices=("pictures", "coco", "labelme", "csv"),
        default=["pictures"],
        help="what to write: pictures (the default), coco.json, LabelMe files to correct; or of a video the video, COCO "
        "JSON and CSV, in which objects keep their ids",
    )
    parser.add_argument(
        "--confidence-threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="leave out instances that score less than T (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="photos at a time (default: %(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with photos where the same command was stopped")
    parser.add_argument(
        "--num-gpus", type=int, metavar="N", help="GPUs that share the photos, or processes on the CPU (default: 1)"
    )
    parser.add_argument("--half", action="store_true", help="half precision, where the GPU or the processor has it")
    parser.add_argument("--tile", type=int, metavar="PX", help="look at photos in overlapping tiles of PX x PX pixels")
    parser.add_argument("--overlap", type=float, metavar="SHARE", help="of neighbouring tiles (default: 0.2)")
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="configuration keys and their values"
    )
    parser.set_defaults(num_machines=None, machine_rank=None, dist_url=None)  # one machine
    return parser.parse_args(arguments)


def look(args: argparse.Namespace) -> None:
    """One process of the demo: the only one, or one of several (see ``polymask.engine.launch``)."""
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    from tqdm.contrib.logging import logging_redirect_tqdm

    from polymask.demo.run import DemoOptions, run

    logging.basicConfig(format="%(message)s")
    logging.getLogger("polymask").setLevel(logging.INFO)
    with logging_redirect_tqdm():  # messages above the progress bar
        run(DemoOptions(**{field.name: getattr(args, field.name) for field in fields(DemoOptions)}))


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    from polymask.engine.launch import launch

    return launch(look, args)


if __name__ == "__main__":
    sys.exit(run_command(main))
