"""``python -m runtime``: what an exported model sees in photos, as pictures and files."""

import argparse
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from .finished import Finished, write
from .model import Model
from .photos import SUFFIXES, RuntimeProblem, read_photo
from .writers import draw, to_coco, to_labelme

KINDS = ["pictures", "coco", "labelme"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime", description=__doc__)
    parser.add_argument("model", type=Path, help="what `python -m polymask export` has written")
    parser.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder for the results")
    parser.add_argument("--save", nargs="+", choices=KINDS, default=KINDS[:1], help="default: pictures")
    parser.add_argument("--confidence-threshold", type=float, metavar="T", help="lowest score (default: the file's)")
    parser.add_argument("--resume", action="store_true", help="go on where the same command was stopped")
    try:
        return predict(parser.parse_args())
    except (RuntimeProblem, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def predict(args: argparse.Namespace) -> int:
    """Writes the results of all photos; the exit code is 1 where one cannot be read, which is reported."""
    photos, coco_file, failed = find_photos(args.photos, args.output), args.output / "coco.json", 0
    labelme = {place: args.output / "labelme" / f"{place}.json" for place in photos if "labelme" in args.save}
    model = Model(args.model)
    threshold = model.confidence_threshold if args.confidence_threshold is None else args.confidence_threshold
    command = {"model": sha256(args.model.read_bytes()).hexdigest(), "threshold": threshold, "save": sorted(args.save)}
    for file in [*(() if args.resume else labelme.values()), *([coco_file] if "coco" in args.save else [])]:
        if file.exists():
            raise RuntimeProblem(file, "it exists, and may have been corrected by hand", "Choose another --output")
    finished = Finished(args.output, command, args.resume)
    for place in (place for place in photos if place not in finished.places):
        try:
            pixels = read_photo(photos[place])
        except RuntimeProblem as problem:
            print(f"error: {problem}", file=sys.stderr)
            failed = 1
            continue
        found = model.predict(pixels).scoring(threshold)
        if "pictures" in args.save:
            write(args.output / f"{place}.png", draw(pixels, found, model.colours))
        if labelme and not labelme[place].exists():
            write(labelme[place], to_labelme(found, way(photos[place], labelme[place].parent)))
        image = {"file_name": way(photos[place], args.output), "width": found.size[0], "height": found.size[1]}
        finished.add(place, {"image": image, "annotations": to_coco(found)})
        print(f"{str(photos[place])!r}: {len(found.instances)} instances", flush=True)
    if "coco" in args.save:
        results = finished.results()
        coco = join([results[place] for place in photos if place in results], model.classes)
        write(coco_file, json.dumps(coco, ensure_ascii=False).encode() + b"\n")
    finished.forget()
    return failed


def join(results: list[dict[str, Any]], classes: list[str]) -> dict[str, list]:
    """One COCO object of the images and annotations of all photos, with ids from 1."""
    images = [{"id": image_id} | result["image"] for image_id, result in enumerate(results, start=1)]
    pairs = [(image["id"], one) for image, result in zip(images, results) for one in result["annotations"]]
    annotations = [one | {"id": number, "image_id": image_id} for number, (image_id, one) in enumerate(pairs, start=1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def find_photos(inputs: list[Path], output: Path) -> dict[str, Path]:
    """Photos by the place of their results in the output: their names, or their paths in a folder that was named."""
    places: dict[str, Path] = {}
    for given in inputs:
        photos = [path for path in sorted(given.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
        photos = [path for path in photos if output.resolve() not in path.resolve().parents]  # these are results
        for path in photos if given.is_dir() else [given]:
            place = path.relative_to(given).as_posix() if given.is_dir() else path.name
            if places.setdefault(place, path) != path:
                raise RuntimeProblem(path, f"its results would replace those of {places[place]}", "Rename it")
    if not places:
        raise RuntimeProblem(inputs[0], "there is no photo here", "Correct the command")
    return places


def way(photo: Path, folder: Path) -> str:
    """The way from a folder to a photo, with POSIX slashes."""
    return Path(os.path.relpath(photo.parent.resolve() / photo.name, folder.resolve())).as_posix()


if __name__ == "__main__":
    sys.exit(main())
