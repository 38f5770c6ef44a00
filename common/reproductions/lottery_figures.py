"""The figures of a lottery ticket experiment: what every network measured, ordered for plotting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_MEASURES = {
    "stop_step": None, "stop_loss": 5, "stop_top1": 5, "end_top1": 5, "validation_top1": 5,
}  # name to digits  # fmt: skip


def experiment_figures(trials: Sequence[Sequence[Mapping]], n_weights: int) -> dict:
    """Arrange the figures of all trained networks.

    Parameters
    ----------
    trials : sequence of sequences of figures
        Of `lottery_bench.Bench.run_trial`: the same networks in every trial.
    n_weights : int
        Prunable weights of the dense network.

    Returns
    -------
    dict
        ``kinds[kind]`` has lists ``levels`` and ``kept`` (share of the weights, in (0, 1]), and of shape
        (levels, trials) ``stop_step``, ``stop_loss``, ``stop_top1`` and ``end_top1`` (test images) and
        ``validation_top1`` (at the early-stop step). ``curves[kind][level]``, for the levels that were
        trained from new weights too, holds ``top1`` and ``loss`` on the watched images, means over the
        trials at ``curve_steps``. ``inputs[level]``, for every second of these levels, counts each pixel's
        connections in the first trial. Steps are a network's own: `early` has trained before.
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
                "loss": mean[:, 1].round(4).tolist(), "top1": mean[:, 2].round(4).tolist()
            }  # fmt: skip
    drawn = [row for row in trials[0] if "inputs" in row and row["level"] in compared[1::2]]
    return {
        "kinds": kinds,
        "curve_steps": [point[0] for point in trials[0][0]["curve"]],
        "curves": curves,
        "inputs": {str(row["level"]): row["inputs"] for row in drawn},
    }
