"""Figures that others have published, with their sources: what our tables and the trade-off curve quote.

Keys are the networks of `models.build`: ``vgg16`` for CIFAR-10, the LeNets for MNIST, the others for ImageNet
with its 1000 classes. EPR is entropy-penalised reparameterisation.

>>> [row.ratio for row in PUBLISHED["lenet_5"] if row.method == "Deep Compression"]
[39.0]
"""

from __future__ import annotations

from dataclasses import dataclass

HAN_2016 = "Han, Mao, Dally 2016, Deep Compression, ICLR, arXiv:1510.00149, tables 1 to 5"


@dataclass(frozen=True)
class PublishedResult:
    """One published row.

    Attributes
    ----------
    method : str
        As its authors call it.
    ratio : float
        Dense float32 bytes over compressed bytes.
    error : float or None
        Top-1 error after compression, in percent; None where the source gives the loss only.
    baseline_error : float or None
        Top-1 error before, in percent; None where the source does not say.
    compressed_bytes : int or None
        Size after compression, in bytes as the source rounds it (1 kB = 1000 bytes).
    source : str
        Where the figure stands.
    quoted : bool
        True when we read the figure in another document than the method's own.
    counts : {"file", "parameters"}
        What the ratio counts: everything in the file, or kept parameters only.
    is_lossless : bool
        True when the source says "no loss of accuracy" in place of errors.
    """

    method: str
    ratio: float
    error: float | None
    baseline_error: float | None
    compressed_bytes: int | None
    source: str
    quoted: bool = False
    counts: str = "file"
    is_lossless: bool = False

    @property
    def drop_points(self) -> float | None:
        """Accuracy lost, in percentage points; negative where the network became better; None if unknown."""
        if self.is_lossless:
            return 0.0
        if self.error is None or self.baseline_error is None:
            return None
        return round(self.error - self.baseline_error, 4)


_EPR = "Oktay et al. 2020, Scalable Model Compression by EPR, ICLR, arXiv:1906.06624"
_SOFT = "Ullrich, Meeds, Welling 2017, Soft Weight-Sharing for Neural Network Compression, arXiv:1702.04008"
_SVD = "Molchanov, Ashukha, Vetrov 2017, Variational Dropout Sparsifies DNNs, ICML, arXiv:1701.05369"
_MIRACLE = "Havasi, Peharz, Hernández-Lobato 2019, Minimal Random Code Learning, arXiv:1810.00440"
_LILNETX = "Girish et al. 2023, LilNetX, arXiv:2204.02965"
_GHS = "Louizos, Ullrich, Welling 2017, Bayesian Compression for Deep Learning, arXiv:1705.08665"
_CABAC = "Wiedemann et al. 2020, DeepCABAC, arXiv:1907.11900"

PUBLISHED: dict[str, tuple[PublishedResult, ...]] = {
    "lenet_300_100": (
        PublishedResult("Deep Compression", 40.0, 1.58, 1.64, 27_000, HAN_2016),
        PublishedResult("EPR", 124.0, 1.9, 1.6, 8_560, _EPR),
        PublishedResult("Soft weight sharing", 64.0, 1.94, 1.89, None, _SOFT),
        PublishedResult("Sparse variational dropout", 68.0, 1.92, 1.64, None, _SVD, counts="parameters"),
    ),
    "lenet_5": (
        PublishedResult("Deep Compression", 39.0, 0.74, 0.80, 44_000, HAN_2016),
        PublishedResult("MIRACLE", 1110.0, 0.96, None, 1_520, _MIRACLE, quoted=True),
        PublishedResult("EPR", 606.0, 1.0, 0.7, 2_840, _EPR),
        PublishedResult("Sparse variational dropout", 280.0, 0.75, None, None, _SVD, counts="parameters"),
        PublishedResult("Soft weight sharing", 162.0, 0.97, None, None, _SOFT),
    ),
    "alexnet": (PublishedResult("Deep Compression", 35.0, 42.78, 42.78, 6_900_000, HAN_2016),),
    "vgg16_imagenet": (
        PublishedResult("Deep Compression", 49.0, 31.17, 31.50, 11_300_000, HAN_2016),
        PublishedResult("DeepCABAC", 63.6, None, None, 8_700_000, _CABAC, is_lossless=True),
    ),
    "vgg16": (
        PublishedResult("LilNetX", 465.0, 7.4, 6.6, 129_000, _LILNETX, quoted=True),
        PublishedResult("LilNetX, extreme", 800.0, 10.0, 6.6, 76_000, _LILNETX, quoted=True),
        PublishedResult("MIRACLE", 144.0, 6.57, None, 417_000, _MIRACLE, quoted=True),
        PublishedResult("EPR", 590.0, 10.0, 6.6, 101_000, _EPR),
        PublishedResult("Bayesian compression", 116.0, 9.2, None, 525_000, _GHS, quoted=True),
        PublishedResult("DeepCABAC", 62.0, 9.0, None, 960_000, _CABAC, quoted=True),
    ),
}

# Ratios after each stage of Deep Compression (HAN_2016); pruning's count parameters, not bytes.
HAN_2016_STAGES: dict[str, dict[str, float]] = {
    "lenet_300_100": {"pruned": 12.0, "shared": 32.0, "huffman": 40.0},
    "lenet_5": {"pruned": 12.0, "shared": 33.0, "huffman": 39.0},
    "alexnet": {"pruned": 9.0, "shared": 27.0, "huffman": 35.0},
    "vgg16_imagenet": {"pruned": 13.0, "shared": 31.0, "huffman": 49.0},
}
