"""Answers to the questions of week 5, right and wrong, with a pattern of what a wrong one must be told."""

import copy

import numpy as np
import torch
from styles import in_single, listed, single, tensor
from torch import nn

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


def unstable(flat, n_keep):
    """The sort that NumPy takes where order among equals does not matter."""
    kept = np.zeros(flat.size, dtype=bool)
    kept[np.argsort(-flat)[:n_keep]] = True
    return kept


def by_topk(flat, n_keep):
    kept = torch.zeros(flat.size, dtype=bool)
    kept[torch.topk(torch.from_numpy(flat), n_keep).indices] = True
    return kept.numpy()


def by_torch_sort(flat, n_keep):
    kept = torch.zeros(flat.size, dtype=bool)
    kept[torch.sort(torch.from_numpy(flat), descending=True, stable=True).indices[:n_keep]] = True
    return kept.numpy()


def by_zeros(weights, gradients, velocity, masks, rate, momentum):
    """Never looks at the masks."""
    return masked_step()(
        weights, gradients, velocity, {n: w != 0 for n, w in weights.items()}, rate, momentum
    )


def by_optimizer(weights, gradients, velocity, masks, rate, momentum):
    """torch's SGD with a momentum buffer, then the mask."""
    new, moving = {}, {}
    for name, weight in weights.items():
        parameter = nn.Parameter(torch.tensor(weight))
        optimizer = torch.optim.SGD([parameter], lr=rate, momentum=momentum)
        optimizer.state[parameter]["momentum_buffer"] = torch.tensor(velocity[name])
        parameter.grad = torch.tensor(gradients[name])
        optimizer.step()
        new[name] = parameter.detach() * torch.tensor(masks[name])
        moving[name] = optimizer.state[parameter]["momentum_buffer"]
    return new, moving


def nesterov(weights, gradients, velocity, masks, rate, momentum):
    moving = {name: momentum * velocity[name] + gradients[name] for name in weights}
    push = {name: gradients[name] + momentum * moving[name] for name in weights}
    return {name: (weights[name] - rate * push[name]) * masks[name] for name in weights}, moving


def dampened(weights, gradients, velocity, masks, rate, momentum):
    small = {name: (1 - momentum) * gradient for name, gradient in gradients.items()}
    return masked_step()(weights, small, velocity, masks, rate, momentum)


def masked_before(weights, gradients, velocity, masks, rate, momentum):
    pruned = {name: weight * masks[name] for name, weight in weights.items()}
    return masked_step(at_end=False)(pruned, gradients, velocity, masks, rate, momentum)


def scan_with(mask_of):
    def answer(weights, accuracy, sparsities):
        return {
            name: [accuracy({**weights, name: weight * mask_of(weights, name, s)}) for s in sparsities]
            for name, weight in weights.items()
        }

    return answer


def globally(weights, name, sparsity):
    return global_masks()({other: np.abs(weight) for other, weight in weights.items()}, sparsity)[name]


def plan(
    *, stop=True, default=0.0, strict=False, after=lambda value, rows: value, less=lambda top1, d: top1 - d
):
    def answer(scan, top1, allowed):
        chosen = {}
        for name, rows in scan.items():
            best = default
            for sparsity, accuracy in rows:
                line = less(top1, allowed)
                if accuracy > line + 1e-9 if strict else accuracy >= line - 1e-9:
                    best = sparsity
                elif stop:
                    break
            chosen[name] = after(best, rows)
        return chosen

    return answer


def one_too_high(scan, top1, allowed):
    chosen = {}
    for name, rows in scan.items():
        chosen[name] = rows[-1][0]
        for sparsity, accuracy in rows:
            if accuracy < top1 - allowed - 1e-9:
                chosen[name] = sparsity
                break
    return chosen


def cutter(
    *,
    shift=0,
    norm_parts=("weight", "bias", "running_mean", "running_var"),
    fresh=False,
    bias=True,
    inputs=True,
    numbers=True,
    in_place=False,
    keep=True,
):
    def answer(first, norm, second, channel):
        if not in_place:
            first, norm, second = (copy.deepcopy(module) for module in (first, norm, second))
        n = first.out_channels
        kept = torch.arange(n) != (channel + shift) % n
        first.weight = nn.Parameter(first.weight.detach()[kept])
        if first.bias is not None and bias:
            first.bias = nn.Parameter(first.bias.detach()[kept])
        for name in norm_parts:
            values = getattr(norm, name).detach()[kept]
            setattr(norm, name, nn.Parameter(values) if name in ("weight", "bias") else values)
        if fresh:
            norm.running_mean, norm.running_var = torch.zeros(n - 1), torch.ones(n - 1)
        if inputs:
            second.weight = nn.Parameter(second.weight.detach()[:, kept])
        if numbers:
            first.out_channels = norm.num_features = second.in_channels = n - 1
        return first, norm, second

    return answer


def built_anew(first, norm, second, channel, *, options=("stride", "padding", "dilation")):
    """New modules, filled from the old ones."""
    kept = [c for c in range(first.out_channels) if c != channel]
    made = []
    for old, sizes in ((first, (first.in_channels, len(kept))), (second, (len(kept), second.out_channels))):
        same = {name: getattr(old, name) for name in options}
        made.append(nn.Conv2d(*sizes, old.kernel_size, bias=old.bias is not None, **same))
    fresh = nn.BatchNorm2d(len(kept))
    with torch.no_grad():
        made[0].weight.copy_(first.weight[kept])
        made[1].weight.copy_(second.weight[:, kept])
        if first.bias is not None:
            made[0].bias.copy_(first.bias[kept])
        if second.bias is not None:
            made[1].bias.copy_(second.bias)
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(fresh, name).copy_(getattr(norm, name)[kept])
    return made[0], fresh, made[1]


ROWS = [
    ("magnitude", mapped(np.abs), None),
    ("magnitude", lambda weights: weights, "sign"),
    ("magnitude", mapped(np.square), "Squares"),
    ("magnitude", mapped(lambda w: np.abs(w) / np.abs(w).max()), "largest weight"),
    ("magnitude", mapped(lambda w: np.abs(w).mean()), "its own score"),
    ("magnitude", mapped(lambda w: -np.abs(w)), "inverted"),
    ("magnitude", lambda weights: list(map(np.abs, weights.values())), "a list, expected a dict"),
    ("global_masks", global_masks(), None),
    ("global_masks", global_masks(threshold(np.greater_equal)), "tied ones too"),
    ("global_masks", global_masks(threshold(np.greater)), "None of those that are tied"),
    ("global_masks", global_masks(last_of_equals), "earlier"),
    ("global_masks", lambda scores, s: layerwise()(scores, dict.fromkeys(scores, s)), "of .each. layer"),
    ("global_masks", global_masks(after=np.logical_not), "inverted"),
    ("global_masks", global_masks(before=np.negative), "lowest"),
    ("global_masks", global_masks(count=lambda s, n: round(s * n)), "zeros"),
    ("global_masks", global_masks(before=np.abs), "negative"),
    ("global_masks", global_masks(count=lambda s, n: int((1 - s) * n)), "not down"),
    ("global_masks", global_masks(count=lambda s, n: int(np.ceil((1 - s) * n))), "not up"),
    ("global_masks", global_masks(after=lambda mask: mask.astype(float)), "boolean"),
    ("global_masks", lambda scores, s: {"fc1": global_masks()(scores, s)["fc1"]}, "keys|expected"),
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
    ("masked_step", masked_step(turn=True), "inverted"),
    ("masked_step", masked_step(sign=1), "Uphill"),
    ("masked_step", masked_step(use=0.0), "momentum is not used"),
    ("masked_step", masked_step(use=1.0), "multiplied by the momentum"),
    ("masked_step", lambda w, g, v, m, rate, mu: masked_step()(w, g, v, m, 1.0, mu), "learning rate"),
    ("masked_step", masked_step(old=True), "old velocity"),
    ("masked_step", masked_step(rate_in=True), "not in the velocity"),
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
    ("encode_gaps", gaps(lambda found, flags: (found, ~flags)), "inverted"),
    ("encode_gaps", gaps(lambda found, flags: (found, np.roll(flags, -1))), "before"),
    ("encode_gaps", gaps(lambda found, flags: (found, flags & False)), "No filler is marked"),
    ("encode_gaps", lambda p, k: (gaps()(p, k)[0], gaps()(p, k)[0] == 2**k - 1), "may belong to a weight"),
    ("magnitude", single(mapped(np.abs)), None),
    ("magnitude", tensor(mapped(np.abs)), None),
    ("magnitude", listed(mapped(np.abs)), None),
    ("magnitude", mapped(lambda w: np.sqrt(w**2)), None),
    ("magnitude", mapped(lambda w: np.abs(w).ravel()), "shape|axis"),
    ("magnitude", mapped(lambda w: np.maximum(w, 0)), "wrong"),
    ("global_masks", global_masks(by_torch_sort), None),
    ("global_masks", in_single(global_masks()), None),
    ("global_masks", tensor(global_masks()), None),
    ("global_masks", listed(global_masks()), None),
    ("global_masks", global_masks(unstable), "left to chance"),
    ("global_masks", global_masks(by_topk), "left to chance|earlier"),
    ("global_masks", global_masks(after=lambda mask: mask.astype(int)), "boolean"),
    ("global_masks", global_masks(after=np.ravel), "axis|shape"),
    ("cubic_sparsity", single(cubic()), None),
    ("cubic_sparsity", tensor(cubic()), None),
    (
        "cubic_sparsity",
        lambda step, a, b, s: np.clip(s + (0 - s) * (1 - np.clip((step - a) / (b - a), 0, 1)) ** 3, 0, 1),
        None,
    ),
    ("cubic_sparsity", lambda step, a, b, s: s * float(step >= b), "wrong"),
    ("cubic_sparsity", lambda step, a, b, s: cubic()(step, a, b, s) / 2, "0.5 times"),
    ("masked_step", by_optimizer, None),
    ("masked_step", in_single(masked_step()), None),
    ("masked_step", tensor(masked_step()), None),
    ("masked_step", listed(masked_step()), None),
    ("masked_step", by_zeros, "masks. is not used"),
    ("masked_step", nesterov, "Nesterov"),
    ("masked_step", dampened, "counts in full"),
    ("masked_step", masked_before, "mask comes last"),
    ("masked_step", lambda w, g, v, m, rate, mu: ({}, {}), "keys"),
    ("sensitivity", listed(scan), None),
    ("sensitivity", single(scan), None),
    ("sensitivity", tensor(scan), None),
    ("sensitivity", scan_with(lambda w, name, s: global_masks()({name: w[name]}, s)[name]), "absolute value"),
    ("sensitivity", scan_with(globally), "together"),
    ("sensitivity", lambda w, a, s: {name: scan(w, a, s)[name][:1] for name in w}, "shape"),
    ("sparsities_from_scan", plan(), None),
    ("sparsities_from_scan", single(plan()), None),
    ("sparsities_from_scan", tensor(plan()), None),
    ("sparsities_from_scan", plan(after=lambda best, rows: np.float64(best)), None),
    ("sparsities_from_scan", plan(stop=False), "by luck"),
    ("sparsities_from_scan", one_too_high, "one too high"),
    ("sparsities_from_scan", plan(less=lambda top1, d: top1), "less .allowed."),
    ("sparsities_from_scan", plan(less=lambda top1, d: d), "less .allowed.|wrong"),
    ("sparsities_from_scan", plan(after=lambda best, rows: best or rows[0][0]), "stays whole"),
    ("sparsities_from_scan", plan(after=lambda best, rows: min(best, rows[0][0])), "highest"),
    ("sparsities_from_scan", plan(after=lambda best, rows: 1 - best), "Densities"),
    ("sparsities_from_scan", plan(after=lambda best, rows: dict(rows).get(best, 0.92)), "accuracies"),
    (
        "sparsities_from_scan",
        lambda scan, top1, d: dict.fromkeys(scan, plan()(scan, top1, d)["conv1"]) if "conv1" in scan else {},
        "first one's",
    ),
    (
        "sparsities_from_scan",
        lambda scan, top1, d: list(plan()(scan, top1, d).values()),
        "a list, expected a dict",
    ),
    ("encode_gaps", listed(gaps()), None),
    ("encode_gaps", tensor(gaps()), None),
    ("encode_gaps", lambda p, k: ([int(g) for g in gaps_by_loop(p, k)[0]], gaps_by_loop(p, k)[1]), None),
    ("encode_gaps", gaps(lambda found, flags: (found, flags.astype(int))), "bool"),
    ("encode_gaps", lambda p, k: (gaps()(p, k)[0], [int(f) for f in gaps()(p, k)[1]]), "bool"),
    ("encode_gaps", gaps(lambda found, flags: (found.astype(float), flags)), "counts zeros"),
    ("encode_gaps", gaps(lambda found, flags: found), "2 results"),
    ("cut_channel", cutter(), None),
    ("cut_channel", built_anew, None),
    ("cut_channel", lambda *a: list(cutter()(*a)), None),
    ("cut_channel", cutter(shift=1), "Another channel"),
    ("cut_channel", cutter(shift=-1), "Another channel"),
    ("cut_channel", cutter(fresh=True), "forgotten its running"),
    ("cut_channel", cutter(norm_parts=("weight", "bias")), "four numbers"),
    ("cut_channel", cutter(norm_parts=("running_mean", "running_var")), "four numbers"),
    ("cut_channel", cutter(norm_parts=("weight", "bias", "running_mean")), "do not run|four numbers"),
    ("cut_channel", cutter(bias=False), "Axis 0"),
    ("cut_channel", cutter(inputs=False), "counts its inputs"),
    ("cut_channel", cutter(numbers=False), "num_features"),
    ("cut_channel", cutter(in_place=True), "changes its argument"),
    ("cut_channel", lambda f, n, s, c: (f, n, s), "shape"),
    ("cut_channel", lambda *a: built_anew(*a, options=()), "do not run|shape"),
    ("cut_channel", lambda f, n, s, c: (f.weight, n, s), "nn.Conv2d"),
    ("cut_channel", lambda *a: nn.Sequential(*cutter()(*a)), "3 results"),
]
