"""The README's commands, as written there, with fewer iterations."""

import json
import re
import shutil
import sys
from pathlib import Path

import cv2
import pytest
from labelme._label_file import read_label_file

SHORT = "SOLVER.MAX_ITER 3 SOLVER.IMS_PER_BATCH 2 TEST.EVAL_PERIOD 0"


def commands_under(heading: str) -> list[str]:
    """The lines of the first shell block under a heading of the README."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.split(f"\n## {heading}\n", 1)[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL).group(1)
    joined = block.replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in joined.splitlines() if line.split("#")[0].strip()]


@pytest.fixture(scope="module")
def photos(checkout):
    """The user's own folder: some of the sample's, without its split."""
    folder = checkout / "photos"
    folder.mkdir()
    for path in sorted((checkout / "data/sample/train").iterdir())[:24]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def demo(run):
    """What ``make demo`` printed, after a few iterations."""
    environment = Path(sys.prefix)
    (demo,) = [command for command in commands_under("Two commands") if command == "make demo"]
    return run(f"{demo} VENV={environment} DEMO_OPTS='{SHORT}'").stdout


def test_make_demo(demo, checkout):
    assert "drawings" in demo
    for name in re.findall(r"(?:output|datasets)/[\w/.]+", demo.split("drawings")[1]):
        assert (checkout / name).exists(), name
    results = json.loads((checkout / "output/demo/results.json").read_text())
    assert set(results) == {"sample_val", "sample_test"}
    assert {"AP", "AP50", "AP-Car", "AP-Sign Board"} <= results["sample_test"]["segm"].keys()
    test_scenes = len(list((checkout / "data/sample/test").glob("*.json")))
    pictures = list((checkout / "output/demo/pictures").glob("0*.png"))
    assert len(pictures) == test_scenes


def test_your_own_photos(run, checkout, photos):
    """Convert, train, evaluate, look: without ImageNet weights, which no test may download."""
    for command in commands_under("Your own photos"):
        if command.startswith(("source ", "labelme ")):
            continue  # these tests' own environment; a window
        if "train_net.py" in command and "--eval-only" not in command:
            assert "configs/mini_scratch.yaml" in command, "what runs without a GPU comes first"
            command += " " + SHORT
        run(command)
    final = json.loads((checkout / "output/mine/results.json").read_text())
    assert set(final) == {"mine_test"}, "--eval-only comes last and measures the test split"
    pictures = list((checkout / "pictures").glob("*.png"))
    assert len(pictures) == len(list(photos.glob("*.jpg")))
    shown = cv2.imread(str(pictures[0]))
    assert shown.shape[1] == 960


def test_from_python(run, checkout, photos):
    readme = (checkout / "README.md").read_text().split("\n## From Python\n", 1)[1]
    block = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    shortened = block.replace('OUTPUT_DIR output/mine"', f'OUTPUT_DIR output/mine {SHORT}"')
    assert shortened != block
    photo = next(photos.glob("*.jpg"))
    (checkout / "lines.py").write_text(
        shortened.replace("mine", "python").replace("photos/a.jpg", f"photos/{photo.name}")
    )
    run("python -m dataset_tools convert photos --output datasets/python")
    run("python lines.py")
    assert json.loads((checkout / "output/python/results.json").read_text()).keys() == {"python_test"}
    assert read_label_file(str(checkout / "a.json")).image_path == f"photos/{photo.name}"


def test_eval_only_repeats_the_final_evaluation(run, checkout, demo):
    weights = "MODEL.WEIGHTS output/demo/model_final.pth"
    run(f"python train_net.py --config-file output/demo/config.yaml --eval-only {weights} OUTPUT_DIR output/again")
    again, first = (
        json.loads((checkout / f"output/{run_name}/results.json").read_text()) for run_name in ("again", "demo")
    )
    assert again["sample_test"] == first["sample_test"]


def test_every_link_leads_somewhere_and_nothing_is_left_to_fill_in():
    root = Path(__file__).parents[2]
    for page in (root / "README.md", *(root / "docs").glob("*.md"), root / "data/sample/README.md"):
        text = page.read_text()
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"
        assert not re.search(r"\b(RESULTS|PRINTED_\w+|TODO)\b", text), page.name


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium, to show the report")
def test_the_pictures_of_the_docs_are_drawn_again(run, checkout, demo):
    for path in (checkout / "docs").glob("*.jpg"):
        path.unlink()
    run(f"make pictures VENV={Path(sys.prefix)}")
    pages = [checkout / "README.md", *(checkout / "docs").glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"!\[.*?\]\((?:docs/)?([\w.]+)\)", page.read_text())}
    assert "labelme.jpg" in shown
    for name in shown | {"demo.jpg", "preview.jpg", "report.jpg"}:
        assert min(cv2.imread(str(checkout / "docs" / name)).shape[:2]) > 300, name
