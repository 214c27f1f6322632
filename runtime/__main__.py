"""``python -m runtime``: what an exported model sees in photos, as pictures and files."""

import argparse
import json
import os
import sys
from hashlib import sha256
from pathlib import Path

from .finished import Finished, write
from .model import Model
from .photos import SUFFIXES, RuntimeProblem, read_photo
from .writers import draw, labelme_files, to_coco, to_labelme

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
    if not 0 <= (args.confidence_threshold or 0) <= 1:
        raise RuntimeProblem("--confidence-threshold", f"it is {args.confidence_threshold}", "Use a number from 0 to 1")
    photos, coco_file, failed = find_photos(args.photos, args.output), args.output / "coco.json", 0
    for key, (path, _) in photos.items():
        if set(args.save) != {"pictures"} and key.encode(errors="ignore").decode() != key:
            raise RuntimeProblem(path, "its path is not Unicode text, but JSON is", "Rename it, or save pictures only")
    files = labelme_files([place for _, place in photos.values()], args.output / "labelme")
    labelme = dict(zip(photos, files)) if "labelme" in args.save else {}
    model = Model(args.model)
    threshold = model.confidence_threshold if args.confidence_threshold is None else args.confidence_threshold
    if threshold < (lowest := model.description["score_threshold"]):
        print(f"The model finds nothing that scores less than {lowest:g}, its own threshold.", file=sys.stderr)
    command = {"model": sha256(args.model.read_bytes()).hexdigest(), "threshold": threshold, "save": sorted(args.save)}
    for file in [*(() if args.resume else labelme.values()), *([coco_file] if "coco" in args.save else [])]:
        if file.exists():
            raise RuntimeProblem(file, "it exists, and may have been corrected by hand", "Choose another --output")
    finished = Finished(args.output, command, args.resume)
    waiting = {key: photo for key, photo in photos.items() if key not in finished.photos}
    for key, (path, place) in waiting.items():
        try:
            pixels = read_photo(path)
        except RuntimeProblem as problem:
            print(f"error: {problem}", file=sys.stderr)
            failed = 1
            continue
        found = model.predict(pixels).scoring(threshold)
        if "pictures" in args.save:
            write(args.output / f"{place}.png", draw(pixels, found, model.colours))
        if labelme and not labelme[key].exists():
            write(labelme[key], to_labelme(found, way(path, labelme[key].parent)))
        image = {"file_name": key, "width": found.size[0], "height": found.size[1]}
        finished.add(key, {"image": image, "annotations": to_coco(found)})
        print(f"{str(path)!r}: {len(found.instances)} instances", flush=True)
    if "coco" in args.save:
        results = finished.results()
        coco = join([results[key] for key in photos if key in results], model.classes)
        write(coco_file, json.dumps(coco, ensure_ascii=False).encode() + b"\n")
    finished.path.unlink()
    return failed


def join(results: list[dict], classes: list[str]) -> dict[str, list]:
    """One COCO object of the images and annotations of all photos, with ids from 1."""
    images = [{"id": image_id} | result["image"] for image_id, result in enumerate(results, start=1)]
    pairs = [(image["id"], one) for image, result in zip(images, results) for one in result["annotations"]]
    annotations = [one | {"id": number, "image_id": image_id} for number, (image_id, one) in enumerate(pairs, start=1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def find_photos(inputs: list[Path], output: Path) -> dict[str, tuple[Path, Path]]:
    """Photos by their paths from the output, each with the place of its results there, as in ``demo.py``."""
    seen = {output.resolve()}  # results are not photos
    found = [(path, top) for top in inputs for path in (photos_in(top, seen) if top.is_dir() else [top])]
    photos = {way(path, output): (path, path.relative_to(top if top.is_dir() else top.parent)) for path, top in found}
    if not photos:
        raise RuntimeProblem(inputs[0], "there is no photo here", "Correct the command")
    if len({str(place).casefold() for _, place in photos.values()}) < len(photos):
        root = os.path.commonpath([os.path.abspath(path.parent) for path, _ in photos.values()])
        photos = {key: (path, Path(os.path.relpath(path, root))) for key, (path, _) in photos.items()}
    return photos


def photos_in(path: Path, seen: set[Path]) -> list[Path]:
    """The photos in a folder and in those in it, also by links, each real folder once; hidden ones are left out."""
    if not path.is_dir() or path.resolve() in seen:
        return [path] if path.suffix.lower() in SUFFIXES and path.is_file() else []
    seen.add(path.resolve())
    return [photo for inner in sorted(path.iterdir()) if inner.name[0] != "." for photo in photos_in(inner, seen)]


def way(photo: Path, folder: Path) -> str:
    """The way from a folder to a photo, with POSIX slashes."""
    return Path(os.path.relpath(photo.parent.resolve() / photo.name, folder.resolve())).as_posix()


if __name__ == "__main__":
    sys.exit(main())
