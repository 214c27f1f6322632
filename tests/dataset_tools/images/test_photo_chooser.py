"""Which photo belongs to an annotation file: names, sizes, bytes and pictures as evidence."""

import base64
import json

import pytest
from detectron2.data.detection_utils import read_image
from PIL import Image

from dataset_tools.findings import Rule
from dataset_tools.formats.labelme import decode
from dataset_tools.images import photo_chooser
from dataset_tools.images.header import read_header
from dataset_tools.images.photo_chooser import PhotoChooser
from dataset_tools.images.photo_finder import PhotoFinder
from tests.dataset_tools.pictures import ORIENTATIONS, SIZE, bytes_of, marked


def base64_of(picture, format, **options):
    return base64.b64encode(bytes_of(picture, format, **options)).decode()


def find(folder, file, record, files=(), photos=None):
    """Look for the photo of a file in all photos under the folder, or under its sub-folder ``photos``."""
    root = folder.root / (photos or ".")
    present = [path.relative_to(root).as_posix() for path in root.rglob("*.*") if path.suffix != ".json"]
    return choose(root, present, folder, files).find(file, record)


def choose(root, photos, folder, files):
    return PhotoChooser(PhotoFinder(root, photos=photos), folder.root, files)


def record(image_path, size=SIZE, image_data=None):
    width, height = size or (None, None)
    keys = {"imagePath": image_path, "imageData": image_data, "imageWidth": width, "imageHeight": height}
    return decode(json.dumps({"shapes": [], **keys}).encode())


def test_where_imagepath_leads_is_taken_without_a_word(folder):
    folder.photo("photos/a.jpg")
    folder.photo("files/a.jpg", seed=1)
    photo, findings = find(folder, "files/a.json", record("../photos/a.jpg"))
    assert (photo.path, photo.size, photo.embedded, findings) == ("photos/a.jpg", SIZE, False, [])


@pytest.mark.parametrize(
    ("present", "file", "image_path", "taken"),
    [
        (["x/a.jpg"], "x/b.json", "old/a.jpg", "x/a.jpg"),
        (["x/a.jpg"], "x/b.json", "/home/her/a.jpg", "x/a.jpg"),
        (["x/a.jpg"], "x/b.json", "C:\\Users\\her\\a.jpg", "x/a.jpg"),
        (["x/b.JPG"], "x/b.json", "gone.jpg", "x/b.JPG"),
        (["a.png"], "a.png.json", "gone.png", "a.png"),
        (["b.webp"], "b.json", None, "b.webp"),
        (["b.jpg"], "b.json", "", "b.jpg"),
        (["b.jpg"], "b.json", "b.json", "b.jpg"),
        (["b.jpg"], "b.json", "nul\0.jpg", "b.jpg"),
    ],
)
def test_departures_from_imagepath_are_said(folder, present, file, image_path, taken):
    for name in present:
        folder.photo(name)
    folder.json(file, [], image_path)
    photo, findings = find(folder, file, record(image_path))
    assert photo.path == taken
    assert [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


def test_absolute_path_inside_the_folder_is_followed_and_said(folder):
    path = folder.photo("photos/a.jpg")
    photo, findings = find(folder, "files/b.json", record(str(path)))
    assert photo.path == "photos/a.jpg"
    assert [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


@pytest.mark.parametrize("image_path", ["../outside.jpg", "x/../../outside.jpg", "..\\outside.jpg"])
def test_imagepath_cannot_leave_the_folder(folder, image_path):
    marked().save(folder.root.parent / "outside.jpg")
    photo, findings = find(folder, "b.json", record(image_path))
    assert photo is None
    assert [finding.rule for finding in findings] == [Rule.PHOTO_LEAVES_ROOT]
    folder.photo("outside.jpg", seed=1)  # a photo of its name inside is meant, as with an absolute path
    photo, findings = find(folder, "b.json", record(image_path))
    assert photo.path == "outside.jpg" and [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


def test_imagedata_counts_where_imagepath_leaves_the_folder(folder):
    photo, findings = find(folder, "b.json", record("../outside.jpg", image_data=base64_of(marked(), "PNG")))
    assert photo.embedded and [finding.rule for finding in findings] == [Rule.PHOTO_WRITTEN_OUT]


@pytest.mark.parametrize("image_path", ["gone.png", "p%201.jpg", "8f3a2b1c-p.jpg"])
def test_a_name_that_is_only_alike_does_not_outweigh_imagedata(folder, image_path):
    for name in ("x/gone.jpg", "x/p%201.png", "x/p.jpg"):
        folder.photo(name)
    photo, _ = find(folder, "y/b.json", record(image_path, image_data=base64_of(marked(), "PNG")))
    assert photo.embedded


def test_absolute_path_outside_the_folder_is_not_followed(folder):
    marked().save(folder.root.parent / "outside.jpg")
    photo, findings = find(folder, "b.json", record(str(folder.root.parent / "outside.jpg")))
    assert photo is None
    assert [finding.rule for finding in findings] == [Rule.PHOTO_MISSING]


def test_a_photo_of_the_right_size_comes_before_one_that_is_named(folder):
    folder.photo("a.jpg", size=(100, 100))
    folder.photo("b.jpg")
    photo, findings = find(folder, "b.json", record("a.jpg"))
    assert photo.path == "b.jpg"
    assert [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]
    assert "100 x 100" in findings[0].message


def test_equal_bytes_outweigh_the_name(folder):
    """imagePath names another photo of the same size, as copied annotation files do; imageData knows better."""
    folder.photo("a.jpg", seed=1)
    right = folder.photo("b.jpg", seed=2)
    data = base64.b64encode(right.read_bytes()).decode()
    photo, findings = find(folder, "b.json", record("a.jpg", image_data=data))
    assert photo.path == "b.jpg"
    assert [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_photo_of_another_folder_does_not_outweigh_the_imagedata_that_it_contradicts(folder, size):
    """day1 has lost its photos; day2 has others of the same names."""
    folder.photo("day2/a.jpg", seed=1)
    data = base64.b64encode(folder.photo("../lost.jpg", seed=2).read_bytes()).decode()
    photo, findings = find(folder, "day1/a.json", record("a.jpg", size, data))
    assert photo.embedded and [finding.rule for finding in findings] == [Rule.PHOTO_WRITTEN_OUT]
    assert "day2/a.jpg" in findings[0].message and "grey levels" in findings[0].message


def test_a_photo_of_another_folder_is_taken_where_imagedata_is_broken(folder):
    folder.photo("x/a.jpg")
    photo, findings = find(folder, "y/a.json", record("a.jpg", image_data=base64.b64encode(b"broken").decode()))
    assert photo.path == "x/a.jpg"
    assert [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE, Rule.IMAGE_DATA_DIFFERS]


@pytest.mark.parametrize("image_path", ["../images/a.jpg", "a.jpg", "D:\\s1\\images\\a.jpg"])
@pytest.mark.parametrize(("labels", "photos"), [("{}/labels", "{}/images"), ("labels/{}", "images/{}")])
def test_the_photo_of_another_file_is_not_taken(folder, image_path, labels, photos):
    """The photo of the first file is missing: it alone has an error."""
    folder.photo(f"{photos.format('s2')}/a.jpg")
    files = [f"{labels.format(day)}/a.json" for day in ("s1", "s2")]
    for file in files:
        folder.json(file, [], image_path)
    photo, findings = find(folder, files[0], record(image_path), files)
    assert photo is None and [finding.rule for finding in findings] == [Rule.PHOTO_MISSING]
    photo, _ = find(folder, files[1], record(image_path), files)
    if "s1" not in image_path:
        assert photo.path == f"{photos.format('s2')}/a.jpg"


def test_a_photo_that_another_file_leads_to_is_not_taken(folder):
    folder.photo("photos/a.jpg")
    files = ["one/a.json", "two/a.json"]
    folder.json(files[0], [], "gone.jpg")
    folder.json(files[1], [], "../photos/a.jpg")
    photo, findings = find(folder, files[0], record("gone.jpg"), files)
    assert photo is None and [finding.rule for finding in findings] == [Rule.PHOTO_MISSING]
    folder.json(files[1], [], "gone.jpg")
    assert find(folder, files[0], record("gone.jpg"), files)[0].path == "photos/a.jpg"
    (folder.root / files[1]).write_text("broken")
    assert find(folder, files[0], record("gone.jpg"), files)[0].path == "photos/a.jpg"


def test_a_photo_that_is_not_in_the_folder_of_imagepath_is_missing(folder):
    """Though no other file has the photo of that name."""
    folder.photo("s1/images/b.jpg")
    folder.photo("s2/images/a.jpg", seed=1)
    photo, findings = find(folder, "s1/labels/a.json", record("../images/a.jpg"), ["s1/labels/a.json"])
    assert photo is None and [finding.rule for finding in findings] == [Rule.PHOTO_MISSING]


def test_a_photo_of_another_split_is_not_taken(folder):
    folder.photo("images/train/a.jpg")
    assert find(folder, "labels/val/a.json", record("a.jpg"), ["labels/val/a.json"])[0] is None
    assert find(folder, "labels/train/a.json", record("a.jpg"), ["labels/train/a.json"])[0] is not None


@pytest.mark.parametrize("sets", [["s1", "s2", "s3"], ["train", "val", "test"]])
def test_of_photos_of_one_name_the_one_under_the_folder_of_the_file_is_taken(folder, monkeypatch, sets):
    """No other one is opened."""
    for index, name in enumerate(sets):
        folder.photo(f"{name}/images/0.jpg", seed=index)
    files = [f"{name}/labels/0.json" for name in sets]
    opened = []
    monkeypatch.setattr(photo_chooser, "read_header", lambda path: (read_header(path), opened.append(path))[0])
    for name, file in zip(sets, files):
        photo, findings = find(folder, file, record("0.jpg"), files)
        assert photo.path == f"{name}/images/0.jpg" and [item.rule for item in findings] == [Rule.PHOTO_ELSEWHERE]
    assert len(opened) == len(sets)


def test_a_path_from_the_root_is_taken_without_a_word(folder):
    folder.photo("images/a.jpg")
    folder.photo("other/images/a.jpg", seed=1)
    photo, findings = find(folder, "labels/a.json", record("images/a.jpg"))
    assert (photo.path, findings) == ("images/a.jpg", [])


def test_a_bare_name_does_not_mean_a_photo_at_the_root(folder):
    folder.photo("a.jpg")
    photo, findings = find(folder, "sub/b.json", record("a.jpg"))
    assert photo.path == "a.jpg" and [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


def test_a_bare_name_is_a_path_from_a_folder_of_photos_elsewhere(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder.photo("../elsewhere/a.jpg")
    photo, findings = choose(tmp_path / "elsewhere", ["a.jpg"], folder, ["a.json"]).find("a.json", record("a.jpg"))
    assert (photo.path, findings) == ("a.jpg", [])


def test_a_photo_saved_again_is_the_same_picture(folder):
    path = folder.photo("a.jpg", size=(640, 480))
    data = base64_of(Image.open(path), "JPEG", quality=60)
    assert find(folder, "a.json", record("a.jpg", (640, 480), data))[1] == []


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_photo_is_the_picture_that_labelme_embeds(folder, orientation):
    path = folder.photo("a.jpg", size=(640, 480), orientation=orientation)
    shown = Image.fromarray(read_image(str(path), "RGB"))
    data = base64_of(shown, "JPEG", quality=95)
    assert find(folder, "a.json", record("a.jpg", shown.size, data))[1] == []


@pytest.mark.parametrize("size", [SIZE, (100, 90)])
def test_another_picture_in_imagedata_is_said_and_the_photo_wins(folder, size):
    folder.photo("a.jpg", seed=1)
    other = folder.photo("elsewhere/b.jpg", size=size, seed=2)
    data = base64.b64encode(other.read_bytes()).decode()
    photo, findings = find(folder, "a.json", record("a.jpg", image_data=data))
    assert photo.path == "a.jpg"
    assert [finding.rule for finding in findings] == [Rule.IMAGE_DATA_DIFFERS]


def cut_off(path):
    """Cut a photo after half of its bytes, and return all that it had."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def test_a_photo_that_is_cut_off_is_written_out_of_imagedata(folder):
    data = base64.b64encode(cut_off(folder.photo("a.jpg", size=(640, 480)))).decode()
    photo, findings = find(folder, "a.json", record("a.jpg", (640, 480), data))
    assert photo.embedded and photo.size == (640, 480)
    assert [finding.rule for finding in findings] == [Rule.PHOTO_WRITTEN_OUT]
    assert "'a.jpg'" in findings[0].message and "truncated" in findings[0].message


def test_a_photo_and_imagedata_that_are_both_cut_off_are_an_error(folder):
    path = folder.photo("a.jpg", size=(640, 480))
    cut_off(path)
    data = base64.b64encode(path.read_bytes()[:-1]).decode()
    photo, findings = find(folder, "a.json", record("a.jpg", (640, 480), data))
    assert photo is None and [finding.rule for finding in findings] == [Rule.PHOTO_UNREADABLE]
    assert findings[0].message.count("truncated") == 2


def test_a_whole_photo_outweighs_one_that_is_cut_off(folder):
    """imagePath leads to the broken one; what is left to choose shows what imageData does."""
    cut_off(folder.photo("a.jpg", size=(640, 480), seed=1))
    data = base64_of(Image.open(folder.photo("b.jpg", size=(640, 480), seed=2)), "JPEG", quality=60)
    photo, findings = find(folder, "b.json", record("a.jpg", (640, 480), data))
    assert photo.path == "b.jpg" and [finding.rule for finding in findings] == [Rule.PHOTO_ELSEWHERE]


def test_without_sizes_the_embedded_picture_says_the_size(folder):
    folder.photo("a.jpg", size=(100, 90))
    folder.photo("b.jpg")
    data = base64_of(marked(), "PNG")
    photo, _ = find(folder, "b.json", record("a.jpg", None, data))
    assert photo.path == "b.jpg"


def test_a_photo_annotated_unturned_is_an_error_that_says_so(folder):
    folder.photo("a.jpg", orientation=6)
    photo, findings = find(folder, "a.json", record("a.jpg", SIZE))
    assert photo is None
    assert findings[0].rule is Rule.SIZE_MISMATCH and "EXIF orientation 6" in findings[0].message


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_points_on_the_bytes_of_a_photo_with_a_flag_belong_to_the_photo_unturned(folder, orientation):
    """LabelMe shows imageData as it is stored, and sizes cannot tell."""
    path = folder.photo("a.jpg", orientation=orientation)
    data = base64.b64encode(path.read_bytes()).decode()
    photo, findings = find(folder, "a.json", record("a.jpg", SIZE, data))
    assert photo.embedded and photo.path == "a.png"  # written out without the flag
    assert [finding.rule for finding in findings] == [Rule.PHOTO_WRITTEN_OUT]
    assert f"EXIF orientation {orientation}" in findings[0].message


def test_a_letter_and_its_accent_may_be_one_character_or_two(folder):
    """macOS takes names apart; other systems leave them as they are."""
    folder.photo("photos/caf\u00e9.jpg")
    photo, findings = find(folder, "files/b.json", record("cafe\u0301.jpg"))
    assert photo.path == "photos/caf\u00e9.jpg" and [item.rule for item in findings] == [Rule.PHOTO_ELSEWHERE]


def test_a_link_that_is_no_photo_of_the_folder_leads_nowhere(folder, tmp_path):
    """It is hidden, so what it leads to is not among the photos."""
    (tmp_path / "elsewhere").mkdir()
    folder.photo("a.jpg").rename(tmp_path / "elsewhere/a.jpg")
    (folder.root / ".up").symlink_to(tmp_path / "elsewhere")
    folder.json("b.json", [], ".up/a.jpg")
    photo, findings = choose(folder.root, set(), folder, ["b.json"]).find("b.json", record(".up/a.jpg"))
    assert photo is None and [item.rule for item in findings] == [Rule.PHOTO_LEAVES_ROOT]


def test_turned_size_agrees(folder):
    folder.photo("a.jpg", orientation=6)
    photo, findings = find(folder, "a.json", record("a.jpg", SIZE[::-1]))
    assert (photo.size, findings) == (SIZE[::-1], [])


@pytest.mark.parametrize("turn", range(4))
def test_names_that_differ_in_capitals_only_are_always_in_one_order(folder, turn):
    """Whatever the order in which a set gives them."""
    names = ["a.JPG", "a.JPg", "a.Jpg", "a.jpg"]
    for index, name in enumerate(names):
        folder.photo(name, seed=index)
    photo, _ = choose(folder.root, names[turn:] + names[:turn], folder, ["a.json"]).find("a.json", record("gone.jpg"))
    assert photo.path == "a.JPG"
