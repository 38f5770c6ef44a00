# %% [markdown]
# # Assignment 6: centroid fine-tuning
#
# A layer of 47,040 weights is cut down to two values. The network falls from 95 % of the digits right to about
# 70 %, and then you bring a part of that back by moving two numbers. You write the stages yourself: decoding, assigning, the bits,
# the summed gradient, the step, the whole fine-tuning, and the order that the file wants; at the end you decide how many
# bits each layer deserves.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Decode | 2 | 10 |
# | 2 Assign | 2 | 15 |
# | 3 What sharing saves | 2 | 15 |
# | 4 The gradient by the centroids | 3 | 20 |
# | 5 One step | 2 | 15 |
# | 6 Fine-tuning | 3 | 25 |
# | 7 A tidy codebook | 2 | 15 |
# | 8 How many bits does a layer need? | 4 | 50 |
# | **all** | **20** | **165** |
#
# You need lecture 1 of this week. Work in your own copy, in your folder below `members/`. Replace each
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
    epochs=12, batch_size=100, max_lr=0.1, weight_decay=1e-4, label_smoothing=0.0, crop_padding=2, flip=False,
    precision="fp32",
)
_ = train(network, training, recipe)
print(f"{evaluate(network, validation).top1:.1%} of the validation digits")
for name, weight in prunable_parameters(network).items():
    print(name, tuple(weight.shape), f"{weight.numel():,} weights")
assert evaluate(network, validation).top1 > 0.9

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
# ## Question 2: Assign (2 points)
#
# The index of the nearest centroid for each weight, as an integer array of the weights' shape. Of two centroids that are
# equally near, take the lower index.


# %%
def assign(weights: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Index of each weight's nearest centroid."""
    # solution: Question 2: the least absolute difference along a new last axis.
    return np.abs(weights[..., None] - codebook).argmin(axis=-1)
    # end solution


week06.check_assign(assign)

# %% [markdown]
# Both on the small layer, of which the weights below 0.5 are pruned:

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
# ## Question 3: What sharing saves (2 points)
#
# A layer of $n$ float weights, 32 bits each, shares $k$ values. Stored are $n$ indices of a whole number of bits, as many
# as are needed to tell $k$ clusters apart, and the codebook of $k$ floats. How many times smaller is the layer?


# %%
def shrink_factor(n_weights: int, n_clusters: int) -> float:
    """Bits of the layer as floats over bits of its indices and codebook."""
    # solution: Question 3: 32 n over n ceil(log2 k) + 32 k.
    index_bits = int(np.ceil(np.log2(n_clusters)))
    return 32 * n_weights / (n_weights * index_bits + 32 * n_clusters)
    # end solution


week06.check_shrink_factor(shrink_factor)

# %% tags=["raises-exception"]
for name, weight in prunable_parameters(network).items():
    factors = "  ".join(f"{k:2} values: {shrink_factor(weight.numel(), k):5.2f}" for k in (2, 4, 16, 64))
    print(f"{name}  {factors}")
assert shrink_factor(16, 4) == 3.2  # the small layer

# %% [markdown]
# *What you should see:* the first layer shrinks nearly 32, 16, 8 and 5.3 times; the last one, of 200 weights, much less,
# and with 64 values hardly at all: its codebook is then nearly a third of the layer.

# %% [markdown]
# ## Question 4: The gradient by the centroids (3 points)
#
# All weights of a cluster are one number. By the chain rule
#
# $$\frac{\partial L}{\partial C_k} = \sum_{i,j} \frac{\partial L}{\partial W_{ij}}\, [I_{ij} = k].$$
#
# One number a cluster, also for clusters without weights.


# %%
def centroid_gradient(grad: np.ndarray, indices: np.ndarray, n_clusters: int) -> np.ndarray:
    """Gradient of the loss by the centroids, from that by the weights."""
    # solution: Question 4: add each gradient to its cluster's sum (np.add.at, np.bincount).
    sums = np.zeros(n_clusters)
    np.add.at(sums, indices, grad)
    return sums
    # end solution


week06.check_centroid_gradient(centroid_gradient)

# %% [markdown]
# ## Question 5: One step (2 points)
#
# Gradient descent on the codebook: the new codebook, and the layer decoded with it. The indices stay.


# %%
def take_step(
    codebook: np.ndarray, indices: np.ndarray, grad: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """(codebook after the step, weights after the step); `grad` is the gradient by the weights."""
    # solution: Question 5: codebook minus rate times its gradient; decode by index.
    moved = codebook - rate * centroid_gradient(grad, indices, codebook.size)
    return moved, moved[indices]
    # end solution


week06.check_take_step(take_step)

# %% tags=["raises-exception"]
cluster = assign(W, C)
tuned, after = take_step(C, cluster, G, rate=1.0)
by_autograd = torch.tensor(C, requires_grad=True)
by_autograd[torch.from_numpy(cluster)].backward(torch.from_numpy(G))  # decoding, and its backward pass
assert np.allclose(centroid_gradient(G, cluster, 4), by_autograd.grad)
assert np.allclose(tuned, [-0.97, -0.04, 1.48, 1.96])  # the paper's figure 3

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
# ## Question 6: Fine-tuning (3 points)
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
    # solution: Question 6: in a loop: gradient at the present weights, step, decode.
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
assert losses[-1] < 0.95 * losses[0]

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
# ## Question 7: A tidy codebook (2 points)
#
# The `.dcz` file wants codebooks strictly ascending. Fine-tuning can make centroids pass each other, or meet. Sort the
# codebook, merge equal values, and let the indices follow, so that every weight keeps its value. Values without weights
# stay.


# %%
def tidy(codebook: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codebook strictly ascending, indices into it)."""
    # solution: Question 7: np.unique also tells where each old value went.
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
assert small.to_dense().tolist() == [2.0, -1.0, 2.0, 2.0]

dense = len(container.save(CompressedModel({"fc1.weight": DenseTensor(layer)})))
file = container.save(CompressedModel({"fc1.weight": as_shared(tuned, indices)}))
back = container.load(file).tensors["fc1.weight"].to_dense()
assert np.array_equal(back, tuned.astype(np.float32)[indices])
print(f"{dense:,} bytes -> {len(file):,} bytes: {dense / len(file):.1f} times smaller;", end=" ")
print(f"by the formula {shrink_factor(layer.size, 2):.1f} times")
assert len(file) < dense / 25

# %% [markdown]
# *What you should see:* a file of about 5 kB, somewhat smaller than the formula says: it Huffman-codes the indices in
# blocks, and one of the two values is the more frequent one.

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
axes.set(xlabel="bits of this layer, the others as they are", ylabel="validation accuracy", xticks=BITS)
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
