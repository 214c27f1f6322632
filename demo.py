#!/usr/bin/env python
"""Draws what a trained model sees in photos: Detectron2's demo/demo.py for a run of train_net.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dataset_tools.errors import UserError, run_command

EXAMPLES = """example:
  python demo.py --config-file output/mine/config.yaml --input photos --output pictures \\
      --opts MODEL.WEIGHTS output/mine/model_final.pth
"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="the config.yaml of a run")
    parser.add_argument("--input", required=True, nargs="+", metavar="PATH", help="photos, or a folder of photos")
    parser.add_argument("--output", required=True, metavar="DIR", help="the folder for the pictures")
    parser.add_argument(
        "--confidence-threshold",
        type=float,
        default=0.5,
        metavar="T",
        help="draw instances that score at least T (default: %(default)s)",
    )
    parser.add_argument(
        "--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="configuration keys and their values"
    )
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_arguments()
    pairs = pair_inputs_with_outputs([Path(path) for path in args.input], Path(args.output))
    from polymask.known_warnings import silence_known_warnings

    silence_known_warnings()
    import cv2
    from tqdm import tqdm

    from polymask.pictures import draw_predictions, metadata_of
    from polymask.predictor import Predictor, predictor_config, read_photo

    predictor = Predictor(predictor_config(args.config_file, args.opts, args.confidence_threshold))
    metadata = metadata_of(predictor.classes)
    Path(args.output).mkdir(parents=True, exist_ok=True)
    for source, target in tqdm(pairs, unit="photo", disable=None):
        photo = read_photo(source)
        instances = predictor.predict(photo)
        cv2.imwrite(str(target), draw_predictions(photo, instances, metadata))
        tqdm.write(f"{source}: {len(instances)} instances -> {target}")


def pair_inputs_with_outputs(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Each photo with the picture that will be drawn of it.

    ``a.jpg`` becomes ``OUTPUT/a.jpg.png``, so that ``a.png`` is another.
    """
    from dataset_tools.images import SUFFIXES

    photos = []
    for path in inputs:
        if path.is_dir():
            photos += sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        else:
            photos.append(path)
    missing = [photo for photo in photos if not photo.is_file()]
    if missing:
        raise UserError("there is no such photo", file=missing[0], remedy="Correct --input")
    if not photos:
        raise UserError("there is no photo in this folder", file=inputs[0], remedy="Correct --input")
    pairs = [(photo, output / f"{photo.name}.png") for photo in photos]
    if len({target for _, target in pairs}) < len(pairs):
        raise UserError("two photos have the same name, and so would their pictures", remedy="Draw them in two runs")
    return pairs


if __name__ == "__main__":
    sys.exit(run_command(main))
