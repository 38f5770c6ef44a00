# %% [markdown]
# # Assignment 6: centroid fine-tuning, and whole numbers
#
# A layer of 47,040 weights is cut down to two values. The network falls from 95 % of the digits right to about
# 70 %, and then you bring a part of that back by moving two numbers. You write the stages yourself: decoding, the summed
# gradient, the step, the whole fine-tuning, and the order that the file wants. Then the other way to few bits: whole
# numbers by scale and zero-point, and a layer that computes with nothing else. At the end you decide how many bits each
# layer deserves.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Decode | 2 | 10 |
# | 2 The gradient by the centroids | 3 | 20 |
# | 3 One step | 2 | 15 |
# | 4 Fine-tuning | 3 | 25 |
# | 5 A tidy codebook | 2 | 15 |
# | 6 Scale and zero-point | 2 | 20 |
# | 7 A layer in whole numbers | 2 | 20 |
# | 8 How many bits does a layer need? | 4 | 50 |
# | **all** | **20** | **175** |
#
# You need lectures 1 and 2 of this week. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code. After each question a check tries your function on inputs of its own: it
# says what is wrong, and often why. Questions 1 to 7 are graded by these checks, question 8 by a reader.

# %%
import copy
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common.checks import week06
from common.codec import container
from common.codec.container import CompressedModel
from common.codec.tensors import DenseTensor, SharedTensor
from common.data.batches import normalization
from common.data.datasets import load_dataset
from common.data.image_set import train_val_split
from common.figures import CourseFigure, coloured_cells, use_course_style
from common.networks.models import build, prunable_parameters
from common.networks.training import TrainConfig, evaluate, train
from common.sharing.kmeans import kmeans_1d

torch.set_num_threads(1)
use_course_style()

# %% [markdown]
# ## The small layer and the real one
#
# The layer of the paper's figure 3, its four centroids, and the gradient of a loss by its weights. It will show you each
# stage.

# %%
W = np.array(
    [
        [2.09, -0.98, 1.48, 0.09],
        [0.05, -0.14, -1.08, 2.12],
        [-0.91, 1.92, 0.00, -1.03],
        [1.87, 0.00, 1.53, 1.49],
    ]
)
G = np.array(
    [
        [-0.03, -0.01, 0.03, 0.02],
        [-0.01, 0.01, -0.02, 0.12],
        [-0.01, 0.02, 0.04, 0.01],
        [-0.07, -0.02, 0.01, -0.02],
    ]
)
C = np.array([-1.0, 0.0, 1.5, 2.0])

# %% [markdown]
# The real one: a network of 784–60–20–10, trained on the digits that come inside the course's dependencies. 500 of the
# training digits are kept apart as validation images, on which you may choose; the test digits are for the end.

# %%
# NBVAL_IGNORE_OUTPUT
training, validation = train_val_split(load_dataset("digits", "train"), n_validation=500)
network = build("lenet_300_100", width=0.2)
recipe = TrainConfig(
    epochs=12,
    batch_size=100,
    max_lr=0.1,
    weight_decay=1e-4,
    label_smoothing=0.0,
    crop_padding=2,
    flip=False,
    precision="fp32",
)
_ = train(network, training, recipe)
print(f"{evaluate(network, validation).top1:.1%} of the validation digits")
for name, weight in prunable_parameters(network).items():
    print(name, tuple(weight.shape), f"{weight.numel():,} weights")
assert evaluate(network, validation).top1 > 0.9, "the network did not learn the digits"

# %% [markdown]
# ## Question 1: Decode (2 points)
#
# A layer that was pruned and shared is stored as a codebook, one index for each *kept* weight (row by row), and a mask:
# True where a weight is kept. Make the layer of it. Pruned weights are 0.


# %%
def decode(codebook: np.ndarray, indices: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The layer, of the mask's shape; `indices` has one entry for each True in it."""
    # solution: Question 1: zeros, and codebook[indices] where the mask is True.
    layer = np.zeros(mask.shape)
    layer[mask] = codebook[indices]
    return layer
    # end solution


week06.check_decode(decode)

# %% [markdown]
# The small layer, of which the weights below 0.5 are pruned. Assigning is given: you wrote it in week 4.


# %%
def assign(weights: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Index of each weight's nearest centroid."""
    return np.abs(weights[..., None] - codebook).argmin(axis=-1)


# %% tags=["raises-exception"]
cluster = assign(W, C)
mask = np.abs(W) >= 0.5
kept = assign(W[mask], C)
fig = CourseFigure(height=2.1)
axes = fig.subplots(1, 3)
coloured_cells(axes[0], W, cluster, title="weights")
coloured_cells(axes[1], cluster, cluster, title="index of the nearest centroid", form="d")
coloured_cells(axes[2], decode(C, kept, mask), np.where(mask, cluster, -1), title="pruned and decoded")
fig

# %% [markdown]
# *What you should see:* the sixteen weights in four colours; their indices 0 to 3; and right the decoded layer, in which
# the five weights of cluster 1 are pruned (grey zeros).

# %% [markdown]
# ## Question 2: The gradient by the centroids (3 points)
#
# All weights of a cluster are one number. By the chain rule
#
# $$\frac{\partial L}{\partial C_k} = \sum_{i,j} \frac{\partial L}{\partial W_{ij}}\, [I_{ij} = k].$$
#
# One number per cluster, also for clusters without weights.


# %%
def centroid_gradient(grad: np.ndarray, indices: np.ndarray, n_clusters: int) -> np.ndarray:
    """Gradient of the loss by the centroids, from that by the weights."""
    # solution: Question 2: add each gradient to its cluster's sum (np.add.at, np.bincount).
    sums = np.zeros(n_clusters)
    np.add.at(sums, indices, grad)
    return sums
    # end solution


week06.check_centroid_gradient(centroid_gradient)

# %% [markdown]
# ## Question 3: One step (2 points)
#
# Gradient descent on the codebook: the new codebook, and the layer decoded with it. The indices stay.


# %%
def take_step(
    codebook: np.ndarray, indices: np.ndarray, grad: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """(codebook after the step, weights after the step); `grad` is the gradient by the weights."""
    # solution: Question 3: codebook minus rate times its gradient; decode by index.
    moved = codebook - rate * centroid_gradient(grad, indices, codebook.size)
    return moved, moved[indices]
    # end solution


week06.check_take_step(take_step)

# %% tags=["raises-exception"]
cluster = assign(W, C)
tuned, after = take_step(C, cluster, G, rate=1.0)
by_autograd = torch.tensor(C, requires_grad=True)
by_autograd[torch.from_numpy(cluster)].backward(torch.from_numpy(G))  # decoding, and its backward pass
assert np.allclose(centroid_gradient(G, cluster, 4), by_autograd.grad, atol=1e-6), "autograd's sums differ"
assert np.allclose(tuned, [-0.97, -0.04, 1.48, 1.96], atol=1e-6), "the paper's figure 3 has another codebook"

fig = CourseFigure(height=2.1)
axes = fig.subplots(1, 3)
coloured_cells(axes[0], C[cluster], cluster, title="weights before")
coloured_cells(axes[1], G, cluster, title="gradient")
coloured_cells(axes[2], after, cluster, title="weights after, rate 1")
fig

# %% [markdown]
# *What you should see:* four colours of cells; on the right 1.96, 1.48, −0.04 and −0.97, as in the paper. The sums are
# also those of torch's autograd: the backward pass of indexing adds.

# %% [markdown]
# ## Question 4: Fine-tuning (3 points)
#
# `gradient_of(weights)` gives the gradient of the loss by the weights *at these weights*. Take `n_steps` steps with it,
# and return the codebook. Leave the arrays that you are given as they are.


# %%
def fine_tune(
    codebook: np.ndarray,
    indices: np.ndarray,
    gradient_of: Callable[[np.ndarray], np.ndarray],
    rate: float,
    n_steps: int,
) -> np.ndarray:
    """The codebook after `n_steps` steps of gradient descent."""
    # solution: Question 4: in a loop: gradient at the present weights, step, decode.
    weights = codebook[indices]
    for _ in range(n_steps):
        codebook, weights = take_step(codebook, indices, gradient_of(weights), rate)
    return codebook
    # end solution


week06.check_fine_tune(fine_tune)

# %% [markdown]
# Now the first layer of the real network, with *two* values. The gradient is that of the loss over all 3,500 training
# digits.
#
# **Predict, then run.** Only two numbers move. How much of what was lost can they bring back?


# %%
mean, deviation = normalization("digits")
images = (torch.from_numpy(training.images).float() / 255 - mean[0]) / deviation[0]
labels = torch.from_numpy(training.labels)


def with_weights(model: nn.Module, name: str, weights: np.ndarray) -> nn.Module:
    """A copy of the network with other weights in one layer."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_parameter(name).copy_(torch.from_numpy(weights))
    return other


def loss_and_gradient(model: nn.Module, name: str, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Loss over the training digits with these weights in the layer, and its gradient by them."""
    other = with_weights(model, name, weights)
    loss = F.cross_entropy(other(images), labels)
    loss.backward()
    return loss.item(), other.get_parameter(name).grad.double().numpy()


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
layer = network.fc1.weight.detach().numpy()
codebook = kmeans_1d(layer, 2).codebook.astype(float)
indices = assign(layer, codebook)
losses = []


def gradient_of(weights: np.ndarray) -> np.ndarray:
    loss, grad = loss_and_gradient(network, "fc1.weight", weights)
    losses.append(loss)
    return grad


tuned = fine_tune(codebook, indices, gradient_of, rate=1e-3, n_steps=30)
right = [
    evaluate(with_weights(network, "fc1.weight", weights), validation).top1
    for weights in (layer, codebook[indices], tuned[indices])
]
print(f"two values: {codebook.round(3)} -> {tuned.round(3)}")
print(f"validation digits: float {right[0]:.1%}, shared {right[1]:.1%}, fine-tuned {right[2]:.1%}")
assert losses[-1] < 0.95 * losses[0], f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}: hardly down"

fig = CourseFigure(height=2.3)
axes = fig.subplots()
_ = axes.plot(losses)
axes.set(xlabel="step", ylabel="training loss", title="Two numbers move")
fig

# %% [markdown]
# *What you should see:* the loss falls steeply in the first steps, and then hardly: two numbers are soon where they should
# be. They moved far, but only a small part of the lost accuracy came back. Which weight has which value was decided by
# k-means, and no step changes that.

# %% [markdown]
# ## Question 5: A tidy codebook (2 points)
#
# The `.dcz` file wants codebooks strictly ascending. Fine-tuning can make centroids pass each other, or meet. Sort the
# codebook, merge equal values, and let the indices follow, so that every weight keeps its value. Values without weights
# stay.


# %%
def tidy(codebook: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codebook strictly ascending, indices into it)."""
    # solution: Question 5: np.unique also tells where each old value went.
    merged, new_index = np.unique(codebook, return_inverse=True)
    return merged, new_index.ravel()[indices]
    # end solution


week06.check_tidy(tidy)

# %% [markdown]
# Tidy, the layer fits into the course's file format. Its real size, everything included:


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def as_shared(codebook: np.ndarray, indices: np.ndarray) -> SharedTensor:
    """A layer of which no weight is pruned, as the container stores it."""
    book, index = tidy(codebook.astype(np.float32), indices)
    return SharedTensor(indices.shape, book, None, index.astype(np.uint8).ravel())


small = as_shared(np.array([2.0, -1.0, 2.0]), np.array([0, 1, 2, 0]))
assert small.to_dense().tolist() == [2.0, -1.0, 2.0, 2.0], "tidy: the weights changed their values"

dense = len(container.save(CompressedModel({"fc1.weight": DenseTensor(layer)})))
file = container.save(CompressedModel({"fc1.weight": as_shared(tuned, indices)}))
back = container.load(file).tensors["fc1.weight"].to_dense()
assert np.array_equal(back, tuned.astype(np.float32)[indices]), "the file holds other weights"
print(f"{dense:,} bytes -> {len(file):,} bytes: {dense / len(file):.1f} times smaller;", end=" ")
print(f"one bit per weight and two floats: {32 * layer.size / (layer.size + 2 * 32):.1f} times")
assert len(file) < dense / 25, f"{len(file):,} bytes: more than a 25th of the dense layer"

# %% [markdown]
# *What you should see:* a file of about 5 kB, somewhat smaller than one bit per weight: it Huffman-codes the indices in
# blocks, and one of the two values is the more frequent one.

# %% [markdown]
# ## Question 6: Scale and zero-point (2 points)
#
# A codebook makes a file small; a chip wants whole numbers to compute with. A real number $r$ of a range is written as a
# code $q$ from 0 to $2^n - 1$ with $r \approx s\,(q - z)$: the **scale** $s$ is the width of a step, the **zero-point** $z$
# the code of 0.
#
# 1. Widen the range to hold 0, because 0 (padding, a ReLU's output) has to be exact.
# 2. $s$ = width of the range over the number of *steps*, $2^n - 1$.
# 3. $z = \mathrm{round}(-\text{low} / s)$.
# 4. $q = \mathrm{round}(r / s) + z$, clamped to 0 and $2^n - 1$: the range may be narrower than the values.
#
# Return codes (integers of the values' shape), scale and zero-point.


# %%
def quantize(values: np.ndarray, low: float, high: float, n_bits: int) -> tuple[np.ndarray, float, int]:
    """(codes from 0 to 2**n_bits - 1, scale, zero-point) for the range from low to high."""
    # solution: Question 6: widen the range, scale, zero-point; round, add, clamp.
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**n_bits - 1)
    zero_point = round(-low / scale)
    codes = np.clip(np.rint(values / scale) + zero_point, 0, 2**n_bits - 1)
    return codes.astype(np.int64), scale, zero_point
    # end solution


week06.check_quantize(quantize)

# %% [markdown]
# ## Question 7: A layer in whole numbers (2 points)
#
# Inputs $x = s_x (q_x - z_x)$ in uint8, weights $w = s_w q_w$ in int8 (symmetric: their zero-point is 0, and each output
# has a scale of its own). A linear layer is then
#
# $$y_o = s_x s_{w,o} \Big( \sum_k (q_{x,k} - z_x)\, q_{w,ok} + b_o \Big), \qquad
# q_{y,o} = z_y + \mathrm{round}\Big( M_o \Big( \sum_k \dots + b_o \Big) \Big), \quad M_o = \frac{s_x s_{w,o}}{s_y},$$
#
# with the bias as a whole number, at the scale of the sums. The sum is taken in **int32**: one product of two bytes needs 16
# bits already. Outputs are clamped to 0 and 255.


# %%
def integer_linear(
    x: np.ndarray, z_x: int, w: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, z_y: int
) -> np.ndarray:
    """uint8 codes (n, n_out) from codes x (n, n_in), w (n_out, n_in) and an int32 bias (n_out,)."""
    # solution: Question 7: int32 sums, bias, multiplier, round, zero-point, clamp.
    sums = (x.astype(np.int32) - z_x) @ w.astype(np.int32).T + bias
    return np.clip(np.rint(sums * multiplier) + z_y, 0, 255).astype(np.uint8)
    # end solution


week06.check_integer_linear(integer_linear)

# %% [markdown]
# The whole network in whole numbers: three of your layers, one after the other. The ranges of the activations are
# *calibrated* on 200 training digits. ReLU costs nothing: a range that begins at 0 clamps what is below.
#
# **Predict, then run.** How many of the 500 validation digits will be read in another way than by the float network?


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def outputs_of(pixels: np.ndarray) -> list[np.ndarray]:
    """The images, and the output of each layer in float, after its ReLU where it has one."""
    values = [pixels]
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            out = layer(torch.from_numpy(values[-1])).numpy()
            values.append(out if layer is layers[-1] else np.maximum(out, 0))
    return values


def flat_pixels(images_: np.ndarray) -> np.ndarray:
    return ((images_.reshape(len(images_), -1).astype(np.float32) / 255) - mean[0]) / deviation[0]


linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
ranges = [(float(v.min()), float(v.max())) for v in outputs_of(flat_pixels(training.images[:200]))]
codes, s_x, z_x = quantize(flat_pixels(validation.images), *ranges[0], 8)
for layer, (low, high) in zip(linear, ranges[1:], strict=True):
    floats, bias = layer.weight.detach().numpy().astype(float), layer.bias.detach().numpy()
    s_w = np.abs(floats).max(axis=1) / 127  # one scale per output
    q_w = np.rint(floats / s_w[:, None]).astype(np.int8)
    _, s_y, z_y = quantize(np.zeros(1), low, high, 8)
    q_bias = np.rint(bias / (s_x * s_w)).astype(np.int32)
    codes = integer_linear(codes.astype(np.uint8), z_x, q_w, q_bias, s_x * s_w / s_y, z_y)
    s_x, z_x = s_y, z_y
in_float = outputs_of(flat_pixels(validation.images))[-1].argmax(axis=1)
other = int((codes.argmax(axis=1) != in_float).sum())
right = [(answers == validation.labels).mean() for answers in (in_float, codes.argmax(axis=1))]
print(
    f"{other} of {len(in_float)} digits read otherwise; right: float {right[0]:.1%}, integers {right[1]:.1%}"
)
assert other < 25, f"{other} digits are read in another way: more than eight bits can explain"

# %% [markdown]
# *What you should see:* a handful of digits at most. Eight bits are plenty here; lecture 2 shows where they end.

# %% [markdown]
# ## Question 8: How many bits does a layer need? (4 points)
#
# Choose a number of bits for each of the three layers, so that the whole network, shared and fine-tuned by *your*
# functions, is as small as possible and within one percentage point of the original's validation accuracy. In 200 to 300
# words, with a figure or a table:
#
# | what a reader looks for | points |
# |---|---|
# | how sensitive each layer is: accuracy against bits, one layer at a time, on validation digits | 1 |
# | a choice of bits that follows from it, and the bytes of the real file of all three layers | 1 |
# | what fine-tuning added, at your choice and at one with fewer bits | 1 |
# | the test accuracy, measured once, beside the original's; whether a difference of one point on 500 digits means anything | 1 |

# %% tags=["raises-exception"]
# solution: Question 8: scan layers and bits, choose, write the file, test once.
# NBVAL_IGNORE_OUTPUT
NAMES, BITS = list(prunable_parameters(network)), (1, 2, 3, 4, 5)


def shared_layer(name: str, n_bits: int) -> tuple[np.ndarray, np.ndarray]:
    weights = network.get_parameter(name).detach().numpy()
    book = kmeans_1d(weights, 2**n_bits).codebook.astype(float)
    return book, assign(weights, book)


def with_all(layers: dict) -> nn.Module:
    model = network
    for name, (book, index) in layers.items():
        model = with_weights(model, name, book[index])
    return model


def tuned_layers(layers: dict) -> dict:
    layers = dict(layers)
    for name, (book, index) in layers.items():
        others = with_all({other: layers[other] for other in layers if other != name})
        moved = fine_tune(book, index, lambda w, m=others, n=name: loss_and_gradient(m, n, w)[1], 1e-3, 15)
        layers[name] = (moved, index)
    return layers


original = evaluate(network, validation).top1
scan = {
    name: [evaluate(with_all({name: shared_layer(name, b)}), validation).top1 for b in BITS] for name in NAMES
}
for name, line in scan.items():
    print(name, " ".join(f"{top1:.3f}" for top1 in line))

for choice in ((3, 4, 4), (2, 4, 4)):
    layers = {name: shared_layer(name, b) for name, b in zip(NAMES, choice, strict=True)}
    better = tuned_layers(layers)
    size = len(container.save(CompressedModel({name: as_shared(*layer) for name, layer in better.items()})))
    before, after = (evaluate(with_all(which), validation).top1 for which in (layers, better))
    print(f"bits {choice}: {size:,} bytes, validation {original:.3f} -> {before:.3f}, tuned {after:.3f}")
    if choice == (3, 4, 4):
        chosen = better
test = load_dataset("digits", "test")
on_test = [evaluate(model, test).top1 for model in (network, with_all(chosen))]
print(f"test digits: original {on_test[0]:.3f}, chosen {on_test[1]:.3f}")
assert evaluate(with_all(chosen), validation).top1 > original - 0.04

fig = CourseFigure(height=2.5)
axes = fig.subplots()
for name, line in scan.items():
    _ = axes.plot(BITS, line, marker="o", label=name)
axes.set(
    xlabel="bits per weight of this layer, the others as they are", ylabel="validation accuracy", xticks=BITS
)
axes.legend()
fig
# end solution

# %% [markdown] tags=["answer"]
# **Sensitivity.** One layer at a time, without training (figure): with one bit the first layer costs by far the most, a
# quarter of all digits; the two others five to ten points. With two bits each costs one or two points, with three half a
# point or less, and from four on nothing can be seen. The first layer holds 97 % of the weights, so its bits decide the
# size; the others may have a bit more for a few hundred bytes.
#
# **Choice.** Three bits for the first layer and four for the others: first line printed above, about a thirteenth of the
# 193,760 bytes of the weights as floats (the file holds the three layers with their codebooks, Huffman-coded), and half a
# point below the original.
#
# **Fine-tuning.** Fifteen steps a layer changed the validation accuracy neither at my choice nor at 2, 4 and 4 bits
# (second line; there more than two points are missing), though the training loss fell. From two bits on the centroids of
# k-means are good already. With two values in the first layer (question 6) it brought back two of the 26 points that were
# lost: what is wrong there is which weight is in which cluster, and that does not move.
#
# **What it means.** The test accuracies are printed above, measured once, after the choice. On 500 digits an accuracy of
# 95 % has a standard error of $\sqrt{0.95 \cdot 0.05 / 500}$, one point; a difference between two networks on the same
# digits is somewhat more precise, because they fail on mostly the same ones. So "within one point" cannot be decided by
# one point here: I would need several thousand digits, or several training runs.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week06.grade(globals())
