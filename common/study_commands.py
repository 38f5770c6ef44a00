"""``dnnc study``: the measurements behind the lectures."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from common.arguments import device_name


def study(
    name: Annotated[str, typer.Argument(help="pruning_curves, criteria, bits, ...")],
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on from checkpoints, or not.")] = True,
) -> None:
    """Measure what a lecture plots, and store it as JSON beside the lecture.

    \b
    Example: dnnc study pruning_curves
    """
    from common.studies import STUDIES, run_study

    figures = run_study(name, device=device_name(device), resume=resume)
    print(f"{STUDIES[name].result}: {len(json.dumps(figures)):,} characters of figures")
