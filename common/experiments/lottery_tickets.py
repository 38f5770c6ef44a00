"""The lottery ticket hypothesis, tested again: the first figures of Frankle & Carbin 2019 beside ours.

    dnnc reproduce lottery_tickets      writes week05_pruning/results/lottery_tickets.json

Every trial has initial weights of its own. Its winning tickets are found by iterative pruning, and each is
compared with controls that have the same number of weights in every layer:

``ticket``        the mask found, the initial weights: what the paper calls a winning ticket
``reinit``        the mask found, new random weights
``random_mask``   a random mask, the initial weights
``one_shot``      the mask of one pruning of the dense network, the initial weights
``early``         the mask found, the weights after `Plan.early_step` steps (rewinding)
``fine_tuned``    the mask found, the trained weights that were pruned: nothing is reset

Networks of one level see the images in the same order. What is chosen (when to stop, which tickets become
files) is chosen on images cut from the training set. On a CPU, shortened plans of LeNet-300-100 and Conv-2
are run, and their figures say so; on a GPU, the paper's numbers of steps and trials, and Conv-4 and Conv-6.
Stopped at any moment, the command goes on from the last network that it has trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.base.files import ROOT, whole_file
from common.base.memo import Memo, as_json
from common.base.progress import progress
from common.base.text import markdown_table
from common.compress.pipeline import CompressConfig, decompress, encode, share
from common.data.datasets import load_dataset
from common.data.image_set import first_images, train_val_split
from common.experiments import Outcome, store
from common.methods.lottery_tickets import (
    KeptWeights,
    LossWatch,
    Snapshot,
    glorot_normal_,
    iterative_pruning,
    n_kept,
    prune_rounds,
    pruning_rates,
    reset_,
    shuffled,
    weights_of,
    whole_masks,
)
from common.networks.models import build, dense_bytes
from common.networks.training import TrainConfig, default_device, evaluate, train
from common.pruning.masks import Masks
from common.pruning.network import ThinNetwork, prune

# ----------------------------------------------------------------------------------------------------
# The figures of a lottery ticket experiment: what was measured of every network, arranged for plotting.

_MEASURES = {
    "stop_step": None,
    "stop_loss": 5,
    "stop_top1": 5,
    "end_top1": 5,
    "validation_top1": 5,
}  # name to decimal places


def experiment_figures(trials: Sequence[Sequence[Mapping]], n_weights: int) -> dict:
    """Arrange the figures of all trained networks.

    Parameters
    ----------
    trials : sequence of sequences of figures
        What `Bench.run_trial` returned: the same networks in every trial.
    n_weights : int
        Prunable weights of the dense network.

    Returns
    -------
    dict
        ``kinds[kind]`` has lists ``levels`` and ``kept`` (share of the weights, in (0, 1]), and of shape
        (levels, trials) ``stop_step``, ``stop_loss``, ``stop_top1`` and ``end_top1`` (test images) and
        ``validation_top1`` (at the early-stop step). ``curves[kind][level]``, for level 0 and those that were
        also trained from new weights, holds ``top1`` and ``loss`` on the watched images, means over the
        trials at ``curve_steps``. ``inputs[level]``, for every second of these levels, counts each pixel's
        connections in the first trial. Steps count from a network's own start, also for ``early``, whose
        weights have been trained before.
    """
    kinds: dict[str, dict] = {}
    for rows in zip(*trials, strict=True):
        kind = kinds.setdefault(
            rows[0]["kind"], {"levels": [], "kept": []} | {name: [] for name in _MEASURES}
        )
        kind["levels"].append(rows[0]["level"])
        kind["kept"].append(round(rows[0]["n_kept"] / n_weights, 6))
        for name, digits in _MEASURES.items():
            kind[name].append([row[name] if digits is None else round(row[name], digits) for row in rows])
    compared = [0, *kinds.get("reinit", {"levels": []})["levels"]]
    curves: dict[str, dict] = {"ticket": {}, "reinit": {}}
    for rows in zip(*trials, strict=True):
        if rows[0]["kind"] in curves and rows[0]["level"] in compared:
            mean = np.mean([row["curve"] for row in rows], axis=0)
            curves[rows[0]["kind"]][str(rows[0]["level"])] = {
                "loss": mean[:, 1].round(4).tolist(),
                "top1": mean[:, 2].round(4).tolist(),
            }
    drawn = [row for row in trials[0] if "inputs" in row and row["level"] in compared[1::2]]
    return {
        "kinds": kinds,
        "curve_steps": [point[0] for point in trials[0][0]["curve"]],
        "curves": curves,
        "inputs": {str(row["level"]): row["inputs"] for row in drawn},
    }


# ----------------------------------------------------------------------------------------------------
# Which networks are trained, and for how long: as in the paper, and shortened for a CPU.

CONV_CHANNELS = {
    "conv_2": (64, 64, "M"),
    "conv_4": (64, 64, "M", 128, 128, "M"),
    "conv_6": (64, 64, "M", 128, 128, "M", 256, 256, "M"),
}
# Fine-tuning of the shared values of a ticket that becomes a file.
CODING = TrainConfig(
    epochs=2,
    batch_size=100,
    max_lr=1e-3,
    label_smoothing=0.0,
    crop_padding=0,
    flip=False,
    weight_decay=0.0,
    optimizer="adam",
    precision="fp32",
)


def _constant(rate: float, epochs: int) -> TrainConfig:
    """The paper's training: Adam at one rate, batches of 60, nothing else."""
    return replace(CODING, epochs=epochs, batch_size=60, max_lr=rate, rates=((0.0, 1.0),))


@dataclass(frozen=True)
class Plan:
    """One network's experiment.

    Attributes
    ----------
    network : {"lenet_300_100", "conv_2", "conv_4", "conv_6"}
    train : TrainConfig
    levels : tuple of int
        Rounds of pruning behind each winning ticket, see `iterative_pruning`.
    controls : tuple of (kind, levels)
        Kinds of the module's docstring, and the levels at which they are trained.
    dataset : str
    conv_rate : float, optional
        Fraction of a convolution's weights that a round prunes; by default 20 %, as in linear layers.
    n_validation, n_watched : int
        Images cut from the training set, and those of them on which the loss is watched.
    n_train : int, optional
        Of the rest, those that are trained on; by default all.
    every, early_step : int
        Steps between two measurements of the loss; steps after which ``early`` takes its weights.
    trials : tuple of int
        Their numbers, which are also the seeds of the initial weights.
    width : float
        Factor on the network's hidden units and channels.
    files : tuple of float
        For each limit, the smallest ticket whose validation accuracy (in [0, 1]) is no more than this below
        the dense network's becomes a file. The second limit was raised from one point to two after a first
        result had been seen, since both had given the same ticket.
    needs_gpu : bool
        Whether a GPU runs it, in place of the short plans.
    """

    network: str
    train: TrainConfig
    levels: tuple[int, ...]
    controls: tuple[tuple[str, tuple[int, ...]], ...]
    dataset: str = "mnist"
    conv_rate: float | None = None
    n_validation: int = 5000
    n_watched: int = 5000
    n_train: int | None = None
    every: int = 100
    early_step: int = 200
    trials: tuple[int, ...] = (0, 1, 2)
    width: float = 1.0
    files: tuple[float, ...] = ()
    needs_gpu: bool = False


def _whole_size(network: str, rate: float, epochs: int, conv_rate: float, levels: int) -> Plan:
    some = tuple(range(1, levels, 2))
    controls = tuple((kind, some) for kind in ("reinit", "random_mask", "one_shot", "early"))
    return Plan(
        network,
        _constant(rate, epochs),
        tuple(range(levels)),
        controls,
        dataset="cifar10",
        conv_rate=conv_rate,
        early_step=500,
        trials=tuple(range(5)),
        needs_gpu=True,
    )


# For one CPU core and half an hour. With all 55,000 images the validation loss reaches its minimum after more
# steps than there is time for; with 20,000 the networks overfit sooner, and the minimum lies within the
# training.
SHORT = Plan(
    "lenet_300_100",
    _constant(1.2e-3, 9),
    (*range(17), 18, 21, 24, 28),
    (
        ("reinit", (3, 7, 12, 15, 18, 24, 28)),
        ("random_mask", (7, 15, 24)),
        ("one_shot", (7, 15, 24)),
        ("fine_tuned", (15,)),
        ("early", (24,)),
    ),
    n_train=20_000,
    n_watched=2500,
    files=(0.0, 0.02),
)
# Half an hour per trial: fewer levels, with several rounds between them; the larger networks' learning rate,
# since there are few steps; bfloat16, which is twice as fast.
SHORT_CONV = Plan(
    "conv_2",
    replace(_constant(3e-4, 8), precision="bf16"),
    (0, 4, 8, 11, 14),
    (("reinit", (8, 11, 14)), ("random_mask", (8, 14))),
    dataset="cifar10",
    conv_rate=0.1,
    n_watched=1000,
    n_train=10_000,
)
_EVERY_SECOND = tuple(range(1, 25, 2))
LONG = replace(  # as in the paper: 50,000 steps, five trials
    SHORT,
    train=_constant(1.2e-3, 55),
    levels=tuple(range(25)),
    trials=tuple(range(5)),
    n_train=None,
    controls=tuple((kind, _EVERY_SECOND) for kind, _ in SHORT.controls),
    n_watched=5000,
    needs_gpu=True,
)
CONVS = (  # the paper's table of rates and 20,000, 25,000 and 30,000 steps, for 45,000 images
    _whole_size("conv_2", 2e-4, 27, 0.1, 21),
    _whole_size("conv_4", 3e-4, 34, 0.1, 21),
    _whole_size("conv_6", 3e-4, 40, 0.15, 21),
)
PLANS = (SHORT, SHORT_CONV, LONG, *CONVS)


def network(plan: Plan, num_classes: int) -> nn.Module:
    """A plan's network, with arbitrary initial weights."""
    if plan.network in CONV_CHANNELS:
        return conv_network(plan.network, width=plan.width, num_classes=num_classes)
    return build(plan.network, width=plan.width, num_classes=num_classes)


def conv_network(name: str, *, width: float = 1.0, num_classes: int = 10) -> nn.Module:
    """The paper's networks for CIFAR-10: pairs of 3×3 convolutions and a pooling, then 256, 256, 10 units.

    `name` is a key of `CONV_CHANNELS`; `width` multiplies all channels and hidden units.
    """
    layers: list[nn.Module] = []
    inputs, side = 3, 32
    for entry in CONV_CHANNELS[name]:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
            side //= 2
            continue
        units = max(1, round(entry * width))
        layers += [nn.Conv2d(inputs, units, 3, padding=1), nn.ReLU()]
        inputs = units
    hidden = max(1, round(256 * width))
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(inputs * side * side, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, num_classes),
    )


# ----------------------------------------------------------------------------------------------------
# The trainings of one plan: winning tickets, their controls, and tickets coded as files. Each is done once.


_STATE = "network.pt"  # a trained network, beside its figures


class Bench:
    """One plan's images and the trainings on them; with `resume`, finished ones are read from `workdir`."""

    def __init__(self, plan: Plan, workdir: Path, device: str, resume: bool) -> None:
        self.plan, self.device, self._resume = plan, device, resume
        whole = load_dataset(plan.dataset, "train")
        training, self.validation = train_val_split(whole, n_validation=plan.n_validation)
        self.training = first_images(training, plan.n_train)
        self.test = load_dataset(plan.dataset, "test")
        self._watched = first_images(self.validation, plan.n_watched)
        self._folder = workdir / plan.network
        self._bar: object = None

    def network(self, seed: int) -> nn.Module:
        """The plan's network with the initial weights of a seed."""
        model = network(self.plan, len(self.training.classes))
        glorot_normal_(model, seed=seed)
        return model.to(self.device)

    def facts(self) -> dict:
        """How the figures were made, to be stored with them."""
        plan, model = self.plan, self.network(0)
        return {
            "network": plan.network,
            "dataset": plan.dataset,
            "n_train": len(self.training),
            "n_validation": len(self.validation),
            "n_watched": len(self._watched),
            "n_test": len(self.test),
            "n_weights": n_kept(whole_masks(model)),
            "batch_size": plan.train.batch_size,
            "steps": plan.train.epochs * (len(self.training) // plan.train.batch_size),
            "max_lr": plan.train.max_lr,
            "precision": plan.train.precision,
            "every": plan.every,
            "early_step": plan.early_step,
            "rates": list(pruning_rates(model, conv_rate=plan.conv_rate).values()),
            "planned_trials": len(plan.trials),
        }

    def run_trial(self, trial: int) -> list[dict]:
        """Train the winning tickets of one trial, then their controls; the figures of every network."""
        plan, rows, masks_at = self.plan, [], {}
        model = self.network(trial)
        first = weights_of(model)
        rates = pruning_rates(model, conv_rate=plan.conv_rate)
        before, trained, early = {}, {}, {}

        def train_level(model: nn.Module, masks: Masks, level: int) -> dict:
            before[level] = dict(trained)  # still the trained weights of the level before
            found = self._train(model, masks, trial, level, "ticket")
            trained.update(weights_of(model))
            early.update(found.pop("early") or {})
            return found

        total = len(plan.levels) + sum(len(levels) for _, levels in plan.controls)
        with progress(total=total, desc=f"{plan.network}, trial {trial}", unit="network") as self._bar:
            tickets = iterative_pruning(model, train_level, rates=rates, levels=plan.levels)
            for level, masks, found in tickets:
                rows.append(found)
                masks_at[level] = masks
                if level == 0:
                    dense = weights_of(model)
            for kind, levels in plan.controls:
                for level in levels:
                    new = self.network(10_000 + 100 * trial + level)
                    masks, start = masks_at[level], first
                    if kind == "reinit":
                        start = weights_of(new)
                    elif kind == "random_mask":
                        masks = shuffled(masks, seed=10_000 + 100 * trial + level)
                    elif kind == "one_shot":
                        masks = prune_rounds(dense, masks_at[0], rates, rounds=level)
                    elif kind == "early":
                        start = early
                    elif kind == "fine_tuned":
                        start = before[level]
                    reset_(new, start, masks)
                    rows.append(self._train(new, masks, trial, level, kind))
        return rows

    def _train(self, model: nn.Module, masks: Masks, trial: int, level: int, kind: str) -> dict:
        """Train one network, or read it if it has been trained before; its figures."""
        self._bar.update(1)
        memo = self._memo(trial, level, kind, resume=self._resume)
        path = memo.folder / _STATE
        figures = memo.get("figures", lambda: self._measure(model, masks, trial, level, kind, path))
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["end"]:
            model.load_state_dict(state["end"])
        return figures | {"early": state["early"]}

    def _measure(self, model: nn.Module, masks: Masks, trial: int, level: int, kind: str, path: Path) -> dict:
        """Train one network and keep its weights in `path`; its figures."""
        plan = self.plan
        watch = LossWatch(self._watched, plan.every, device=self.device, precision=plan.train.precision)
        snapshot, keeper = Snapshot(plan.early_step), KeptWeights(model, masks)
        train(
            model,
            self.training,
            replace(plan.train, seed=1000 * trial + level),
            device=self.device,
            callbacks=[keeper, watch, snapshot],
            parameters=keeper.parameters(),
            description=f"{kind} {level}",
        )
        end = weights_of(model)
        quiet = {"device": self.device, "precision": plan.train.precision}
        figures = {"kind": kind, "level": level, "n_kept": n_kept(masks), "curve": watch.curve}
        figures |= {"stop_step": watch.step, "stop_loss": watch.loss}
        figures |= {"end_top1": evaluate(model, self.test, **quiet).top1}
        model.load_state_dict(watch.weights)
        figures["stop_top1"] = evaluate(model, self.test, **quiet).top1
        figures["validation_top1"] = evaluate(model, self.validation, **quiet).top1
        if kind == "ticket" and "flatten" in dict(model.named_children()):
            first = next(iter(masks.values()))
            figures["inputs"] = first.sum(dim=0).tolist()  # how many connections of every pixel are left
        model.load_state_dict(end)
        is_ticket = kind == "ticket"
        state = {
            "end": end if is_ticket else {},
            "stop": watch.weights if is_ticket else {},
            "masks": masks if is_ticket else {},
            "early": snapshot.weights if level == 0 else None,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as aside:
            torch.save(state, aside)
        print(
            f"{plan.network}, trial {trial}, {kind} {level}: {figures['n_kept']:,} weights, least loss "
            f"{watch.loss:.4f} at step {watch.step}, test {figures['stop_top1']:.4f}, at the end "
            f"{figures['end_top1']:.4f}",
            flush=True,
        )
        return figures

    def _memo(self, trial: int, level: int, kind: str, *, resume: bool = True) -> Memo:
        """A network's memo, keyed by the plan without what cannot change it: later levels, files, ..."""
        levels = tuple(other for other in self.plan.levels if other <= level)
        own = replace(self.plan, trials=(), levels=levels, controls=(), files=(), needs_gpu=False)
        images = [one.sha256 for one in (self.training, self.validation, self.test)]
        path = self._folder / f"trial{trial}" / f"{kind}_{level:02}"
        return Memo(path, {"plan": own, "images": images}, resume=resume)

    def code(self, trial: int, rows: list[dict], most: float) -> dict:
        """Write the smallest ticket that loses at most `most` (in [0, 1]) as a file; a point of the map."""
        tickets = [row for row in rows if row["kind"] == "ticket"]
        least = tickets[0]["validation_top1"] - most
        chosen = min((row for row in tickets if row["validation_top1"] >= least), key=lambda r: r["n_kept"])
        path = self._memo(trial, chosen["level"], "ticket").folder / _STATE
        state = torch.load(path, map_location=self.device, weights_only=True)
        model = self.network(trial)
        model.load_state_dict(state["stop"])
        n_weights = n_kept(whole_masks(model))
        thin = ThinNetwork(model, n_weights, state["masks"])
        prune(thin, None, TrainConfig(epochs=0), sparsity=thin.sparsity)  # only what nothing reads is taken
        config = CompressConfig(linear_clusters=16, share=replace(CODING, seed=trial), bias_clusters=8)
        shared = share(thin, self.training, config, device=self.device)
        architecture = {"architecture": self.plan.network, "num_classes": len(self.training.classes)}
        if self.plan.width != 1.0:
            architecture["width"] = self.plan.width
        with whole_file(path.with_suffix(".dcz")) as aside:
            Path(aside).write_bytes(encode(thin, shared, config, architecture))
        data = path.with_suffix(".dcz").read_bytes()
        decoded = decompress(data)
        share_kept = chosen["n_kept"] / n_weights
        loss = f"loses no more than {100 * most:g} points" if most else "is no worse than the dense network"
        return {
            "method": "lottery ticket",
            "label": f"ticket of {100 * share_kept:.2g} %",
            "network": self.plan.network,
            "dataset": self.plan.dataset,
            "file_bytes": len(data),
            "dense_bytes": dense_bytes(model),
            "top1": evaluate(decoded, self.test, device=self.device).top1,
            "baseline_top1": tickets[0]["stop_top1"],
            "note": f"trial {trial}, {len(self.training):,} training images, {chosen['level']} rounds; the "
            f"smallest ticket that {loss} on {len(self.validation):,} validation images; 16 shared values a "
            f"layer, {CODING.epochs} epochs of their fine-tuning",
        }


# ----------------------------------------------------------------------------------------------------
# What Frankle & Carbin say of their winning tickets, beside what ours do, as markdown.

_PAPER = "Frankle, Carbin 2019, The Lottery Ticket Hypothesis, ICLR, arXiv:1803.03635"
_LENET = {"network": "lenet_300_100", "dataset": "mnist", "source": f"{_PAPER}, section 2"}
_CONV = {"network": "conv_2", "dataset": "cifar10", "source": f"{_PAPER}, section 3"}

# `kept`: fraction of the weights. `earlier`: how much sooner the ticket's validation loss reaches its
# minimum, as a fraction of the dense network's steps. `times_faster`: the other network's steps to the
# minimum over the ticket's. `points`: test accuracy of the ticket minus the other's, in percentage points.
PUBLISHED = [
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.211, "earlier": 0.38},
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.135, "more_than_points": 0.3},
    _LENET
    | {"method": "winning ticket", "beside": "reinit", "kept": 0.21, "times_faster": 2.51, "points": 0.5},
    _LENET | {"method": "winning ticket", "beside": "dense", "kept": 0.036, "points": 0.0},
    _CONV | {"method": "winning ticket", "beside": "dense", "kept": 0.088, "times_faster": 3.5},
    _CONV | {"method": "winning ticket", "beside": "dense", "kept": 0.046, "points": 3.4},
]


def to_markdown(figures: Mapping) -> str:
    """The paper's statements beside our figures, then every level, then the files, as markdown."""
    experiments = {row["network"]: row for row in figures["experiments"]}
    claims = [
        (
            row["network"],
            f"{100 * row['kept']:.1f} %",
            f"ticket against {row['beside']}",
            _statement(row),
            _own(row, experiments.get(row["network"])),
        )
        for row in figures["published"]
    ]
    lines = markdown_table(("network", "weights", "what", "paper", "ours"), claims)
    for experiment in figures["experiments"]:
        lines += ["", *_levels(experiment)]
    if figures["points"]:
        lines += ["", *_files(figures["points"])]
    for row in figures["not_run"]:
        what = f"{row['network']}, {row['epochs']} epochs, {row['trials']} trials"
        lines += ["", f"Not run at the paper's length: {what}; {row['reason']}."]
    return "\n".join(lines)


def compare(experiment: Mapping, beside: str, kept: float) -> dict | None:
    """A ticket with about this fraction of the weights against another network, means over the trials.

    Parameters
    ----------
    experiment : mapping
        One of the stored ``experiments``.
    beside : {"dense", "reinit", "random_mask", "one_shot", "early", "fine_tuned"}
        The other network: the dense one, or a control with as many weights as the ticket.
    kept : float in (0, 1]
        The ticket's fraction of the weights; the nearest level is taken.

    Returns
    -------
    dict or None
        ``kept``, of the level that was taken; ``times_faster``, the other's early-stop step over the
        ticket's. ``at_the_end``: in some trial the other's loss was still falling at the last step, so
        ``times_faster`` is a lower bound; ``ticket_at_the_end``: the ticket's was, so it is an upper bound.
        ``points`` and ``end_points``: test accuracy of the ticket minus the other's, in percentage points, at
        the early stop and at the end. None if no level is within 15 % of `kept`, or the other was not trained
        there.
    """
    ticket = experiment["kinds"]["ticket"]
    other = ticket if beside == "dense" else experiment["kinds"].get(beside)
    place = int(np.argmin(np.abs(np.log(np.array(ticket["kept"]) / kept))))
    level = 0 if beside == "dense" else ticket["levels"][place]
    if other is None or level not in other["levels"] or abs(ticket["kept"][place] / kept - 1) > 0.15:
        return None
    at = other["levels"].index(level)
    steps, last = np.array(other["stop_step"][at]), experiment["curve_steps"][-1]
    return {
        "kept": ticket["kept"][place],
        "times_faster": float(np.mean(steps) / np.mean(ticket["stop_step"][place])),
        "at_the_end": bool((steps == last).any()),
        "ticket_at_the_end": bool((np.array(ticket["stop_step"][place]) == last).any()),
        "points": 100 * float(np.mean(ticket["stop_top1"][place]) - np.mean(other["stop_top1"][at])),
        "end_points": 100 * float(np.mean(ticket["end_top1"][place]) - np.mean(other["end_top1"][at])),
    }


def speed_in_words(found: Mapping, *, as_share: bool = False) -> str:
    """How much sooner a ticket's loss reaches its minimum: a factor, or (`as_share`) a percentage of steps.

    `found` is what `compare` returns. The text says "at least" or "at most" where only one of the two
    networks reached its minimum within the training.
    """
    if found["at_the_end"] and found["ticket_at_the_end"]:
        return "neither least within the training"
    is_least, times = found["at_the_end"], found["times_faster"]
    word = f"{times:.2f} times sooner"
    if as_share:
        share = 1 - 1 / times
        word = f"{100 * abs(share):.0f} % {'earlier' if share >= 0 else 'later'}"
        is_least = is_least if share >= 0 else found["ticket_at_the_end"]
    is_bound = found["at_the_end"] or found["ticket_at_the_end"]
    return ("at least " if is_least else "at most ") * is_bound + word


def _statement(row: Mapping) -> str:
    """A published statement in words."""
    parts = []
    if "earlier" in row:
        parts.append(f"least loss {100 * row['earlier']:.0f} % earlier")
    if "times_faster" in row:
        parts.append(f"least loss {row['times_faster']:g} times sooner")
    if "points" in row:
        parts.append(f"{row['points']:+.1f} points" if row["points"] else "as accurate")
    if "more_than_points" in row:
        parts.append(f"more than {row['more_than_points']:+.1f} points")
    return ", ".join(parts)


def _own(row: Mapping, experiment: Mapping | None) -> str:
    found = None if experiment is None else compare(experiment, row["beside"], row["kept"])
    if found is None:
        return "not run"
    parts = []
    if "earlier" in row:
        parts.append(speed_in_words(found, as_share=True))
    if "times_faster" in row:
        parts.append(speed_in_words(found))
    if "points" in row or "more_than_points" in row:
        parts.append(f"{found['points']:+.2f} points")
    return ", ".join(parts)


def _levels(experiment: Mapping) -> list[str]:
    """Every level of one experiment: early-stop step and test accuracy, mean (lowest to highest)."""
    kinds = experiment["kinds"]
    heads = ["weights", *(f"{kind}: {what}" for kind in kinds for what in ("stop", "top-1 %"))]
    rows = []
    for level, kept in zip(kinds["ticket"]["levels"], kinds["ticket"]["kept"], strict=True):
        row = [f"{100 * kept:.2g} %" if kept < 1 else "100 %"]
        for kind in kinds.values():
            if level not in kind["levels"]:
                row += ["", ""]
                continue
            at = kind["levels"].index(level)
            row.append(f"{np.mean(kind['stop_step'][at]):.0f}")
            top1 = 100 * np.array(kind["stop_top1"][at])
            spread = f" ({top1.min():.2f}–{top1.max():.2f})" if len(top1) > 1 else ""
            row.append(f"{top1.mean():.2f}{spread}")
        rows.append(row)
    title = (
        f"{experiment['network']} on {experiment['dataset']}: {experiment['steps']:,} steps of "
        f"{experiment['batch_size']} of {experiment['n_train']:,} images, {len(experiment['trials'])} of "
        f"{experiment['planned_trials']} trials; early-stop step, and test accuracy there: mean (least to "
        "most)."
    )
    return [title, "", *markdown_table(heads, rows)]


def _files(points: list[Mapping]) -> list[str]:
    heads = ("file", "bytes", "ratio", "top-1", "dense network")
    rows = [
        (
            point["label"],
            f"{point['file_bytes']:,}",
            f"{point['dense_bytes'] / point['file_bytes']:.0f}×",
            f"{100 * point['top1']:.2f} %",
            f"{100 * point['baseline_top1']:.2f} %",
        )
        for point in points
    ]
    return markdown_table(heads, rows)


NAME = "lottery_tickets"
WORKDIR = ROOT / "runs" / NAME


def run(*, device: str | None = None, resume: bool = True) -> Outcome:
    """The plans that suit this device, with their figures into the repository."""
    return reproduce_lottery_tickets(device=device, resume=resume)


def reproduce_lottery_tickets(
    *,
    plans: Sequence[Plan] | None = None,
    workdir: str | Path = WORKDIR,
    device: str | None = None,
    resume: bool = True,
    is_stored: bool = True,
) -> Outcome:
    """Find winning tickets, train the controls, and code some tickets as files.

    Parameters
    ----------
    plans : sequence of Plan, optional
        By default those of `PLANS` that are meant for this device.
    workdir : path
        Gets a folder for each trained network, and the coded tickets.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether networks that have been trained are read from `workdir`. If not, they are trained again.
    is_stored : bool
        Whether the figures so far are written into the repository after every trial.

    Returns
    -------
    Outcome
        Its figures are ``experiments`` (`experiment_figures`), ``not_run`` (plans, and why not), ``points``
        (files) and ``published``.

    Raises
    ------
    DatasetNotFoundError
        The images were not found, and could not be downloaded.
    """
    device = device or default_device()
    on_gpu = torch.device(device).type != "cpu"
    if plans is None:
        plans = [plan for plan in PLANS if plan.needs_gpu == on_gpu]
    not_run = [
        {
            "network": plan.network,
            "epochs": plan.train.epochs,
            "trials": len(plan.trials),
            "reason": "needs a GPU: on one CPU core it takes many hours",
        }
        for plan in PLANS
        if plan.needs_gpu and plan not in plans
    ]
    experiments, points, sets = [], [], []
    for plan in plans:
        bench = Bench(plan, Path(workdir), device, resume)
        sets += [bench.training, bench.validation, bench.test]
        trials: list[list[dict]] = []
        for trial in plan.trials:
            trials.append(bench.run_trial(trial))
            if trial == plan.trials[0]:
                points += [bench.code(trial, trials[0], most) for most in plan.files]
            facts = bench.facts() | {"trials": list(plan.trials[: len(trials)])}
            found = [*experiments, facts | experiment_figures(trials, facts["n_weights"])]
            figures = {"experiments": found, "not_run": not_run, "points": points, "published": PUBLISHED}
            figures = as_json(figures)
            if is_stored:
                store(NAME, figures, seed=plan.trials[0], datasets=tuple(sets), device=device)
        experiments = found
    return Outcome(figures, to_markdown(figures))
