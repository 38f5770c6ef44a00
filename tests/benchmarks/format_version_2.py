"""What a version 2 of the format would bring, measured and not built.

Run it from the root: ``python tests/benchmarks/format_version_2.py``.

Two networks with many small or tied tensors, on which zstd used to come close to our file: a small GPT
whose output layer is its embedding, and MobileNetV3-small. Their weights are random, so the sizes say nothing
about accuracy; biases and norms, which begin as zeros and ones, get normal noise, for trained ones are not
equal. 90 % are pruned by magnitude over the root mean square of the tensor, and each tensor shares 32 values.
Prints a table in Markdown:

- the file as it is (version 1), and zstd -19 on the decoded weights as safetensors, tied tensors twice;
- *dense through the coder*: dense tensors as byte planes, each in a Huffman code with its table, where that
  is smaller;
- *and as bfloat16*: the same with their floats rounded to bfloat16 before;
- *one codebook*: 32 values for all tensors together, stored once; with it the squared error of sharing.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import zstandard
from safetensors.torch import save
from torch import nn
from torchvision.models import mobilenet_v3_small

from common.codec import CompressedModel, DenseTensor, SharedTensor, code_lengths, container
from common.compress.state_files import StateConfig, compress_state, restore, state_of
from common.sharing.kmeans import kmeans_1d

N_CLUSTERS = 32


class TiedGPT(nn.Module):
    """5,000 words, width 128, six layers, the output layer tied to the embedding; never run here."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(5000, 128), nn.Embedding(256, 128)
        block = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, 6, enable_nested_tensor=False)
        self.head = nn.Linear(128, 5000, bias=False)
        self.head.weight = self.wte.weight


def coded_bytes(values: np.ndarray) -> int:
    """Bytes of a dense tensor as byte planes, each in its own Huffman code, or raw where that is smaller.

    A plane is charged a byte of header, its payload, and its table as version 1 spells tables: a step of one
    is a bit for down, two for up, else six; a run of r equal lengths takes 2 * floor(log2 r) + 1 bits.
    """
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize)
    total = 0
    for plane in raw.T if raw.size else ():
        counts = np.bincount(plane, minlength=256)
        lengths = code_lengths(counts)
        starts = np.flatnonzero(np.diff(lengths.astype(int), prepend=-9))
        runs = np.diff([*starts, 256])
        steps = np.diff(lengths[starts].astype(int))
        table = (
            4
            + np.select([steps == 1, steps == -1], [1, 2], 6).sum()
            + (2 * np.log2(runs).astype(int) + 1).sum()
        )
        total += 1 + -(-int(counts @ lengths + table) // 8)
    return min(total, raw.size)


def as_bfloat16(values: np.ndarray) -> np.ndarray:
    """Bits of the values rounded to bfloat16; integers as they are."""
    if values.dtype.kind != "f":
        return values
    return torch.from_numpy(values.astype(np.float32)).bfloat16().view(torch.int16).numpy()


def one_codebook(tensors: dict, state: dict[str, torch.Tensor]) -> tuple[dict, float, float]:
    """The shared tensors with one codebook for all, and the squared errors of sharing apart and together."""
    kept = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, SharedTensor):
            flat = state[name].float().numpy().ravel()
            kept[name] = flat if tensor.positions is None else flat[tensor.positions]
    result = kmeans_1d(np.concatenate(list(kept.values())), N_CLUSTERS)
    codebook = np.unique(result.codebook.astype(np.float16))
    edges = (codebook[1:].astype(np.float32) + codebook[:-1].astype(np.float32)) / 2
    together, apart, joint = {}, 0.0, 0.0
    for name, values in kept.items():
        tensor = tensors[name]
        indices = np.searchsorted(edges, values).astype(np.uint8)
        together[name] = SharedTensor(tensor.shape, codebook, tensor.positions, indices)
        apart += float(((values - tensor.codebook.astype(np.float32)[tensor.indices]) ** 2).sum())
        joint += float(((values - codebook.astype(np.float32)[indices]) ** 2).sum())
    return together, apart, joint


def measured(model: nn.Module) -> dict[str, float]:
    """The sizes of one network's files, in bytes."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.ndim == 1 and tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn_like(tensor))
    state = state_of(model)
    config = StateConfig(
        sparsity=0.9, criterion="normalized", conv_clusters=N_CLUSTERS, linear_clusters=N_CLUSTERS
    )
    packed = compress_state(state, config).model
    now = len(container.save(packed))
    dense = {name: tensor for name, tensor in packed.tensors.items() if isinstance(tensor, DenseTensor)}
    raw = sum(tensor.values.nbytes for tensor in dense.values())
    coded = sum(coded_bytes(tensor.values) for tensor in dense.values())
    short = sum(coded_bytes(as_bfloat16(tensor.values)) for tensor in dense.values())
    together, apart, joint = one_codebook(packed.tensors, state.tensors)
    shared = len(container.save(CompressedModel({**packed.tensors, **together}, packed.metadata)))
    books = [tensor.codebook.nbytes for tensor in together.values()]
    decoded = {name: tensor.clone() for name, tensor in restore(packed).items()}
    everything = save(decoded)
    return {
        "weights": sum(tensor.numel() for tensor in decoded.values()),
        "dense float32": sum(4 * tensor.numel() for tensor in decoded.values()),
        "version 1": now,
        "zstd -19": len(zstandard.ZstdCompressor(level=19).compress(everything)),
        "of version 1: dense tensors": raw,
        "dense through the coder": now - raw + coded,
        "and as bfloat16": now - raw + short,
        "one codebook": shared - sum(books[1:]),
        "its squared error, times": joint / apart,
    }


def main() -> int:
    torch.manual_seed(0)
    rows = {"tied GPT": measured(TiedGPT()), "MobileNetV3-small": measured(mobilenet_v3_small(weights=None))}
    print(f"| bytes | {' | '.join(rows)} |\n|---|{'---|' * len(rows)}")
    for key in next(iter(rows.values())):
        cells = [f"{row[key]:.2f}" if key.startswith("its") else f"{row[key]:,}" for row in rows.values()]
        print(f"| {key} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
