"""The table of annotation programs in docs/datasets.md: each row is tried on what that program writes.

Each function lays out what its program saves or exports, as its sources or its manual say: labelme's
``_label_file.py``, X-AnyLabeling's ``label_file.py``, docs.cvat.ai (formats COCO and Ultralytics YOLO), label-studio-sdk's
``converter.py``, Roboflow's exports (``_annotations.coco.json``, ``data.yaml``), VIA's ``via.js``, make-sense's
``VGGExporter.ts``, ``COCOExporter.ts`` and ``RectLabelsExporter.ts``, docs.ultralytics.com/datasets/segment.
"""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from dataset_tools.__main__ import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"
ROWS = re.findall(r"^\| (.*?) \| (.*?) \| `(.*?)` \|$", PAGE.read_text(encoding="utf-8").split("## ")[0], re.MULTILINE)

WIDTH, HEIGHT = 64, 48
CORNERS = [[8.0, 8.0], [24.0, 8.0], [24.0, 24.0], [8.0, 24.0]]
FLAT = [8.0, 8.0, 24.0, 8.0, 24.0, 24.0, 8.0, 24.0]
ROW = "0 0.125000 0.166667 0.375000 0.166667 0.375000 0.500000 0.125000 0.500000"
BOX = [8, 8, 16, 16]


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (40 * seed, 255 - 40 * seed, 90)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def coco(file_names, first_id, categories, **keys):
    """A COCO file with a square on each photo."""
    images = [
        {"id": first_id + index, "width": WIDTH, "height": HEIGHT, "file_name": name}
        for index, name in enumerate(file_names)
    ]
    annotations = [
        {"id": index, "image_id": first_id + index, "category_id": categories[-1]["id"], "segmentation": [FLAT],
         "area": 256.0, "bbox": BOX, "iscrowd": 0} | keys for index in range(len(images))
    ]  # fmt: skip
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def labelme(folder):
    for index, name in enumerate("ab"):
        photo(folder / f"photos/{name}.jpg", index)
        shape = {"label": "car", "points": CORNERS, "group_id": None, "description": "", "shape_type": "polygon",
                 "flags": {}, "mask": None}  # fmt: skip
        text(folder / f"photos/{name}.json", {
            "version": "6.3.1", "flags": {}, "shapes": [shape], "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH,
        })  # fmt: skip


def x_anylabeling(folder):
    for index, name in enumerate("ab"):
        photo(folder / f"photos/{name}.jpg", index)
        shape = {"label": "car", "score": None, "points": CORNERS, "group_id": None, "description": "", "difficult": False,
                 "shape_type": "rotation", "flags": {}, "attributes": {}, "kie_linking": [], "direction": 0.0}  # fmt: skip
        text(folder / f"photos/{name}.json", {
            "version": "3.2.1", "flags": {"checked": True}, "shapes": [shape], "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH, "description": "",
        })  # fmt: skip


def cvat_coco(folder):
    categories = [{"id": 1, "name": "car", "supercategory": ""}]
    for index, name in enumerate("ab"):
        photo(folder / f"export/images/default/{name}.jpg", index)
    content = coco(["a.jpg", "b.jpg"], 1, categories, attributes={"occluded": False})
    text(folder / "export/annotations/instances_default.json", content)


def cvat_yolo(folder):
    """Without images, as free accounts get it."""
    for index, name in enumerate("ab"):
        photo(folder / f"photos/{name}.jpg", index)
        text(folder / f"export/labels/train/{name}.txt", ROW + "\n")
    text(folder / "export/train.txt", "images/train/a.jpg\nimages/train/b.jpg\n")
    text(folder / "export/data.yaml", "names:\n  0: car\npath: .\ntrain: train.txt\n")


def label_studio_coco(folder):
    names = [f"images/{prefix}-{name}.jpg" for prefix, name in (("8f3a2b1c", "a"), ("77aa0011", "b"))]
    for index, name in enumerate(names):
        photo(folder / "export" / name, index)
    names = ["../../label-studio/data/media/upload/1/8f3a2b1c-a.jpg", "images\\1\\77aa0011-b.jpg"]
    text(folder / "export/result.json", coco(names, 0, [{"id": 0, "name": "car"}], ignore=0))


def label_studio_yolo(folder):
    for index, name in enumerate(("8f3a2b1c-a", "77aa0011-b")):
        photo(folder / f"export/images/{name}.jpg", index)
        text(folder / f"export/labels/{name}.txt", ROW)
    text(folder / "export/classes.txt", "car")
    notes = {
        "categories": [{"id": 0, "name": "car"}],
        "info": {"year": 2024, "version": "1.0", "contributor": "Label Studio"},
    }
    text(folder / "export/notes.json", notes)


def roboflow_coco(folder):
    categories = [{"id": 0, "name": "cars", "supercategory": "none"}, {"id": 1, "name": "car", "supercategory": "cars"}]
    for index, split in enumerate(("train", "valid")):
        name = f"a_jpg.rf.0f9b3c5d7e1a2b4c6d8e0f1a2b3c4d5{index}.jpg"
        photo(folder / "export" / split / name, index)
        text(folder / f"export/{split}/_annotations.coco.json", coco([name], 0, categories))
    text(folder / "export/README.roboflow.txt", "mine - v1")


def roboflow_yolo(folder):
    for index, split in enumerate(("train", "valid")):
        name = f"a_jpg.rf.0f9b3c5d7e1a2b4c6d8e0f1a2b3c4d5{index}"
        photo(folder / f"export/{split}/images/{name}.jpg", index)
        text(folder / f"export/{split}/labels/{name}.txt", ROW)
    text(folder / "export/data.yaml", "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\n"
         "names: ['car']\n\nroboflow:\n  workspace: mine\n  project: cars\n  version: 1\n  license: CC BY 4.0\n")  # fmt: skip
    text(folder / "export/README.dataset.txt", "# cars")


def via(folder):
    photos = {}
    for index, name in enumerate(("a.jpg", "b.jpg")):
        photo(folder / "photos" / name, index)
        shape = {"name": "polygon", "all_points_x": FLAT[::2], "all_points_y": FLAT[1::2]}
        regions = [{"shape_attributes": shape, "region_attributes": {"type": "car"}}]
        photos[f"{name}{900 + index}"] = {
            "filename": name,
            "size": 900 + index,
            "regions": regions,
            "file_attributes": {},
        }
    options = {"type": "radio", "description": "", "options": {"car": ""}, "default_options": {}}
    text(folder / "via.json", {
        "_via_settings": {"ui": {}, "core": {"buffer_size": 18, "filepath": {}, "default_filepath": ""},
                          "project": {"name": "via_project"}},
        "_via_img_metadata": photos, "_via_attributes": {"region": {"type": options}, "file": {}},
        "_via_data_format_version": "2.0.10", "_via_image_id_list": list(photos),
    })  # fmt: skip


def makesense_vgg(folder):
    content = {}
    for index, name in enumerate(("a.jpg", "b.jpg")):
        photo(folder / "photos" / name, index)
        shape = {"name": "polygon", "all_points_x": [*FLAT[::2], 8.0], "all_points_y": [*FLAT[1::2], 8.0]}
        content[name] = {"fileref": "", "size": 900, "filename": name, "base64_img_data": "", "file_attributes": {},
                         "regions": {"0": {"shape_attributes": shape, "region_attributes": {"label": "car"}}}}  # fmt: skip
    text(folder / "labels.json", content)


def makesense_coco(folder):
    for index, name in enumerate("ab"):
        photo(folder / f"photos/{name}.jpg", index)
    text(
        folder / "labels.json",
        coco(["a.jpg", "b.jpg"], 1, [{"id": 1, "name": "car"}]) | {"info": {"description": "mine"}},
    )


def makesense_csv(folder):
    for index, name in enumerate("ab"):
        photo(folder / f"photos/{name}.jpg", index)
    text(folder / "labels.csv", "car,8,8,16,16,a.jpg,64,48\ncar,8,8,16,16,b.jpg,64,48")


def ultralytics(folder):
    for index, split in enumerate(("train", "val")):
        photo(folder / f"mine/images/{split}/a.jpg", index)
        text(folder / f"mine/labels/{split}/a.txt", ROW)
    text(folder / "mine/data.yaml", "path: ../datasets/mine # dataset root dir\ntrain: images/train # train images\n"
         "val: images/val\ntest: # optional\n\nnames:\n  0: car\n")  # fmt: skip


WRITERS = {
    "labelme": [labelme],
    "X-AnyLabeling": [x_anylabeling],
    "CVAT": [cvat_coco, cvat_yolo],
    "Label Studio": [label_studio_coco, label_studio_yolo],
    "Roboflow": [roboflow_coco, roboflow_yolo],
    "VIA (VGG Image Annotator) 2 and 3": [via],
    "makesense.ai": [makesense_vgg, makesense_coco, makesense_csv],
    "anything for YOLO": [ultralytics],
}
CASES = [
    (writer, command)
    for program in dict.fromkeys(row[0] for row in ROWS)
    for writer, command in zip(WRITERS[program], [row[2] for row in ROWS if row[0] == program], strict=True)
]


@pytest.mark.parametrize(("writer", "command"), CASES, ids=[writer.__name__ for writer, _ in CASES])
def test_the_command_of_a_row_reads_what_the_program_writes(writer, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    writer(tmp_path)
    assert main(shlex.split(command)) == 0
    assert "error" not in capsys.readouterr().err
    contents = [
        json.loads((tmp_path / f"datasets/mine/{split}.json").read_text()) for split in ("train", "val", "test")
    ]
    assert sum(len(content["images"]) for content in contents) == 2
    for annotation in (item for content in contents for item in content["annotations"]):
        assert annotation["area"] == 256 and annotation["bbox"] == BOX
    assert sum(len(content["annotations"]) for content in contents) == 2
    assert [item["name"] for item in contents[0]["categories"]] == ["car"]
    if not writer.__name__.endswith("coco"):  # check looks at what convert reads
        source = shlex.split(command)[1:-2]
        assert main(["check", *source]) == 0


def test_every_program_has_its_row():
    assert set(WRITERS) <= {row[0] for row in ROWS}
