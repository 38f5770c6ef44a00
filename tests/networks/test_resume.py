"""Killed at any moment, a run goes on from its checkpoint to the same weights as an unbroken run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import CONFIG, N_STEPS, Killer, assert_equal_weights, image_set, network, weights

from common.networks import training
from common.networks.models import prunable_parameters
from common.networks.training import train
from common.pruning.callbacks import GradualPruner
from common.pruning.masks import lamp_scores
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.weight_sharing import share_weights

ADAM = replace(CONFIG, optimizer="adam", max_lr=0.01)


def pruned_run(model, path=None, *, config=CONFIG, killer=None, checkpoint_steps=None):
    """A run with all that has a state: batch norm, momentum, masks that tighten, crops and flips."""
    pruner = GradualPruner(0.7, 0, 9, every=2)
    history = train(
        model,
        image_set(),
        config,
        validation=image_set(9, seed=1),
        checkpoint=path,
        callbacks=[pruner, killer] if killer else [pruner, object()],
        checkpoint_steps=checkpoint_steps,
        device="cpu",
    )
    return history, pruner.masks


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, ADAM], ids=["sgd", "adam"])
def test_killed_at_any_step_a_run_resumes_to_the_same_weights(tmp_path, config):
    model = network()
    history, masks = pruned_run(model, config=config)
    expected = weights(model)
    for step in range(N_STEPS):
        path = tmp_path / f"{step}.pt"
        hook = "before_step" if step % 2 else "after_step"
        with pytest.raises(KeyboardInterrupt):
            pruned_run(
                network(), path, config=config, killer=Killer(step, hook), checkpoint_steps=1 + step % 3
            )
        resumed = network()
        resumed_history, resumed_masks = pruned_run(resumed, path, config=config)
        assert_equal_weights(expected, weights(resumed))
        assert_equal_weights(masks, resumed_masks)
        assert resumed_history.val_top1 == history.val_top1
        assert resumed_history.lr == history.lr


def test_a_run_killed_while_it_writes_its_checkpoint_resumes_too(tmp_path, monkeypatch):
    model = network()
    pruned_run(model)
    path, written, save = tmp_path / "run.pt", [], torch.save

    def killed_in_the_seventh(state, target):
        written.append(target)
        if len(written) == 7:
            target.write_bytes(b"half of")
            raise KeyboardInterrupt
        save(state, target)

    monkeypatch.setattr(torch, "save", killed_in_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        pruned_run(network(), path, checkpoint_steps=1)
    resumed = network()
    pruned_run(resumed, path, checkpoint_steps=1)
    assert_equal_weights(weights(model), weights(resumed))


def test_centroids_resume_to_the_same_codebooks(tmp_path):
    def tuned_run(path=None, killer=None):
        model = network()
        shared = {
            name: share_weights(weight.detach().numpy(), n_clusters=4)
            for name, weight in prunable_parameters(model).items()
        }
        tuner = CentroidTuner(shared, model)
        others = [value for name, value in model.named_parameters() if name not in shared]
        train(
            model,
            image_set(),
            ADAM,
            device="cpu",
            checkpoint=path,
            callbacks=[tuner, killer or object()],
            parameters=[*tuner.parameters(), *others],
            checkpoint_steps=1,
        )
        return weights(model), tuner.shared_tensors()

    expected, expected_shared = tuned_run()
    with pytest.raises(KeyboardInterrupt):
        tuned_run(tmp_path / "run.pt", Killer(5, "after_step"))
    resumed, resumed_shared = tuned_run(tmp_path / "run.pt")
    assert_equal_weights(expected, resumed)
    for name, tensor in expected_shared.items():
        assert len(np.unique(resumed[name])) <= 4
        np.testing.assert_array_equal(tensor.codebook, resumed_shared[name].codebook)


def test_checkpoints_keep_their_distance_but_for_the_last(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(training, "save_checkpoint", lambda path, step, **state: written.append(step))
    options = {"checkpoint": tmp_path / "run.pt", "checkpoint_steps": 1, "device": "cpu"}
    train(network(), image_set(), CONFIG, **options)
    assert written == list(range(1, N_STEPS + 1))
    written.clear()
    monkeypatch.setitem(training.CHECKPOINT_SECONDS, "cpu", 1e9)
    train(network(), image_set(), CONFIG, **options)
    assert written == [N_STEPS]
    written.clear()
    patient = replace(CONFIG, patience=1, max_lr=1e-9)  # no epoch is better than the first
    train(network(), image_set(), patient, validation=image_set(9, seed=1), **options)
    assert written == [2 * N_STEPS // 3]


def test_a_finished_run_is_not_run_again(tmp_path):
    model = network()
    first, _ = pruned_run(model, tmp_path / "run.pt")
    again, _ = pruned_run(network(), tmp_path / "run.pt", killer=Killer(0, "before_step"))
    assert again == first


def test_a_checkpoint_of_other_options_or_images_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(network(), image_set(), replace(CONFIG, epochs=1), checkpoint=path, device="cpu")
    with pytest.raises(ValueError, match="made with other max_lr"):
        train(network(), image_set(), replace(CONFIG, epochs=1, max_lr=0.2), checkpoint=path, device="cpu")
    with pytest.raises(ValueError, match="made with other images"):
        train(network(), image_set(seed=3), replace(CONFIG, epochs=1), checkpoint=path, device="cpu")


def test_a_checkpoint_of_other_rates_is_refused(tmp_path):
    def run(rate):
        model = network()
        parameters = list(model.parameters())
        groups = [{"params": parameters[:1], "rate": rate}, *parameters[1:]]
        train(model, image_set(), CONFIG, device="cpu", checkpoint=tmp_path / "run.pt", parameters=groups)

    run(0.3)
    run(0.3)
    with pytest.raises(ValueError, match="made with other rates"):
        run(0.1)


def test_a_checkpoint_of_another_start_is_refused(tmp_path):
    path, config = tmp_path / "run.pt", replace(CONFIG, epochs=1)
    train(network(), image_set(), config, checkpoint=path, device="cpu")
    other = network()
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    before = weights(other)
    with pytest.raises(ValueError, match="made with other start: delete it"):
        train(other, image_set(), config, checkpoint=path, device="cpu")
    assert_equal_weights(weights(other), before)
    state = torch.load(path, weights_only=True)
    del state["options"]["start"]  # as older versions wrote it
    torch.save(state, path)
    train(other, image_set(), config, checkpoint=path, device="cpu")


@pytest.mark.parametrize(
    ("other", "named"), [({"every": 3}, "every"), ({"score": lamp_scores}, "score"), ({}, None)]
)
def test_a_checkpoint_pruned_by_another_rule_is_refused(tmp_path, other, named):
    path = tmp_path / "run.pt"
    pruned_run(network(), path)
    pruner = GradualPruner(0.7, 0, 9, **{"every": 2} | other)
    options = {"validation": image_set(9, seed=1), "checkpoint": path, "device": "cpu"}
    if named is None:
        train(network(), image_set(), CONFIG, callbacks=[pruner, object()], **options)
        assert pruner.masks
        return
    with pytest.raises(ValueError, match=f"pruned with other {named}: delete it"):
        train(network(), image_set(), CONFIG, callbacks=[pruner, object()], **options)


def test_a_stopped_run_stays_stopped_when_it_is_resumed(tmp_path):
    config = replace(CONFIG, epochs=6, max_lr=1e-12, patience=1)
    for _ in range(2):
        history = train(
            network(),
            image_set(),
            config,
            validation=image_set(9, seed=1),
            device="cpu",
            checkpoint=tmp_path / "run.pt",
        )
        assert len(history.loss) == 2
