from polymask.engine.hooks.best_checkpoint import BestCheckpoint
from polymask.engine.hooks.validation import MASK_AP

APS = [{MASK_AP: 20.0}, {}, {MASK_AP: 10.0}, {MASK_AP: float("nan")}, {MASK_AP: 30.0}, {MASK_AP: 30.0}, {}]


def test_only_better_evaluations_save_weights(scripted):
    training = scripted(APS, BestCheckpoint())
    assert training.saved == [(0, "model_best"), (4, "model_best")]


def test_a_resumed_training_remembers_the_best(scripted):
    first = BestCheckpoint()
    scripted(APS, first, max_iter=2)
    resumed = BestCheckpoint()
    resumed.load_state_dict(first.state_dict())
    # Detectron2's BestCheckpointer would save the 10 of iteration 2.
    assert scripted(APS, resumed, start=2).saved == [(4, "model_best")]
    assert resumed.state_dict() == {"mask_ap": 30.0, "iteration": 4}
