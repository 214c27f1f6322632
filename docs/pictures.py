"""Draws the pictures of README.md and docs/ from the last ``make demo``: ``make pictures``.

python -m docs.pictures --run output/demo --dataset datasets/sample
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from dataset_tools.errors import UserError, run_command
from dataset_tools.files import write_atomically

DOCS = Path(__file__).parent
JPEG_QUALITY = 85
SHEET_WIDTH = 1600  # px; larger ones are made smaller
# px: the report's first page on a desktop screen
BROWSER_WINDOW = (1200, 1500)
PREVIEWED = 10  # photos
# Cars and a sign board, as a reader expects from the sample.
SHOWN_SCENE = DOCS.parent / "data/sample/test/scene_test_0005.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, metavar="OUTPUT_DIR", help="of the demo")
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="the dataset folder of the demo")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = {
            "labelme.jpg": labelme_and_model(args.run, Path(folder)),
            "demo.jpg": demanded(args.run / "pictures/overview.png"),
            "preview.jpg": preview(args.dataset, Path(folder) / "preview.png"),
            "report.jpg": screenshot(demanded(args.run / "report.html"), Path(folder) / "report.png"),
        }
        for name, picture in pictures.items():
            write_jpeg(picture, DOCS / name)
            print(f"{picture.name} -> {DOCS.name}/{name}")


def demanded(file: Path) -> Path:
    if not file.is_file():
        raise UserError("the demo has not left this file", file=file, remedy="Call make demo first")
    return file


def labelme_and_model(run: Path, folder: Path) -> Path:
    """The scene in LabelMe's window on the left; the same scene as the run's model sees it on the right."""
    window, target = folder / "window.png", folder / "labelme.png"
    scene = folder / SHOWN_SCENE.name
    shutil.copy(SHOWN_SCENE, scene)  # LabelMe may write beside it
    photo = shutil.copy(SHOWN_SCENE.with_suffix(".jpg"), folder)
    screenless = os.environ | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder)}
    command = [sys.executable, str(DOCS / "labelme_window.py"), str(scene), str(window)]
    subprocess.run(command, check=True, capture_output=True, env=screenless)
    demo = ["demo.py", "--config-file", str(run / "config.yaml"), "--input", photo, "--output", str(folder / "seen")]
    demo += ["--opts", "MODEL.WEIGHTS", str(demanded(run / "model_final.pth"))]
    subprocess.run([sys.executable, *demo], check=True, capture_output=True, cwd=DOCS.parent)
    left, right = cv2.imread(str(window)), cv2.imread(str(next((folder / "seen").glob("*.png"))))
    scale = left.shape[0] / right.shape[0]
    right = cv2.resize(right, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(target), np.hstack([left, right[: left.shape[0]]]))
    return target


def preview(dataset: Path, target: Path) -> Path:
    """Annotations on their photos."""
    command = ["-m", "dataset_tools", "preview", str(dataset), "--split", "test", "--max", str(PREVIEWED)]
    subprocess.run([sys.executable, *command, "--output", str(target)], check=True, stdout=subprocess.DEVNULL)
    return target


def screenshot(page: Path, target: Path) -> Path:
    """The first page of an HTML file as a browser shows it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise UserError("there is no Chromium here to show the report", remedy="Install it (Debian: chromium)")
    options = ["--headless", "--hide-scrollbars", "--window-size={},{}".format(*BROWSER_WINDOW)]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium does not start as root without it
    # The page's own clock is let run for so many ms before the picture is taken.
    options += ["--virtual-time-budget=5000", f"--screenshot={target}", page.resolve().as_uri()]
    subprocess.run([browser, *options], check=True, capture_output=True)
    return target


def write_jpeg(source: Path, target: Path) -> None:
    picture = cv2.imread(str(source))
    scale = min(1.0, SHEET_WIDTH / picture.shape[1])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(target.suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_atomically(target, content.data)


if __name__ == "__main__":
    sys.exit(run_command(main))
