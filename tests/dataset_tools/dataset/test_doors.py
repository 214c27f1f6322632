"""Other people's files through every door: LabelMe and CSV through convert, COCO through adopt.

What has one meaning is taken and said; what has two is an error that names both; nothing outside is opened.
"""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from dataset_tools.__main__ import main
from dataset_tools.dataset.adopt import AdoptOptions, adopt
from dataset_tools.dataset.convert import ConvertOptions, convert
from dataset_tools.errors import UserError
from dataset_tools.findings import BadData
from dataset_tools.formats.card import read_card
from dataset_tools.images.photo_finder import PhotoFinder, PhotoName
from tests.dataset_tools.conftest import SIZE

SQUARE = [8, 8, 24, 8, 24, 24, 8, 24]
# What a folder of one or two photos always has.
OF_SMALL_FOLDERS = {"LM059", "LM060", "LM061", "LM062"}


def image(number=1, name="a.png", size=SIZE, **keys):
    return {"id": number, "file_name": name, "width": size[0], "height": size[1]} | keys


def annotation(number=1, **keys):
    content = {"id": number, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "bbox": [8, 8, 16, 16]}
    content |= {"area": 256, "iscrowd": 0} | keys
    return {key: value for key, value in content.items() if value is not ...}


def coco(*annotations, images=None, categories=((1, "car"), (2, "bus"))):
    categories = [{"id": number, "name": name} for number, name in categories]
    return {"images": images or [image()], "annotations": list(annotations), "categories": categories}


def write_coco(folder, content, name="ann/coco.json"):
    path = folder.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


class Door:
    """One way in: writes a file with one square on the photo of a name, and takes it."""

    def __init__(self, kind, folder, square):
        self.kind, self.folder, self.square = kind, folder, square

    def write(self, name, size=SIZE, home="ann"):
        home = f"{home}/" if home else ""
        if self.kind == "labelme":
            self.folder.json(f"{home}file.json", [self.square()], name, size=size)
        elif self.kind == "coco":
            write_coco(self.folder, coco(annotation(), images=[image(1, name, size)]), f"{home}coco.json")
        else:
            path = self.folder.root / f"{home}boxes.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'car,8,8,16,16,"{name}",{size[0]},{size[1]}\n', encoding="utf-8")
        self.home = self.folder.root / home

    def take(self, **options):
        output = self.folder.dataset
        if self.kind == "labelme":
            return convert(ConvertOptions(source=self.folder.root, output=output, **options))
        if self.kind == "coco":
            file = self.home / "coco.json"
            return adopt(AdoptOptions(file=file, images_root=self.folder.root, output=output, **options))
        return convert(
            ConvertOptions(source=self.home / "boxes.csv", photos=self.folder.root, output=output, **options)
        )

    def photo(self):
        """The photo that was taken."""
        (image,) = self.folder.split()["images"]
        return image["file_name"]


@pytest.fixture(params=["labelme", "coco", "csv"])
def door(request, folder, square):
    return Door(request.param, folder, square)


def errors(caught):
    return [finding for finding in caught.value.findings if finding.is_error]


# Names. Each photo is called in a file by another name than it has on the disk.

HASH = "0f9b3c5d7e1a2b4c6d8e0f1a2b3c4d5e"
ONE_READING = {
    "a space in percent": ("p%201 (HD).png", ["photos/p 1 (HD).png"]),
    "letters in percent": ("caf%C3%A9.png", ["photos/caf\u00e9.png"]),
    "in percent on the disk": ("p 1.png", ["photos/p%201.png"]),
    "a folder in percent": ("my%20set/p.png", ["other/p.png", "my set/p.png"]),
    "an accent apart": ("caf\u00e9.png", ["photos/cafe\u0301.png"]),
    "an accent together": ("cafe\u0301.png", ["photos/caf\u00e9.png"]),
    "a kana apart": ("\u304c.png", ["photos/\u304b\u3099.png"]),
    "capitals": ("P1.PNG", ["photos/p1.png"]),
    "capitals of the suffix": ("p1.jpg", ["photos/p1.JPG"]),
    "capitals of a folder": ("Set/P1.png", ["other/p1.png", "set/p1.png"]),
    "another suffix": ("p1.jpg", ["photos/p1.png"]),
    "no suffix": ("p1", ["photos/p1.png"]),
    "one suffix more on the disk": ("p1.png", ["photos/p1.png.jpg"]),
    "Label Studio's prefix": ("images/1/8f3a2b1c-p1.png", ["photos/p1.png"]),
    "Label Studio's prefix on the disk": ("p1.png", ["photos/8f3a2b1c-p1.png"]),
    "an MD5 for a prefix": (f"{HASH}_p1.png", ["photos/p1.png"]),
    "a UUID for a prefix": ("6ba7b810-9dad-11d1-80b4-00c04fd430c8-p1.png", ["photos/p1.png"]),
    "Roboflow's hash": (f"p1_png.rf.{HASH}.jpg", ["photos/p1.png"]),
    "Roboflow's hash on the disk": ("p1.png", [f"photos/p1_png.rf.{HASH}.jpg"]),
    "above everything": ("../../../../label-studio/media/upload/4/p1.png", ["photos/p1.png"]),
    "above everything on Windows": ("..\\..\\..\\..\\media\\p1.png", ["photos/p1.png"]),
    "above, and only the last folder agrees": ("../../../../old/two/p1.png", ["one/p1.png", "two/p1.png"]),
    "Windows": ("C:\\Users\\her\\two\\p1.png", ["one/p1.png", "two/p1.png"]),
    "UNC": ("\\\\server\\share\\set\\two\\p1.png", ["one/p1.png", "two/p1.png"]),
    "another machine": ("/home/her/set/two/p1.png", ["one/p1.png", "two/p1.png"]),
    "two folders agree": ("D:\\b\\c\\p1.png", ["a/c/p1.png", "b/c/p1.png"]),
    "a link of the web": ("https://x.s3.amazonaws.com/set/p1.png?Amz=AKIA/2024/us&y=1#top", ["photos/p1.png"]),
    "a file of the web": ("file:///home/her/p%201.png", ["photos/p 1.png"]),
}


@pytest.mark.parametrize("case", ONE_READING)
def test_a_name_of_one_photo_leads_to_it_and_is_said(door, case):
    name, (*others, photo) = ONE_READING[case]
    for index, present in enumerate([photo, *others]):
        door.folder.photo(present, seed=index)
    door.write(name)
    findings = [item for item in door.take().findings if item.rule.code == "LM010"]
    assert (door.photo(), len(findings)) == (photo, 1)
    assert repr(name) in findings[0].message and f"'{photo}'" in findings[0].message


@pytest.mark.parametrize("name", ["caf\u00e9.png", "photos/caf\u00e9.png"])
def test_names_that_look_the_same_are_told_apart(door, name):
    door.folder.photo("photos/cafe\u0301.png")
    door.write(name)
    (finding,) = [item for item in door.take().findings if item.rule.code == "LM010"]
    assert "Unicode" in finding.message


TWO_READINGS = {
    "two suffixes": ("p1.jpg", ["photos/p1.png", "photos/p1.webp"]),
    "two capitals": ("P1.png", ["one/p1.png", "two/p1.PNG"]),
    "two hashes": ("p1.png", ["photos/8f3a2b1c-p1.png", "photos/77aa0011-p1.png"]),
    "two folders": ("D:\\set\\p1.png", ["one/p1.png", "two/p1.png"]),
    "two folders above": ("../../../../p1.png", ["one/p1.png", "two/p1.png"]),
    "two spaces": ("p%201.png", ["one/p 1.png", "two/p 1.png"]),
}


@pytest.mark.parametrize("case", TWO_READINGS)
def test_a_name_of_two_photos_is_an_error_that_names_both(door, case):
    name, photos = TWO_READINGS[case]
    for index, photo in enumerate(photos):
        door.folder.photo(photo, seed=index)
    door.write(name)
    with pytest.raises(BadData) as caught:
        door.take()
    (finding,) = errors(caught)
    assert finding.rule.code == "LM022" and all(f"'{photo}'" in finding.message for photo in photos)


@pytest.mark.parametrize("case", TWO_READINGS)
def test_of_two_photos_the_one_of_the_right_size_is_meant(door, case):
    name, (wrong, right) = TWO_READINGS[case]
    door.folder.photo(wrong, size=(40, 30))
    door.folder.photo(right)
    door.write(name)
    assert "LM010" in {item.rule.code for item in door.take().findings}
    assert door.photo() == right


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("20240103-p1.png", "photos/p1.png"),  # a date is not a hash
        ("8f3a2b1c-p1.png", "photos/77aa0011-p1.png"),
        ("p1.png", "photos/p10.png"),
        ("p1.png", "photos/xp1.png"),
        ("", "photos/p1.png"),
        ("photos", "photos/p1.png"),
    ],
)
def test_a_name_of_no_photo(door, name, photo):
    door.folder.photo(photo)
    door.write(name)
    with pytest.raises(BadData) as caught:
        door.take()
    assert {finding.rule.code for finding in errors(caught)} <= {"LM013", "LM085"}


def test_a_missing_photo_is_told_the_nearest_name(folder):
    for index, name in enumerate(("set/street_011.png", "set/house_01.png")):
        folder.photo(name, seed=index)
    names = ("Street_01.jpg", "völlig anders.png")
    images = [image(number, name) for number, name in enumerate(names, start=1)]
    path = write_coco(folder, coco(annotation(), annotation(2, image_id=2), images=images))
    with pytest.raises(BadData) as caught:
        adopt(AdoptOptions(file=path, images_root=folder.root, output=folder.dataset))
    near, far = errors(caught)
    assert {near.rule.code, far.rule.code} == {"LM013"}
    assert "'set/street_011.png'" in near.message and "set/" not in far.message


@pytest.mark.parametrize("kind", ["coco", "csv"])
def test_a_photo_that_has_a_name_of_its_own_is_not_another_ones(folder, square, kind):
    """a.png is listed itself, so that a.jpg is missing, and not that photo."""
    folder.photo("a.png")
    if kind == "coco":
        images = [image(1, "a.jpg"), image(2, "a.png")]
        file = write_coco(folder, coco(annotation(), annotation(2, image_id=2), images=images))
        take, options = adopt, AdoptOptions(file=file, images_root=folder.root, output=folder.dataset)
    else:
        file = folder.root / "boxes.csv"
        file.write_text("car,8,8,16,16,a.jpg,64,48\ncar,8,8,16,16,a.png,64,48\n")
        take, options = convert, ConvertOptions(source=file, output=folder.dataset)
    with pytest.raises(BadData) as caught:
        take(options)
    assert [(item.rule.code, item.file) for item in errors(caught)] == [("LM013", "a.jpg")]


# Paths with "..", and links: what lies in the folder or beside the file is taken, and nothing else


@pytest.mark.parametrize("name", ["../photos/p1.png", "..\\photos\\p1.png", "x/../../photos/./p1.png"])
def test_a_path_from_the_file_that_ends_in_the_folder_of_photos(door, name):
    """As demo.py and X-AnyLabeling write it; two photos of that name show that the path is followed."""
    door.folder.photo("photos/p1.png")
    door.folder.photo("other/p1.png", seed=1)
    door.write(name)
    assert "LM010" not in {item.rule.code for item in door.take().findings}
    assert door.photo() == "photos/p1.png"


def test_a_file_in_the_folder_of_its_photos_that_names_the_folder(folder):
    """X-AnyLabeling; without --images-root."""
    for index, name in enumerate(("0.jpg", "1.jpg")):
        folder.photo(f"label/{name}", seed=index)
    images = [image(1, "0.jpg"), image(2, "..\\label\\1.jpg")]
    path = write_coco(folder, coco(annotation(), annotation(2, image_id=2), images=images), "label/coco.json")
    findings = adopt(AdoptOptions(file=path, output=folder.dataset, fractions=(1, 0, 0))).findings
    assert {item.rule.code for item in findings} <= OF_SMALL_FOLDERS | {"LM080"}
    assert [item["file_name"] for item in folder.split()["images"]] == ["0.jpg", "1.jpg"]


def test_a_path_that_ends_beside_the_file(folder):
    """demo.py --save coco, whose folder of results is not that of the photos."""
    folder.photo("../found/sub/p1.png")
    folder.photo("a.png")
    path = write_coco(folder, coco(annotation(), images=[image(1, "../found/sub/p1.png")]), "../found/coco.json")
    adopt(AdoptOptions(file=path, images_root=folder.root, output=folder.dataset))
    assert folder.split()["images"][0]["file_name"] == "../found/sub/p1.png"


@pytest.mark.parametrize("name", ["../secret.png", "../../secret.png", "..\\..\\secret.png", "x/../../../secret.png"])
def test_nothing_outside_is_taken(door, name):
    door.folder.photo("../secret.png")
    door.folder.photo("a.png")
    door.write(name)
    with pytest.raises(BadData) as caught:
        door.take()
    assert {finding.rule.code for finding in errors(caught)} <= {"LM011", "LM013"}


@pytest.mark.parametrize("name", [".up/secret.png", "sub/../.up/secret.png", ".up/../.up/secret.png", "link.png"])
def test_a_link_that_is_no_photo_of_the_folder_is_not_followed(door, tmp_path, name):
    """Hidden links, and links under the name of no photo, are not what somebody has put there as photos."""
    (tmp_path / "private").mkdir()
    door.folder.photo("../private/secret.png")
    door.folder.photo("a.png")
    (door.folder.root / ".up").symlink_to(tmp_path / "private")
    (door.folder.root / ".link.png").symlink_to(tmp_path / "private/secret.png")
    door.write(name.replace("link", ".link"), home="")
    with pytest.raises(BadData) as caught:
        door.take()
    assert {finding.rule.code for finding in errors(caught)} <= {"LM011", "LM013"}


def test_a_link_beside_the_file_leads_nowhere(folder, tmp_path):
    (tmp_path / "private").mkdir()
    folder.photo("../private/secret.png")
    folder.photo("a.png")
    path = write_coco(folder, coco(annotation(), images=[image(1, "../found/up/secret.png")]), "../found/coco.json")
    (path.parent / "up").symlink_to(tmp_path / "private")
    with pytest.raises(BadData) as caught:
        adopt(AdoptOptions(file=path, images_root=folder.root, output=folder.dataset))
    assert [finding.rule.code for finding in errors(caught)] == ["LM011"]


def test_many_names_take_time_in_proportion(folder):
    """10,000 names of another machine, all photos of one name: each is looked for by its own folders."""
    photos = {f"{number // 100}/{number % 100}/frame.png" for number in range(10_000)}
    finder = PhotoFinder(folder.root, photos=photos)
    names = [PhotoName(f"D:\\set\\{photo}", "file_name", "", folder.root) for photo in sorted(photos)]
    assert [found for found, _ in finder.locate(names)] == sorted(photos)


# Numbers and names of COCO files


def adopted(folder, content, **options):
    """The labels of the instances of each photo that were taken, and the findings."""
    path = write_coco(folder, content, "coco.json")
    made = adopt(AdoptOptions(file=path, output=folder.dataset, fractions=(1, 0, 0), **options))
    split = folder.split()
    names = {category["id"]: category["name"] for category in split["categories"]}
    taken = {item["file_name"]: [] for item in split["images"]}
    photos = {item["id"]: item["file_name"] for item in split["images"]}
    for item in split["annotations"]:
        taken[photos[item["image_id"]]].append((names[item["category_id"]], item["area"]))
    return taken, [item for item in made.findings if item.rule.code not in OF_SMALL_FOLDERS | {"LM080"}]


def with_images(ids):
    images = [image(number, f"{'ab'[index]}.png") for index, number in enumerate(ids)]
    drawn = [annotation(index, image_id=number, category_id=index + 1) for index, number in enumerate(ids)]
    return coco(*drawn, images=images)


BOTH = {"a.png": [("car", 256)], "b.png": [("bus", 256)]}
CAR = {"a.png": [("car", 256)]}
TYPES = {
    "text ids": (with_images(["img_1", "img_2"]), BOTH, set()),
    "numbers of ids as text": (with_images(["1", "2"]), BOTH, {"LM091"}),
    "image_id as text": (coco(annotation(image_id="1")), CAR, {"LM091"}),
    "image id as text": (coco(annotation(image_id=1), images=[image("1")]), CAR, {"LM091"}),
    "image id with zeros": (coco(annotation(image_id=1), images=[image("0001")]), CAR, {"LM091"}),
    "image_id a whole float": (coco(annotation(image_id=1.0)), CAR, {"LM091"}),
    "image id a whole float as text": (coco(annotation(), images=[image("1.0")]), CAR, {"LM091"}),
    "category_id as text": (coco(annotation(category_id="1", iscrowd=None)), CAR, {"LM091"}),
    "category_id a whole float": (coco(annotation(category_id=1.0)), CAR, {"LM091"}),
    "category id as text": (coco(annotation(), categories=[("1", "car")]), CAR, {"LM091"}),
    "text ids of categories": (coco(annotation(category_id="c"), categories=[("c", "car"), (1, "bus")]), CAR, set()),
    "an annotation's id as text": (coco(annotation("x1")), CAR, set()),
    "an annotation's id as number in text": (coco(annotation("7")), CAR, {"LM091"}),
    "an annotation's id of MongoDB": (coco(annotation({"$oid": "5f"})), CAR, {"LM091"}),
    "area as text": (coco(annotation(area="256")), CAR, {"LM091"}),
    "area of words": (coco(annotation(area="n/a")), CAR, {"LM091"}),
    "area a list": (coco(annotation(area=[256])), CAR, {"LM091"}),
    "iscrowd 0 as text": (coco(annotation(iscrowd="0")), CAR, {"LM091"}),
    "iscrowd false": (coco(annotation(iscrowd=False)), CAR, set()),
    "iscrowd false as text": (coco(annotation(iscrowd="false")), CAR, {"LM091"}),
    "iscrowd null": (coco(annotation(iscrowd=None)), CAR, set()),
    "iscrowd empty": (coco(annotation(iscrowd="")), CAR, {"LM091"}),
    "iscrowd 1 as text": (coco(annotation(), annotation(2, iscrowd="1")), CAR, {"LM078", "LM091"}),
    "width as text": (coco(annotation(), images=[image(width="64")]), CAR, {"LM091"}),
    "height a float as text": (coco(annotation(), images=[image(height="48.0")]), CAR, {"LM091"}),
    "width null": (coco(annotation(), images=[image(width=None)]), CAR, set()),
    "box as text": (coco(annotation(segmentation=[], bbox=["8", "8", "16", "16"])), CAR, {"LM076", "LM091"}),
    "box of words beside a mask": (coco(annotation(bbox="none")), CAR, {"LM091"}),
    "names that are numbers": (
        coco(annotation(), categories=[(1, 0), (2, 1)]), {"a.png": [("0", 256)]}, {"LM091"}),
    "names that are floats": (coco(annotation(), categories=[(1, 5.0)]), {"a.png": [("5", 256)]}, {"LM091"}),
    "two equal categories": (coco(annotation(), categories=[(1, "car"), (1, "car")]), CAR, {"LM091"}),
    "two equal categories of two ids": (
        coco(annotation(), annotation(2, category_id=2, segmentation=[[30, 8, 46, 8, 46, 24, 30, 24]]),
             categories=[(1, "car"), (2, "car")]),
        {"a.png": [("car", 256), ("car", 256)]}, set()),
    "equal categories by value": (coco(annotation(), categories=[(1, "car"), ("1", "car")]), CAR, {"LM091"}),
    "flat": (coco(annotation(segmentation=SQUARE)), CAR, {"LM091"}),
    "pairs": (coco(annotation(segmentation=[[8, 8], [24, 8], [24, 24], [8, 24]])), CAR, {"LM091"}),
    "lists of pairs": (coco(annotation(segmentation=[[[8, 8], [24, 8], [24, 24], [8, 24]]])), CAR, {"LM091"}),
    "coordinates as text": (coco(annotation(segmentation=[[str(value) for value in SQUARE]])), CAR, {"LM091"}),
    "flat and as text": (coco(annotation(segmentation=[f"{value:.1f}" for value in SQUARE])), CAR, {"LM091"}),
    "two polygons, one in pairs": (
        coco(annotation(segmentation=[SQUARE, [[30, 8], [46, 8], [46, 24], [30, 24]]])),
        {"a.png": [("car", 512)]}, {"LM091"}),
    "size of a mask in floats": (
        coco(annotation(segmentation={"size": [48.0, 64.0], "counts": [100, 20, 2952]})),
        {"a.png": [("car", 20)]}, {"LM091"}),
    "size and runs of a mask as text": (
        coco(annotation(segmentation={"size": ["48", "64"], "counts": ["100", "20", "2952"]})),
        {"a.png": [("car", 20)]}, {"LM091"}),
    "annotations as an object": (coco() | {"annotations": {"1": annotation(), "2": annotation(2, iscrowd=1)}}, CAR,
                                 {"LM078", "LM091"}),
    "images as an object": (coco(annotation(image_id="1")) | {
        "images": {"1": {"file_name": "a.png", "width": 64, "height": 48}}}, CAR, {"LM091"}),
    "categories as an object": (coco(annotation()) | {"categories": {"1": {"name": "car"}}}, CAR, {"LM091"}),
    "not a number among coordinates": (coco(annotation(), annotation("2", segmentation=[[8, float("nan"), 9, 9, 8, 9]])),
                                       CAR, {"LM032", "LM091"}),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPES)
def test_numbers_and_names_of_one_reading(folder, case):
    content, expected, codes = TYPES[case]
    folder.photo("a.png")
    if "b.png" in expected:
        folder.photo("b.png", seed=1)
    taken, findings = adopted(folder, content)
    assert (taken, {finding.rule.code for finding in findings}) == (expected, codes)


GOOD = annotation(9, image_id=2, segmentation=[SQUARE])
FAULTS = {
    "category null": (annotation(category_id=None), ("LM070", "a.png", "annotations[0]")),
    "category missing": (annotation(category_id=...), ("LM070", "a.png", "annotations[0]")),
    "category a list": (annotation(category_id=[1]), ("LM070", "a.png", "annotations[0]")),
    "category 1.5": (annotation(category_id=1.5), ("LM070", "a.png", "annotations[0]")),
    "category true": (annotation(category_id=True), ("LM070", "a.png", "annotations[0]")),
    "segmentation of words": (annotation(segmentation="somewhere"), ("LM074", "a.png", "annotations[0]")),
    "coordinates of words": (annotation(segmentation=[["left"] * 6]), ("LM074", "a.png", "annotations[0]")),
    "an object for an outline": (annotation(segmentation={"x": [1, 2, 3]}), ("LM074", "a.png", "annotations[0]")),
}


@pytest.mark.parametrize("case", FAULTS)
def test_the_fault_of_an_annotation_is_one_of_its_photo_only(folder, case):
    wrong, expected = FAULTS[case]
    folder.photo("a.png")
    folder.photo("b.png", seed=1)
    content = coco(wrong, GOOD, images=[image(), image(2, "b.png")])
    with pytest.raises(BadData) as caught:
        adopted(folder, content)
    assert [(item.rule.code, item.file, item.place) for item in errors(caught)] == [expected]
    assert adopted(folder, content, skip_bad=True)[0] == {"b.png": [("car", 256)]}


FILE_FAULTS = {
    "an image without a name": ({"images": [image(name=None), image(2, "b.png")]}, "images[0].file_name"),
    "an image without an id": ({"images": [{"file_name": "a.png"}, image(2, "b.png")]}, "images[0]"),
    "an image that is no object": ({"images": [3, image(2, "b.png")]}, "images[0]"),
    "a category without a name": ({"categories": [{"id": 1, "name": "car"}, {"id": 2}]}, "categories[1]"),
    "a category of two kinds": ({"categories": [{"id": 1, "name": "car"}, {"id": 2, "name": []}]},
                                "categories[1].name"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILE_FAULTS)
def test_the_fault_of_an_image_or_a_category_leaves_the_rest(folder, case):
    keys, place = FILE_FAULTS[case]
    folder.photo("b.png", seed=1)
    content = coco(GOOD, images=[image(2, "b.png")]) | keys
    with pytest.raises(BadData) as caught:
        adopted(folder, content)
    assert [(item.rule.code, item.file, item.place) for item in errors(caught)] == [("LM004", "coco.json", place)]
    assert adopted(folder, content, skip_bad=True)[0] == {"b.png": [("car", 256)]}


def test_two_names_of_one_category_are_both_named(folder):
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    drawn = annotation(category_id=2), annotation(2, image_id=2)
    content = coco(*drawn, images=[image(), image(2, "b.png")], categories=[(1, "car"), (2, "bus"), ("2", "tram")])
    with pytest.raises(BadData) as caught:
        adopted(folder, content)
    (finding,) = errors(caught)
    assert (finding.rule.code, finding.file) == ("LM070", "a.png")
    assert "'bus'" in finding.message and "'tram'" in finding.message
    assert adopted(folder, content, skip_bad=True)[0] == {"b.png": [("car", 256)]}


def test_ids_that_are_equal_by_value_are_both_named(folder):
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    with pytest.raises(BadData) as caught:
        adopted(folder, coco(annotation(), images=[image(1), image("1", "b.png")]))
    assert [(item.rule.code, item.file) for item in errors(caught)] == [("LM072", "a.png"), ("LM072", "b.png")]


def test_an_annotation_of_no_image_is_left_out(folder):
    folder.photo("a.png")
    taken, findings = adopted(folder, coco(annotation(), annotation(2, image_id=None), annotation(3, image_id=[1])))
    assert taken == CAR
    places = [(item.rule.code, item.place) for item in findings if item.rule.code == "LM071"]
    assert places == [("LM071", "annotations[1]"), ("LM071", "annotations[2]")]


def test_values_are_counted_and_the_first_is_shown(folder):
    folder.photo("a.png")
    drawn = [annotation(number, category_id="1", segmentation=[[8 + number, *SQUARE[1:]]]) for number in range(3)]
    _, findings = adopted(folder, coco(*drawn))
    (finding,) = [item for item in findings if item.rule.code == "LM091"]
    assert (finding.file, finding.place) == ("coco.json", "annotations[0].category_id")
    assert "'1'" in finding.message and "2 more" in finding.message


# Crowds, which are objects in some programs' files


def mask_of(left, top, side=16, packed=False):
    """A square as a run-length code: a list of runs as CVAT writes it, or compressed."""
    pixels = np.zeros(SIZE[::-1], dtype=np.uint8, order="F")
    pixels[top : top + side, left : left + side] = 1
    code = coco_mask.encode(pixels)
    if packed:
        return {"size": code["size"], "counts": code["counts"].decode()}
    flat = pixels.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    return {"size": list(SIZE[::-1]), "counts": np.diff(edges, prepend=0, append=len(flat)).tolist()}


def crowd(number, category=1, image_id=1, **keys):
    segmentation = keys.pop("segmentation", None) or mask_of(8, 8)
    keys = {"image_id": image_id, "category_id": category, "segmentation": segmentation, "iscrowd": 1} | keys
    return annotation(number, **keys)


# What each file comes to with ``crowds="objects"``, and the classes that are an error without.
CROWDS = {
    "all masks, as CVAT writes them": (coco(crowd(1), crowd(2, 2)), ["car", "bus"], {"car", "bus"}),
    "compressed, as Datumaro may": (coco(crowd(1, segmentation=mask_of(8, 8, packed=True))), ["car"], {"car"}),
    "outlines, as text": (coco(crowd(1, iscrowd="1", segmentation=[SQUARE])), ["car"], {"car"}),
    "one class of masks": (coco(annotation(), crowd(2, 2)), ["car", "bus"], {"bus"}),
    "of one category with two ids": (
        coco(crowd(1, 1), annotation(2, category_id=3), categories=[(1, "car"), (3, "car")]), ["car", "car"], set()
    ),
    "beside an object of the class, as in COCO": (coco(annotation(), crowd(2)), ["car", "car"], set()),
}  # fmt: skip


@pytest.mark.parametrize("case", CROWDS)
def test_crowds_that_are_objects(folder, case):
    content, labels, lost = CROWDS[case]
    folder.photo("a.png")
    if lost:
        with pytest.raises(BadData) as caught:
            adopted(folder, content)
        said = {(item.rule.code, item.file, item.message) for item in errors(caught)}
        assert said == {("LM088", "a.png", repr(name)) for name in lost}
    else:
        taken, findings = adopted(folder, content)
        assert taken == CAR and "LM078" in {item.rule.code for item in findings}
    taken, _ = adopted(folder, content, crowds="objects", overwrite=True)
    assert taken == {"a.png": [(label, 256) for label in labels]}


def test_a_class_of_crowds_only_is_no_class_of_what_is_left(folder):
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    content = coco(crowd(1, 2), GOOD, images=[image(), image(2, "b.png")])
    assert adopted(folder, content, skip_bad=True)[0] == {"b.png": [("car", 256)]}
    assert read_card(folder.root.parent / "dataset").classes == ["car"]


@pytest.mark.parametrize("labels", [{"ignore": ("bus",)}, {"rename": {"bus": "car"}}])
def test_crowds_of_a_label_that_is_ignored_or_becomes_a_class_with_objects(folder, labels):
    folder.photo("a.png")
    taken, findings = adopted(folder, coco(annotation(), crowd(2, 2)), **labels)
    assert taken == CAR and "LM078" in {item.rule.code for item in findings}


def test_a_class_whose_objects_are_in_another_file_than_its_crowds(folder):
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    train = write_coco(folder, coco(annotation(), crowd(2, 2)), "train.json")
    objects = annotation(1, category_id=2, image_id=1)
    val = write_coco(folder, coco(objects, images=[image(1, "b.png")]), "val.json")
    options = AdoptOptions(train=train, val=val, images_root=folder.root, output=folder.root.parent / "dataset")
    assert not [item for item in adopt(options).findings if item.is_error]


def test_the_option_on_the_command_line(folder, capsys):
    folder.photo("a.png")
    path = str(write_coco(folder, coco(annotation(), crowd(2, 2))))
    output = folder.root.parent / "dataset"
    arguments = ["adopt", path, "--images-root", str(folder.root), "--output", str(output)]
    assert main(arguments) == 1 and "--crowds objects" in capsys.readouterr().err and not output.exists()
    assert main([*arguments, "--crowds", "objects"]) == 0
    assert read_card(output).made_by["crowds"] == "objects"
    capsys.readouterr()


def test_check_refuses_what_adopt_refuses(folder, capsys):
    """A dataset folder that somebody has changed: training passes crowds over."""
    folder.photo("a.png")
    adopted(folder, coco(annotation(), annotation(2, category_id=2)))
    output = folder.root.parent / "dataset"
    assert main(["check", str(output)]) == 0
    split = output / "train.json"
    content = json.loads(split.read_text())
    content["annotations"] = [one | {"iscrowd": int(one["category_id"] == 2)} for one in content["annotations"]]
    split.write_text(json.dumps(content))
    assert main(["check", str(output)]) == 1 and "LM088" in capsys.readouterr().out


# A photo whose EXIF orientation was not regarded


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["polygon", "runs", "box"])
def test_coco_drawn_in_the_stored_frame_is_turned_with_the_photo(folder, orientation, kind):
    """The oracle is Pillow, which turns a picture of the mask as it turns the photo."""
    path = folder.photo("a.jpg", orientation=orientation)
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[10:20, 30:50] = 1
    corners = [30, 10, 50, 10, 50, 20, 30, 20]
    encoded = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    drawn = {
        "polygon": {"segmentation": [corners]},
        "runs": {"segmentation": {"size": [48, 64], "counts": encoded}},
        "box": {"segmentation": [], "bbox": [30, 10, 20, 10]},
    }[kind]
    _, findings = adopted(folder, coco(annotation(**drawn), images=[image(1, "a.jpg")]))
    assert "LM027" in {item.rule.code for item in findings}
    (made,) = folder.split()["annotations"]
    picture = Image.fromarray(mask)
    exif = Image.open(path).getexif()
    picture.getexif()[0x0112] = exif[0x0112]
    expected = np.asarray(ImageOps.exif_transpose(picture))
    rle = made["segmentation"]
    if isinstance(rle, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(rle, 64, 48))
    assert np.array_equal(coco_mask.decode(rle), expected)
    (listed,) = folder.split()["images"]
    assert (listed["width"], listed["height"]) == (48, 64)


@pytest.mark.parametrize(("size", "orientation"), [((63, 48), 6), ((60, 40), 1), ((48, 60), 8)])
def test_a_size_of_no_frame_is_an_error(folder, size, orientation):
    folder.photo("a.png", orientation=orientation)
    with pytest.raises(BadData) as caught:
        adopted(folder, coco(annotation(), images=[image(size=size)]))
    assert [item.rule.code for item in errors(caught)] == ["LM015"]


def test_a_mask_of_the_shown_frame_on_a_photo_of_the_stored_one_is_an_error(folder):
    """The file says both, so that nothing is known."""
    folder.photo("a.png", orientation=6)
    drawn = annotation(segmentation={"size": [64, 48], "counts": [100, 20, 2952]})
    with pytest.raises(BadData) as caught:
        adopted(folder, coco(drawn))
    assert [item.rule.code for item in errors(caught)] == ["LM079"]


# Folders of splits

LAYOUTS = {
    "CVAT": ("annotations/instances_{}.json", "images/{}/", ("train", "val", "test")),
    "CVAT in capitals": ("annotations/instances_{}.json", "images/{}/", ("Train", "Validation", "Test")),
    "COCO": ("annotations/instances_{}2017.json", "{}2017/", ("train", "val", "test")),
    "COCO in one folder": ("annotations/instances_{}2014.json", "images/{}2014/", ("train", "val", "test")),
    "Roboflow": ("{}/_annotations.coco.json", "{}/", ("train", "valid", "test")),
    "Roboflow in capitals": ("{}/_annotations.coco.json", "{}/images/", ("Train", "Valid", "Test")),
    "by hand": ("{}.json", "{}/", ("train", "validation", "test")),
    "by hand in capitals": ("{}.json", "photos/{}/", ("TRAIN", "VAL", "TEST")),
    "in annotations": ("annotations/{}.json", "{}/", ("train", "val", "test")),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_folders_of_splits_whose_photos_have_equal_names(folder, case):
    file, photos, names = LAYOUTS[case]
    for number, name in enumerate(names):
        images = [image(index + 1, f"frame_{index}.png") for index in range(2)]
        for index in range(2):
            folder.photo(f"{photos.format(name)}frame_{index}.png", seed=10 * number + index)
        write_coco(folder, coco(annotation(), annotation(2, image_id=2), images=images), file.format(name))
    findings = adopt(AdoptOptions(file=folder.root, output=folder.dataset)).findings
    assert not {finding.rule.code for finding in findings} & {"LM010", "LM022", "LM073"}
    for split, name in zip(("train", "val", "test"), names):
        expected = [f"{photos.format(name)}frame_{index}.png" for index in range(2)]
        assert [item["file_name"] for item in folder.split(split)["images"]] == expected


def test_the_folder_that_one_file_is_named_after(folder):
    """CVAT's subsets have any names; the file of one is adopted by itself."""
    for index, name in enumerate(("night", "day")):
        folder.photo(f"images/{name}/frame.png", seed=index)
    path = write_coco(folder, coco(annotation(), images=[image(1, "frame.png")]), "annotations/instances_Day.json")
    adopt(AdoptOptions(file=path, images_root=folder.root, output=folder.dataset))
    assert [item["file_name"] for item in folder.split()["images"]] == ["images/day/frame.png"]


def test_splits_that_mean_one_name_in_two_folders_are_not_one_photo(folder):
    for index, name in enumerate(("one", "two")):
        folder.photo(f"{name}/frame.png", seed=index)
        write_coco(folder, coco(annotation(), images=[image(1, "frame.png")]), f"{('train', 'val')[index]}.json")
    with pytest.raises(BadData) as caught:
        adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    assert [item.rule.code for item in errors(caught)] == ["LM022", "LM022"]
    assert all("'one/frame.png', 'two/frame.png'" in item.message for item in errors(caught))
    assert {item.place for item in errors(caught)} == {"images[0] of train.json", "images[0] of val.json"}


def test_one_photo_that_two_names_lead_to_is_not_to_be_deleted(folder):
    """The folders were flattened: two different photos are listed, and one of them is here."""
    folder.photo("frame.png")
    images = [image(1, "D:\\one\\frame.png"), image(2, "D:\\two\\frame.png")]
    with pytest.raises(BadData) as caught:
        adopted(folder, coco(annotation(), annotation(2, image_id=2), images=images))
    (finding,) = errors(caught)
    assert finding.rule.code == "LM073" and "file_name" in finding.rule.remedy.split(";")[0]
    table = folder.root / "boxes.csv"
    table.write_text("car,8,8,16,16,D:\\one\\frame.png,64,48\nbus,8,8,16,16,D:\\two\\frame.png,64,48\n")
    with pytest.raises(BadData) as caught:
        convert(ConvertOptions(source=table, output=folder.dataset))
    assert [(item.rule.code, item.place) for item in errors(caught)] == [("LM073", "line 1"), ("LM073", "line 2")]


@pytest.mark.parametrize("keys", [("annotations",), ("annotations", "categories")])
def test_a_split_without_annotations(folder, keys):
    """COCO's own image_info_test2017.json."""
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    write_coco(folder, coco(annotation()), "train.json")
    content = coco(images=[image(1, "b.png")])
    for key in keys:
        del content[key]
    write_coco(folder, content, "test.json")
    findings = adopt(AdoptOptions(file=folder.root, output=folder.dataset)).findings
    assert [item.file for item in findings if item.rule.code == "LM087"] == ["test.json"]
    assert len(folder.split("test")["images"]) == 1 and folder.split("test")["annotations"] == []


@pytest.mark.parametrize("content", [{"annotations": None}, {"categories": None, "annotations": []}])
def test_annotations_or_categories_null(folder, content):
    folder.photo("a.png"), folder.photo("b.png", seed=1)
    write_coco(folder, coco(annotation()), "train.json")
    write_coco(folder, coco(images=[image(1, "b.png")]) | content, "val.json")
    adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    assert len(folder.split("val")["images"]) == 1


def test_of_several_files_the_one_of_instances_is_meant(folder):
    """CVAT writes person_keypoints_default.json beside it, which it fills with the same."""
    folder.photo("images/default/a.png")
    for name in ("instances", "person_keypoints"):
        write_coco(folder, coco(annotation()), f"annotations/{name}_default.json")
    adopt(AdoptOptions(file=folder.root, output=folder.dataset))
    assert [item["file_name"] for item in folder.split()["images"]] == ["images/default/a.png"]


# Numbers and names of LabelMe files


TEXT_POINTS = [["8", "8"], ["24", "8"], ["24", "24"], ["8", "24"]]
LABELME = {
    "label 0": ({"label": 0}, {}, [("0", 256), ("car", 256)], {"LM091"}),
    "label 1.0": ({"label": 1.0}, {}, [("1", 256), ("car", 256)], {"LM091"}),
    "label 1.5": ({"label": 1.5}, {}, [("1.5", 256), ("car", 256)], {"LM091"}),
    "points as text": ({"points": TEXT_POINTS}, {}, [("car", 256), ("car", 256)], {"LM091"}),
    "points flat": ({"points": SQUARE}, {}, [("car", 256), ("car", 256)], {"LM091"}),
    "points with exponents": ({"points": [["8e0", 8], [24, 8], [24, 24], [8, "24.0"]]}, {},
                              [("car", 256), ("car", 256)], {"LM091"}),
    "group '1' and 1": ({"group_id": "1"}, {"group_id": 1}, [("car", 512)], {"LM091"}),
    "group '01' and 1.0": ({"group_id": "01"}, {"group_id": 1.0}, [("car", 512)], {"LM091"}),
    "group of one name": ({"group_id": "left"}, {"group_id": "left"}, [("car", 512)], set()),
    "groups of two names": ({"group_id": "left"}, {"group_id": "right"}, [("car", 256), ("car", 256)], set()),
    "group named as a place": ({"group_id": "shapes[1]"}, {}, [("car", 256), ("car", 256)], set()),
    "group ''": ({"group_id": ""}, {"group_id": ""}, [("car", 256), ("car", 256)], {"LM091"}),
    "group ' '": ({"group_id": " "}, {"group_id": " "}, [("car", 256), ("car", 256)], {"LM091"}),
    "group of a name on two labels": ({"group_id": "x"}, {"group_id": "x", "label": "bus"},
                                      [("bus", 256), ("car", 256)], {"LM042"}),
}  # fmt: skip


@pytest.mark.parametrize("case", LABELME)
def test_numbers_and_names_of_labelme_files(folder, square, case):
    first, second, expected, codes = LABELME[case]
    folder.pair("a", [square() | first, square(left=30) | second])
    findings = folder.convert().findings
    assert {item.rule.code for item in findings} - OF_SMALL_FOLDERS == codes
    names = {category["id"]: category["name"] for category in folder.split()["categories"]}
    made = [(names[item["category_id"]], item["area"]) for item in folder.split()["annotations"]]
    assert sorted(made) == expected


@pytest.mark.parametrize(
    "keys", [{"imageHeight": "48", "imageWidth": "64"}, {"imageWidth": "64.0"}, {"imageHeight": "4.8e1"}]
)
def test_sizes_as_text(folder, square, keys):
    folder.pair("a", [square()], **keys)
    assert {item.rule.code for item in folder.convert().findings} - OF_SMALL_FOLDERS == {"LM091"}


def test_a_size_in_text_is_a_size(folder, square):
    folder.pair("a", [square()], imageHeight="49")
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert [item.rule.code for item in errors(caught)] == ["LM015"]


def test_all_faults_of_a_file_are_said(folder, square):
    shapes = [square() | {"label": None, "points": "x"}, square(), square() | {"points": [[1, 2, 3]], "group_id": True}]
    folder.pair("a", shapes, imageHeight=[48], imageWidth={})
    folder.pair("b", [square()], seed=1)
    with pytest.raises(BadData) as caught:
        folder.convert()
    expected = ["shapes[0].label", "shapes[0].points", "shapes[2].points[0]", "shapes[2].group_id"]
    expected += ["imageHeight", "imageWidth"]
    assert [(item.rule.code, item.place) for item in errors(caught)] == [("LM004", place) for place in expected]
    assert all("labelme" not in item.rule.remedy for item in errors(caught))  # which does not open such a file
    assert folder.convert(skip_bad=True).skipped == 1


def test_a_text_that_only_python_takes_for_a_number_is_not_one(folder, square):
    folder.pair("a", [square() | {"points": [["1_0", 8], [24, 8], [24, 24], [8, 24]]}])
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert [(item.rule.code, item.place) for item in errors(caught)] == [("LM004", "shapes[0].points[0][0]")]


@pytest.mark.parametrize("kind", ["cuboid", "rectangel", "ellipse"])
def test_an_object_of_an_unknown_type_does_not_become_background(folder, shape, square, kind):
    folder.pair("a", [shape("car", [[8, 8], [24, 24]], kind)])
    folder.pair("b", [square()], seed=1)
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert [(item.rule.code, item.file) for item in errors(caught)] == [("LM028", "a.json")]
    converted = folder.convert(skip_bad=True)
    assert [item["file_name"] for item in folder.split()["images"]] == ["b.jpg"] and converted.skipped == 1
    assert main(["check", str(folder.root)]) == 1


@pytest.mark.parametrize("kind", ["point", "line", "linestrip", "points"])
def test_objects_that_are_points_and_lines_do_not_become_background(folder, shape, square, kind):
    folder.pair("a", [shape("car", [[8, 8], [24, 24]][: 1 if kind == "point" else 2], kind)])
    folder.pair("b", [square("bus")], seed=1)
    with pytest.raises(BadData) as caught:
        folder.convert()
    assert [(item.rule.code, item.file) for item in errors(caught)] == [("LM028", "a.json")]
    assert "--line-width" in errors(caught)[0].rule.remedy
    folder.convert(ignore=("car",))
    assert sum(len(folder.split(split)["images"]) for split in ("train", "val", "test")) == 2


# Remedies: each sends to the command that reads the file

COCO = json.dumps(coco(annotation()))
LABELME_FILE = json.dumps({"shapes": [], "imagePath": "a.png"})
VIA_2 = json.dumps({"a.jpg12": {"filename": "a.jpg", "size": 12, "regions": [], "file_attributes": {}}})
VIA_PROJECT = json.dumps({"_via_settings": {}, "_via_img_metadata": {}, "_via_attributes": {}})
VIA_3 = json.dumps({"project": {}, "config": {}, "attribute": {}, "file": {}, "metadata": {}, "view": {}})
LABEL_STUDIO = json.dumps([{"id": 1, "annotations": [], "data": {"image": "/data/upload/1/a.png"}}])
RESULTS = json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}])
XML = "<annotation><filename>a.jpg</filename></annotation>"
XML_WITH_HEAD = '\ufeff<?xml version="1.0"?>\n<annotations></annotations>'
WRONG_FOR_CONVERT = {
    "COCO": ("ann.json", COCO, "adopt"),
    "Label Studio": ("project-1.json", LABEL_STUDIO, "Label Studio"),
    "results": ("coco_instances_results.json", RESULTS, "to-labelme"),
    "XML": ("a.xml", XML, "XML"),
    "XML of CVAT": ("annotations.xml", XML_WITH_HEAD, "XML"),
    "unknown": ("settings.json", '{"theme": "dark"}', "'shapes'"),
}


@pytest.mark.parametrize("command", ["convert", "check"])
@pytest.mark.parametrize("case", WRONG_FOR_CONVERT)
@pytest.mark.parametrize("names_file", [False, True])
def test_files_that_convert_does_not_read(folder, capsys, case, command, names_file):
    name, content, said = WRONG_FOR_CONVERT[case]
    folder.photo("a.png")
    (folder.root / name).write_text(content, encoding="utf-8")
    arguments = [command, str(folder.root / name if names_file else folder.root)]
    assert main([*arguments, *(["--output", str(folder.dataset)] if command == "convert" else [])]) == 1
    output = capsys.readouterr()
    assert said in output.out + output.err and "no such folder" not in output.err
    assert not folder.dataset.exists()


WRONG_FOR_ADOPT = {
    "LabelMe": ("a.json", LABELME_FILE, "convert"),
    "VIA 2": ("via_region_data.json", VIA_2, "convert"),
    "VIA's project": ("via_project.json", VIA_PROJECT, "convert"),
    "VIA 3": ("via3.json", VIA_3, "convert"),
    "YOLO": ("data.yaml", "names: [car]", "convert"),
    "Label Studio": ("project-1.json", LABEL_STUDIO, "Label Studio"),
    "results": ("coco_instances_results.json", RESULTS, "to-labelme"),
    "XML": ("a.xml", XML, "XML"),
    "table": ("boxes.csv", "car,8,8,16,16,a.png,64,48\n", "convert"),
    "unknown": ("settings.json", '{"theme": "dark"}', "images"),
}


@pytest.mark.parametrize("case", WRONG_FOR_ADOPT)
@pytest.mark.parametrize("names_file", [False, True])
def test_files_that_adopt_does_not_read(folder, capsys, case, names_file):
    name, content, said = WRONG_FOR_ADOPT[case]
    folder.photo("a.png")
    (folder.root / name).write_text(content, encoding="utf-8")
    arguments = ["adopt", str(folder.root / name if names_file else folder.root), "--output", str(folder.dataset)]
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("where", ["", "train/", "labels/"])
def test_a_folder_of_labelme_files_is_sent_to_convert(folder, square, capsys, where):
    for index in range(3):
        folder.pair(f"{where}{index}", [square()], seed=index)
    assert main(["adopt", str(folder.root), "--output", str(folder.dataset)]) == 1
    assert "convert" in capsys.readouterr().err


def test_one_labelme_file_is_converted_with_its_folder(folder, square, capsys):
    folder.pair("a", [square()])
    assert main(["convert", str(folder.root / "a.json"), "--output", str(folder.dataset)]) == 1
    said = capsys.readouterr().err
    assert "folder" in said and "LabelMe" in said


def test_a_dataset_folder_is_not_converted_again(folder, square, capsys):
    folder.pair("a", [square()])
    folder.convert()
    assert main(["convert", str(folder.dataset), "--output", str(folder.root.parent / "again")]) == 1
    assert "adopt" in capsys.readouterr().err


# check ends with 1 wherever convert would refuse


def only_outside(folder, square):
    folder.json("train/a.json", [], None).write_text(COCO)
    folder.pair("other/b", [square()])


def only_foreign_in_train(folder, square):
    folder.json("train/a.json", [], None).write_text(COCO)
    folder.pair("val/b", [square()])


def only_negatives(folder, square):
    folder.pair("a", [])


def only_foreign(folder, square):
    folder.photo("a.jpg")
    folder.json("a.json", [], None).write_text(LABEL_STUDIO)


@pytest.mark.parametrize("fill", [only_outside, only_foreign_in_train, only_negatives, only_foreign])
def test_check_refuses_what_convert_refuses(folder, square, fill):
    fill(folder, square)
    with pytest.raises(UserError) as caught:
        folder.convert()
    assert caught.value.exit_code == 1
    assert main(["check", str(folder.root)]) == 1


def test_a_lone_folder_train_is_a_split_and_can_be_divided(folder, square):
    for index in range(4):
        folder.pair(f"train/{index}", [square()], seed=index)
    (finding,) = [item for item in folder.convert().findings if item.rule.code == "LM067"]
    assert "train" in finding.message
    converted = convert(ConvertOptions(source=folder.root / "train", output=folder.root.parent / "divided"))
    assert [split.images for split in converted.card.splits.values()] == [2, 1, 1]
    assert "LM067" not in {item.rule.code for item in converted.findings}
