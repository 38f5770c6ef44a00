"""The lottery ticket hypothesis, tested again: the first figures of Frankle & Carbin 2019 beside ours.

    dnnc reproduce lottery_tickets      writes week05_pruning/results/lottery_tickets.json

Of every trial (first weights of its own) the winning tickets are found by iterative pruning, and each is set
against controls at the same number of weights a layer:

``ticket``        the mask found, the first weights: what the paper calls a winning ticket
``reinit``        the mask found, new random weights
``random_mask``   a random mask, the first weights
``one_shot``      the mask of one pruning of the dense network, the first weights
``early``         the mask found, the weights after `Plan.early_step` steps (rewinding)
``fine_tuned``    the mask found, the trained weights that were pruned: nothing reset

Networks of one level see the images in the same order. What is chosen (when to stop, which tickets become
files) is chosen on images cut from the training set. On a CPU shortened plans of LeNet-300-100 and Conv-2 are
run, which say so in their figures; on a GPU the paper's numbers of steps and trials, and Conv-4 and Conv-6.
Stopped at any moment, the command goes on from the last network that it has trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from common.reproductions import Reproduction, store
from common.reproductions.lottery_bench import Bench
from common.reproductions.lottery_figures import experiment_figures
from common.reproductions.lottery_plans import PLANS, Plan
from common.reproductions.lottery_table import PUBLISHED, to_markdown
from common.training import default_device

NAME = "lottery_tickets"
WORKDIR = Path(__file__).resolve().parents[2] / "runs" / NAME


def run(*, device: str | None = None, resume: bool = True) -> Reproduction:
    """All that this device can do in a reasonable time, into the repository."""
    return reproduce_lottery_tickets(device=device, resume=resume)


def reproduce_lottery_tickets(
    *, plans: Sequence[Plan] | None = None, workdir: str | Path = WORKDIR, device: str | None = None,
    resume: bool = True, is_stored: bool = True,
) -> Reproduction:  # fmt: skip
    """Find winning tickets, train the controls, code two tickets as files.

    Parameters
    ----------
    plans : sequence of Plan, optional
        By default those of `PLANS` that are for this device.
    workdir : path
        One file for each trained network, and the coded tickets.
    device : str, optional
        By default the GPU if there is one.
    resume : bool
        Whether networks that are trained are taken as they are.
    is_stored : bool
        Whether the figures are written into the repository: after every trial, with what there is.

    Returns
    -------
    Reproduction
        Its figures are ``experiments`` (`lottery_figures.experiment_figures`), ``not_run`` (plans, and why),
        ``points`` (files) and ``published``.

    Raises
    ------
    DatasetNotFoundError
        The images are nowhere to be had.
    """
    device = device or default_device()
    on_gpu = torch.device(device).type != "cpu"
    if plans is None:
        plans = [plan for plan in PLANS if plan.needs_gpu == on_gpu]
    not_run = [
        {
            "network": plan.network, "epochs": plan.train.epochs, "trials": len(plan.trials),
            "reason": "needs a GPU: on one CPU core it takes many hours",
        }
        for plan in PLANS if plan.needs_gpu and plan not in plans
    ]  # fmt: skip
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
            figures = json.loads(json.dumps(figures))
            if is_stored:
                store(NAME, figures, seed=plan.trials[0], datasets=tuple(sets), device=device)
        experiments = found
    return Reproduction(figures, to_markdown(figures))
