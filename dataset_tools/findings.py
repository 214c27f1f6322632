"""What can be wrong with a file, as data: one table of rules, and the findings that quote them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dataset_tools.errors import EXIT_DATA, UserError


class Severity(Enum):
    """Errors keep a file out of the dataset; warnings say what was left out or guessed, notes what is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_ERROR, _WARNING, _NOTE = Severity


class Rule(Enum):
    """Every kind of finding: code, severity, title, and remedy (one sentence in the imperative without a full stop)."""

    # fmt: off
    # The annotation file
    NOT_JSON = ("LM001", _ERROR, "not readable as JSON",
        "Correct it with a text editor, or delete it and annotate the photo again")
    NOT_LABELME = ("LM002", _WARNING, "JSON but not a LabelMe file; left out",
        "Do what its message says, or move it out of the folder")
    WRONG_ENCODING = ("LM003", _ERROR, "not text in the expected encoding",
        "Pass --encoding, for example --encoding gbk, or save the file as UTF-8 with a text editor")
    WRONG_STRUCTURE = ("LM004", _ERROR, "a value of the wrong type",
        "Correct the value that is named with a text editor")
    BAD_FILE_NAME = ("LM005", _ERROR, "a file name that is not Unicode text",
        "Rename the file")
    OUTSIDE_SPLITS = ("LM006", _WARNING, "outside the folders train, val and test; left out",
        "Move it into one of the three folders")
    FILE_TOO_LARGE = ("LM007", _ERROR, "larger than any annotation file",
        "Move it out of the folder, or save it again in labelme without imageData")
    OUTLINES_TOO_LONG = ("LM008", _ERROR, "the outlines are too long to be filled",
        "Draw the shape that is named again, with fewer points")
    TOO_MANY_PAIRS = ("LM009", _ERROR, "too many shapes lie on one another to compare them",
        "Delete those that are there twice, or cut the photo into several")
    # The photo
    PHOTO_ELSEWHERE = ("LM010", _WARNING, "the path does not lead to the photo; another photo was used",
        "Check that it is the right photo, and correct the path")
    PHOTO_LEAVES_ROOT = ("LM011", _ERROR, "the photo's path leaves the folder",
        "Put the photo into the folder, or name a folder that holds it, too, with --photos (adopt: --images-root)")
    PHOTO_WRITTEN_OUT = ("LM012", _WARNING, "no photo fits; imageData was written as the photo",
        "If you have the photo, name its folder with --photos, convert the folder above that holds both, or put it beside the file")
    PHOTO_MISSING = ("LM013", _ERROR, "the photo is missing",
        "Put the photo where the file says it is, or name the photos' folder with --photos (adopt: --images-root)")
    IMAGE_DATA_DIFFERS = ("LM014", _WARNING, "imageData shows another picture than the photo; the photo was used",
        "Check that the polygons fit the photo, and save the file again in labelme")
    SIZE_MISMATCH = ("LM015", _ERROR, "the size of the photo is not the one in the file",
        "Put back the photo that was annotated, or annotate this one again")
    PHOTO_UNREADABLE = ("LM016", _ERROR, "the photo cannot be read",
        "Save the photo again as JPEG or PNG, with 8 bits a level")
    TWO_FILES_FOR_ONE_PHOTO = ("LM017", _ERROR, "two annotation files for one photo",
        "Delete one of them, or correct its imagePath")
    PHOTO_TOO_LARGE = ("LM018", _ERROR, "the picture has too many pixels",
        "Make the photo smaller, and annotate it again")
    ORIENTATION_UNSAFE = ("LM019", _ERROR, "an orientation flag (TIFF, or XMP only) that programs read differently",
        "Save the photo as PNG without the flag, and annotate that")
    PHOTO_WITHOUT_FILE = ("LM020", _NOTE, "a photo without an annotation file; left out",
        "Annotate it; if there is nothing in it, save it in labelme without shapes, or pass --negatives to convert")
    NO_SHAPES = ("LM021", _NOTE, "no shapes: the photo is kept as a negative",
        "Annotate it if there is something in it")
    PHOTO_AMBIGUOUS = ("LM022", _ERROR, "several photos of that name fit",
        "Correct the photo's path, or name a folder with one of them with --photos (adopt: --images-root)")
    NAMES_DISAGREE = ("LM023", _WARNING, "imagePath names one photo, the name of the file another; imagePath was used",
        "Check that it is the right photo")
    TAKEN_AS_NEGATIVE = ("LM024", _NOTE, "a photo without an annotation file; kept as an empty photo (negative)",
        "Nothing needs to be done")
    DATASET_INSIDE = ("LM025", _NOTE, "a dataset folder inside this one; ignored, since its photos are copies",
        "Write datasets elsewhere")
    LINK_LEADS_OUT = ("LM026", _WARNING, "a link leads out of the folder; what it leads to was used",
        "Check that it belongs into the dataset; put it into the folder, or delete the link")
    DRAWN_UNTURNED = ("LM027", _WARNING, "drawn without regard to the photo's EXIF orientation; turned with the photo",
        "Check in a preview that the outlines fit")
    NO_SHAPE_LEFT = ("LM028", _ERROR, "all shapes were left out, some as their type has no area or is unknown: a photo with nothing in it",
        "Draw the objects as polygons, or pass --line-width, which gives points and lines an area")
    FIRST_FRAME = ("LM029", _NOTE, "several pages or frames in one photo file; the first one was used",
        "Save the others as photos, too, if they should be learned from")
    # Shapes
    TOO_FEW_POINTS = ("LM030", _WARNING, "too few points; dropped",
        "Delete the shape, or draw it again")
    TOO_MANY_POINTS = ("LM031", _ERROR, "more points than this type of shape has",
        "Draw the shape again")
    BAD_COORDINATES = ("LM032", _WARNING, "infinite, missing or huge coordinates; dropped",
        "Delete the shape, or draw it again")
    ZERO_AREA = ("LM033", _WARNING, "a shape without area; dropped",
        "Delete the shape, or draw it again")
    NO_PIXELS = ("LM034", _WARNING, "covers no pixel; dropped",
        "Delete the shape, or draw it again")
    SELF_CROSSING = ("LM035", _WARNING, "the outline crosses or touches itself; kept",
        "Move the vertex that is named, or pass --repair")
    PARTLY_OUTSIDE = ("LM036", _NOTE, "partly outside the photo; clipped",
        "Nothing needs to be done")
    OUTSIDE = ("LM037", _WARNING, "outside the photo; dropped",
        "Check that the photo is the one that was annotated")
    NO_SURFACE = ("LM038", _WARNING, "a shape type that has no area or is unknown; left out",
        "Draw the object as a polygon; --line-width gives points and lines an area")
    MASK_BOX_DIFFERS = ("LM039", _NOTE, "the size of the mask is not that of its box; the mask was used",
        "Nothing needs to be done")
    MASK_EMPTY = ("LM040", _WARNING, "an empty mask; dropped",
        "Delete the shape, or draw it again")
    MASK_UNREADABLE = ("LM041", _ERROR, "the mask cannot be read",
        "Delete the shape from the file with a text editor, and draw it again")
    GROUP_WITH_SEVERAL_LABELS = ("LM042", _WARNING, "one group_id on several labels; kept as separate instances",
        "Give the parts of one object one label, and other objects another group_id")
    DUPLICATE_SHAPE = ("LM043", _WARNING, "the same shape twice; both kept",
        "Delete one of them, or pass --drop-duplicates")
    NESTED_PARTS = ("LM044", _NOTE, "a part inside another part of its group adds nothing to it",
        "Pass --holes if it is meant as a hole")
    HOLE_CUT = ("LM045", _NOTE, "a part inside another part of its group was cut out",
        "Nothing needs to be done")
    DUPLICATE_DROPPED = ("LM046", _NOTE, "the same shape twice; one was dropped",
        "Nothing needs to be done")
    REPAIRED = ("LM047", _NOTE, "the outline crosses or touches itself; repaired",
        "Look at it in a preview")
    OVERLAP = ("LM048", _WARNING, "two instances of one class overlap by half (IoU) or more",
        "Delete one of them if it is one object; give its parts one group_id")
    TINY = ("LM049", _WARNING, "too small to learn at the training size",
        "Train on larger photos (and pass their --training-size to check), or delete the shape")
    # Labels
    EMPTY_LABEL = ("LM050", _ERROR, "an empty label",
        "Give the shape a label")
    SPACE_AROUND_LABEL = ("LM051", _WARNING, "white space around a label, which makes it a separate class",
        "Pass --rename 'car =car', with the label as it is shown here between quotation marks, or correct it in labelme")
    UNKNOWN_LABEL = ("LM052", _ERROR, "a label that is not in --classes",
        "Correct the label, add it to the classes, or pass --rename or --ignore")
    LABEL_VARIANTS = ("LM053", _WARNING, "labels that may mean one class",
        "Merge them with --rename if they do")
    IGNORED_LABEL = ("LM054", _NOTE, "a label that LabelMe reserves; left out",
        "Nothing needs to be done")
    CLASS_WITHOUT_INSTANCES = ("LM055", _WARNING, "a class of --classes without instances",
        "Check its spelling")
    RENAME_UNUSED = ("LM056", _WARNING, "a label of --rename or --ignore that no shape has",
        "Check its spelling")
    IGNORED_ON_REQUEST = ("LM057", _NOTE, "a label of --ignore; left out",
        "Nothing needs to be done")
    NUMBERED_LABELS = ("LM058", _WARNING, "labels that differ only by a number; each is a separate class",
        "Pass --strip-numbers if the numbers count objects of one class")
    FEW_INSTANCES = ("LM059", _WARNING, "a class with few instances",
        "Annotate more of it, merge it into another with --rename, or leave it out with --ignore")
    # Splits
    EMPTY_SPLIT = ("LM060", _WARNING, "a split without photos",
        "Annotate more photos, or choose other fractions")
    CLASS_NOT_IN_TRAIN = ("LM061", _WARNING, "train has no instance of a class, so it cannot be learned",
        "Annotate more photos of it, or pass another --seed")
    CLASS_NOT_IN_SPLIT = ("LM062", _NOTE, "a split has no instance of a class, so it cannot be measured",
        "Annotate more photos of it, or pass another --seed")
    LOOK_ALIKES_APART = ("LM063", _WARNING, "photos that look alike are in different splits: test scores will be too high",
        "Keep them in one split, with --group or sub-folders")
    LOOK_ALIKES = ("LM064", _NOTE, "photos that look alike; a random split may separate them",
        "Keep them in one split, with --group or sub-folders")
    NO_INSTANCES = ("LM065", _ERROR, "no instances: there is nothing to learn",
        "Annotate at least one object, or see what was left out")
    TRAIN_EMPTY = ("LM066", _ERROR, "train has no photo that can be used: there is nothing to learn from",
        "Put annotated photos into it")
    ONLY_TRAIN = ("LM067", _WARNING, "all photos are in train, the only split that is here",
        "To have them divided, name the folder or file of train itself (YOLO: leave it out of data.yaml); or make val and test, too")
    MANY_OBJECTS = ("LM068", _WARNING, "more than 100 objects in a photo: a model predicts 100 unless it is asked for more",
        "Train with TEST.DETECTIONS_PER_IMAGE above the largest number; train_net.py --dry-run names further limits")
    # Files of other programs
    CATEGORY_UNKNOWN = ("LM070", _ERROR, "an annotation of a category that does not exist, or has several names",
        "Correct its category_id or the categories")
    IMAGE_UNKNOWN = ("LM071", _WARNING, "an annotation of an image that does not exist; left out",
        "Delete it, or correct its image_id")
    IMAGE_ID_TWICE = ("LM072", _ERROR, "several images have one id, so their annotations cannot be assigned",
        "Give each image a different id")
    PHOTO_LISTED_TWICE = ("LM073", _ERROR, "a photo that is listed more than once",
        "Correct the file_name of those that mean another photo; of those that mean this one, delete all but one")
    BAD_SEGMENTATION = ("LM074", _ERROR, "a segmentation that is neither a list of polygons nor a run-length code",
        "Correct it, or delete the annotation")
    ODD_POLYGON = ("LM075", _WARNING, "a polygon with an odd number of values; dropped",
        "Draw the object again")
    BOX_FOR_MASK = ("LM076", _WARNING, "no segmentation; the box was used as the mask",
        "Draw the outlines if the model should learn masks")
    NOTHING_DRAWN = ("LM077", _WARNING, "neither a segmentation nor a box; left out",
        "Delete the annotation, or draw the object")
    CROWD = ("LM078", _WARNING, "a region with a crowd (iscrowd 1); left out",
        "If each is one object, as CVAT and Datumaro write masks, pass --crowds objects to adopt. Else draw its objects one "
        "by one, or leave the photo out: the model learns what is not drawn as background")
    MASK_OF_ANOTHER_SIZE = ("LM079", _ERROR, "the size of the mask is not that of the photo",
        "Draw the mask again on this photo")
    CATEGORY_UNUSED = ("LM080", _WARNING, "a category without annotations; it still becomes a class",
        "Pass --ignore, or --classes without it, if the model should not learn it")
    GROUP_OF_CATEGORIES = ("LM081", _NOTE, "a category without annotations that only groups others; left out",
        "Nothing needs to be done")
    ANNOTATION_ID = ("LM082", _ERROR, "the id of an annotation is missing, below 1 or used twice: COCO's evaluation needs ids",
        "Convert the folder with adopt, which numbers the annotations")
    MEASURES_DIFFER = ("LM083", _WARNING, "the box or area in the file is not that of the mask",
        "Convert the folder with adopt, which computes both")
    NOT_TRAINABLE = ("LM084", _ERROR, "training refuses the file",
        "Correct the value that is named, or convert the folder with adopt")
    BAD_LINE = ("LM085", _ERROR, "a line that does not describe an object",
        "Correct the line, or delete it")
    CARD_COUNTS_DIFFER = ("LM086", _WARNING, "a count in dataset.json is not that of its COCO file",
        "Correct dataset.json, or convert the folder with adopt")
    NO_ANNOTATIONS = ("LM087", _WARNING, "a file without annotations: all its photos are kept as negatives",
        "Leave the file out if there is something in its photos")
    ONLY_CROWDS = ("LM088", _ERROR, "all annotations of the class are regions with a crowd (iscrowd 1)",
        "If each is one object, as CVAT and Datumaro write masks, pass --crowds objects to adopt. Else draw the objects one "
        "by one, or pass --ignore with the class")
    MIXTURE = ("LM089", _ERROR, "a file of VIA among files of LabelMe",
        "Convert it by itself: name the file in place of the folder; or pass --skip-bad to leave it out")
    NO_CLASSES = ("LM090", _WARNING, "no region has an attribute that says what it is; all are of one class",
        "Pass --rename object=NAME to give the class a name")
    # Values
    READ_IN_ANOTHER_FORM = ("LM091", _NOTE, "values in another form than usual, which can mean one thing only",
        "Nothing needs to be done")
    # fmt: on

    def __init__(self, code: str, severity: Severity, title: str, remedy: str):
        self.code = code
        self.severity = severity
        self.title = title
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check says about one file.

    Attributes:
        rule: which rule; it brings code, severity, title and remedy.
        file: path with POSIX slashes, relative to the folder that is read; empty for the folder as a whole.
        place: where in the file, e.g. ``shapes[3]``; empty for the file as a whole.
        message: the facts, beyond the rule's title; may be empty.
    """

    rule: Rule
    file: str = ""
    place: str = ""
    message: str = ""

    @property
    def is_error(self) -> bool:
        return self.rule.severity is Severity.ERROR

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.file, self.place) if part)
        return ": ".join(part for part in (where, self.message) if part)


def refusal(findings: list[Finding], folder: object) -> BadData:
    """The error that files have errors and ``--skip-bad`` was not passed; it holds all findings."""
    count = len({finding.file for finding in findings if finding.is_error})
    reason = f"{count} {'file has' if count == 1 else 'files have'} errors; nothing was written"
    remedy = "Correct what is listed above, or pass --skip-bad to leave these files out"
    return BadData(reason, findings, file=folder, remedy=remedy)


# The findings are shown before the error.
_SEE_ABOVE = "Correct what is listed above"


class BadData(UserError):
    """The data have errors; ``findings`` holds them and everything else that was found."""

    def __init__(self, reason: str, findings: list[Finding], *, remedy: str = _SEE_ABOVE, file: object = None):
        super().__init__(reason, remedy=remedy, file=str(file) if file else None, exit_code=EXIT_DATA)
        self.findings = findings
