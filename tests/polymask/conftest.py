"""What the tests of polymask share: torchvision's weights, a tiny dataset, trainings of it, and pages in a browser."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageDraw

import train_net
from dataset_tools.dataset.convert import ConvertOptions, convert
from polymask.known_warnings import silence_known_warnings

silence_known_warnings()

SIDE = 128  # px

# mini_scratch.yaml made smaller and plainer still: an iteration takes a fraction of a second.
TINY = [
    "INPUT.MIN_SIZE_TRAIN", "(128,)", "INPUT.MIN_SIZE_TEST", "128", "MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0",
    "MODEL.FPN.OUT_CHANNELS", "64", "MODEL.ROI_MASK_HEAD.CONV_DIM", "64", "MODEL.RPN.POST_NMS_TOPK_TRAIN", "100",
    "MODEL.ROI_HEADS.NAME", "StandardROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "False",
    "INPUT.COPY_PASTE.PROBABILITY", "0.0", "INPUT.COLOR_JITTER", "0.0", "SOLVER.EMA_DECAY", "0.0",
    "MODEL.RESNETS.NORM", "BN", "MODEL.ROI_HEADS.JITTERED_BOXES", "0", "MODEL.RPN.IOU_THRESHOLDS", "[0.3, 0.7]",
    "MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32], [64], [128], [256]]",
]  # fmt: skip


def arguments_for(dataset, output, flags=(), overrides=()):
    """The command line of a tiny training."""
    folders = ["DATASETS.ROOT", str(dataset), "OUTPUT_DIR", str(output)]
    return ["--config-file", "configs/mini_scratch.yaml", *flags, *folders, *TINY, *overrides]


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A web server that answers everything, its address, and what it was asked for; the cache of downloads is empty."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"SEED: 3\n")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def draw_photo(folder: Path, index: int, rng: np.random.Generator) -> None:
    """A grey noisy photo with a bright bar (rectangle) and a dark disc (circle), and its LabelMe file."""
    photo = Image.fromarray(rng.integers(100, 140, (SIDE, SIDE, 3), dtype=np.uint8))
    draw = ImageDraw.Draw(photo)
    x, y = (int(v) for v in rng.integers(6, 30, 2))
    cx, cy, radius = (int(v) for v in (*rng.integers(84, 96, 2), rng.integers(18, 26)))
    draw.rectangle((x, y, x + 49, y + 29), fill=(240, 230, 90))
    draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=(20, 30, 90))
    photo.save(folder / f"{index}.png")
    shapes = [
        {
            "label": "bar",
            "points": [[x, y], [x + 50, y + 30]],
            "shape_type": "rectangle",
            "group_id": None,
            "flags": {},
        },
        {
            "label": "disc",
            "points": [[cx, cy], [cx + radius, cy]],
            "shape_type": "circle",
            "group_id": None,
            "flags": {},
        },
    ]
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{index}.png", "imageData": None}
    (folder / f"{index}.json").write_text(json.dumps(content | {"imageHeight": SIDE, "imageWidth": SIDE}))


def make_dataset(folder: Path, **photos_of_split: int) -> Path:
    """A dataset folder named ``tiny`` with so many photos in each split."""
    rng = np.random.default_rng(0)
    index = 0
    folder.mkdir(exist_ok=True)
    for split, photos in photos_of_split.items():
        (folder / "labelme" / split).mkdir(parents=True)
        for _ in range(photos):
            draw_photo(folder / "labelme" / split, index, rng)
            index += 1
    convert(ConvertOptions(source=folder / "labelme", output=folder / "tiny", name=folder.name.rstrip("0123456789")))
    return folder / "tiny"


@pytest.fixture(scope="session")
def make():
    """See :func:`make_dataset`."""
    return make_dataset


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory):
    """Six photos to train on, two each to validate and test."""
    return make_dataset(tmp_path_factory.mktemp("tiny"), train=6, val=2, test=2)


@pytest.fixture(scope="session")
def train_photos_only(tmp_path_factory):
    """Two photos to train on and nothing else."""
    return make_dataset(tmp_path_factory.mktemp("lonely"), train=2)


@pytest.fixture(scope="session")
def train_in(tiny_dataset):
    """Runs train_net.py's main in this process and returns its OUTPUT_DIR."""

    def run(output, *overrides, flags=(), dataset=tiny_dataset):
        train_net.main(train_net.parse_arguments(arguments_for(dataset, output, flags, overrides)))
        return output

    return run


@pytest.fixture
def train(train_in, tmp_path):
    """As ``train_in``, by default into a folder of this test."""
    return lambda *overrides, output=tmp_path / "run", **options: train_in(output, *overrides, **options)


@pytest.fixture(scope="session")
def overfitted(train_in, tmp_path_factory):
    """A training that has seen six photos often enough to know them by heart, and is tested on the same."""
    overrides = ("DATASETS.TEST", "('tiny_train',)", "TEST.EVAL_PERIOD", "0", "SOLVER.MAX_ITER", "300")
    return train_in(tmp_path_factory.mktemp("overfitted"), *overrides)


@pytest.fixture(scope="session")
def torchvision_resnet18():
    """torchvision's ResNet-18 with random weights, its running statistics too: those of a new one are all 0 and 1."""
    torch.manual_seed(3)
    model = torchvision.models.resnet18(weights=None)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def torchvision_file(torchvision_resnet18, tmp_path):
    """A local file in torchvision's format."""
    path = tmp_path / "resnet18.pth"
    torch.save(torchvision_resnet18.state_dict(), path)
    return path


@pytest.fixture
def opened(browser):
    """Opens a file and returns the page, which fails the test if it complains, asks anything or wants anything."""
    complaints, pages = [], []

    def open_page(file, **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(r.url))
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
