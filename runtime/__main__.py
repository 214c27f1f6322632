"""``python -m runtime``: what an exported model sees in photos, as pictures and files."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from .model import Model
from .photos import SUFFIXES, RuntimeProblem, read_photo
from .writers import draw, to_coco, to_labelme


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime", description=__doc__)
    parser.add_argument("model", type=Path, help="what `python -m polymask export` has written")
    parser.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder for the results")
    kinds = ("pictures", "coco", "labelme")
    parser.add_argument("--save", nargs="+", choices=kinds, default=["pictures"], help="default: pictures")
    parser.add_argument("--confidence-threshold", type=float, metavar="T", help="lowest score (default: the file's)")
    try:
        return predict(parser.parse_args())
    except (RuntimeProblem, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
    return 2


def predict(args: argparse.Namespace) -> int:
    """Writes the results of all photos; the exit code is 1 where one cannot be read, which is reported."""
    photos, coco_file, failed = find_photos(args.photos, args.output), args.output / "coco.json", 0
    labelme = {place: args.output / "labelme" / f"{place}.json" for place in photos if "labelme" in args.save}
    for file in [*labelme.values(), *([coco_file] if "coco" in args.save else [])]:
        if file.exists():
            raise RuntimeProblem(file, "it exists, and may have been corrected by hand", "Choose another --output")
    model = Model(args.model)
    threshold = model.confidence_threshold if args.confidence_threshold is None else args.confidence_threshold
    categories = [{"id": index, "name": name} for index, name in enumerate(model.classes, start=1)]
    coco: dict[str, list] = {"images": [], "annotations": [], "categories": categories}
    for place, photo in photos.items():
        try:
            pixels = read_photo(photo)
        except RuntimeProblem as problem:
            print(f"error: {problem}", file=sys.stderr)
            failed = 1
            continue
        found = model.predict(pixels).scoring(threshold)
        if "pictures" in args.save:
            write(args.output / f"{place}.png", draw(pixels, found, model.colours))
        if labelme:
            write(labelme[place], to_labelme(found, way(photo, labelme[place].parent)))
        image_id, size = len(coco["images"]) + 1, {"width": found.size[0], "height": found.size[1]}
        coco["images"].append({"id": image_id, "file_name": way(photo, args.output)} | size)
        coco["annotations"] += to_coco(found, image_id, len(coco["annotations"]) + 1)
        print(f"{str(photo)!r}: {len(found.instances)} instances")
    if "coco" in args.save:
        write(coco_file, json.dumps(coco, ensure_ascii=False).encode() + b"\n")
    return failed


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


def write(path: Path, content: bytes) -> None:
    """Writes a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        Path(folder, "part").write_bytes(content)
        Path(folder, "part").replace(path)


def way(photo: Path, folder: Path) -> str:
    """The way from a folder to a photo, with POSIX slashes."""
    return Path(os.path.relpath(photo.parent.resolve() / photo.name, folder.resolve())).as_posix()


if __name__ == "__main__":
    sys.exit(main())
