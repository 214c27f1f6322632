"""A training without a model, for hooks that only listen."""

from types import SimpleNamespace

import pytest
from detectron2.engine import TrainerBase

from polymask.engine.trainer import Trainer


class ScriptedTraining(TrainerBase):
    """The real loop, hooks and storage; what an iteration would have measured is written down beforehand.

    Args:
        folder: its OUTPUT_DIR.
        script: for each iteration the scalars that it puts into the storage.
    """

    run_loop = Trainer.run_loop

    def __init__(self, folder, script, hooks, start=0, max_iter=None):
        super().__init__()
        self.script = script
        self.start_iter = start
        self.max_iter = len(script) if max_iter is None else max_iter
        self.cfg = SimpleNamespace(OUTPUT_DIR=str(folder))
        self.saved = []  # (iteration, name) of the weights
        self.ran = []
        self.register_hooks(hooks)

    @property
    def losses(self):
        return {name: value for name, value in self.script[self.iter].items() if name.startswith("loss")}

    def run_step(self):
        self.ran.append(self.iter)
        self.storage.put_scalars(**self.script[self.iter])

    def save_weights(self, name):
        self.saved.append((self.iter, name))


@pytest.fixture
def scripted(tmp_path):
    """Runs the loop over a script; see :class:`ScriptedTraining`."""

    def run(script, *hooks, **options):
        training = ScriptedTraining(tmp_path, script, hooks, **options)
        training.run_loop()
        return training

    return run
