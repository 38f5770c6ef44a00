"""Answers to the questions of week 4, right and wrong, with a pattern of what a wrong one must be told."""

import itertools
import math

import numpy as np
from styles import listed, single, tensor

from common.sharing.kmeans_exact import optimal_partition


def starting(*, linear=np.linspace, density=None):
    def at_ranks(values, k):
        ranks = (np.arange(k) + 0.5) / k
        return np.sort(values, axis=None)[(ranks * values.size).astype(int)]

    def answer(values, k, kind):
        if kind == "linear":
            return linear(values.min(), values.max(), k)
        return (density or at_ranks)(values, k)

    return answer


def at(ranks, of=lambda values: np.sort(values, axis=None), shift=0):
    def density(values, k):
        return of(values)[(ranks(np.arange(k), k, values.size)).astype(int) + shift]

    return density


def nearest(values, centroids):
    return np.abs(values[..., None] - centroids).argmin(axis=-1)


def by_midpoints(values, centroids):
    return np.searchsorted((centroids[:-1] + centroids[1:]) / 2, values)


def sorted_midpoints(values, centroids):
    order = np.argsort(centroids)
    return order[by_midpoints(values, centroids[order])]


def update(*, mean=np.mean, empty="farthest", old=True, again=False, drop=False, dtype=float, reverse=False):
    def answer(values, labels, centroids):
        values, labels = values.ravel(), labels.ravel()
        k = len(centroids)
        is_empty = np.bincount(labels, minlength=k) == 0
        moved = np.zeros(k, dtype)
        for cluster in np.flatnonzero(~is_empty):
            moved[cluster] = mean(values[labels == cluster])
        if empty == "stay":
            moved[is_empty] = centroids[is_empty]
        elif empty == "nan":
            moved[is_empty] = np.nan
        elif empty in ("farthest", "nearest", "middle", "largest"):
            reference = {"middle": values.mean(), "largest": 0.0}.get(
                empty, (centroids if old else moved)[labels]
            )
            order = np.argsort(-np.abs(values - reference), kind="stable")
            order = order[::-1] if empty == "nearest" else order
            places = order[:1].repeat(is_empty.sum()) if again else order[: is_empty.sum()]
            moved[is_empty] = values[places[::-1] if reverse else places]
        return moved[~is_empty] if drop else moved

    return answer


def loop(*, step=None, extra=0, stop=None, last=True, heed=True, exchange=False, flat=False, small=None):
    step = step or update()

    def answer(values, start, max_iter=1000):
        centroids, labels = np.array(start, float), None
        for _ in range(stop or ((max_iter if heed else 1000) + extra)):
            new = nearest(values, centroids)
            if labels is not None and np.array_equal(labels, new):
                break
            labels = new
            moved = step(values, labels, centroids)
            done = small is not None and np.abs(moved - centroids).max() < small
            centroids = moved
            if done:
                break
        labels = nearest(values, centroids) if last else labels
        labels = labels.ravel() if flat else labels
        return (labels, centroids) if exchange else (centroids, labels)

    return answer


def bits_of(width=lambda k: math.ceil(math.log2(k)), *, codebook=True, indices=True, form=lambda bits: bits):
    return lambda n, k, bits=32: form(n * width(k) * indices + k * bits * codebook)


def pack(*, low=False, order="big", form=lambda packed: packed.tobytes(), of=lambda labels: labels.ravel()):
    def answer(labels, n_bits):
        shifts = np.arange(n_bits) if low else np.arange(n_bits)[::-1]
        bits = ((of(labels)[:, None] >> shifts) & 1).astype(np.uint8)
        return form(np.packbits(bits, bitorder=order))

    return answer


def text_of(labels, n_bits):
    return "".join(f"{label:0{n_bits}b}" for label in labels.ravel())


def zeros_in_front(labels, n_bits):
    text = text_of(labels, n_bits)
    return int(text, 2).to_bytes(-(-len(text) // 8), "big")


def cost_table(*, mean=True, pick=min, first=0.0):
    """The dynamic program, slowly."""

    def answer(ordered, k):
        n = ordered.size

        def cost(i, j):
            part = ordered[i:j]
            return ((part - (part.mean() if mean else 0.0)) ** 2).sum()

        table = [first] + [np.inf] * n
        for _ in range(k):
            table = [np.inf] + [
                pick(table[i] + cost(i, j) for i in range(j) if np.isfinite(table[i]))
                if any(np.isfinite(table[i]) for i in range(j))
                else np.inf
                for j in range(1, n + 1)
            ]
        return table[n]

    return answer


def brute(form=lambda parts: sum(((p - p.mean()) ** 2).sum() for p in parts), cuts=lambda n, k: k - 1):
    def answer(ordered, k):
        n = ordered.size
        places = itertools.combinations(range(1, n), min(n - 1, max(0, cuts(n, k))))
        return min(form(np.split(ordered, chosen)) for chosen in places)

    return answer


def ends_of_lloyd(init):
    def answer(ordered, k):
        start = starting()(ordered, k, init)
        centroids, labels = loop(step=update(empty="stay"))(ordered, start)
        return ((ordered - centroids[labels]) ** 2).sum()

    return answer


def restarts(n_starts):
    """The best end of many random starts: near the optimum, and no proof."""

    def answer(ordered, k):
        rng, best = np.random.default_rng(0), np.inf
        for _ in range(n_starts):
            start = np.sort(rng.choice(ordered, k, replace=False))
            centroids, labels = loop(step=update(empty="stay"))(ordered, start)
            best = min(best, ((ordered - centroids[labels]) ** 2).sum())
        return best

    return answer


ROWS = [
    ("starting_centroids", starting(), None),
    ("starting_centroids", starting(linear=lambda a, b, k: np.linspace(a, b, k, endpoint=False)), "ends"),
    ("starting_centroids", starting(linear=lambda a, b, k: np.linspace(a, b, k + 2)[1:-1]), "ends"),
    ("starting_centroids", starting(linear=lambda a, b, k: a + (b - a) * (np.arange(k) + 0.5) / k), "ends"),
    ("starting_centroids", starting(linear=lambda a, b, k: np.linspace(-b, b, k)), "symmetric"),
    ("starting_centroids", starting(linear=lambda a, b, k: np.linspace(b, a, k)), "Ascending"),
    ("starting_centroids", starting(linear=lambda a, b, k: np.linspace(-1, 1, k)), "does not look"),
    ("starting_centroids", lambda v, k, kind: starting()(v, k, "density"), "That is the density"),
    ("starting_centroids", lambda v, k, kind: starting()(v, k, "linear"), "That is the linear"),
    ("starting_centroids", starting(density=at(lambda i, k, n: (i + 0.5) / k * n, of=np.ravel)), "sorted"),
    ("starting_centroids", starting(density=lambda v, k: np.quantile(v, (np.arange(k) + 0.5) / k)), "itself"),
    ("starting_centroids", starting(density=lambda v, k: np.quantile(v, np.linspace(0, 1, k))), "middle of"),
    ("starting_centroids", starting(density=at(lambda i, k, n: i / (k - 1) * (n - 1))), "middle of"),
    ("starting_centroids", starting(density=at(lambda i, k, n: i / k * n)), "half a group"),
    ("starting_centroids", starting(density=at(lambda i, k, n: (i + 0.5) / k * n, shift=-1)), "from 0"),
    (
        "starting_centroids",
        starting(density=lambda v, k: np.sort(v, axis=None).reshape(k, -1).mean(axis=1)),
        "middle rank",
    ),
    ("assign", nearest, None),
    ("assign", sorted_midpoints, "equally near"),
    ("assign", lambda v, c: ((v[..., None] - c) ** 2).argmin(axis=-1), None),
    ("assign", by_midpoints, "ascending order"),
    ("assign", lambda v, c: np.digitize(v, (c[:-1] + c[1:]) / 2, right=True), "any order"),
    ("assign", lambda v, c: len(c) - 1 - nearest(v, c[::-1]), "equally near"),
    ("assign", lambda v, c: (v[..., None] - c).argmin(axis=-1), "absolute"),
    ("assign", lambda v, c: np.abs(v[..., None] - c).argmax(axis=-1), "farthest"),
    ("assign", lambda v, c: c[nearest(v, c)], "themselves"),
    ("assign", lambda v, c: np.abs(v[..., None] - c).min(axis=-1), "distances"),
    ("assign", lambda v, c: nearest(v, c).ravel(), "shape"),
    ("assign", lambda v, c: nearest(v, c) + 1, "start at 0"),
    ("assign", lambda v, c: nearest(v, c).astype(float), "integers"),
    ("assign", lambda v, c: np.searchsorted(c, v), "midpoints"),
    ("assign", lambda v, c: np.maximum(np.searchsorted(c, v, side="right") - 1, 0), "midpoints"),
    ("assign", lambda v, c: np.abs(v - c).argmin(), "broadcast|shape|raises"),
    ("update", update(), None),
    ("update", update(mean=np.sum), "not divided"),
    ("update", update(mean=lambda v: v.sum() / 8), "of all values"),
    ("update", update(mean=np.median), "median"),
    ("update", lambda v, labels, c: c, "not moved"),
    ("update", lambda v, labels, c: np.full(len(c), v.mean()), "One mean"),
    ("update", update(dtype=int), "Cut off"),
    ("update", update(empty="nan"), "nan"),
    ("update", update(empty="stay"), "stay empty"),
    ("update", update(empty="zero"), "gone to 0"),
    ("update", update(drop=True), "left out"),
    ("update", update(again=True), "same value"),
    ("update", update(empty="middle"), "its own centroid"),
    ("update", update(empty="largest"), "its own centroid"),
    ("update", update(empty="nearest"), "nearest value"),
    ("update", update(old=False), "before the update"),
    ("update", update(reverse=True), "lower number"),
    ("kmeans", loop(), None),
    ("kmeans", loop(stop=1), "after one iteration"),
    ("kmeans", loop(stop=3), "too early"),
    ("kmeans", loop(small=0.3), "too early"),
    ("kmeans", loop(heed=False), "ignored"),
    ("kmeans", loop(extra=1), "too few or too many"),
    ("kmeans", loop(extra=-1), "too few or too many"),
    ("kmeans", loop(last=False), "before the last update"),
    ("kmeans", loop(exchange=True), "exchanged"),
    ("kmeans", loop(flat=True), "shape"),
    ("kmeans", lambda v, start, max_iter=1000: (start, nearest(v, start)), "not moved"),
    ("kmeans", lambda v, start, max_iter=9: (loop()(v, start, max_iter)[0], nearest(v, start)), "the start"),
    ("kmeans", loop(step=update(empty="stay")), "empty ones restart"),
    ("shared_bits", bits_of(), None),
    ("shared_bits", lambda n, k, bits=32: n * (k - 1).bit_length() + k * bits, None),
    ("shared_bits", bits_of(codebook=False), "codebook is missing"),
    ("shared_bits", bits_of(indices=False), "indices are missing"),
    ("shared_bits", bits_of(math.log2), "whole number"),
    ("shared_bits", bits_of(lambda k: int(math.log2(k))), "Rounded down"),
    ("shared_bits", bits_of(int.bit_length), "0 to k"),
    ("shared_bits", bits_of(lambda k: max(1, math.ceil(math.log2(k)))), "needs none"),
    ("shared_bits", bits_of(form=lambda bits: bits // 8), "bytes"),
    ("shared_bits", lambda n, k, bits=32: n * bits, "not stored any more"),
    ("shared_bits", lambda n, k, bits=32: bits_of()(n, k), "not used"),
    ("shared_bits", lambda n, k, bits=32: bits_of()(k, n, bits), "n and k|not"),
    ("shared_bits", lambda n, k, bits=32: n * bits / bits_of()(n, k, bits), "rate"),
    ("pack", pack(), None),
    (
        "pack",
        lambda v, b: int(text_of(v, b).ljust(-(-v.size * b // 8) * 8, "0"), 2).to_bytes(
            -(-v.size * b // 8), "big"
        ),
        None,
    ),
    ("pack", lambda v, b: v.tobytes(), "share one byte"),
    ("pack", lambda v, b: v.astype(np.uint8).tobytes(), "share one byte"),
    ("pack", pack(low=True), "highest bit comes first"),
    ("pack", pack(order="little"), "Within a byte"),
    ("pack", pack(low=True, order="little"), "Within a byte"),
    ("pack", zeros_in_front, "at the end"),
    ("pack", lambda v, b: pack()(v, 8), "share one byte"),
    ("pack", pack(of=lambda v: v.ravel()[::-1]), "first label"),
    ("pack", lambda v, b: pack()(v, b)[:-1], "still a byte"),
    ("pack", lambda v, b: text_of(v, b).encode(), "per digit"),
    ("pack", text_of, "byte per bit"),
    ("pack", pack(form=lambda packed: packed), "tobytes"),
    ("pack", pack(form=lambda packed: packed.tolist()), r"bytes\(numbers\)"),
    ("optimal_inertia", cost_table(), None),
    ("optimal_inertia", lambda ordered, k: optimal_partition(ordered, k).inertia, None),
    ("optimal_inertia", ends_of_lloyd("linear"), "Lloyd"),
    ("optimal_inertia", ends_of_lloyd("density"), "Lloyd"),
    (
        "optimal_inertia",
        lambda v, k: sum(((p - p.mean()) ** 2).sum() for p in np.split(v, np.arange(1, k) * v.size // k)),
        "equally many",
    ),
    ("optimal_inertia", brute(cuts=lambda n, k: k), "too few or too many"),
    ("optimal_inertia", brute(cuts=lambda n, k: k - 2), "too few or too many"),
    ("optimal_inertia", lambda v, k: cost_table()(v, k) / v.size, "not the sum"),
    ("optimal_inertia", lambda v, k: cost_table()(v, k) ** 0.5, "root"),
    ("optimal_inertia", cost_table(pick=max), "greatest"),
    ("optimal_inertia", cost_table(mean=False), "its own mean"),
    ("optimal_inertia", lambda v, k: cost_table()(v, k) - (v**2).sum(), "without the sum"),
    ("optimal_inertia", cost_table(first=np.inf), "nan or inf|D\\[0, 0\\]"),
    ("starting_centroids", single(starting()), None),
    ("starting_centroids", listed(starting()), None),
    ("assign", tensor(nearest), None),
    ("assign", listed(nearest), None),
    ("update", single(update()), None),
    ("update", tensor(update()), None),
    ("kmeans", single(loop()), None),
    ("kmeans", tensor(loop()), None),
    ("kmeans", listed(loop()), None),
    ("kmeans", lambda *a, **o: (loop()(*a, **o)[0], loop()(*a, **o)[1].astype(float)), "integers"),
    ("shared_bits", lambda n, k, bits=32: float(bits_of()(n, k, bits)), None),
    ("pack", lambda v, b: bytearray(pack()(v, b)), None),
    (
        "pack",
        lambda v, b: np.packbits(
            ((v.reshape(-1, 1) >> np.arange(b)[::-1]) & 1).astype(np.uint8), axis=1
        ).tobytes(),
        "of its own|share one byte",
    ),
    ("optimal_inertia", single(cost_table()), None),
    ("optimal_inertia", restarts(20), "proves nothing"),
]
