"""From LabelMe photos to a COCO dataset folder: everything that happens before Detectron2."""
