"""LabelMe folders and the files of other programs as annotated photos; open.py chooses among them."""
