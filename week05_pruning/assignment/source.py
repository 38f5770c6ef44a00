# %% [markdown]
# # Assignment 5: the highest sparsity within one point
#
# You get a small trained network for digits. Prune it as far as you can while it stays within one percentage point of its
# own accuracy. You write the parts: scores, masks with exact counts, a schedule, a step that keeps zeros at zero, a
# sensitivity scan and what follows from one for VGG-16, gaps for a file, and a channel cut out for good. Then your group
# chooses a schedule and defends it.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Scores | 1 | 5 |
# | 2 One threshold for all | 3 | 20 |
# | 3 Little by little | 2 | 15 |
# | 4 Zeros that stay | 2 | 20 |
# | 5 Which layers bear it | 2 | 20 |
# | 6 Sparsities for VGG-16 | 2 | 15 |
# | 7 Gaps with fillers | 2 | 20 |
# | 8 One channel less | 2 | 20 |
# | 9 Defend your schedule | 4 | 45 |
# | **all** | **20** | **180** |
#
# **A group of three or four, one notebook.** Share the roles out before question 9, and write down who had which:
#
# - the *gardener* owns the schedule: sparsities, rounds, epochs;
# - the *measurer* runs every candidate with several seeds, and keeps the test images closed until the end;
# - the *accountant* turns the winner into bits, layer by layer;
# - the *sceptic* looks for the reason why the result might be luck (in a group of three: the measurer too).
#
# You need lectures 1 and 2 of this week. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code. After each question a check tries your function on inputs of its own: it
# says what is wrong, and often why. Questions 1 to 8 are graded by these checks, question 9 by a reader.

# %%
import json
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import common
from common.checks import week05
from common.codec.gaps import encode_gaps_with_fillers
from common.data.batches import normalization, normalize
from common.data.datasets import load_dataset
from common.data.image_set import first_images, train_val_split
from common.figures import CourseFigure, use_course_style
from common.networks.checkpoints import load_weights
from common.networks.models import build, prunable_parameters
from common.networks.training import TrainConfig, evaluate, train
from common.pruning import callbacks as pruning

torch.set_num_threads(1)
use_course_style()

# %% [markdown]
# ## The network
#
# A LeNet of 784–90–30–10 units, trained on 3,500 of the digits that come with the course. 500 others are for choosing,
# and 1,000 for the very end.

# %%
# NBVAL_IGNORE_OUTPUT
training, validation = train_val_split(load_dataset("digits", "train"), n_validation=500)
test = load_dataset("digits", "test")
CONFIG = TrainConfig(
    epochs=10,
    batch_size=64,
    max_lr=0.05,
    weight_decay=5e-4,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    precision="fp32",
)
network = build("lenet_300_100", width=0.3, seed=0)
_ = train(network, training, CONFIG)


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    """Copies of a network's prunable weights, by name."""
    return {name: weight.detach().numpy().copy() for name, weight in prunable_parameters(model).items()}


def with_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> nn.Module:
    """A copy of a network with other weights."""
    model = deepcopy(model)
    with torch.no_grad():
        for name, weight in prunable_parameters(model).items():
            weight.copy_(torch.from_numpy(np.ascontiguousarray(weights[name], dtype=np.float32)))
    return model


weights = weights_of(network)
whole = evaluate(network, validation).top1
print(f"{sum(weight.size for weight in weights.values()):,} weights, validation accuracy {whole:.3f}")
for name, weight in weights.items():
    print(f"{name:11} {weight.shape[0]:3} × {weight.shape[1]}")
assert whole > 0.85, "the network did not learn the digits"

# %% [markdown]
# ## Question 1: Scores (1 point)
#
# The L1 criterion: the score of a weight is its magnitude. From a dict of weights to a dict of scores; higher means keep.


# %%
def magnitude(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The magnitude of every weight, by name."""
    # solution: Question 1: a dict with the same names.
    return {name: np.abs(weight) for name, weight in weights.items()}
    # end solution


week05.check_magnitude(magnitude)

# %% [markdown]
# ## Question 2: One threshold for all (3 points)
#
# All scores of all layers compete in one list. Of $n$ weights, exactly `round((1 - sparsity) * n)` are kept; among equal
# scores the earlier one wins, in the order of the dict and row by row inside a layer. A mask is boolean, True = kept.
# Sparsities 0 and 1 must work too.


# %%
def global_masks(scores: Mapping[str, np.ndarray], sparsity: float) -> dict[str, np.ndarray]:
    """Masks of the best-scored weights of all layers together."""
    # solution: Question 2: one flat list, a stable order, exact counts.
    flat = np.concatenate([score.ravel() for score in scores.values()])
    kept = np.zeros(flat.size, dtype=bool)
    order = np.argsort(-flat, kind="stable")
    kept[order[: round((1 - sparsity) * flat.size)]] = True
    masks, start = {}, 0
    for name, score in scores.items():
        masks[name] = kept[start : start + score.size].reshape(score.shape)
        start += score.size
    return masks
    # end solution


week05.check_global_masks(global_masks)

# %% [markdown]
# Your masks beside the course's, on the real network:

# %% tags=["raises-exception"]
for sparsity in (0.5, 0.9, 0.99):
    ours = global_masks(magnitude(weights), sparsity)
    theirs = pruning.global_masks(pruning.magnitude_scores(prunable_parameters(network)), sparsity)
    same = all(np.array_equal(ours[name], theirs[name].numpy()) for name in weights)
    assert same, f"other masks than the course's at sparsity {sparsity}"
    left = {name: weight * ours[name] for name, weight in weights.items()}
    n_left = sum(np.count_nonzero(weight) for weight in left.values())
    assert n_left == sum(map(np.sum, ours.values())), (
        f"{n_left} weights are not zero, other than the masks say"
    )
print("the same masks at three sparsities")

fig = CourseFigure(height=2.6)
for ax, sparsity in zip(fig.subplots(1, 3), (0.5, 0.9, 0.97), strict=True):
    kept = global_masks(magnitude(weights), sparsity)["fc1.weight"].sum(axis=0).reshape(28, 28)
    _ = ax.imshow(kept, cmap="Blues", vmin=0)
    ax.set(title=f"sparsity {sparsity}", xticks=[], yticks=[])
fig

# %% [markdown]
# *What you should see:* how many weights of each pixel are kept. At 0.5 the whole square is speckled; from 0.9 on a round
# patch in the middle is left, where the digits are.

# %% [markdown]
# ## Question 3: Little by little (2 points)
#
# Zhu and Gupta's curve: 0 up to `start`; then $s\,(1 - (1 - p)^3)$, where $p$ is the part of the way from `start` to `end`
# that is done and $s$ the final sparsity; from `end` on, $s$.


# %%
def cubic_sparsity(step: int, start: int, end: int, final: float) -> float:
    """The sparsity that a step should have."""
    # solution: Question 3: the part of the way, held between 0 and 1.
    part = min(max((step - start) / (end - start), 0.0), 1.0)
    return final * (1 - (1 - part) ** 3)
    # end solution


week05.check_cubic_sparsity(cubic_sparsity)

# %% [markdown]
# ## Question 4: Zeros that stay (2 points)
#
# One step of gradient descent with momentum, after which pruned weights are exactly zero:
#
# $$v \leftarrow \mu\, v + g, \qquad w \leftarrow w - \eta\, v, \qquad w \leftarrow \text{mask} \cdot w .$$
#
# Return new dicts `(weights, velocity)`, and leave the caller's as they are. What the velocity of a pruned weight is, does
# not matter.

# %%
Arrays = Mapping[str, np.ndarray]


def masked_step(
    weights: Arrays, gradients: Arrays, velocity: Arrays, masks: Arrays, rate: float, momentum: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Weights and velocity after one step."""
    # solution: Question 4: velocity, step, mask, in this order.
    new_velocity = {name: momentum * velocity[name] + gradients[name] for name in weights}
    new_weights = {name: (weights[name] - rate * new_velocity[name]) * masks[name] for name in weights}
    return new_weights, new_velocity
    # end solution


week05.check_masked_step(masked_step)

# %% [markdown]
# Does it make a difference? The same network, pruned to 0.95 and trained on for 100 steps with your step, with the masks
# and with masks that allow everything.
#
# **Predict, then run.** How many of the weights will be zero without the masks?


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def zeros(weights: Arrays) -> float:
    """Fraction of exact zeros."""
    return sum(int((weight == 0).sum()) for weight in weights.values()) / sum(map(np.size, weights.values()))


def hundred_steps(weights: Arrays, masks: Arrays) -> dict[str, np.ndarray]:
    """Weights after a hundred of your steps."""
    velocity = {name: np.zeros_like(weight) for name, weight in weights.items()}
    inputs = normalize(torch.from_numpy(training.images), *normalization(training.name))
    labels = torch.from_numpy(training.labels)
    for step in range(100):
        model = with_weights(network, weights)
        batch = slice(32 * step, 32 * step + 32)
        nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        gradients = {name: weight.grad.numpy() for name, weight in prunable_parameters(model).items()}
        weights, velocity = masked_step(weights, gradients, velocity, masks, 0.02, 0.9)
    return weights


masks = global_masks(magnitude(weights), 0.95)
pruned = {name: weight * masks[name] for name, weight in weights.items()}
everything = {name: np.ones_like(mask) for name, mask in masks.items()}
share = zeros(hundred_steps(pruned, masks)), zeros(hundred_steps(pruned, everything))
print(f"zeros with the masks {share[0]:.3f}, without {share[1]:.3f}")
assert share[0] >= zeros(pruned), "with the masks fewer weights are zero than before"
assert share[1] < share[0], "without the masks as many weights are zero"

# %% [markdown]
# ## Question 5: Which layers bear it (2 points)
#
# `sensitivity(weights, accuracy, sparsities)` prunes one layer at a time by magnitude, all others whole, and returns for
# each layer the list of accuracies in the order of `sparsities`. `accuracy` is a function: it takes a dict of all weights
# and returns a number. The caller's weights stay as they are.


# %%
def sensitivity(
    weights: Arrays, accuracy: Callable[[Arrays], float], sparsities: tuple[float, ...]
) -> dict[str, list[float]]:
    """Accuracies with one layer pruned, by the layer's name."""
    # solution: Question 5: the whole network, one layer of it masked.
    scan = {}
    for name, weight in weights.items():
        scan[name] = []
        for sparsity in sparsities:
            mask = global_masks(magnitude({name: weight}), sparsity)[name]
            scan[name].append(accuracy({**weights, name: weight * mask}))
    return scan
    # end solution


week05.check_sensitivity(sensitivity)


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def validation_accuracy(weights: Arrays) -> float:
    """Top-1 accuracy on the validation images of the network with these weights."""
    return evaluate(with_weights(network, weights), validation).top1


LEVELS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
scan = sensitivity(weights, validation_accuracy, LEVELS)
assert all(row[0] == whole for row in scan.values()), "at sparsity 0 the accuracy is not the whole network's"

fig = CourseFigure(height=2.8)
ax = fig.subplots()
for (name, row), color in zip(scan.items(), ("#0072B2", "#E69F00", "#009E73"), strict=True):
    label = f"{name.removesuffix('.weight')} ({weights[name].size:,})"
    _ = ax.plot(-np.log10(1 - np.array(LEVELS)), row, marker="o", color=color, label=label)
_ = ax.axhline(whole - 0.01, color="black", linewidth=0.8)
ax.set_xticks(-np.log10(1 - np.array(LEVELS)), LEVELS)
ax.set(xlabel="sparsity of the one layer", ylabel="validation accuracy", ylim=(0, 1))
_ = ax.legend(loc="lower left")
fig

# %% [markdown]
# *What you should see:* three curves that start together and fall at different places; the black line is one point below
# the whole network. The layer with the fewest weights falls first.

# %% [markdown]
# ## Question 6: Sparsities for VGG-16 (2 points)
#
# The same scan of the capstone's VGG-16 takes minutes on a CPU, so it is stored (`dnnc study pruning_curves` makes it). It
# is a dict: for each layer the pairs (sparsity, top-1 accuracy), sparsities ascending. What should each layer's sparsity
# be? The rule: the highest level up to which **no** level loses more than `allowed` against the whole network's `top1`; 0
# if already the first level loses more. (A curve may fall and come back: on 300 images that is luck.) With rounding in
# mind, let a loss of `allowed` + 10⁻⁹ pass.


# %%
def sparsities_from_scan(
    scan: Mapping[str, list[tuple[float, float]]], top1: float, allowed: float
) -> dict[str, float]:
    """A sparsity for each layer."""
    # solution: Question 6: go up level by level, stop at the first that loses too much.
    chosen = {}
    for name, rows in scan.items():
        chosen[name] = 0.0
        for sparsity, accuracy in rows:
            if accuracy < top1 - allowed - 1e-9:
                break
            chosen[name] = sparsity
    return chosen
    # end solution


week05.check_sparsities_from_scan(sparsities_from_scan)

# %% [markdown]
# Your rule on the real scan. Where CIFAR-10 is on this machine, 200 images also tell what the network is worth when *all*
# layers are pruned at once, without training.
#
# **Predict, then run.** Each layer alone loses two points at most. How many will all of them lose together?

# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
ROOT = Path(common.__file__).parents[1]
stored = json.loads((ROOT / "week05_pruning" / "results" / "pruning_curves.json").read_text())
stored = stored["figures"]["vgg16"]["sensitivity"]
vgg16 = load_weights(build("vgg16"), ROOT / "capstone" / "vgg16_cifar10.safetensors")
big = weights_of(vgg16)
for allowed in (0.005, 0.01, 0.02, 0.05):
    plan = sparsities_from_scan(stored["layers"], stored["top1"], allowed)
    n_zero = sum(round(plan[name] * weight.size) for name, weight in big.items())
    print(
        f"{allowed:.1%} allowed: sparsity {n_zero / sum(map(np.size, big.values())):.3f} of the whole network"
    )

plan = sparsities_from_scan(stored["layers"], stored["top1"], 0.02)
pruned_vgg = {
    name: weight * global_masks(magnitude({name: weight}), plan[name])[name] for name, weight in big.items()
}
assert (
    abs(
        zeros(pruned_vgg)
        - sum(round(plan[n] * w.size) for n, w in big.items()) / sum(map(np.size, big.values()))
    )
    < 0.001
), "the masks have other sparsities than the plan"
try:
    few = first_images(load_dataset("cifar10", "test"), 200)
except FileNotFoundError:
    print("CIFAR-10 is not on this machine: the accuracy of the plan is not measured")
else:
    before, after = (evaluate(with_weights(vgg16, w), few).top1 for w in (big, pruned_vgg))
    print(f"200 test images: whole {before:.1%}, all layers pruned at once {after:.1%}, without fine-tuning")

# %% [markdown]
# *What you should see:* already with half a point allowed seven of ten weights may go, with five points nine: the large
# last layers bear nearly everything. Together the layers lose more than any one of them: a scan ranks layers, it does not
# add up. Fine-tuning (question 9) has to bring it back.

# %% [markdown]
# ## Question 7: Gaps with fillers (2 points)
#
# The positions of a layer's kept weights, ascending, row after row, as gaps: how many zeros are passed before each. A gap
# takes `n_bits` bits, so at most $2^{n} - 1$ fits. As long as more are to be passed, a *filler* comes first: an entry with
# the largest gap, which stands in a cell of its own and has the value 0. Return `(gaps, is_filler)`, one entry each:
# whole numbers, and True or False.
# The lecture's example: positions 1, 4, 15 in 3 bits are the gaps 1, 2, 7, 2, and the third entry is a filler.


# %%
def encode_gaps(positions: np.ndarray, n_bits: int) -> tuple[list[int], list[bool]]:
    """Gaps before the positions, and which entries are fillers."""
    # solution: Question 7: pass the zeros one filler at a time until the rest fits.
    most, at = 2**n_bits - 1, -1
    gaps: list[int] = []
    is_filler: list[bool] = []
    for position in positions:
        while position - at - 1 > most:
            at += most + 1
            gaps.append(most)
            is_filler.append(True)
        gaps.append(int(position - at - 1))
        is_filler.append(False)
        at = position
    return gaps, is_filler
    # end solution


week05.check_encode_gaps(encode_gaps)

# %% [markdown]
# Read back, and beside the course's encoder:

# %% tags=["raises-exception"]
rng = np.random.default_rng(5)
for density, n_bits in ((0.3, 2), (0.1, 3), (0.02, 5)):
    positions = np.flatnonzero(rng.random(4000) < density)
    gaps, is_filler = encode_gaps(positions, n_bits)
    cells = np.cumsum(np.array(gaps) + 1) - 1
    assert np.array_equal(cells[~np.array(is_filler)], positions), (
        "the gaps do not lead back to the positions"
    )
    theirs = encode_gaps_with_fillers(positions, n_bits)
    assert theirs[0].tolist() == list(gaps), "other gaps than the course's"
    assert theirs[1].tolist() == list(is_filler), "other fillers than the course's"
    print(f"density {density}, {n_bits} bits: {len(positions)} weights, {sum(is_filler)} fillers")

# %% [markdown]
# What a sparse layer costs in bits: with a bitmap of all weights, and with gaps, where every entry (fillers too) has a gap
# and a value.


# %%
def layer_bits(mask: np.ndarray, value_bits: int, gap_bits: int) -> tuple[int, int]:
    """Bits of a sparse layer with a bitmap, and with your gaps, values included."""
    gaps, _ = encode_gaps(np.flatnonzero(mask), gap_bits)
    return mask.size + int(mask.sum()) * value_bits, len(gaps) * (gap_bits + value_bits)


# %% tags=["raises-exception"]
mask = rng.random((90, 784)) < 0.08
WIDTHS = range(1, 9)
with_gaps = [layer_bits(mask, 32, width)[1] / 8000 for width in WIDTHS]
with_bitmap = layer_bits(mask, 32, 3)[0] / 8000
assert min(with_gaps) < 4 * mask.size / 1000, "gaps cost more than the dense layer"

fig = CourseFigure(height=2.4)
ax = fig.subplots()
_ = ax.plot(WIDTHS, with_gaps, marker="o", color="#0072B2")
_ = ax.axhline(with_bitmap, color="#E69F00")
_ = ax.text(8, with_bitmap + 1, "bitmap", color="#E69F00", ha="right")
_ = ax.text(2.2, with_gaps[1], "gaps", color="#0072B2")
ax.set(xlabel="bits of a gap", ylabel="kB", ylim=(0, None), title="A 90 × 784 layer at density 0.08, float32")
fig

# %% [markdown]
# *What you should see:* narrow gaps need many fillers, wide ones waste bits; the best width lies between, a little below
# the bitmap.

# %% [markdown]
# ## Question 8: One channel less (2 points)
#
# A zero costs as much time as any other number. A *channel* that is cut out makes the arrays smaller: the first
# convolution loses one output, batch norm one entry of everything it keeps per channel, and the second convolution one
# input. Return three **new** modules (`copy.deepcopy` copies one; `nn.Parameter(values)` makes a parameter), with
# `out_channels`, `num_features` and `in_channels` set to what they are; stride, padding and the rest stay.


# %%
def cut_channel(
    first: nn.Conv2d, norm: nn.BatchNorm2d, second: nn.Conv2d, channel: int
) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]:
    """The three modules without one of the channels between them."""
    # solution: Question 8: outputs of the first, batch norm, inputs of the second.
    first, norm, second = deepcopy(first), deepcopy(norm), deepcopy(second)
    kept = torch.arange(first.out_channels) != channel
    for module, names in ((first, ("weight", "bias")), (norm, ("weight", "bias"))):
        for name in names:
            if getattr(module, name) is not None:
                setattr(module, name, nn.Parameter(getattr(module, name).detach()[kept]))
    norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]
    second.weight = nn.Parameter(second.weight.detach()[:, kept])
    first.out_channels = norm.num_features = second.in_channels = int(kept.sum())
    return first, norm, second
    # end solution


week05.check_cut_channel(cut_channel)

# %% [markdown]
# Measured on VGG-16: between its third and fourth convolution stand 128 channels. Half of them go, those whose filters have
# the least magnitude, one by one by your function. Beside it the same layers with half of their *weights* set to zero.
#
# **Predict, then run.** Which of the two is faster, and by how much?


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def median_ms(layers: nn.Sequential, inputs: torch.Tensor) -> float:
    """Milliseconds of a pass, the median of nine."""
    times = []
    with torch.no_grad():
        for _ in range(9):
            start = time.perf_counter()
            layers(inputs)
            times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


block = [deepcopy(vgg16.features[number]).eval() for number in (7, 8, 10)]
cut = list(block)
for _ in range(64):
    weakest = int(cut[0].weight.detach().abs().sum(dim=(1, 2, 3)).argmin())
    cut = list(cut_channel(*cut, weakest))
sparse = [deepcopy(module) for module in block]
for module in (sparse[0], sparse[2]):
    flat = module.weight.detach().abs().flatten()
    with torch.no_grad():
        module.weight.mul_(module.weight.abs() > flat.median())
inputs = torch.randn(8, 64, 16, 16)
for name, (conv, norm, after) in {
    "whole": block,
    "half of the weights 0": sparse,
    "half of the channels": cut,
}.items():
    layers = nn.Sequential(conv, norm, nn.ReLU(), after)
    n_multiply_adds = 16 * 16 * (conv.weight.numel() + after.weight.numel())
    print(f"{name:22} {n_multiply_adds:12,} multiply-adds, {median_ms(layers, inputs):5.1f} ms")
assert cut[0].weight.shape == (64, 64, 3, 3), f"the first convolution is {tuple(cut[0].weight.shape)}"
assert cut[2].weight.shape == (128, 64, 3, 3), f"the second convolution is {tuple(cut[2].weight.shape)}"

# %% [markdown]
# *What you should see:* zeros change nothing, and half of the channels nearly halve the time: the first convolution has half
# of the outputs to compute, the second half of the inputs to read.

# %% [markdown]
# ## Question 9: Defend your schedule (4 points)
#
# Find the highest sparsity (of all prunable weights) at which the network, pruned and fine-tuned, is within one point of
# the whole network's *validation* accuracy. You have **at most 12 epochs of fine-tuning for the network that you hand in**;
# candidates on the way do not count. `fine_tune` below trains a copy with your masks: `goal` tells the sparsity after each
# optimiser step, `choose` makes masks from scores and a sparsity. All at once, in rounds, gradually, with other scores, with
# masks for each layer: all that can be written as these two functions.

# %% tags=["raises-exception"]
STEPS_AN_EPOCH = len(training) // CONFIG.batch_size


class Pruner:
    """Callback: new masks whenever the goal rises, kept after every step."""

    def __init__(self, goal: Callable[[int], float], choose: Callable, every: int) -> None:
        self.goal, self.choose, self.every, self.masks = goal, choose, every, None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Prune when it is due; set pruned weights to zero."""
        if self.masks is None or step % self.every == 0:
            scores = magnitude(weights_of(model))
            if self.masks is not None:  # what is pruned never grows back
                scores = {name: np.where(self.masks[name], score, -1.0) for name, score in scores.items()}
            self.masks = self.choose(scores, self.goal(step))
        with torch.no_grad():
            for name, weight in prunable_parameters(model).items():
                weight.mul_(torch.from_numpy(self.masks[name]))


def fine_tune(
    goal: Callable[[int], float],
    choose: Callable = global_masks,
    *,
    epochs: int = 6,
    seed: int = 0,
    every: int = 10,
) -> tuple[nn.Module, float, float]:
    """A pruned copy of the network, its sparsity, and its validation accuracy."""
    model = deepcopy(network)
    config = replace(CONFIG, epochs=epochs, warmup=0.1, seed=seed)
    _ = train(model, training, config, callbacks=[Pruner(goal, choose, every)])
    return model, zeros(weights_of(model)), evaluate(model, validation).top1


# NBVAL_IGNORE_OUTPUT
_, reached, accuracy = fine_tune(lambda step: 0.9)
print(f"an example, one-shot to {reached:.3f}: {accuracy:.3f}, the whole network {whole:.3f}")
assert abs(reached - 0.9) < 1e-3, f"the sparsity is {reached:.3f}, expected 0.9"

# %% [markdown]
# Hand in your experiments as code below, with one figure (accuracy against sparsity of at least two ways to prune, and the
# line one point below), and 200 to 300 words. The test images are looked at once, with the network that you chose.
#
# | what a reader looks for | points |
# |---|---|
# | at least two ways to prune compared at equal epochs, each at three sparsities or more, in one figure with the line at one point | 1 |
# | the choice made on validation images with at least two seeds, and the spread between seeds named beside the difference that it decides | 1 |
# | the chosen network: sparsity, validation and test accuracy, and its size in bits by `layer_bits`, layer by layer, against float32 | 1 |
# | the defence: why this schedule, what the sceptic said against it, what would refute it; who had which role | 1 |

# %% tags=["raises-exception"]
# solution: Question 9: candidates, a figure, the choice, its bits, one look at the test set.
# NBVAL_IGNORE_OUTPUT
EPOCHS = 6
END = EPOCHS * STEPS_AN_EPOCH
ways = {
    "one-shot": lambda final: lambda step: final,
    "gradual": lambda final: lambda step: cubic_sparsity(step, 0, END // 2, final),
}
found = {
    (way, final): [fine_tune(make(final), epochs=EPOCHS, seed=seed) for seed in (0, 1)]
    for way, make in ways.items()
    for final in (0.9, 0.95, 0.97)
}
means = {key: np.mean([top1 for *_, top1 in runs]) for key, runs in found.items()}
allowed = whole - 0.01
passing = [key for key, mean in means.items() if mean >= allowed]
chosen = max(passing, key=lambda key: (key[1], means[key])) if passing else ("gradual", 0.9)

fig = CourseFigure(height=2.8)
ax = fig.subplots()
for way, color in zip(ways, ("#0072B2", "#009E73"), strict=True):
    finals = [final for name, final in found if name == way]
    x = -np.log10(1 - np.array(finals))
    _ = ax.plot(x, [means[way, final] for final in finals], color=color, label=way)
    for place, final in zip(x, finals, strict=True):
        _ = ax.plot([place] * 2, [top1 for *_, top1 in found[way, final]], "o", color=color, markersize=4)
_ = ax.axhline(allowed, color="black", linewidth=0.8)
ax.set_xticks(x, finals)
ax.set(xlabel="sparsity", ylabel="validation accuracy", title="Two seeds each; the line is one point below")
_ = ax.legend(loc="lower left")

model, reached, accuracy = max(found[chosen], key=lambda run: run[2])
final_masks = {name: weight != 0 for name, weight in weights_of(model).items()}
bits = 0
for name, mask in final_masks.items():
    sizes = {f"{width}-bit gaps": layer_bits(mask, 32, width)[1] for width in WIDTHS}
    sizes["bitmap"] = layer_bits(mask, 32, 3)[0]
    best = min(sizes, key=sizes.get)
    bits += sizes[best]
    print(f"{name:11} density {mask.mean():.3f}: {sizes[best]:7,} bits with {best}, dense {32 * mask.size:,}")
dense_bits = 32 * sum(map(np.size, final_masks.values()))
print(f"{chosen[0]}, sparsity {reached:.3f}: {bits / 8:,.0f} bytes, {dense_bits / bits:.1f} times smaller")
print(f"validation {accuracy:.3f} (whole {whole:.3f}), test {evaluate(model, test).top1:.3f}", end=" ")
print(f"(whole {evaluate(network, test).top1:.3f})")
assert dense_bits > 5 * bits
assert evaluate(model, test).top1 > 0.8
fig
# end solution

# %% [markdown] tags=["answer"]
# **Schedule.** Two candidates at equal epochs: all at once before six epochs, and the cubic curve over the first three of
# them. Both use one threshold for all layers. The scan of question 5 shows that the last layer falls first, and the global
# threshold leaves it dense by itself, so no layer needs a number of its own. The last lines printed above name the choice:
# the highest sparsity at which the mean of a way is above the line, and of two ways there the better one.
#
# **Is it the schedule?** Where the lines in the figure are no further apart than the two dots of a way, there is no winner,
# and we take the simpler way. They part where little is left: there the gradual network has met the loss in small doses.
#
# **The sceptic.** With 500 validation images one point is five images, and the standard error of an accuracy near 0.93 is
# more than a point. The choice among six candidates prefers the lucky one, so the test accuracy may well be lower than the
# validation accuracy promises: that is why it was looked at once. A refutation would be a third and a fourth seed for which
# the chosen way falls below the line and the other does not.
#
# **Bits.** The table above: each layer with the cheaper of bitmap and gaps. The first layer is sparse and takes gaps, the
# last one is so dense that a bitmap, or nothing at all, is best. The factor is below 1/density, since every kept weight pays
# for its position.
#
# **Roles.** (Names.) Gardener: the two schedules; measurer: seeds and figure; accountant: the table; sceptic: this paragraph.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week05.grade(globals())
