import json

import pytest
import torch

from dataset_tools.errors import UserError
from polymask.engine.trainer import Trainer

SHORT = ("TEST.EVAL_PERIOD", "0", "SOLVER.IMS_PER_BATCH", "2", "DATASETS.VAL", "()", "SOLVER.AMP.ENABLED", "False")


@pytest.mark.parametrize("layer", ["mask_head.predictor", "box_predictor.bbox_pred"])
def test_a_loss_without_a_number_ends_the_training_before_the_step(train, tmp_path, monkeypatch, layer):
    """Weights that become infinite, as by a bad photo: the loss of their layer is named, and no optimizer step is made."""
    run_step = Trainer.run_step
    steps = []

    def damage(self):
        steps.append({name: tensor.clone() for name, tensor in self.model.named_parameters()})
        if self.iter == 2:
            with torch.no_grad():
                self.model.roi_heads.get_submodule(layer).bias.fill_(float("nan"))
        run_step(self)

    monkeypatch.setattr(Trainer, "run_step", damage)
    run = tmp_path / "run"
    with pytest.raises(UserError, match="loss_(mask|box_reg) became NaN or infinite in iteration 2"):
        train(*SHORT, "SOLVER.MAX_ITER", "9", "SOLVER.CHECKPOINT_PERIOD", "2", output=run)
    report = json.loads((run / "non_finite_loss.json").read_text())
    assert len(report["processes"][0]["photos"]) == 2
    assert len(steps) == 3
    assert (run / "last_checkpoint").read_text() == "model_0000001.pth"


@pytest.mark.parametrize("name", ["roi_heads.mask_head.predictor.bias", "backbone.bottom_up.stem.conv1.weight"])
def test_a_gradient_without_a_number_ends_the_training_before_the_step(train, tmp_path, monkeypatch, name):
    """The losses are numbers: what a backward pass may overflow in is nothing to be seen in them."""
    run_step, weights = Trainer.run_step, []

    def damage(self):
        parameter = self.model.get_parameter(name)
        if self.iter == 1:
            weights.append(parameter.detach().clone())
            parameter.register_hook(lambda gradient: gradient * float("inf"))
        try:
            run_step(self)
        finally:
            if self.iter == 1:
                weights.append(parameter.detach().clone())

    monkeypatch.setattr(Trainer, "run_step", damage)
    run = tmp_path / "run"
    with pytest.raises(UserError, match="gradients became NaN or infinite in iteration 1"):
        train(*SHORT, "SOLVER.MAX_ITER", "3", output=run)
    report = json.loads((run / "non_finite_loss.json").read_text())
    assert report["not_finite"] == "gradients" and len(report["processes"][0]["photos"]) == 2
    assert torch.equal(*weights)


def test_proposals_without_a_number_on_val(train, tmp_path, monkeypatch):
    """Weights that only an evaluation shows to be damaged: Detectron2 refuses them as in the training."""
    after_step = Trainer.after_step

    def damage(self):
        with torch.no_grad():
            self.model.proposal_generator.rpn_head.objectness_logits.bias.fill_(float("nan"))
        after_step(self)

    monkeypatch.setattr(Trainer, "after_step", damage)
    with pytest.raises(UserError, match="proposals on VAL are NaN or infinite after iteration 0"):
        train("SOLVER.MAX_ITER", "2", "TEST.EVAL_PERIOD", "1", output=tmp_path / "run")
    assert not (tmp_path / "run/non_finite_loss.json").exists(), "no photo of the training is to blame"


def test_a_learning_rate_that_is_much_too_high(train, tmp_path):
    """Detectron2's own refusal, in the middle of the forward pass, ends in the same words."""
    run = tmp_path / "run"
    with pytest.raises(UserError, match="NaN or infinite in iteration") as caught:
        train(
            *SHORT, "SOLVER.MAX_ITER", "9", "SOLVER.BASE_LR", "1e18", "SOLVER.WARMUP_ITERS", "0",
            "SOLVER.CLIP_GRADIENTS.ENABLED", "False", "SOLVER.CHECKPOINT_PERIOD", "100", output=run,
        )  # fmt: skip
    report = json.loads((run / "non_finite_loss.json").read_text())
    (process,) = report["processes"]
    assert len(process["photos"]) == 2 and all(photo.endswith(".png") for photo in process["photos"])
    rows = (run / "history.csv").read_text().splitlines()
    assert len(rows) - 1 == report["iteration"], "the iterations before are in the history, this one isn't"
    assert not (run / "model_final.pth").exists() and not (run / "results.json").exists()
    assert "BASE_LR" in str(caught.value)
