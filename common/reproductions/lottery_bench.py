"""The trainings of one plan: winning tickets, their controls, and tickets coded as files; each done once."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from common.datasets import load_dataset
from common.image_fitting import first_images
from common.masks import Masks
from common.methods.lottery_tickets import (
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
from common.methods.ticket_training import KeptWeights, LossWatch, Snapshot
from common.models import dense_bytes
from common.pipeline import CompressConfig, decompress, encode, share
from common.progress import progress
from common.reproductions.lottery_plans import CODING, Plan, network
from common.splits import train_val_split
from common.thinning import ThinNetwork, prune
from common.training import TrainConfig, evaluate, train
from common.whole_file import whole_file


class Bench:
    """One plan's images, and the trainings on them, each of which is done once."""

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
        """The plan's network with first weights of its own."""
        model = network(self.plan, len(self.training.classes))
        glorot_normal_(model, seed=seed)
        return model.to(self.device)

    def facts(self) -> dict:
        """What the figures must say of how they were made."""
        plan, model = self.plan, self.network(0)
        return {
            "network": plan.network, "dataset": plan.dataset, "n_train": len(self.training),
            "n_validation": len(self.validation), "n_watched": len(self._watched), "n_test": len(self.test),
            "n_weights": n_kept(whole_masks(model)), "batch_size": plan.train.batch_size,
            "steps": plan.train.epochs * (len(self.training) // plan.train.batch_size),
            "max_lr": plan.train.max_lr, "precision": plan.train.precision, "every": plan.every,
            "early_step": plan.early_step,
            "rates": list(pruning_rates(model, conv_rate=plan.conv_rate).values()),
            "planned_trials": len(plan.trials),
        }  # fmt: skip

    def run_trial(self, trial: int) -> list[dict]:
        """The winning tickets of one trial, then their controls: the figures of every network."""
        plan, rows, masks_at = self.plan, [], {}
        model = self.network(trial)
        first = weights_of(model)
        rates = pruning_rates(model, conv_rate=plan.conv_rate)
        before, trained, early = {}, {}, {}

        def train_level(model: nn.Module, masks: Masks, level: int) -> dict:
            before[level] = dict(trained)  # by now the pruned and trained weights of the level before
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
        """Train one network, or take it as it was trained before; its figures."""
        plan = self.plan
        path, key = self._folder / f"trial{trial}" / f"{kind}_{level:02}.pt", self._key(level)
        self._bar.update(1)
        if self._resume and path.exists():
            state = torch.load(path, map_location=self.device, weights_only=True)
            if state["key"] == key:
                if state["end"]:
                    model.load_state_dict(state["end"])
                return state["figures"] | {"early": state["early"]}
        watch = LossWatch(self._watched, plan.every, device=self.device, precision=plan.train.precision)
        snapshot, keeper = Snapshot(plan.early_step), KeptWeights(model, masks)
        train(
            model, self.training, replace(plan.train, seed=1000 * trial + level), device=self.device,
            callbacks=[keeper, watch, snapshot], parameters=keeper.parameters(),
            description=f"{kind} {level}",
        )  # fmt: skip
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
            figures["inputs"] = first.sum(dim=0).tolist()  # of every pixel, how many connections are left
        model.load_state_dict(end)
        is_ticket = kind == "ticket"
        state = {
            "key": key, "figures": figures, "end": end if is_ticket else {},
            "stop": watch.weights if is_ticket else {}, "masks": masks if is_ticket else {},
            "early": snapshot.weights if level == 0 else None,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as aside:
            torch.save(state, aside)
        print(
            f"{plan.network}, trial {trial}, {kind} {level}: {figures['n_kept']:,} weights, least loss "
            f"{watch.loss:.4f} at step {watch.step}, test {figures['stop_top1']:.4f}, at the end "
            f"{figures['end_top1']:.4f}",
            flush=True,
        )
        return figures | {"early": state["early"]}

    def _key(self, level: int) -> str:
        """What made a network: the plan without other trials, controls, files and later levels."""
        levels = tuple(other for other in self.plan.levels if other <= level)
        own = replace(self.plan, trials=(), levels=levels, controls=(), files=(), needs_gpu=False)
        return json.dumps(asdict(own) | {"images": self.training.sha256})

    def code(self, trial: int, rows: list[dict], most: float) -> dict:
        """A point of the map: the smallest ticket that loses no more than `most`, as a file."""
        tickets = [row for row in rows if row["kind"] == "ticket"]
        least = tickets[0]["validation_top1"] - most
        chosen = min((row for row in tickets if row["validation_top1"] >= least), key=lambda r: r["n_kept"])
        path = self._folder / f"trial{trial}" / f"ticket_{chosen['level']:02}.pt"
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
