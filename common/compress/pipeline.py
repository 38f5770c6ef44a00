"""The whole pipeline, one function per stage: prune → share weights → Huffman-code → one file.

>>> data = compress(model, training_set, CompressConfig(...))            # doctest: +SKIP
>>> training.evaluate(decompress(data), test_set).top1                   # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.base.numbers import check_finite
from common.codec import container
from common.codec.container import Container
from common.codec.tensors import SharedTensor
from common.compress.packing import pack, unpack
from common.data.image_set import ImageSet
from common.networks.averaging import reestimate_statistics
from common.networks.models import prunable_parameters
from common.networks.training import TrainConfig, default_device, place_, train
from common.pruning.network import ThinNetwork, prune, take_out_channels, whole_network
from common.sharing.centroid_tuning import CentroidTuner
from common.sharing.trained_sharing import TrainedSharing
from common.sharing.weight_sharing import share_weights

_LATER = {"trained": None, "reestimate": 0}


@dataclass(frozen=True)
class SharingConfig:
    """Options of trained sharing (`sharing.trained_sharing`).

    Attributes
    ----------
    every : int >= 1
        Steps from one assignment to the next.
    rate_weight : float >= 0
        How much squared error one bit is worth, relative to the mean square of a layer's weights.
    ramp : float in [0, 1]
        Fraction of the steps during which the rate weight rises from 0.
    codebook_rate, latent_rate : float > 0
        Factors on the learning rate of codebooks and of latent weights; that of biases and batch norms is 1.
    """

    every: int = 10
    rate_weight: float = 0.0
    ramp: float = 0.5
    codebook_rate: float = 0.1
    latent_rate: float = 0.3


@dataclass(frozen=True)
class CompressConfig:
    """Options of the three stages.

    Attributes
    ----------
    sparsity : float in [0, 1)
        Fraction of the weights to prune, over all prunable weights of the network.
    criterion : {"magnitude", "normalized", "lamp", "fisher", "fisher_by_rate", "fisher_per_bit"}
        Which weights are pruned (`pruning.masks`, `pruning.fisher`).
    macs_fraction : float in (0, 1], optional
        Remove whole channels first, down to this fraction of the multiply-adds (VGG only).
    prune : TrainConfig
        Fine-tuning while and after pruning; zero epochs prune one-shot.
    conv_clusters, linear_clusters : int
        Shared values per layer (Deep Compression: 256 and 32).
    layer_bits : tuple of (weight name, int)
        Index bits of single layers, which then have at most ``2**bits`` shared values (`search` finds them).
    rate_weight : float >= 0
        How much squared error one bit of an index is worth (`share_weights`).
    share : TrainConfig
        Fine-tuning of centroids, biases and batch norm; zero epochs for none.
    bias_clusters : int
        Shared values among a layer's biases, and among its batch norm scales.
    trained : SharingConfig, optional
        With it, weights may change their cluster while centroids are fine-tuned; by default they keep the
        first one.
    reestimate : int >= 0
        Number of training images from which batch norm statistics are computed again after pruning and after
        sharing (`averaging.reestimate_statistics`); 0 for not at all.

    Raises
    ------
    ValueError
        When sparsity is outside [0, 1), or `trained` is given without epochs in `share`.
    """

    sparsity: float = 0.9
    criterion: str = "magnitude"
    macs_fraction: float | None = None
    prune: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=0))
    conv_clusters: int = 256
    linear_clusters: int = 32
    layer_bits: tuple[tuple[str, int], ...] = ()
    rate_weight: float = 0.0
    share: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=0, optimizer="adam", max_lr=1e-3))
    bias_clusters: int = 32
    trained: SharingConfig | None = None
    reestimate: int = 0

    def __post_init__(self):
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity={self.sparsity}: expected a fraction in [0, 1)")
        if self.trained is not None and not self.share.epochs:
            raise ValueError("trained sharing needs epochs of fine-tuning: share has 0")

    def told(self) -> dict:
        """Return all options in JSON's types, for a result file.

        Options that were added after the first results were stored are left out where they have no effect, so
        that old and new results stay comparable.
        """
        options = json.loads(json.dumps(asdict(self)))  # lists for tuples
        return {key: value for key, value in options.items() if key not in _LATER or value != _LATER[key]}


def compress(
    model: nn.Module,
    data: ImageSet | None,
    config: CompressConfig,
    architecture: Mapping[str, object],
    *,
    workdir: str | Path | None = None,
    **options,
) -> bytes:
    """Compress a trained network into the bytes of a `.dcz` file.

    Parameters
    ----------
    model : nn.Module
        Trained; changed in place, unless channels are removed.
    data : ImageSet, optional
        Training images; needed for fine-tuning, channels, gradients and batch norm statistics.
    config : CompressConfig
        Options of the stages.
    architecture : mapping
        What `models.build_from` needs: ``{"architecture": "vgg16", "num_classes": 10}``. It becomes the
        file's metadata, from which the network is rebuilt.
    workdir : path, optional
        Folder for checkpoints, so that an interrupted run resumes.
    **options
        Passed on to `training.train`: validation, device.

    Returns
    -------
    bytes
        The file; `decompress` gives the network back.

    Raises
    ------
    ValueError
        When the criterion is unknown or lacks images, or a weight is not finite or beyond float16's range.
    """
    thin = pruned(
        slimmed(model, data, config),
        data,
        config,
        checkpoint=_in(workdir, "prune.pt"),
        description="pruning",
        **options,
    )
    shared = share(thin, data, config, checkpoint=_in(workdir, "share.pt"), **options)
    return encode(thin, shared, config, architecture)


def slimmed(model: nn.Module, data: ImageSet | None, config: CompressConfig) -> ThinNetwork:
    """Return the network without the channels that `macs_fraction` removes; without one, the model itself."""
    thin = whole_network(model)
    if config.macs_fraction is None:
        return thin
    return take_out_channels(thin, data, macs_fraction=config.macs_fraction, seed=config.prune.seed)


def pruned(thin: ThinNetwork, data: ImageSet | None, config: CompressConfig, **options) -> ThinNetwork:
    """Prune the network to the configured sparsity, in place, and return it.

    Options are those of `pruning.network.prune` and `training.train`.
    """
    prune(thin, data, config.prune, sparsity=config.sparsity, criterion=config.criterion, **options)
    if config.reestimate:
        reestimate_statistics(thin.model, data, config.reestimate, device=options.get("device"))
    return thin


def share(
    thin: ThinNetwork, data: ImageSet | None, config: CompressConfig, **options
) -> dict[str, SharedTensor]:
    """Cluster each layer's kept weights, then fine-tune the centroids, biases and batch norms, in place.

    Returns the shared weights by name; codebooks are float16. Options are those of `training.train`.
    """
    shared, bits = {}, dict(config.layer_bits)
    # Codebooks are made where the weights are: there the optimizer's state is, when a run resumes.
    place_(thin.model, torch.device(options.get("device") or default_device()))
    modules = dict(thin.model.named_modules())
    for name, weight in prunable_parameters(thin.model).items():
        is_conv = isinstance(modules[name.removesuffix(".weight")], nn.Conv2d)
        n_clusters = config.conv_clusters if is_conv else config.linear_clusters
        mask = thin.masks[name].cpu().numpy() if name in thin.masks else None
        values = weight.detach().cpu().numpy()
        check_finite(values, name)
        shared[name] = share_weights(
            values,
            mask,
            name=name,
            rate_weight=config.rate_weight,
            codebook_dtype=np.float16,
            n_clusters=1 << bits[name] if name in bits else n_clusters,
            seed=config.share.seed,
        )
    others = [p for name, p in thin.model.named_parameters() if name not in shared]
    if config.trained is None:
        tuner = CentroidTuner(shared, thin.model)
        parameters = [*tuner.parameters(), *others]
    else:
        steps, how = config.share.epochs * (len(data) // config.share.batch_size), config.trained
        tuner = TrainedSharing(
            shared,
            thin.model,
            every=how.every,
            rate_weight=how.rate_weight,
            ramp_steps=round(how.ramp * steps),
        )
        parameters = [*tuner.groups(codebooks=how.codebook_rate, latents=how.latent_rate), *others]
    if config.share.epochs:
        train(
            thin.model,
            data,
            config.share,
            callbacks=[tuner],
            parameters=parameters,
            description="sharing",
            **options,
        )
    if config.reestimate:
        tuner.write_weights_(thin.model)
        reestimate_statistics(thin.model, data, config.reestimate, device=options.get("device"))
    return tuner.shared_tensors()


def encode(
    thin: ThinNetwork, shared: Mapping[str, SharedTensor], config: CompressConfig, architecture: Mapping
) -> bytes:
    """Return the bytes of the `.dcz` file: Huffman-coded, batch norm folded, without names."""
    packed = pack(
        thin.model, shared, architecture, kept=thin.kept or None, bias_clusters=config.bias_clusters
    )
    return container.save(packed, store_names=False)


def decompress(data: bytes | Container) -> nn.Module:
    """Return the network in a `.dcz` file, on the CPU and in eval mode, ready to be evaluated."""
    return unpack(Container.open(data).model)


def with_epochs(config: CompressConfig, *, prune: int, share: int) -> CompressConfig:
    """Return the same configuration with other numbers of epochs."""
    return replace(
        config, prune=replace(config.prune, epochs=prune), share=replace(config.share, epochs=share)
    )


def _in(workdir: str | Path | None, name: str) -> Path | None:
    return None if workdir is None else Path(workdir) / name
