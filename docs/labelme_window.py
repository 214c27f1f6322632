"""Draws LabelMe's own window with one annotation file opened, without a screen.

QT_QPA_PLATFORM=offscreen python docs/labelme_window.py FILE.json PICTURE.png

A separate script, because it imports labelme and PyQt5, which are GPL-3: what polymask runs never does.
"""

from __future__ import annotations

import os
import sys

from labelme.app import MainWindow
from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QApplication

SIZE = (1200, 760)  # px
WAIT = 2000  # ms until the photo is drawn and fitted into the window


def main(annotation_file: str, picture: str) -> None:
    application = QApplication(sys.argv[:1])
    window = MainWindow(file_or_dir=annotation_file)
    window.resize(*SIZE)
    window.show()
    QTimer.singleShot(WAIT, application.quit)
    application.exec_()
    window.grab().save(picture)
    os._exit(0)  # Qt sometimes crashes while it takes down a window without a screen; the picture is written by then


if __name__ == "__main__":
    main(*sys.argv[1:])
