"""LabelMe folders, COCO files and tables of boxes as annotated photos; open.py chooses among them."""
