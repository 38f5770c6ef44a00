"""Published results with their sources: what the course's tables and the trade-off curve quote.

Keys are the networks of `models.build`: ``vgg16`` for CIFAR-10, the LeNets for MNIST, the others for ImageNet
with its 1000 classes. EPR is entropy-penalised reparameterisation.

>>> [row.ratio for row in PUBLISHED["lenet_5"] if row.method == "Deep Compression"]
[39.0]
"""

from __future__ import annotations

from dataclasses import dataclass

HAN_2016 = "Han, Mao, Dally 2016, Deep Compression, ICLR, arXiv:1510.00149, tables 1 to 5"


@dataclass(frozen=True)
class PublishedLayer:
    """A layer's row of Deep Compression's tables 2, 3 and 5, as the paper rounds it.

    Attributes
    ----------
    name : str
        As in the paper.
    n_weights : int
        Number of weights, rounded.
    kept : float
        Density: the fraction of the weights that pruning keeps, in [0, 1].
    value_bits, value_bits_huffman : float
        Bits per kept weight for the index of its value: fixed width, and Huffman-coded.
    index_bits, index_bits_huffman : float
        Bits per kept weight for its position: fixed width, and Huffman-coded.
    rate, rate_huffman : float
        Compressed over dense size, in [0, 1], before and after Huffman coding, codebook and fillers included.
    """

    name: str
    n_weights: int
    kept: float
    value_bits: float
    value_bits_huffman: float
    index_bits: float
    index_bits_huffman: float
    rate: float
    rate_huffman: float


@dataclass(frozen=True)
class PublishedResult:
    """One published row.

    Attributes
    ----------
    method : str
        The authors' name for it.
    ratio : float
        Dense float32 bytes over compressed bytes.
    error : float or None
        Top-1 error after compression, in percent; None where the source gives the loss only.
    baseline_error : float or None
        Top-1 error before, in percent; None where the source does not say.
    compressed_bytes : int or None
        Size after compression, in bytes as the source rounds it (1 kB = 1000 bytes).
    source : str
        The document that holds the figure.
    quoted : bool
        True when the figure was found in another document than the method's own.
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
    def label(self) -> str:
        """The method's name, with a dagger where the figure is second-hand (`quoted`)."""
        return f"{self.method}†" if self.quoted else self.method

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
        # Printed beside 168 kB stands 452×, the ratio of an earlier 135 kB; here it is 59.95 MB over 168 kB.
        PublishedResult("MIRACLE, smallest", 357.0, 10.0, None, 168_000, _MIRACLE, quoted=True),
        PublishedResult("EPR", 590.0, 10.0, 6.6, 101_000, _EPR),
        PublishedResult("Bayesian compression", 116.0, 9.2, None, 525_000, _GHS, quoted=True),
        PublishedResult("DeepCABAC", 62.0, 9.0, None, 960_000, _CABAC, quoted=True),
    ),
}

# Ratios after each stage of Deep Compression (HAN_2016); those after pruning count parameters, not bytes.
HAN_2016_STAGES: dict[str, dict[str, float]] = {
    "lenet_300_100": {"pruned": 12.0, "shared": 32.0, "huffman": 40.0},
    "lenet_5": {"pruned": 12.0, "shared": 33.0, "huffman": 39.0},
    "alexnet": {"pruned": 9.0, "shared": 27.0, "huffman": 35.0},
    "vgg16_imagenet": {"pruned": 13.0, "shared": 31.0, "huffman": 49.0},
}

# Its layers: tables 2, 3 and 5 of HAN_2016.
HAN_2016_LAYERS: dict[str, tuple[PublishedLayer, ...]] = {
    "lenet_300_100": (
        PublishedLayer("ip1", 235_000, 0.08, 6, 4.4, 5, 3.7, 0.031, 0.0232),
        PublishedLayer("ip2", 30_000, 0.09, 6, 4.4, 5, 4.3, 0.038, 0.0304),
        PublishedLayer("ip3", 1_000, 0.26, 6, 4.3, 5, 3.2, 0.157, 0.1270),
    ),
    "lenet_5": (
        PublishedLayer("conv1", 500, 0.66, 8, 7.2, 5, 1.5, 0.785, 0.6745),
        PublishedLayer("conv2", 25_000, 0.12, 8, 7.2, 5, 3.9, 0.060, 0.0528),
        PublishedLayer("ip1", 400_000, 0.08, 5, 4.5, 5, 4.5, 0.027, 0.0245),
        PublishedLayer("ip2", 5_000, 0.19, 5, 5.2, 5, 3.7, 0.069, 0.0613),
    ),
    "vgg16_imagenet": (
        PublishedLayer("conv1_1", 2_000, 0.58, 8, 6.8, 5, 1.7, 0.400, 0.2997),
        PublishedLayer("conv1_2", 37_000, 0.22, 8, 6.5, 5, 2.6, 0.098, 0.0699),
        PublishedLayer("conv2_1", 74_000, 0.34, 8, 5.6, 5, 2.4, 0.143, 0.0891),
        PublishedLayer("conv2_2", 148_000, 0.36, 8, 5.9, 5, 2.3, 0.147, 0.0931),
        PublishedLayer("conv3_1", 295_000, 0.53, 8, 4.8, 5, 1.8, 0.217, 0.1115),
        PublishedLayer("conv3_2", 590_000, 0.24, 8, 4.6, 5, 2.9, 0.097, 0.0567),
        PublishedLayer("conv3_3", 590_000, 0.42, 8, 4.6, 5, 2.2, 0.170, 0.0896),
        PublishedLayer("conv4_1", 1_000_000, 0.32, 8, 4.6, 5, 2.6, 0.131, 0.0729),
        PublishedLayer("conv4_2", 2_000_000, 0.27, 8, 4.2, 5, 2.9, 0.109, 0.0593),
        PublishedLayer("conv4_3", 2_000_000, 0.34, 8, 4.4, 5, 2.5, 0.140, 0.0747),
        PublishedLayer("conv5_1", 2_000_000, 0.35, 8, 4.7, 5, 2.5, 0.143, 0.0800),
        PublishedLayer("conv5_2", 2_000_000, 0.29, 8, 4.6, 5, 2.7, 0.117, 0.0652),
        PublishedLayer("conv5_3", 2_000_000, 0.36, 8, 4.6, 5, 2.3, 0.148, 0.0779),
        PublishedLayer("fc6", 103_000_000, 0.04, 5, 3.6, 5, 3.5, 0.016, 0.0110),
        PublishedLayer("fc7", 17_000_000, 0.04, 5, 4.0, 5, 4.3, 0.015, 0.0125),
        PublishedLayer("fc8", 4_000_000, 0.23, 5, 4.0, 5, 3.4, 0.071, 0.0524),
    ),
}
