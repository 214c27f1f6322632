"""COCO files as they are found in the wild: what becomes of each oddity, and the finding that says so."""

import json
import tracemalloc

import msgspec
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from dataset_tools.dataset.scan import ReadOptions, scanned
from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Rule
from dataset_tools.formats import card as cards
from dataset_tools.formats import foreign_coco
from dataset_tools.formats.foreign_coco import ForeignAnnotation
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import Canvas, Instance
from dataset_tools.sources import coco_shapes
from dataset_tools.sources.coco_files import CocoFiles

SQUARE = [8, 8, 24, 8, 24, 24, 8, 24]


def image(number=1, name="a.jpg", size=(64, 48), **keys):
    return {"id": number, "file_name": name, "width": size[0], "height": size[1]} | keys


def annotation(number=1, segmentation=(SQUARE,), image_id=1, category_id=1, **keys):
    content = {
        "id": number, "image_id": image_id, "category_id": category_id,
        "segmentation": segmentation, "bbox": [8, 8, 16, 16], "area": 256, "iscrowd": 0,
    }  # fmt: skip
    return {key: value for key, value in (content | keys).items() if value is not ...}


def coco(annotations, images=None, categories=((1, "car"),)):
    categories = [{"id": number, "name": name} for number, name in categories]
    return {"images": images or [image()], "annotations": annotations, "categories": categories}


@pytest.fixture
def write(folder):
    """Writes a COCO file beside the photos, and the photo a.jpg."""
    folder.photo("a.jpg")

    def write(content, name="instances.json"):
        path = folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def look(write, folder):
    """What is read of a COCO file: photos with instances, and findings but those about size."""

    def look(*annotations, options=None, **keys):
        files = coco_files(write(coco(list(annotations), **keys)), folder.root)
        return read(files, options)

    return look


def coco_files(path, photos):
    return CocoFiles({None: path}, photos)


def read(source, options=None):
    with scanned(source, options or ReadOptions(training_size=10_000)) as scan:
        items = {entry.file: scan.instances(entry) for entry in scan.entries}
        return items, scan.findings


def reported(findings):
    return [(finding.rule, finding.file, finding.place) for finding in findings]


# What is read


def test_boxes_and_areas_are_made_anew(look):
    items, findings = look(annotation(bbox=[0, 0, 1, 1], area=...))
    assert items == {"a.jpg": [Instance("car", [[float(value) for value in SQUARE]], 256.0, (8.0, 8.0, 16.0, 16.0))]}
    assert findings == []


def test_ids_may_be_any(look, folder):
    folder.photo("sub/b.jpg", seed=1)
    images = [image(10**12, "sub/b.jpg"), image(-3)]
    drawn = annotation(5, category_id=0, image_id=-3), annotation(5, category_id=9, image_id=10**12)
    items, findings = look(*drawn, images=images, categories=[(9, "zebra"), (0, "cat")])
    labels = {photo: [instance.label for instance in instances] for photo, instances in items.items()}
    assert (labels, findings) == ({"sub/b.jpg": ["zebra"], "a.jpg": ["cat"]}, [])


def test_classes_are_in_the_order_of_their_ids(write, folder):
    content = coco([annotation(0, category_id=90), annotation(0, category_id=0), annotation(7, category_id=17)],
                   categories=[(90, "toothbrush"), (0, "zebra"), (17, "cat")])  # fmt: skip
    files = coco_files(write(content), folder.root)
    assert files.classes == ("zebra", "cat", "toothbrush")
    assert [instance.label for instance in read(files)[0]["a.jpg"]] == ["toothbrush", "zebra", "cat"]


def test_classes_of_several_files_are_merged_by_name(write, folder):
    folder.photo("b.jpg", seed=1)
    train = write(coco([annotation(), annotation(2, category_id=2)], categories=[(1, "car"), (2, "bus")]), "t.json")
    images = [image(1, "b.jpg")]
    annotations = [annotation(1, category_id=5), annotation(2, category_id=3)]
    val = write(coco(annotations, images, [(3, "tram"), (5, "car")]), "v.json")
    files = CocoFiles({"train": train, "val": val}, folder.root)
    assert files.classes == ("car", "bus", "tram")
    with scanned(files, ReadOptions()) as scan:
        assert [(entry.file, entry.split, entry.counts) for entry in scan.entries] == [
            ("a.jpg", "train", {"car": 1, "bus": 1}),
            ("b.jpg", "val", {"car": 1, "tram": 1}),
        ]


def random_polygons(generator, count, size=(64, 48)):
    """Stars, with vertices in hundredths of a pixel."""
    for _ in range(count):
        angles = np.sort(generator.uniform(0, 2 * np.pi, generator.integers(4, 12)))
        radii = generator.uniform(4, 12, len(angles))
        centre = generator.uniform(13, 35, 2)
        points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        yield np.round(points, 2).ravel().tolist()


def test_masks_are_those_of_pycocotools(write, folder):
    """Polygons, several in one, compressed and uncompressed RLE: pixel by pixel what pycocotools makes of the file."""
    generator = np.random.default_rng(0)
    polygons = list(random_polygons(generator, 12))
    noise = generator.random((48, 64)) < 0.3
    compressed = coco_mask.encode(np.asfortranarray(noise, dtype=np.uint8))
    runs = np.diff(np.flatnonzero(np.diff(noise.T.ravel().astype(int), prepend=noise[0, 0], append=-1)), prepend=0)
    runs = ([0] if noise[0, 0] else []) + runs.tolist()
    segmentations = [
        *([polygon] for polygon in polygons),
        polygons[:3],
        {"size": [48, 64], "counts": compressed["counts"].decode()},
        {"size": [48, 64], "counts": runs},
    ]
    path = write(coco([annotation(number, item) for number, item in enumerate(segmentations, start=1)]))
    items, _ = read(coco_files(path, folder.root))
    theirs = COCO(path)
    assert len(items["a.jpg"]) == len(segmentations)
    for instance, original in zip(items["a.jpg"], theirs.dataset["annotations"]):
        expected = theirs.annToMask(original)
        ours = COCO.annToMask(theirs, {"segmentation": builtins(instance.segmentation), "image_id": 1})
        assert np.array_equal(ours, expected)
        assert instance.area == expected.sum()
        rows, columns = np.nonzero(expected)
        assert instance.bbox == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def builtins(segmentation):
    if isinstance(segmentation, list):
        return segmentation
    return {"size": list(segmentation.size), "counts": segmentation.counts}


def test_rle_is_scaled_with_its_photo(write, folder):
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[10:20, 20:40] = 1
    encoded = coco_mask.encode(np.asfortranarray(mask))
    item = annotation(1, {"size": [48, 64], "counts": encoded["counts"].decode()})
    files = coco_files(write(coco([item])), folder.root)
    ((photo, _),) = files.read(["a.jpg"], ShapeOptions(), max_size=32)
    assert (photo.size, photo.instances[0].bbox) == ((32, 24), (10, 5, 10, 5))


def test_labels_are_chosen_as_in_convert(look):
    drawn = [annotation(1), annotation(2, category_id=2), annotation(3, category_id=3)]
    options = ReadOptions(classes=("bus",), rename={"car": "bus"}, ignore=("tram",))
    categories = [(1, "car"), (2, "tram"), (3, "van")]
    items, findings = look(*drawn, categories=categories, options=options)
    assert [instance.label for instance in items["a.jpg"]] == ["bus"]
    assert [(finding.rule, finding.place) for finding in findings if finding.file == "a.jpg"] == [
        (Rule.IGNORED_ON_REQUEST, "annotations[1]"),
        (Rule.UNKNOWN_LABEL, "annotations[2]"),
    ]


def test_turned_photo(write, folder):
    """The size in the file is that of the photo as it is shown; as it is stored, the annotations are turned with it."""
    folder.photo("turned.jpg", orientation=6)
    shown, stored = image(1, "turned.jpg", (48, 64)), image(1, "turned.jpg", (64, 48))
    items, findings = read(coco_files(write(coco([annotation()], [shown])), folder.root))
    assert (list(items), findings) == (["turned.jpg"], [])
    turned, findings = read(coco_files(write(coco([annotation()], [stored])), folder.root))
    assert reported(findings) == [(Rule.DRAWN_UNTURNED, "turned.jpg", "images[0]")]
    assert (items["turned.jpg"][0].bbox, turned["turned.jpg"][0].bbox) == ((8, 8, 16, 16), (24, 8, 16, 16))


def test_sizes_may_be_missing(look):
    items, findings = look(annotation(), images=[{"id": 1, "file_name": "a.jpg"}])
    assert (len(items["a.jpg"]), findings) == (1, [])


# Oddities of annotations

HUGE = [8, 8, 1e9, 8, 24, 24]
ODDITIES = {
    "no segmentation": (annotation(segmentation=...), Rule.BOX_FOR_MASK, [256]),
    "segmentation null": (annotation(segmentation=None), Rule.BOX_FOR_MASK, [256]),
    "segmentation []": (annotation(segmentation=[]), Rule.BOX_FOR_MASK, [256]),
    "segmentation [[]]": (annotation(segmentation=[[]]), Rule.BOX_FOR_MASK, [256]),
    "segmentation {}": (annotation(segmentation={}), Rule.BOX_FOR_MASK, [256]),
    "nothing": (annotation(segmentation=..., bbox=...), Rule.NOTHING_DRAWN, []),
    "half a box": (annotation(segmentation=[], bbox=[8, 8]), Rule.NOTHING_DRAWN, []),
    "a box of no size": (annotation(segmentation=[], bbox=[8, 8, 0, 16]), Rule.ZERO_AREA, []),
    "a negative box": (annotation(segmentation=[], bbox=[24, 24, -16, -16]), Rule.ZERO_AREA, []),
    "a box of nothing": (annotation(segmentation=[], bbox=[8, float("nan"), 16, 16]), Rule.BAD_COORDINATES, []),
    "crowds only": (annotation(iscrowd=1), Rule.ONLY_CROWDS, []),
    "4 numbers": (annotation(segmentation=[[8, 8, 24, 24]]), Rule.TOO_FEW_POINTS, []),
    "odd": (annotation(segmentation=[[8, 8, 24, 8, 24, 24, 8]]), Rule.ODD_POLYGON, []),
    "odd beside even": (annotation(segmentation=[[8, 8, 24, 8, 24], SQUARE]), Rule.ODD_POLYGON, [256]),
    "NaN": (annotation(segmentation=[[8, 8, float("nan"), 8, 24, 24]]), Rule.BAD_COORDINATES, []),
    "infinity": (annotation(segmentation=[[8, 8, float("inf"), 8, 24, 24]]), Rule.BAD_COORDINATES, []),
    "huge": (annotation(segmentation=[HUGE]), Rule.BAD_COORDINATES, []),
    "no area": (annotation(segmentation=[[8, 8, 16, 16, 24, 24]]), Rule.ZERO_AREA, []),
    "crossing": (annotation(segmentation=[[8, 8, 24, 24, 24, 8, 8, 24]]), Rule.SELF_CROSSING, None),
    "partly outside": (annotation(segmentation=[[-8, 8, 8, 8, 8, 16, -8, 16]]), Rule.PARTLY_OUTSIDE, [64]),
    "outside": (annotation(segmentation=[[80, 8, 96, 8, 96, 24]]), Rule.OUTSIDE, []),
    "nested": (annotation(segmentation=[SQUARE, [10, 10, 14, 10, 14, 14]]), Rule.NESTED_PARTS, [256]),
    "text": (annotation(segmentation="SQUARE"), Rule.BAD_SEGMENTATION, []),
    "words": (annotation(segmentation=[["left", "8", "24", "8", "24", "24"]]), Rule.BAD_SEGMENTATION, []),
    "numbers as text": (annotation(segmentation=[list(map(str, SQUARE))]), Rule.READ_IN_ANOTHER_FORM, [256]),
    "flat": (annotation(segmentation=SQUARE), Rule.READ_IN_ANOTHER_FORM, [256]),
    "RLE of another size": (annotation(segmentation={"size": [2, 2], "counts": [1, 3]}), Rule.MASK_OF_ANOTHER_SIZE, []),
    "RLE too short": (annotation(segmentation={"size": [48, 64], "counts": [1, 3]}), Rule.MASK_UNREADABLE, []),
    "RLE negative": (annotation(segmentation={"size": [48, 64], "counts": [-1, 3073]}), Rule.MASK_UNREADABLE, []),
    "RLE too long": (annotation(segmentation={"size": [48, 64], "counts": [10**18] * 9}), Rule.MASK_UNREADABLE, []),
    "RLE no code": (annotation(segmentation={"size": [48, 64], "counts": "~~"}), Rule.MASK_UNREADABLE, []),
    "RLE empty": (annotation(segmentation={"size": [48, 64], "counts": [3072]}), Rule.MASK_EMPTY, []),
    "no such category": (annotation(category_id=2), Rule.CATEGORY_UNKNOWN, []),
}  # fmt: skip


@pytest.mark.parametrize("case", ODDITIES)
def test_odd_annotation(look, case):
    odd, rule, areas = ODDITIES[case]
    items, findings = look(odd)
    beside = {Rule.CATEGORY_UNUSED, Rule.BOX_FOR_MASK} - {rule}
    findings = [finding for finding in findings if finding.rule not in beside]
    assert reported(findings) == [(rule, "a.jpg", "annotations[0]")]
    if areas is not None:
        assert [instance.area for instance in items["a.jpg"]] == areas


def test_holes(look):
    items, findings = look(
        annotation(segmentation=[SQUARE, [10, 10, 14, 10, 14, 14, 10, 14]]),
        options=ReadOptions(holes=True, training_size=10_000),
    )
    assert reported(findings) == [(Rule.HOLE_CUT, "a.jpg", "annotations[0]")]
    assert [instance.area for instance in items["a.jpg"]] == [256 - 16]


def test_outlines_that_are_too_long_together(look, folder):
    folder.photo("b.png", size=(4000, 4000))
    zigzags = [[value for y in range(1500) for value in (4000 * (y % 2), y + 0.1 * number)] for number in range(2)]
    items, findings = look(
        annotation(1),
        *(annotation(number + 2, [zigzag], image_id=2) for number, zigzag in enumerate(zigzags)),
        images=[image(), image(2, "b.png", (4000, 4000))],
    )
    assert len(items["a.jpg"]) == 1 and (Rule.OUTLINES_TOO_LONG, "b.png") in [(f.rule, f.file) for f in findings]


def test_more_values_than_a_photo_may_have(look, folder, monkeypatch):
    monkeypatch.setattr(coco_shapes, "MAX_VALUES", 20)
    folder.photo("b.jpg")
    many = [annotation(number, image_id=2) for number in (2, 3, 4)]
    items, findings = look(annotation(1), *many, images=[image(), image(2, "b.jpg")])
    assert len(items["a.jpg"]) == 1
    assert (Rule.OUTLINES_TOO_LONG, "b.jpg", "annotations[3]") in reported(findings)


def test_more_values_than_python_should_read(write, folder, monkeypatch):
    """Only where the file is not strict JSON, which is read in another way."""
    content = coco([annotation(area=float("nan"))])
    coco_files(write(content), folder.root)
    monkeypatch.setattr(foreign_coco, "_MAX_LOOSE_VALUES", 10)
    with pytest.raises(UserError, match="not a COCO file.*malformed"):
        coco_files(write(content), folder.root)
    coco_files(write(coco([annotation()])), folder.root)


def test_an_empty_category_name(look):
    _, findings = look(annotation(segmentation=[SQUARE, SQUARE[::-1]]), categories=[(1, " ")])
    assert reported(findings) == [(Rule.EMPTY_LABEL, "a.jpg", "annotations[0]")]  # once, not for each polygon


@pytest.mark.parametrize("segmentation", [[SQUARE], {"size": [48, 64], "counts": [100, 20, 2952]}])
def test_the_same_annotation_twice(look, segmentation):
    twice = annotation(1, segmentation), annotation(2, segmentation)
    items, findings = look(*twice)
    assert reported(findings) == [(Rule.DUPLICATE_SHAPE, "a.jpg", "annotations[1]")]
    assert (findings[0].message, len(items["a.jpg"])) == ("'car', as annotations[0]", 2)
    items, findings = look(*twice, options=ReadOptions(drop_duplicates=True, training_size=10_000))
    assert reported(findings) == [(Rule.DUPLICATE_DROPPED, "a.jpg", "annotations[1]")]
    assert len(items["a.jpg"]) == 1


def test_an_annotation_without_its_image(look):
    items, findings = look(annotation(), annotation(image_id=7))
    assert reported(findings) == [(Rule.IMAGE_UNKNOWN, "instances.json", "annotations[1]")]
    assert len(items["a.jpg"]) == 1


def test_annotation_ids_do_not_matter_for_adopt(look):
    items, findings = look(
        annotation(0), annotation(0, [[30, 8, 40, 8, 40, 24]]), annotation(..., [[0, 0, 5, 0, 5, 5]])
    )
    assert (len(items["a.jpg"]), findings) == (3, [])


# Oddities of images and categories


def test_image_without_annotations(look):
    items, findings = look(categories=[])
    assert (items, reported(findings)) == ({"a.jpg": []}, [(Rule.NO_SHAPES, "a.jpg", "")])


def test_two_images_of_one_id(look, folder):
    folder.photo("b.jpg", seed=1)
    items, findings = look(annotation(), images=[image(), image(1, "b.jpg")])
    assert items == {}
    assert reported(findings) == [
        (Rule.IMAGE_ID_TWICE, "a.jpg", "images[0]"),
        (Rule.IMAGE_ID_TWICE, "b.jpg", "images[1]"),
    ]


def test_two_images_of_one_photo(look):
    items, findings = look(annotation(), annotation(2, image_id=2), images=[image(), image(2, "./a.jpg")])
    assert (items, reported(findings)) == ({}, [(Rule.PHOTO_LISTED_TWICE, "a.jpg", "images[0], images[1]")])


def test_one_photo_in_two_splits(write, folder):
    files = {split: write(coco([annotation()]), f"{split}.json") for split in ("train", "val")}
    items, findings = read(CocoFiles(files, folder.root))
    place = "images[0] of train.json, images[0] of val.json"
    assert (items, reported(findings)) == ({}, [(Rule.PHOTO_LISTED_TWICE, "a.jpg", place)])


def test_places_name_the_file_where_there_are_several(write, folder):
    folder.photo("b.jpg", seed=1)
    train = write(coco([annotation(iscrowd=1), annotation(2)]), "train.json")
    val = write(coco([annotation(iscrowd=1)], [image(1, "b.jpg")]), "val.json")
    _, findings = read(CocoFiles({"train": train, "val": val}, folder.root))
    assert reported(findings) == [
        (Rule.CROWD, "a.jpg", "annotations[0] of train.json"),
        (Rule.CROWD, "b.jpg", "annotations[0] of val.json"),
    ]


def test_photo_missing_or_broken(look, folder):
    (folder.root / "broken.jpg").write_bytes(b"no photo")
    images = [image(1, "gone.jpg"), image(2, "broken.jpg"), image(3, "../b.jpg"), image(4, "a.jpg", (640, 480))]
    items, findings = look(annotation(), images=images)
    assert items == {}
    assert [finding[:2] for finding in reported(findings)] == [
        (Rule.PHOTO_MISSING, "gone.jpg"),
        (Rule.PHOTO_UNREADABLE, "broken.jpg"),
        (Rule.PHOTO_LEAVES_ROOT, "../b.jpg"),
        (Rule.SIZE_MISMATCH, "a.jpg"),
    ]


def test_categories_without_annotations(write, folder):
    """The root that Roboflow puts before the classes is not a class; a class that is not used stays one."""
    categories = [
        {"id": 0, "name": "vehicles", "supercategory": "none"},
        {"id": 1, "name": "car", "supercategory": "vehicles"},
        {"id": 2, "name": "person", "supercategory": "person"},
        {"id": 3, "name": "dog", "supercategory": ["animals"]},
    ]
    files = coco_files(write(coco([annotation()]) | {"categories": categories}), folder.root)
    assert files.classes == ("car", "person", "dog")
    _, findings = read(files)
    assert [(finding.rule, finding.message) for finding in findings] == [
        (Rule.GROUP_OF_CATEGORIES, "'vehicles'"),
        (Rule.CATEGORY_UNUSED, "'person'"),
        (Rule.CATEGORY_UNUSED, "'dog'"),
    ]


# Files that cannot be used


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", ""),
        ("[]", ""),
        ('{"shapes": []}', ""),
        ('{"images": 3}', "images"),
        (coco([]) | {"categories": "car"}, "categories"),
        ('{"images": [{"id": 1, "file_name": "\\ud800"}], "annotations": [], "categories": []}', ""),
    ],
)
def test_no_coco_file(write, folder, content, place):
    with pytest.raises(UserError, match="not a COCO file") as caught:
        coco_files(write(content), folder.root)
    assert (caught.value.exit_code, caught.value.place or "") == (EXIT_DATA, place)


def test_no_image(write, folder):
    with pytest.raises(UserError, match="instances.json: no image is listed") as caught:
        coco_files(write('{"images": [], "annotations": [], "categories": []}'), folder.root)
    assert caught.value.exit_code == EXIT_DATA


def test_no_such_file_or_folder(write, folder):
    with pytest.raises(UserError, match="cannot be read"):
        coco_files(folder.root / "gone.json", folder.root)
    with pytest.raises(UserError, match="no such folder"):
        coco_files(write(coco([])), folder.root / "gone")


def test_byte_order_mark(write, folder):
    path = write(coco([annotation()]))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read(coco_files(path, folder.root))[0]["a.jpg"]) == 1


# A dataset folder, judged as training takes it


@pytest.fixture
def judge(folder, square):
    """Findings about a dataset folder whose train.json was changed by a function."""

    def judge(change):
        folder.pair("a", [square(), square("bus", left=30)])
        folder.convert(fractions=(1, 0, 0))
        content = folder.split()
        change(content)
        (folder.dataset / "train.json").write_text(json.dumps(content))
        return read(CocoFiles.of_dataset(folder.dataset))

    return judge


def test_a_dataset_folder_is_fine(judge):
    items, findings = judge(lambda content: None)
    assert ([instance.label for instance in items["a.jpg"]], findings) == (["car", "bus"], [])


def change(key, value, index=0):
    def change(content):
        content["annotations"][index][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (change("id", 0), {Rule.ANNOTATION_ID, Rule.NOT_TRAINABLE}),
        (change("id", 2), {Rule.ANNOTATION_ID, Rule.NOT_TRAINABLE}),
        (change("bbox", [8, 8, 24, 24]), {Rule.MEASURES_DIFFER}),
        (change("bbox", [8.9, 7, 16, 17]), set()),
        (change("area", 200.5), set()),
        (change("area", 20.5), {Rule.MEASURES_DIFFER}),
        (change("bbox", None), {Rule.NOT_TRAINABLE}),
        (change("segmentation", []), {Rule.BOX_FOR_MASK, Rule.NOT_TRAINABLE}),
        (change("category_id", 9), {Rule.CATEGORY_UNKNOWN, Rule.NOT_TRAINABLE}),
        (change("image_id", 9), {Rule.IMAGE_UNKNOWN, Rule.NOT_TRAINABLE}),
        (lambda content: content["categories"].reverse(), {Rule.NOT_TRAINABLE}),
        (lambda content: content["images"][0].update(file_name="sub/a.jpg"), {Rule.PHOTO_MISSING}),
    ],
)
def test_a_dataset_folder_with_faults(judge, change, rules):
    assert {finding.rule for finding in judge(change)[1]} == rules


def test_measures_are_compared_with_the_right_mask(judge):
    """An annotation that covers no pixel is not an instance; the one after it is still compared with its own."""

    def change(content):
        nothing = [[1.1, 1.1, 1.2, 1.1, 1.2, 1.2]]
        content["annotations"].insert(0, content["annotations"][0] | {"id": 3, "segmentation": nothing})
        content["annotations"][2]["area"] = 1000

    _, findings = judge(change)
    assert [(finding.rule, finding.place) for finding in findings if finding.file != "dataset.json"] == [
        (Rule.NO_PIXELS, "annotations[0] of train.json"),
        (Rule.MEASURES_DIFFER, "annotations[2] of train.json"),
    ]


def test_the_classes_and_the_splits_are_those_of_the_card(folder, square):
    for index, split in enumerate(cards.SPLITS):
        folder.pair(f"{split}/{index}", [square()], seed=index)
    folder.convert(classes=("zebra", "car"))
    files = CocoFiles.of_dataset(folder.dataset)
    assert files.classes == ("zebra", "car")
    with scanned(files, ReadOptions()) as scan:
        assert [(entry.file, entry.split) for entry in scan.entries] == [
            ("train/0.jpg", "train"),
            ("val/1.jpg", "val"),
            ("test/2.jpg", "test"),
        ]


def test_several_processes_read_one_file(write, folder):
    """All of them know what is in the file."""
    generator = np.random.default_rng(0)
    images = [image(number, f"{number}.jpg") for number in range(200)]
    content = (folder.root / "a.jpg").read_bytes()
    for item in images:
        (folder.root / item["file_name"]).write_bytes(content)
    annotations = [
        annotation(number, [polygon], image_id=number % 200)
        for number, polygon in enumerate(random_polygons(generator, 1500))
    ]
    path = write(coco(annotations, images))
    with scanned(coco_files(path, folder.root), ReadOptions(jobs=2)) as scan:
        assert sum(sum(entry.counts.values()) for entry in scan.entries) == 1500
        assert [entry.file for entry in scan.entries] == [item["file_name"] for item in images]


@pytest.mark.parametrize("orientation", [1, 6])
def test_no_mask_is_held_in_the_size_of_its_photo(orientation):
    """Memory stands for work: a mask of all of this photo takes 108 MB, and its share of a second."""
    width, height, side = 12_000, 9_000, 40
    runs = [height * 100 + 200, *[side, height - side] * side]
    runs[-1] += height * width - sum(runs)
    record = ForeignAnnotation(segmentation=msgspec.Raw(json.dumps({"size": [height, width], "counts": runs}).encode()))
    shown = (width, height) if orientation == 1 else (height, width)
    tracemalloc.start()
    try:
        drawing = coco_shapes.Drawing("annotations[0]", ("car",), record)
        canvas = Canvas("a.jpg", shown, shown)
        (part,), _ = coco_shapes.parts_of_annotations(canvas, [drawing], set(), ShapeOptions(), orientation)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    corner = (100, 200) if orientation == 1 else (height - 200 - side, 100)
    assert coco_mask.toBbox(part.pixels).tolist() == [*corner, side, side] and peak < 5e6
