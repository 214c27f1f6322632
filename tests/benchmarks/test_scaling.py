"""What is generated, and how the table is made of it."""

import json

from PIL import Image

from benchmarks.scaling import CASES, COMMANDS, ONE, Amount, Cost, main, steps, table, write_folder
from dataset_tools.dataset.checks import check_source
from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.sources.open import open_source


def test_there_are_as_many_of_all_things_as_the_amount_says(tmp_path):
    write_folder(tmp_path / "photos", Amount(7, (60, 40), 5, 12))
    with Image.open(tmp_path / "photos/000006.jpg") as photo:
        assert photo.size == (60, 40)
    checked = check_source(open_source(tmp_path / "photos"), ReadOptions(jobs=1))
    assert (checked.photos, sum(checked.instances.values()), len(checked.instances)) == (7, 35, 12)
    assert not any(finding.is_error for finding in checked.findings)


def test_each_step_is_a_part_of_its_case():
    amounts = steps(tuple(CASES), 1.0)
    assert amounts["objects, all"].objects == 5000 == 4 * amounts["objects, a quarter"].objects
    assert amounts["photos, all"].photos == 10_000 == 2 * amounts["photos, a half"].photos
    width, height = amounts["pixels, all"].size
    assert 100e6 < width * height < 102e6
    assert amounts["classes, all"].classes == 300
    assert steps(("photos",), 0.1)["photos, all"].photos == 1000


def costs(processor):
    return {name: Cost(1.0, processor, 100.0) for name in COMMANDS}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_growth_is_without_what_a_single_photo_takes(tmp_path, capsys):
    """Steps that were measured before are not measured again."""
    measured = {ONE: costs(1.0), "objects, a quarter": costs(3.0), "objects, a half": costs(5.0)}
    measured["objects, all"] = costs(9.0) | {"report": Cost(1.0, 17.0, 2500.0)}
    lines = table(measured, steps(("objects",), 1.0)).splitlines()
    assert cells(lines[-1]) == ["", "times a half", *["2.0"] * 8, "4.0", ""]
    assert cells(lines[-2])[-3:] == ["9.0", "17.0", "2500"]
    (tmp_path / "scaling.json").write_text(json.dumps(measured))
    assert main(["--only", "objects", "--output", str(tmp_path / "scaling.json")]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_what_takes_no_time_has_no_growth():
    measured = {ONE: costs(1.0), "photos, a half": costs(1.1), "photos, all": costs(1.3)}
    assert cells(table(measured, steps(("photos",), 1.0)).splitlines()[-1])[2:] == [*["-"] * 9, ""]
