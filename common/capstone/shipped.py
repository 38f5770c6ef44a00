"""The capstone's shipped files: coded again, measured again, and fine-tuned a little further, on any machine.

``capstone/`` ships the baseline (``vgg16_cifar10.safetensors``), one `.dcz` file per operating point, and
``results/operating_points.json`` with what was measured when they were made. Decoding a `.dcz` gives back
what went into the last stage, the coding: positions, codebooks and indices of the fine-tuned network. So this
stage runs live on the real network without training it: decode, code again, and the same bytes must come out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from common.base.results import read_result
from common.codec import container
from common.codec.container import CompressedModel, Container
from common.codec.tensors import SharedTensor
from common.compress.packing import unpack
from common.compress.pipeline import decompress
from common.data.image_set import ImageSet, first_images
from common.networks.training import TrainConfig, evaluate, train
from common.report.sizes import size_report
from common.sharing.centroid_tuning import CentroidTuner

BASELINE = "vgg16_cifar10.safetensors"
RESULTS = "results/operating_points.json"
_REMEDY = "fetch it with git, or make it with: dnnc capstone --profile full"


@dataclass(frozen=True)
class Shipped:
    """One operating point as it ships: the file's bytes, and the figures stored when it was made."""

    name: str
    data: bytes
    stored: dict

    @cached_property
    def opened(self) -> Container:
        """The file, decoded once."""
        return Container.open(self.data)

    @property
    def model(self) -> CompressedModel:
        """What the file holds."""
        return self.opened.model


def load_shipped(folder: str | Path) -> dict[str, Shipped]:
    """Read every operating point that has stored figures.

    Parameters
    ----------
    folder : path
        Such as ``capstone/`` (`run.FOLDER`).

    Returns
    -------
    dict of name to Shipped
        In the order of the stored results.

    Raises
    ------
    FileNotFoundError
        The results or a file are missing.
    ValueError
        A file is not the one that the stored figures were measured on.
    """
    folder = Path(folder)
    results = folder / RESULTS
    if not results.exists():
        raise FileNotFoundError(f"no stored results at {results}: {_REMEDY}")
    shipped = {}
    for name, figures in read_result(results)["figures"].items():
        path = folder / figures["file"]
        if not path.exists():
            raise FileNotFoundError(f"no compressed network at {path}: {_REMEDY}")
        data = path.read_bytes()
        if fingerprint(data) != figures["sha256"]:
            raise ValueError(f"{path} is not the file that {results} was measured on: {_REMEDY}")
        shipped[name] = Shipped(name, data, figures)
    return shipped


def fingerprint(data: bytes) -> str:
    """SHA-256 of a file's bytes in hexadecimal digits, as the stored results keep it."""
    return hashlib.sha256(data).hexdigest()


def encode_again(shipped: Shipped, *, say: Callable[[str], None] = print) -> dict:
    """Decode a shipped file and code it again; the bytes must be the same.

    Parameters
    ----------
    shipped : Shipped
    say : callable
        Called with one line of text when it has succeeded.

    Returns
    -------
    dict
        ``file_bytes``, ``dense_bytes``, ``ratio``, ``bits_per_weight`` and ``sparsity`` of the new bytes.

    Raises
    ------
    ValueError
        Other bytes came out.
    """
    # Shipped files hold no tensor names: a reader knows them from the architecture.
    coded = container.save(shipped.model, store_names=False)
    if coded != shipped.data:
        raise ValueError(
            f"{shipped.name}: coded again gives {len(coded)} bytes that differ from the shipped "
            f"{len(shipped.data)}: this code is not the one that made the file; {_REMEDY}"
        )
    say(f"{shipped.name}: coded live into {len(coded):,} bytes, equal to the shipped file byte for byte")
    report = size_report(shipped.opened)  # the same bytes
    return {
        "file_bytes": report.file_bytes,
        "dense_bytes": report.dense_bytes,
        "ratio": report.ratio,
        "bits_per_weight": report.bits_per_weight,
        "sparsity": report.sparsity,
    }


@dataclass(frozen=True)
class FineTune:
    """A short fine-tuning of centroids: mean loss (nats) and top-1 before and after, on the same images."""

    n_steps: int
    loss_before: float
    loss_after: float
    top1_before: float
    top1_after: float
    largest_move: float  # the largest absolute change of a weight
    file_bytes: int  # of the network coded again after the fine-tuning


def fine_tune_briefly(
    shipped: Shipped,
    training: ImageSet,
    test: ImageSet,
    *,
    n_steps: int = 30,
    batch_size: int = 100,
    n_measured: int = 1000,
    device: str | None = None,
    say: Callable[[str], None] = print,
) -> FineTune:
    """Move the centroids of a shipped network for a few steps, code it, read it back, and measure it.

    Parameters
    ----------
    shipped : Shipped
        Not changed, nor is its file.
    training, test : ImageSet
    n_steps, batch_size : int
        The first ``n_steps * batch_size`` training images are seen once.
    n_measured : int
        Test images on which loss and accuracy are measured before and after.
    device : str, optional
        By default the GPU if there is one.
    say : callable
        Called with one line of text about the result.

    Returns
    -------
    FineTune
    """
    model = unpack(shipped.model)
    tensors = dict(zip(model.state_dict(), shipped.model.tensors.values(), strict=True))
    weights = {
        name: tensor
        for name, tensor in tensors.items()
        if isinstance(tensor, SharedTensor) and len(tensor.shape) > 1
    }
    some = first_images(test, n_measured)
    before = evaluate(model, some, device=device)
    tuner = CentroidTuner(weights, model)
    config = TrainConfig(
        epochs=1, batch_size=batch_size, max_lr=1e-4, crop_padding=2, label_smoothing=0.0, optimizer="adam"
    )
    train(
        model,
        first_images(training, n_steps * batch_size),
        config,
        callbacks=[tuner],
        parameters=tuner.parameters(),
        device=device,
        description="fine-tuning centroids",
    )
    tuned = tuner.shared_tensors()
    data = container.save(replace(shipped.model, tensors=tensors | tuned), store_names=False)
    after = evaluate(decompress(data), some, device=device)
    moved = max(np.abs(tuned[name].to_dense() - weights[name].to_dense()).max() for name in weights)
    say(
        f"{shipped.name}: {n_steps} live steps of centroid fine-tuning, loss on {len(some)} test images "
        f"{before.loss:.4f} → {after.loss:.4f}; coded again: {len(data):,} bytes"
    )
    return FineTune(n_steps, before.loss, after.loss, before.top1, after.top1, float(moved), len(data))
