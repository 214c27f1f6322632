"""Each source file has a test file of its name in the same room, or stands here with the tests that cover it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for path in [
        *(
            path
            for package in ("dataset_tools", "polymask", "runtime", "web")
            for path in (ROOT / package).rglob("*.py")
        ),
        *ROOT.glob("*.py"),
    ]
)

# Files without a test file of their name: where they are tested instead, and why there.
COMMANDS = "dataset_tools/test_main.py: a command only parses, calls and prints, and is run as a whole"
SEEN_IN = "what it does is seen in what the room makes of it"
COVERED = {
    "train_net.py": "polymask/engine/test_trainer.py: runs its main; end_to_end/ runs its commands",
    "demo.py": "end_to_end/test_readme.py: runs its commands",
    "dataset_tools/commands/adopt.py": COMMANDS,
    "dataset_tools/commands/check.py": COMMANDS,
    "dataset_tools/commands/convert.py": COMMANDS,
    "dataset_tools/commands/masks.py": COMMANDS,
    "dataset_tools/commands/options.py": COMMANDS,
    "dataset_tools/commands/preview.py": COMMANDS,
    "dataset_tools/commands/source_options.py": COMMANDS,
    "dataset_tools/commands/stats.py": COMMANDS,
    "dataset_tools/commands/to_labelme.py": COMMANDS,
    "dataset_tools/commands/to_yolo.py": COMMANDS,
    "dataset_tools/commands/reporting.py": "dataset_tools/commands/test_conversion.py: the same output",
    "dataset_tools/dataset/make.py": f"dataset_tools/dataset/test_convert.py, test_adopt.py, test_options.py: {SEEN_IN}",
    "dataset_tools/dataset/scan.py": f"dataset_tools/dataset/test_convert.py, test_edge_cases.py: {SEEN_IN}",
    "dataset_tools/dataset/write.py": f"dataset_tools/dataset/test_convert.py: {SEEN_IN}",
    "dataset_tools/formats/foreign_coco.py": "dataset_tools/sources/test_coco_files.py: the files of other tools",
    "dataset_tools/formats/kinds.py": f"dataset_tools/dataset/test_doors.py: {SEEN_IN}",
    "dataset_tools/formats/lenient.py": "dataset_tools/dataset/test_doors.py: through every reader",
    "dataset_tools/formats/plain_yaml.py": "polymask/config/test_load.py: configurations, which it bounds most",
    "dataset_tools/formats/predictions.py": "dataset_tools/to_labelme/test_from_dataset.py: its only caller here",
    "dataset_tools/formats/via.py": "dataset_tools/sources/test_via_files.py: the files of VIA",
    "dataset_tools/formats/yolo.py": "dataset_tools/sources/test_yolo_folder.py, dataset/test_to_yolo.py: read and written",
    "dataset_tools/images/names.py": f"dataset_tools/images/test_photo_finder.py, test_folders.py: {SEEN_IN}",
    "dataset_tools/images/pixels.py": "dataset_tools/images/test_header.py: header and pixels must agree",
    "dataset_tools/instances/shapes.py": "dataset_tools/instances/test_grouping.py: shapes become instances there",
    "dataset_tools/records.py": "dataset_tools/instances/test_grouping.py: records without behaviour",
    "dataset_tools/sources/coco_layout.py": "dataset_tools/sources/test_coco_files.py: a part of the source",
    "dataset_tools/sources/coco_shapes.py": "dataset_tools/sources/test_coco_files.py: a part of the source",
    "dataset_tools/sources/labelme_folder.py": f"dataset_tools/dataset/test_convert.py, test_edge_cases.py: {SEEN_IN}",
    "dataset_tools/sources/listed_photos.py": "dataset_tools/sources/test_csv_boxes.py, test_via_files.py: the common part",
    "dataset_tools/sources/source.py": "dataset_tools/sources/test_open.py: a protocol",
    "dataset_tools/sources/split_folders.py": f"dataset_tools/dataset/test_convert.py: {SEEN_IN}",
    "dataset_tools/to_labelme/annotation_files.py": f"dataset_tools/to_labelme/test_from_dataset.py: {SEEN_IN}",
    "dataset_tools/to_labelme/instance_shapes.py": f"dataset_tools/to_labelme/test_from_dataset.py: {SEEN_IN}",
    "dataset_tools/view/drawing.py": f"dataset_tools/view/test_preview.py: {SEEN_IN}",
    "dataset_tools/view/fonts.py": f"dataset_tools/view/test_preview.py: {SEEN_IN}",
    "dataset_tools/view/output.py": f"dataset_tools/view/test_preview.py, test_masks.py: {SEEN_IN}",
    "dataset_tools/view/photos.py": f"dataset_tools/view/test_preview.py: {SEEN_IN}",
    "dataset_tools/view/plots.py": f"dataset_tools/view/test_stats.py: {SEEN_IN}",
    "dataset_tools/view/selection.py": f"dataset_tools/view/test_preview.py: {SEEN_IN}",
    "polymask/__init__.py": "test_mirror.py: the version alone",
    "polymask/config/keys.py": "polymask/config/test_load.py: defaults without behaviour",
    "polymask/data/augmentation.py": f"polymask/data/test_mapper.py: {SEEN_IN}",
    "polymask/demo/run.py": "polymask/demo/test_results.py, test_video.py, test_photos.py: the steps in their order",
    "polymask/engine/hooks/checkpoints.py": "polymask/engine/test_trainer.py: needs a training",
    "polymask/engine/hooks/final_evaluation.py": "polymask/engine/test_trainer.py: needs a training",
    "polymask/engine/hooks/interruption.py": "end_to_end/test_resume.py: needs a process that gets signals",
    "polymask/engine/hooks/progress_bar.py": "end_to_end/test_terminal.py: needs a terminal",
    "polymask/engine/setup.py": "polymask/engine/test_trainer.py: needs a training",
    "polymask/evaluation/coco_dicts.py": "polymask/evaluation/test_counting.py: beside pycocotools",
    "polymask/evaluation/figures.py": "polymask/evaluation/test_counting.py, test_analysis.py: beside pycocotools",
    "polymask/evaluation/matches.py": "polymask/evaluation/test_curves.py, test_intervals.py: beside pycocotools",
    "polymask/evaluation/overlaps.py": "polymask/evaluation/test_mistakes.py, test_confusion.py: beside pycocotools",
    "polymask/evaluation/records.py": "polymask/evaluation/test_analysis.py: records without behaviour",
    "polymask/export/description.py": "polymask/export/test_export.py: what the file and its record say",
    "polymask/export/tracing.py": "polymask/export/test_onnx_format.py: what is traced, as a file",
    "runtime/__init__.py": "runtime/test_model.py: names alone",
    "web/__init__.py": "web/test_app.py: a docstring",
    "polymask/known_warnings.py": "polymask/conftest.py: pytest fails on warnings that it does not silence",
}


def is_empty(path):
    """Whether a file holds at most a docstring."""
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in statements)


def has_test_file(source):
    return (ROOT / "tests" / source.parent / f"test_{source.stem.strip('_')}.py").exists()


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_source_file_has_its_tests(source):
    assert has_test_file(source) or is_empty(ROOT / source) or str(source) in COVERED


@pytest.mark.parametrize("source", COVERED)
def test_the_table_is_current(source):
    assert Path(source) in SOURCES and not has_test_file(Path(source)), "remove it from the table"
    assert (ROOT / "tests" / COVERED[source].split(":")[0].split(",")[0]).exists()
