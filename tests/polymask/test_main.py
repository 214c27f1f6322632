import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", [["train_net.py"], ["demo.py"], ["-m", "polymask"]])
def test_help_loads_nothing_heavy(command):
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.{'run_module' if command[0] == '-m' else 'run_path'}({command[-1]!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'detectron2', 'numpy', 'cv2', 'matplotlib'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
