"""docs/quickstart.ipynb, run cell by cell as Jupyter would run it, from its folder."""

import json
import re

from labelme._label_file import read_label_file
from pycocotools.coco import COCO


def test_the_notebook(run, checkout):
    cells = json.loads((checkout / "docs/quickstart.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), (
        "what is stored may not be what comes out"
    )
    lines = "\n".join("".join(cell["source"]) for cell in code)
    (iterations,) = map(int, re.findall(r"SOLVER.MAX_ITER (\d+)", lines))
    assert iterations <= 30
    (checkout / "docs/cells.py").write_text(lines)
    done = run("cd docs && MPLBACKEND=Agg python cells.py")
    (precision,) = map(float, re.findall(r"^mask AP (.*)$", done.stdout, re.MULTILINE))
    assert 0 <= precision <= 100
    output = checkout / "output/quickstart"
    (labelme_file,) = output.glob("scene_*.json")
    found = read_label_file(str(labelme_file))
    assert len(found.shapes) >= 1 and (output / found.image_path).is_file()
    truth = COCO(str(checkout / "datasets/quickstart/test.json"))
    results = json.loads((output / "coco_results.json").read_text())
    assert len(truth.loadRes(results).anns) == len(results) >= 1
