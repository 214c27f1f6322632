import pytest
import torch
from detectron2.engine import HookBase
from detectron2.utils.events import EventStorage

from polymask.engine.update import UpdateTrainer


class Regression(torch.nn.Module):
    """Photos are numbers; each loss is a mean over the photos, as Detectron2's are. Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(4, 1, bias=False)
        torch.nn.init.constant_(self.line.weight, 0.5)
        self.seen, self.types, self.drawn = [], [], []

    def forward(self, batch):
        features = torch.stack([item["features"] for item in batch])
        output = self.line(features)
        self.seen.append(len(batch))
        self.types.append(output.dtype)
        self.drawn.append(float(torch.rand(())))
        return {"loss_square": (output.float() ** 2).mean(), "loss_shift": (output.float() - 1).abs().mean()}


def trained(iterations=1, batch=6, parts=1, first=0, hooks=(), compute_type=torch.float32):
    """The model and its trainer after some iterations over the same stream of photos."""
    generator = torch.Generator().manual_seed(0)
    stream = [
        [{"features": torch.randn(4, generator=generator)} for _ in range(batch)] for _ in range(first + iterations)
    ]
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = UpdateTrainer(
        model, stream[first:], optimizer, device="cpu", compute_type=compute_type, parts=parts, seed=5
    )
    trainer.register_hooks(list(hooks))
    with EventStorage(first) as trainer.storage:
        for trainer.iter in range(first, first + iterations):
            trainer.run_step()
    return model, trainer


@pytest.mark.parametrize(("parts", "sizes"), [(2, [3, 3]), (3, [2, 2, 2]), (4, [2, 2, 2]), (6, [1] * 6)])
def test_an_update_in_parts_is_the_update_of_the_whole(parts, sizes):
    whole, in_parts = trained(iterations=3), trained(iterations=3, parts=parts)
    torch.testing.assert_close(whole[0].line.weight, in_parts[0].line.weight)
    assert in_parts[0].seen[: len(sizes)] == sizes
    assert whole[1].losses == pytest.approx(in_parts[1].losses)


def test_parts_of_different_sizes_are_weighted():
    torch.testing.assert_close(trained(batch=5)[0].line.weight, trained(batch=5, parts=2)[0].line.weight)


def test_the_randomness_of_an_iteration_follows_from_its_number():
    drawn = trained(iterations=4)[0].drawn
    torch.rand(7)  # what happened before
    assert trained(iterations=2, first=2)[0].drawn == drawn[2:]
    assert len(set(drawn)) == 4


def test_losses_are_known_after_the_backward_pass_and_before_the_step():
    class Look(HookBase):
        def after_backward(self):
            self.losses = dict(trainer_of[0].losses)
            self.gradient = model_of[0].line.weight.grad.clone()
            raise KeyboardInterrupt

    generator = torch.Generator().manual_seed(0)
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = [{"features": torch.randn(4, generator=generator)} for _ in range(2)]
    trainer = UpdateTrainer(model, [batch], optimizer, device="cpu", compute_type=torch.float32, parts=1, seed=0)
    trainer_of, model_of, look = [trainer], [model], Look()
    trainer.register_hooks([look])
    with EventStorage(), pytest.raises(KeyboardInterrupt):
        trainer.run_step()
    assert look.losses.keys() == {"loss_square", "loss_shift"} and trainer.batch == batch
    assert look.gradient.abs().sum() > 0
    assert torch.equal(model.line.weight, torch.full((1, 4), 0.5)), "no step was made"


def test_the_forward_pass_has_the_type_that_was_asked_for():
    assert trained()[0].types == [torch.float32]
    assert trained(compute_type=torch.bfloat16)[0].types == [torch.bfloat16]
