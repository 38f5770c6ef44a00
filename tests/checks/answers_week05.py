"""Answers to the questions of week 5, right and wrong, with a pattern of what a wrong one must be told."""

import numpy as np

from common.codec.gaps import encode_gaps, encode_gaps_with_fillers

# Answers, right and wrong, written apart from the checks


def mapped(function):
    return lambda weights: {name: function(weight) for name, weight in weights.items()}


def flat_masks(scores, n_keep, choose):
    flat = np.concatenate([np.ravel(score) for score in scores.values()])
    kept, result, start = choose(flat, n_keep), {}, 0
    for name, score in scores.items():
        result[name] = kept[start : start + score.size].reshape(score.shape)
        start += score.size
    return result


def first_of_equals(flat, n_keep):
    kept = np.zeros(flat.size, dtype=bool)
    kept[sorted(range(flat.size), key=lambda place: (-flat[place], place))[:n_keep]] = True
    return kept


def last_of_equals(flat, n_keep):
    kept = np.zeros(flat.size, dtype=bool)
    kept[sorted(range(flat.size), key=lambda place: (flat[place], place))[flat.size - n_keep :]] = True
    return kept


def threshold(compare):
    return lambda flat, k: compare(flat, np.sort(flat)[::-1][k - 1] if k else np.inf)


def global_masks(
    choose=first_of_equals, *, count=lambda s, n: round((1 - s) * n), before=lambda v: v, after=lambda m: m
):
    def answer(scores, sparsity):
        scores = {name: before(score) for name, score in scores.items()}
        n = sum(score.size for score in scores.values())
        return mapped(after)(flat_masks(scores, count(sparsity, n), choose))

    return answer


def layerwise(goal_of=lambda sparsity, name: sparsity[name], after=lambda mask: mask):
    def answer(scores, sparsity):
        return {
            name: after(global_masks()({name: score}, goal_of(sparsity, name))[name])
            for name, score in scores.items()
        }

    return answer


def layers_compete(scores, sparsity):
    n_keep = sum(round((1 - sparsity[name]) * score.size) for name, score in scores.items())
    return flat_masks(scores, n_keep, first_of_equals)


def cubic(*, low=True, high=True, shape=lambda part: 1 - (1 - part) ** 3, after=lambda s: s, way=None):
    def answer(step, start, end, final):
        part = (step - start) / (end - start) if way is None else way(step, start, end)
        part = max(part, 0.0) if low else part
        part = min(part, 1.0) if high else part
        return after(final * shape(part))

    return answer


def masked_step(*, gradient_mask=False, at_end=True, turn=False, sign=-1, use=None, rate_in=False, old=False):
    def answer(weights, gradients, velocity, masks, rate, momentum):
        new, moving = {}, {}
        factor = momentum if use is None else use
        for name, weight in weights.items():
            mask = masks[name] ^ turn
            gradient = gradients[name] * mask if gradient_mask else gradients[name]
            moving[name] = factor * velocity[name] + gradient
            push = velocity[name] if old else moving[name]
            new[name] = weight + sign * rate * push
            if at_end:
                new[name] = np.where(mask, new[name], 0.0)
            if rate_in:
                moving[name] = rate * moving[name]
        return new, moving

    return answer


def masked_velocity(weights, gradients, velocity, masks, rate, momentum):
    new, moving = masked_step()(weights, gradients, velocity, masks, rate, momentum)
    return new, {name: value * masks[name] for name, value in moving.items()}


def one_pruned(weights, name, sparsity):
    mask = global_masks()({name: np.abs(weights[name])}, sparsity)[name]
    return {**weights, name: weights[name] * mask}


def scan(weights, accuracy, sparsities):
    return {name: [accuracy(one_pruned(weights, name, s)) for s in sparsities] for name in weights}


def scan_that_forgets(weights, accuracy, sparsities, *, between_layers=True):
    found, left = {}, dict(weights)
    for name in weights:
        left = left if between_layers else dict(weights)
        found[name] = []
        for sparsity in sparsities:
            left = one_pruned(left, name, sparsity)
            found[name].append(accuracy(left))
    return found


def scan_of(choose):
    def answer(weights, accuracy, sparsities):
        found = {}
        for name in weights:
            found[name] = []
            for sparsity in sparsities:
                left = dict(weights)
                for other in choose(list(weights), name):
                    left = one_pruned(left, other, sparsity)
                found[name].append(accuracy(left))
        return found

    return answer


def scan_in_place(weights, accuracy, sparsities):
    for weight in weights.values():
        weight[np.abs(weight) < 2] = 0
    return scan(weights, accuracy, sparsities)


def gaps(change=lambda gaps, flags: (gaps, flags)):
    def answer(positions, n_bits):
        found, flags = encode_gaps_with_fillers(positions, n_bits)
        return change(found.astype(int), flags)

    return answer


def gaps_by_loop(positions, n_bits, *, repeat=True, limit=0, at=-1, fill=True, cut=None):
    most, found, flags = 2**n_bits - 1, [], []
    for position in positions:
        gap = position - at - 1
        while fill and gap > most - limit:
            found, flags, gap = [*found, most], [*flags, True], gap - most - 1
            if not repeat:
                break
        found, flags, at = [*found, cut(gap, most) if cut else gap], [*flags, False], position
    return found, flags


def as_in_the_file(positions, n_bits):
    found = encode_gaps(positions, n_bits).astype(int)
    return found, found == 2**n_bits - 1


def bits(
    *,
    values=lambda mask: mask.sum(),
    every=lambda mask: mask.size,
    fillers=True,
    filler_value=True,
    byte=1,
    by_row=False,
):
    def answer(mask, value_bits, gap_bits):
        rows = mask if by_row else [mask]
        n_gaps = sum(gaps()(np.flatnonzero(row), gap_bits)[0].size for row in rows)
        n_gaps = n_gaps if fillers else mask.sum()
        n_values = n_gaps if filler_value else mask.sum()
        bitmap = values(mask) * value_bits + every(mask)
        return bitmap / byte, (n_gaps * gap_bits + n_values * value_bits) / byte

    return answer


ROWS = [
    ("magnitude", mapped(np.abs), None),
    ("magnitude", lambda weights: weights, "sign"),
    ("magnitude", mapped(np.square), "Squares"),
    ("magnitude", mapped(lambda w: np.abs(w) / np.abs(w).max()), "largest weight"),
    ("magnitude", mapped(lambda w: np.abs(w).mean()), "its own score"),
    ("magnitude", mapped(lambda w: -np.abs(w)), "turned"),
    ("magnitude", lambda weights: list(map(np.abs, weights.values())), "a list, expected a dict"),
    ("global_masks", global_masks(), None),
    ("global_masks", global_masks(threshold(np.greater_equal)), "tied ones too"),
    ("global_masks", global_masks(threshold(np.greater)), "None of those that are tied"),
    ("global_masks", global_masks(last_of_equals), "earlier"),
    ("global_masks", lambda scores, s: layerwise()(scores, dict.fromkeys(scores, s)), "of .each. layer"),
    ("global_masks", global_masks(after=np.logical_not), "turned round"),
    ("global_masks", global_masks(before=np.negative), "lowest"),
    ("global_masks", global_masks(count=lambda s, n: round(s * n)), "zeros"),
    ("global_masks", global_masks(before=np.abs), "negative"),
    ("global_masks", global_masks(count=lambda s, n: int((1 - s) * n)), "not down"),
    ("global_masks", global_masks(count=lambda s, n: int(np.ceil((1 - s) * n))), "not up"),
    ("global_masks", global_masks(after=lambda mask: mask.astype(float)), "boolean"),
    ("global_masks", lambda scores, s: {"fc1": global_masks()(scores, s)["fc1"]}, "keys|expected"),
    ("layerwise_masks", layerwise(), None),
    ("layerwise_masks", layers_compete, "compete"),
    ("layerwise_masks", layerwise(lambda sparsity, name: sparsity["fc1"]), "first one's"),
    ("layerwise_masks", layerwise(lambda sparsity, name: sparsity["fc2"]), "last one's"),
    ("layerwise_masks", lambda scores, s: global_masks()(scores, 0.625), "compete"),
    ("layerwise_masks", layerwise(lambda sparsity, name: 1 - sparsity[name]), "zeros"),
    ("layerwise_masks", layerwise(after=np.logical_not), "turned round"),
    ("cubic_sparsity", cubic(), None),
    ("cubic_sparsity", cubic(low=False), "below 0"),
    ("cubic_sparsity", cubic(high=False), "stays at its final"),
    ("cubic_sparsity", cubic(low=False, high=False), "between start and end only"),
    ("cubic_sparsity", cubic(shape=lambda part: part), "straight line"),
    ("cubic_sparsity", cubic(shape=lambda part: part**3), "slow at first"),
    ("cubic_sparsity", cubic(shape=lambda part: (1 - part) ** 3), "goes down"),
    ("cubic_sparsity", cubic(after=lambda s: 1 - s), "density"),
    ("cubic_sparsity", cubic(way=lambda step, start, end: step / end), "from the start"),
    ("cubic_sparsity", cubic(way=lambda step, start, end: (step - start) / end), "end − start"),
    ("cubic_sparsity", cubic(shape=lambda part: 1 - (1 - part) ** 2), "exponent is 2"),
    ("cubic_sparsity", lambda step, start, end, final: cubic()(step, start, end, 1.0), "ends at 1"),
    ("cubic_sparsity", lambda step, start, end, final: np.zeros(3), "one number"),
    ("masked_step", masked_step(), None),
    ("masked_step", masked_step(gradient_mask=True), None),
    ("masked_step", masked_velocity, None),
    ("masked_step", masked_step(at_end=False), "after the step"),
    ("masked_step", masked_step(at_end=False, gradient_mask=True), "velocity from before"),
    ("masked_step", masked_step(turn=True), "turned round"),
    ("masked_step", masked_step(sign=1), "Uphill"),
    ("masked_step", masked_step(use=0.0), "momentum is not used"),
    ("masked_step", masked_step(use=1.0), "multiplied by the momentum"),
    ("masked_step", lambda w, g, v, m, rate, mu: masked_step()(w, g, v, m, 1.0, mu), "learning rate"),
    ("masked_step", masked_step(old=True), "old velocity"),
    ("masked_step", masked_step(rate_in=True), "not into the velocity"),
    ("masked_step", lambda w, g, v, m, rate, mu: (masked_step()(w, g, v, m, rate, mu)[0], v), "as it came"),
    ("masked_step", lambda w, g, v, m, rate, mu: (w, v), "Nothing moves"),
    ("masked_step", lambda w, g, v, m, rate, mu: masked_step()(w, g, v, m, rate, mu)[0], "2 results"),
    ("sensitivity", scan, None),
    ("sensitivity", scan_that_forgets, "whole network every time"),
    ("sensitivity", lambda w, a, s: scan_that_forgets(w, a, s, between_layers=False), "whole layer every"),
    ("sensitivity", scan_of(lambda names, name: names[: names.index(name) + 1]), "whole network every time"),
    ("sensitivity", scan_of(lambda names, name: names), "together"),
    ("sensitivity", scan_of(lambda names, name: [other for other in names if other != name]), "but the one"),
    ("sensitivity", scan_of(lambda names, name: []), "Nothing was pruned"),
    ("sensitivity", lambda w, a, s: scan(w, a, [1 - level for level in s]), "zeros"),
    ("sensitivity", lambda w, a, s: mapped(lambda row: a(w) - np.array(row))(scan(w, a, s)), "Losses"),
    ("sensitivity", lambda w, a, s: scan(w, a, sorted(s)), "another order"),
    ("sensitivity", scan_in_place, "changes its argument"),
    ("encode_gaps", gaps(), None),
    ("encode_gaps", gaps_by_loop, None),
    ("encode_gaps", gaps(lambda found, flags: (found + 1, flags)), "Distances"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, fill=False), "Too large"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, repeat=False), "repeat until"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, limit=1), "just fits"),
    ("encode_gaps", as_in_the_file, "cell of its own"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, at=0), "first gap"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, fill=False, cut=min), "cut off"),
    ("encode_gaps", lambda p, k: gaps_by_loop(p, k, fill=False, cut=lambda g, m: g % (m + 1)), "cut off"),
    ("encode_gaps", lambda p, k: (p, np.zeros(len(p), dtype=bool)), "positions themselves"),
    ("encode_gaps", gaps(lambda found, flags: (found, ~flags)), "turned round"),
    ("encode_gaps", gaps(lambda found, flags: (found, np.roll(flags, -1))), "before"),
    ("encode_gaps", gaps(lambda found, flags: (found, flags & False)), "No filler is marked"),
    ("encode_gaps", lambda p, k: (gaps()(p, k)[0], gaps()(p, k)[0] == 2**k - 1), "may belong to a weight"),
    ("layer_bits", bits(), None),
    ("layer_bits", bits(values=lambda mask: mask.size), "Only kept weights"),
    ("layer_bits", bits(every=lambda mask: mask.sum()), "every"),
    ("layer_bits", bits(values=lambda mask: 0), "values are missing"),
    ("layer_bits", bits(byte=8), "Bytes"),
    ("layer_bits", bits(fillers=False), "fillers are missing"),
    ("layer_bits", bits(filler_value=False), "filler has a value"),
    ("layer_bits", bits(by_row=True), "row after row"),
    ("layer_bits", lambda m, v, g: (bits()(m, v, g)[0], bits()(m, v, g)[1] + m.size), "not needed"),
]
