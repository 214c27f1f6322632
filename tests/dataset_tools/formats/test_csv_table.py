"""Lines of a table one by one; what a source makes of them is in sources/test_csv_boxes.py."""

import pytest

from dataset_tools.errors import UserError
from dataset_tools.formats.csv_table import COLUMNS, BadLine, BoxLine, read_box_table


def lines_of(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text.encode(encoding))
    return list(read_box_table(path, encoding))


def test_a_box_is_its_corners_and_its_photo(tmp_path):
    assert lines_of(tmp_path, "\ncar,1,2,30,20,a.jpg,64,48\n") == [
        BoxLine(2, "car", ((1, 2), (31, 22)), "a.jpg", (64, 48))
    ]


def test_columns_may_stand_in_another_order(tmp_path):
    (line,) = lines_of(tmp_path, ",".join(COLUMNS[::-1]) + "\n48,64,a.jpg,20,30,2,1,car")
    assert line == BoxLine(2, "car", ((1, 2), (31, 22)), "a.jpg", (64, 48))


@pytest.mark.parametrize(
    ("line", "photo"),
    [
        ("car,1,2", ""),
        ("car,1,2,30,20,,64,48", ""),
        ("car,one,2,30,20,a.jpg,64,48", "a.jpg"),
        ("car,1,2,-3,2,a.jpg,6,4", "a.jpg"),
    ],
)
def test_a_line_that_describes_no_box_says_so_and_the_next_is_read(tmp_path, line, photo):
    bad, good = lines_of(tmp_path, f"{line}\ncar,1,2,30,20,b.jpg,64,48\n")
    assert isinstance(bad, BadLine) and (bad.line, bad.photo) == (1, photo)
    assert isinstance(good, BoxLine)


@pytest.mark.parametrize(
    "first",
    ["filename,width,height,class,xmin,ymin,xmax,ymax", "image,label", ";".join(COLUMNS), ",".join(COLUMNS[:7])],
)
def test_a_table_of_another_layout_is_refused_as_a_whole(tmp_path, first):
    with pytest.raises(UserError, match="COCO") as caught:
        lines_of(tmp_path, f"{first}\na.jpg,64,48,car,1,2,30,20\n")
    assert first in caught.value.reason and ",".join(COLUMNS) in caught.value.reason


def test_what_is_missing_or_no_text_is_refused_before_a_line_is_read(tmp_path):
    for path, content in ((tmp_path / "none.csv", None), (tmp_path / "gbk.csv", "车".encode("gbk"))):
        if content:
            path.write_bytes(content)
        with pytest.raises(UserError):
            read_box_table(path, "utf-8")
