"""The callbacks of a ticket's training: the kept weights bit for bit, the least loss, an early state."""

from dataclasses import replace

import pytest
from tiny import CONFIG, N_STEPS, assert_equal_weights, half_masks, image_set, network, weights

from common.methods.lottery_tickets import KeptWeights, LossWatch, Snapshot, reset_, weights_of
from common.networks.training import evaluate, train
from common.pruning.callbacks import MaskKeeper

ADAM = replace(CONFIG, optimizer="adam", max_lr=0.01, weight_decay=0.0)


@pytest.mark.parametrize("config", [ADAM, replace(CONFIG, weight_decay=0.0)], ids=["adam", "sgd"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_training_the_kept_weights_is_masked_training_bit_for_bit(config, share):
    masks = half_masks(network(), share=share)
    masked, compact = network(), network()
    reset_(masked, weights_of(network()), masks)
    train(masked, image_set(), config, callbacks=[MaskKeeper(masks)], device="cpu")
    keeper = KeptWeights(compact, masks)
    train(compact, image_set(), config, callbacks=[keeper], parameters=keeper.parameters(), device="cpu")
    assert_equal_weights(weights(compact), weights(masked))
    assert sum(p.numel() for p in keeper.parameters()) < sum(p.numel() for p in compact.parameters()) or share


def test_the_watch_keeps_the_state_of_the_least_loss_and_stops_nothing():
    images, validation = image_set(), image_set(20, seed=1)
    watch, states = LossWatch(validation, 5, device="cpu"), {}

    class Record:
        def after_step(self, model, step):
            states[step + 1] = weights(model)

    model = network()
    train(model, images, replace(CONFIG, max_lr=0.3), callbacks=[watch, Record()], device="cpu")
    assert [step for step, _, _ in watch.curve] == [5, 10]
    least = min(watch.curve, key=lambda point: point[1])
    assert (watch.step, watch.loss) == least[:2]
    assert_equal_weights(watch.weights, states[watch.step])
    assert_equal_weights(weights(model), states[N_STEPS])
    model.load_state_dict(watch.weights)
    assert evaluate(model, validation, device="cpu").loss == watch.loss


def test_of_equal_losses_the_first_is_the_stop():
    watch = LossWatch(image_set(), 1, device="cpu")
    model = network()
    for step in range(3):
        watch.after_step(model, step)
    assert watch.step == 1
    assert len(watch.curve) == 3
    with pytest.raises(ValueError, match="every=0"):
        LossWatch(image_set(), 0)


def test_a_snapshot_is_taken_after_its_step():
    model, snapshot = network(), Snapshot(3)
    states = []

    class Record:
        def after_step(self, model, step):
            states.append(weights(model))

    train(model, image_set(), CONFIG, callbacks=[snapshot, Record()], device="cpu")
    assert_equal_weights(snapshot.weights, states[2])
    assert Snapshot(99).weights is None
