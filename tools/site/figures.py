"""Static figures for the interactive pages: they are shown without scripts, and on a printed page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from common.codec.container import file_bytes, load, sizes
from common.codec.huffman import canonical_codes, code_lengths
from common.deploy.web_page import SHIPPED
from common.figures.style import BLACK, BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, SKY, CourseFigure, styled

TEXT = "a cabbage, a baobab, a cab"  # the text with which the page on Huffman's code begins
_KINDS = {  # kinds of bytes, as the pages colour them
    "codebooks": ORANGE,
    "code lengths": PURPLE,
    "values": SKY,
    "positions": GREEN,
    "stored as they are": BLUE,
    "headers, checksums, padding": LIGHT,
}


@styled
def huffman() -> CourseFigure:
    """The tree of the canonical code of a text's letters; the most frequent letter is nearest to the root."""
    counts = dict(sorted(Counter(TEXT).items()))
    lengths = code_lengths(np.array(list(counts.values())))
    codes = canonical_codes(lengths)
    words = {
        symbol: f"{code:0{length}b}"
        for symbol, code, length in zip(counts, codes.tolist(), lengths.tolist(), strict=True)
    }
    leaves = sorted(words, key=words.get)
    at = {words[symbol]: float(place) for place, symbol in enumerate(leaves)}
    for depth in range(max(map(len, at)) - 1, -1, -1):  # nodes above their children
        for word in {word[:depth] for word in at if len(word) > depth}:
            at.setdefault(word, (at[word + "0"] + at[word + "1"]) / 2)
    figure = CourseFigure(height=3.6)
    axes = figure.subplots()
    for word, x in at.items():
        if word:
            parent = at[word[:-1]]
            axes.plot([parent, x], [1 - len(word), -len(word)], color=GREY, linewidth=1.3, zorder=0)
            axes.text((parent + x) / 2, 0.5 - len(word), f" {word[-1]}", color=GREY, va="center")
    for symbol in leaves:
        word = words[symbol]
        name = {" ": "space", ",": "comma"}.get(symbol, symbol)
        axes.plot(at[word], -len(word), "o", color=BLUE, markersize=6)
        said = f"{name} × {counts[symbol]}\n{word}"
        axes.text(at[word], -len(word) - 0.22, said, ha="center", va="top", color=BLACK)
    depth = max(map(len, words.values()))
    axes.set(xticks=[], yticks=[], xlim=(-0.6, len(leaves) - 0.4), ylim=(-depth - 1.1, 0.2))
    axes.spines[:].set_visible(False)
    return figure


@styled
def bytes_by_tensor() -> CourseFigure:
    """Where the bytes of the small LeNet-5's file go, tensor by tensor."""
    data = SHIPPED["digits"].read_bytes()
    tensors = sizes(data)
    figure = CourseFigure(height=3.2)
    axes = figure.subplots()
    names = [f"tensor {number}: {' × '.join(map(str, t.shape))}" for number, t in enumerate(tensors)]
    start = np.zeros(len(tensors))
    for kind, colour in _KINDS.items():
        wide = np.array([_bytes_of(tensor)[kind] for tensor in tensors])
        axes.barh(names, wide, left=start, color=colour, label=kind, edgecolor="white", linewidth=0.5)
        start += wide
    axes.invert_yaxis()
    axes.set(xlabel=f"bytes; {file_bytes(data)} more for lengths, metadata and digest of the file")
    axes.legend(loc="lower right")
    return figure


def _bytes_of(tensor) -> dict[str, float]:
    others = tensor.header_bytes + tensor.checksum_bytes + tensor.padding_bits / 8
    shares = (tensor.codebook_bytes, tensor.table_bits / 8, tensor.values_bits / 8, tensor.index_bits / 8)
    return dict(zip(_KINDS, (*shares, tensor.dense_bytes, others), strict=True))


@styled
def kept_weights() -> CourseFigure:
    """The kept weights of LeNet-5's largest layer, which the network in the page has."""
    tensors = load(SHIPPED["digits"].read_bytes()).tensors
    weights = max((tensor.to_dense() for tensor in tensors.values()), key=np.size)
    weights = weights.reshape(len(weights), -1)
    figure = CourseFigure(height=2.6)
    axes = figure.subplots()
    rows, columns = np.nonzero(weights)
    signs = weights[rows, columns] > 0
    for sign, colour, label in ((True, ORANGE, "positive"), (False, BLUE, "negative")):
        axes.plot(columns[signs == sign], rows[signs == sign], "s", markersize=1.6, color=colour, label=label)
    axes.set(xlim=(0, weights.shape[1]), ylim=(weights.shape[0], 0), xlabel="input", ylabel="output")
    axes.set_title(f"{len(rows):,} of {weights.size:,} weights are kept")
    axes.legend(loc="upper right", markerscale=4, frameon=True)
    return figure


FIGURES = {"huffman": huffman, "bytes": bytes_by_tensor, "network": kept_weights}


def draw(folder: Path) -> None:
    """Write all of them as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in FIGURES.items():
        figure().savefig(folder / f"{name}.png", dpi=150)
