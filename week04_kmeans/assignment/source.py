# %% [markdown]
# # Assignment 4: k-means from scratch on weights
#
# Thirty-seven thousand weights and sixteen values: which sixteen? You write k-means for the weights of a layer, from its start
# to the bytes of a file, and then the program that finds the best possible answer, to see how good the usual one is. At the
# end you say which start you would use, and defend it with numbers of your own.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Where to start | 2 | 20 |
# | 2 Assign | 2 | 10 |
# | 3 Update | 3 | 25 |
# | 4 The loop | 3 | 15 |
# | 5 What it costs | 1 | 5 |
# | 6 Pack | 2 | 20 |
# | 7 The exact optimum | 3 | 30 |
# | 8 Which start would you use? | 4 | 45 |
# | **all** | **20** | **170** |
#
# You need this week's lectures. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code. After each question a check tries your function on inputs of its own: it
# says what is wrong, and often why. Questions 1 to 7 are graded by these checks, question 8 by a reader.
#
# Use NumPy. Not scikit-learn's `KMeans`, nor `common.sharing.kmeans`: those come afterwards, to compare with.

# %%
import math
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import common
from common.checks import week04
from common.figures import CourseFigure, use_course_style
from common.sharing.kmeans import kmeans_1d

use_course_style()

# %% [markdown]
# ## The weights
#
# The second convolution of the capstone's VGG-16, `conv1_2`: 64 kernels of 64 × 3 × 3 weights. And the lecture's 4 × 4
# example, small enough to look at.

# %%
shipped = load_file(Path(common.__file__).parents[1] / "capstone" / "vgg16_cifar10.safetensors")
layer = shipped["features.3.weight"].astype(np.float64)
small = np.array(
    [
        [2.09, -0.98, 1.48, 0.09],
        [0.05, -0.14, -1.08, 2.12],
        [-0.91, 1.92, 0.0, -1.03],
        [1.87, 0.0, 1.53, 1.49],
    ]
)
deviation = layer.std()
print(f"{layer.shape}: {layer.size:,} weights from {layer.min():.3f} to {layer.max():.3f}")

fig = CourseFigure(height=2.2)
axes = fig.subplots()
_ = axes.hist(layer.ravel() / deviation, bins=150, color="#56B4E9", log=True)
axes.set(title="conv1_2", xlabel="weight, in standard deviations", ylabel="weights in a bin")
fig

# %% [markdown]
# A histogram with a logarithmic axis of counts: thousands of weights near zero, and single ones up to ten standard
# deviations away.

# %% [markdown]
# ## Question 1: Where to start (2 points)
#
# Two of the paper's three ways to place $k$ centroids, as floats in ascending order, for an array `values` of any shape:
#
# - `"linear"`: at equal steps from the least to the largest value, both included;
# - `"density"`: at equal steps of the *rank*. With the $n$ values sorted, centroid $i = 0, \dots, k-1$ is the one at place
#   $\lfloor \frac{i + 1/2}{k} \cdot n \rfloor$, counted from 0: the middle of the $i$-th of $k$ equal groups.


# %%
def starting_centroids(values: np.ndarray, k: int, kind: str) -> np.ndarray:
    """k centroids to start from, ascending; `kind` is "linear" or "density"."""
    # solution: Question 1: equal steps of the value, or of the rank.
    ordered = np.sort(values, axis=None).astype(np.float64)
    if kind == "linear":
        return np.linspace(ordered[0], ordered[-1], k)
    ranks = (np.arange(k) + 0.5) / k * ordered.size
    return ordered[ranks.astype(int)]
    # end solution


week04.check_starting_centroids(starting_centroids)

# %% [markdown]
# ## Question 2: Assign (2 points)
#
# For each value the number of its nearest centroid, as an integer, in the shape of the values. If two centroids are equally
# near, the one with the lower number. The centroids come in any order. (No loop over the values, please: there are many.)


# %%
def assign(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number of each value's nearest centroid: integers of the values' shape."""
    # solution: Question 2: all distances at once, by a new last axis; then argmin.
    return np.abs(values[..., None] - centroids).argmin(axis=-1)
    # end solution


week04.check_assign(assign)

# %% [markdown]
# ## Question 3: Update (3 points)
#
# Each centroid moves to the mean of the values with its label. Where no value has it, the cluster restarts: it moves to the
# value that is farthest from *its own* centroid (those that are passed to the function). If several clusters are empty, the
# one with the lowest number gets the farthest value, the next one the second farthest, and so on. The means are those of the
# labels as they are: a value that has just become a restart still counts in its old cluster.


# %%
def update(values: np.ndarray, labels: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """New centroids: the means of the clusters; empty clusters restart at the farthest values."""
    # solution: Question 3: means; then the empty ones, at the farthest values.
    flat, numbers = values.ravel(), labels.ravel()
    moved = np.array(centroids, dtype=np.float64)
    farthest = iter(np.argsort(-np.abs(flat - moved[numbers]), kind="stable"))
    for cluster in range(len(centroids)):
        members = flat[numbers == cluster]
        moved[cluster] = members.mean() if members.size else flat[next(farthest)]
    return moved
    # end solution


week04.check_update(update)

# %% [markdown]
# ## Question 4: The loop (3 points)
#
# Assign, update, assign, update, until no label changes, but at most `max_iter` times each. Return the centroids, and the
# label of every value's nearest centroid (*these* centroids: after the last update, assign once more).


# %%
def kmeans(values: np.ndarray, start: np.ndarray, max_iter: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm: centroids and labels."""
    # solution: Question 4: a loop that remembers the last labels.
    centroids, labels = np.array(start, dtype=np.float64), None
    for _ in range(max_iter):
        new = assign(values, centroids)
        if labels is not None and np.array_equal(new, labels):
            break
        labels = new
        centroids = update(values, labels, centroids)
    return centroids, assign(values, centroids)
    # end solution


week04.check_kmeans(kmeans)

# %% [markdown]
# The lecture's example by your code, and the real layer, against the course's `kmeans_1d`.

# %% tags=["raises-exception"]
codebook, labels = kmeans(small, starting_centroids(small, 4, "linear"))
print(codebook.round(2) + 0.0)
print(labels)
assert np.allclose(codebook, [-1.0, 0.0, 1.5, 2.0], rtol=0, atol=1e-5), f"the codebook is {codebook}"

sixteen, labels = kmeans(layer, starting_centroids(layer, 16, "linear"))
theirs = kmeans_1d(layer, 16, init="linear")
assert np.allclose(sixteen, theirs.codebook, rtol=0, atol=1e-4 * deviation), (
    "another codebook than kmeans_1d's"
)
assert (labels == theirs.indices).mean() > 0.9999, "other labels than kmeans_1d's"
print(f"conv1_2: sixteen values for {layer.size:,} weights, the same as the course's kmeans_1d")

fig = CourseFigure(height=2.2)
axes = fig.subplots()
_ = axes.hist(layer.ravel() / deviation, bins=150, color="#D9D9D9", log=True)
counts = np.bincount(labels.ravel(), minlength=16)
_ = axes.vlines(sixteen / deviation, 0.6, counts, color="#0072B2", linewidth=2)
axes.set(title="conv1_2 in sixteen values", xlabel="weight, in standard deviations", ylabel="weights")
fig

# %% [markdown]
# *What you should see:* the codebook -1, 0, 1.5, 2 and the indices of the lecture; below, the histogram in grey, and sixteen
# blue lines, as high as their clusters are large. They stand close together in the middle, and a few stand alone far
# outside.

# %% [markdown]
# ## Question 5: What it costs (1 point)
#
# The bits of codebook and indices together: $n$ indices, each of as many whole bits as $k$ clusters need, and $k$ centroids
# of `bits` bits.


# %%
def shared_bits(n: int, k: int, bits: int = 32) -> int:
    """Bits of n indices and k centroids."""
    # solution: Question 5: n indices of ceil(log2 k) bits, k centroids.
    return n * math.ceil(math.log2(k)) + k * bits
    # end solution


week04.check_shared_bits(shared_bits)

# %% [markdown]
# ## Question 6: Pack (2 points)
#
# A computer's smallest unit is the byte. Write the labels one after the other, `n_bits` bits each, the highest bit first,
# and cut the row of bits into bytes; zeros fill up the last one. Return `bytes`. Labels 5, 0, 7 of three bits are
# `101 000 111`, so `10100011 10000000`, two bytes. `np.packbits` makes bytes of an array of bits; `>>` and `& 1` get at a
# bit.


# %%
def pack(labels: np.ndarray, n_bits: int) -> bytes:
    """The labels as bytes, n_bits bits each, highest bit first."""
    # solution: Question 6: a table of bits, one row a label; then np.packbits.
    bits = (labels.reshape(-1, 1) >> np.arange(n_bits)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()
    # end solution


week04.check_pack(pack)


# %% [markdown]
# Now to disk, and back: the file holds everything that a reader needs except the shape.


# %% tags=["raises-exception"]
def unpack(data: bytes, n_bits: int, n: int) -> np.ndarray:
    """The first n labels of packed bytes."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))[: n * n_bits].reshape(n, n_bits)
    return bits @ (1 << np.arange(n_bits)[::-1])


sixteen, labels = kmeans(layer, starting_centroids(layer, 16, "linear"))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "conv1_2.bin"
    path.write_bytes(sixteen.astype("<f4").tobytes() + pack(labels, 4))
    size = path.stat().st_size
    data = path.read_bytes()
read = np.frombuffer(data, "<f4", 16)[unpack(data[64:], 4, layer.size)].reshape(layer.shape)
assert 8 * size == shared_bits(layer.size, 16), f"the file has {8 * size} bits, shared_bits says otherwise"
assert np.allclose(read, sixteen[labels], rtol=0, atol=1e-6), "other weights come back from the file"
print(
    f"{4 * layer.size:,} bytes as float32, {size:,} bytes in the file: {4 * layer.size / size:.2f}× smaller"
)

# %% [markdown]
# *What you should see:* a file that is 7.97 times smaller, as the formula says, to the byte; the codebook costs the last
# hundredths of the 8.

# %% [markdown]
# ## Question 7: The exact optimum (3 points)
#
# Lloyd's algorithm ends somewhere; where is the best? On a line the clusters are intervals of the sorted values
# $x_1 \le \dots \le x_n$. Let $D_q(j)$ be the least inertia of the first $j$ values in $q$ intervals:
#
# $$D_q(j) = \min_{i < j} \; D_{q-1}(i) + \text{cost}(i, j), \qquad D_0(0) = 0, \quad D_0(j) = \infty \text{ for } j > 0,$$
#
# where $\text{cost}(i, j)$ is the sum of squared distances of $x_{i+1}, \dots, x_j$ from their mean. With prefix sums
# $P_j = \sum_{t \le j} x_t$ and $Q_j = \sum_{t \le j} x_t^2$ it is $Q_j - Q_i - (P_j - P_i)^2 / (j - i)$.


# %%
def optimal_inertia(ordered: np.ndarray, k: int) -> float:
    """The least inertia of ascending values in k clusters."""
    # solution: Question 7: prefix sums, and a table that is filled row by row.
    n = ordered.size
    P = np.concatenate([[0.0], np.cumsum(ordered)])
    Q = np.concatenate([[0.0], np.cumsum(ordered**2)])
    table = np.full(n + 1, np.inf)
    table[0] = 0.0
    for _ in range(k):
        row = np.full(n + 1, np.inf)
        for j in range(1, n + 1):
            i = np.arange(j)
            row[j] = (table[i] + Q[j] - Q[i] - (P[j] - P[i]) ** 2 / (j - i)).min()
        table = row
    return float(table[n])
    # end solution


week04.check_optimal_inertia(optimal_inertia)

# %% [markdown]
# How far above the optimum does your `kmeans` end? 300 of the layer's weights, eight clusters.
#
# **Predict, then run.** Linear, density, or random starts: which one comes nearest?


# %% tags=["raises-exception"]
def inertia(values: np.ndarray, centroids: np.ndarray, labels: np.ndarray) -> float:
    """The sum of squared distances of the values from their centroids."""
    return float(((values - centroids[labels]) ** 2).sum())


few = np.sort(np.random.default_rng(1).choice(layer.ravel(), 300, replace=False))
least = optimal_inertia(few, 8)
above = {
    kind: inertia(few, *kmeans(few, starting_centroids(few, 8, kind))) / least
    for kind in ("linear", "density")
}
rng = np.random.default_rng(0)
ends = [inertia(few, *kmeans(few, np.sort(rng.choice(few, 8, replace=False)))) / least for _ in range(100)]
assert min(*above.values(), *ends) > 1 - 1e-9, "below the optimum? Then it is not the optimum"

fig = CourseFigure(height=2.2)
axes = fig.subplots()
_ = axes.hist(ends, bins=40, color="#009E73")
for (kind, ratio), color, height in zip(above.items(), ("#0072B2", "#D55E00"), (0.9, 0.7), strict=True):
    _ = axes.axvline(ratio, color=color, linewidth=2)
    _ = axes.text(ratio, height * axes.get_ylim()[1], f"{kind} ", color=color, ha="right")
axes.set(title="300 weights, 8 clusters: where k-means ends", xlabel="inertia, times the optimum")
fig

# %% [markdown]
# *What you should see:* in green the ends of a hundred random starts, spread above 1, the optimum; two lines for the other
# starts. Nothing lies below 1. With other weights the two lines change places: a few hundred weights are no proof of anything.

# %% [markdown]
# ## Question 8: Which start would you use? (4 points)
#
# In 200 to 300 words, with one or two figures of your own. Choose another layer of the shipped VGG-16 (`list(shipped)` has the
# names; those with two or four axes are weights; the large layers take your functions long), and at least two values of $k$.
#
# | what a reader looks for | points |
# |---|---|
# | linear, density and random (ten seeds or more) compared by inertia *and* by the error of the largest weights, in numbers | 1 |
# | the same after few iterations, and what changes | 1 |
# | a file, written and measured: which $k$ you would take for this layer, and what rule or budget decides it | 1 |
# | a claim that somebody could refute, what would refute it, and what your numbers cannot show | 1 |

# %% tags=["raises-exception"]
# solution: Question 8: three starts, two measures, few iterations and many; a file.
# NBVAL_IGNORE_OUTPUT
last = shipped["classifier.2.weight"].astype(np.float64)  # the last layer: 10 × 512
values, width = last.ravel(), last.std()
largest = np.abs(values) > np.quantile(np.abs(values), 0.99)


def judge(start, most):
    """Inertia, and the root mean squared error of the largest weights in deviations."""
    centroids, labels = kmeans(values, start, most)
    error = values - centroids[labels]
    return (error**2).sum(), np.sqrt((error[largest] ** 2).mean()) / width


rng = np.random.default_rng(0)
found = {}
for k in (8, 16):
    begins = {kind: [starting_centroids(values, k, kind)] for kind in ("linear", "density")}
    begins["random"] = [np.sort(rng.choice(values, k, replace=False)) for _ in range(10)]
    for kind, all_ in begins.items():
        for most in (10, 1000):
            found[k, kind, most] = np.median([judge(start, most) for start in all_], axis=0)
            told = ", ".join(f"{number:.3f}" for number in found[k, kind, most])
            print(f"k={k:2} {kind:8} {most:4} iterations: inertia, error of the largest: {told}")
for k in (8, 16):
    assert found[k, "linear", 10][1] < found[k, "density", 10][1]

fig = CourseFigure(height=2.5)
for ax, part, title in zip(fig.subplots(1, 2), (0, 1), ("Inertia", "Error of the largest 1 %"), strict=True):
    for number, (kind, color) in enumerate(
        {"linear": "#0072B2", "density": "#D55E00", "random": "#009E73"}.items()
    ):
        heights = [found[16, kind, most][part] for most in (10, 1000)]
        _ = ax.bar(np.arange(2) + 0.27 * (number - 1), heights, width=0.25, color=color, label=kind)
    ax.set(title=f"{title}, k = 16", xticks=(0, 1))
    ax.set_xticklabels(["10 iterations", "to the end"])
ax.legend()

sizes = {}
with tempfile.TemporaryDirectory() as folder:
    for n_bits in (3, 4, 5, 6):
        centroids, labels = kmeans(last, starting_centroids(last, 2**n_bits, "linear"), 10)
        path = Path(folder) / "last.bin"
        path.write_bytes(centroids.astype("<f4").tobytes() + pack(labels, n_bits))
        sizes[n_bits] = path.stat().st_size
        share = inertia(last, centroids, labels) / (last**2).sum()
        print(f"{n_bits} bits: {sizes[n_bits]:,} bytes, squared error {share:.2%} of the weights' squares")
fig
# end solution

# %% [markdown] tags=["answer"]
# **By inertia or by large weights.** I took the last layer, 5,120 weights of which a few lie far out; medians over ten seeds
# for random. Run to the end, density and random have the smaller inertia, at k = 8 and at k = 16, by about a tenth. At the
# largest 1 % of the weights it is the other way round: there their error is more than one standard deviation, and linear's
# is two thirds of it (k = 8) or less than half (k = 16).
#
# **Few iterations or many.** After ten iterations density and random are worse at the large weights still (about two
# deviations): ten steps do not carry a centroid out to them. For linear, at k = 16, more iterations lower the inertia and
# make the large weights *worse*: the centroids drift towards the crowd. So the start matters most where the iterations are
# few, and for linear fewer can be better.
#
# **Which k.** My budget: a squared error of at most 2 % of the weights' own squares, a guess at what a network bears. By the
# last lines printed above 5 bits meet it and 4 do not. The file is then 6.2 times smaller than float32, not 6.4: in so small
# a layer the codebook shows.
#
# **A claim.** "With ten iterations, linear has a smaller error than density at the largest 1 % of the weights, in every layer
# of this network, at 3 to 6 bits." A single layer where it is the other way round refutes it; I would look at the first one,
# which has no far weights. What my numbers cannot show is accuracy: I have not run the network. That large weights matter I
# take from the lecture, which measured it for seven other layers.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week04.grade(globals())
