# %% [markdown]
# # Assignment 7: a codec that reads the course's own streams
#
# You write a Huffman codec from scratch: lengths from counts, words from lengths, bytes from words, and back. Then it has
# to prove itself on bytes that somebody else wrote: the trained VGG-16 of the capstone, whose file holds code lengths and
# words, and nothing that would help you but its specification.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Entropy | 1 | 10 |
# | 2 Huffman's lengths | 3 | 25 |
# | 3 Complete or not | 1 | 10 |
# | 4 Canonical words | 3 | 20 |
# | 5 Encode | 3 | 20 |
# | 6 Decode | 3 | 25 |
# | 7 The table in the file | 2 | 20 |
# | 8 What do the bits buy? | 4 | 40 |
# | **all** | **20** | **170** |
#
# You need this week's lectures. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code; plain Python is fast enough throughout. Do not import the coder of `common`
# in your answers: it is what you are compared with. After each question a check tries your function on inputs of its own:
# it says what is wrong, and often why. Questions 1 to 7 are graded by these checks, question 8 by a reader.

# %%
import heapq
from pathlib import Path

import numpy as np

import common
from common.checks import week07
from common.codec import huffman
from common.codec.byte_io import ByteReader
from common.codec.container import load, read_layout
from common.codec.tensors import SharedTensor
from common.data.pictures import photograph
from common.figures import CourseFigure, use_course_style
from common.figures.style import GREEN, GREY, VERMILION, y_grid

use_course_style()

# %% [markdown]
# ## Something to code
#
# Before the network, a stream that you can look at: the rows of a photograph, 128 × 128 pixels in sixteen levels of grey.

# %%
picture = (photograph("camera")[::4, ::4] // 16).astype(np.uint8)
pixels = picture.ravel()
counts = np.bincount(pixels, minlength=16)

fig = CourseFigure(height=2.4)
left, right = fig.subplots(1, 2)
_ = left.imshow(picture)
left.set_axis_off()
_ = right.bar(range(16), 100 * counts / counts.sum(), color=GREY)
right.set(xlabel="level of grey", ylabel="% of the pixels")
fig

# %% [markdown]
# A man with a camera on a lawn, in sixteen levels; two groups of levels, those of the coat and those of lawn and sky, are
# frequent, those in between and at both ends are rare.

# %% [markdown]
# ## Question 1: Entropy (1 point)
#
# $H = -\sum_k p_k \log_2 p_k$ with the shares $p_k$ of the symbols: bits *per symbol*. Kinds that never occur add nothing.


# %%
def entropy(counts: np.ndarray) -> float:
    """Entropy in bits per symbol, from how often each symbol occurs."""
    # solution: Question 1: shares of the kinds that occur, weighted surprises.
    p = counts[counts > 0] / counts.sum()
    return float((p * np.log2(1 / p)).sum())
    # end solution


week07.check_entropy(entropy)

# %% [markdown]
# ## Question 2: Huffman's lengths (3 points)
#
# From counts to code lengths: join the two smallest, put the sum back among the others, repeat; a symbol's length is the
# number of joins above it. `heapq` finds the smallest. Where counts are equal, any choice is right. Symbols of count 0 get
# length 0. A single symbol gets length 1.
#
# *Hint.* A heap of tuples compares the second entry when the first ones are equal: give every node a number of its own.


# %%
def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Lengths of an optimal prefix code, one for each count; 0 where the count is 0."""
    # solution: Question 2: a heap of nodes; each join adds one bit to all symbols below it.
    lengths = np.zeros(len(counts), dtype=np.int64)
    heap = [(int(count), symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    heapq.heapify(heap)
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    number = len(counts)
    while len(heap) > 1:
        (a, _, below_a), (b, _, below_b) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[below_a + below_b] += 1
        heapq.heappush(heap, (a + b, number, below_a + below_b))
        number += 1
    return lengths
    # end solution


week07.check_code_lengths(code_lengths)

# %% [markdown]
# ## Question 3: Complete or not (1 point)
#
# A reader must not believe everything. Are these lengths a code that the file format takes? Yes, if the Kraft sum
# $\sum 2^{-\ell}$ over the symbols that occur (length above 0) is *exactly* 1; or if a single symbol occurs, with length 1;
# or if none occurs. Lengths go up to 15.


# %%
def is_complete(lengths: np.ndarray) -> bool:
    """Whether the lengths are a complete code, the code of a single symbol, or that of none."""
    # solution: Question 3: the Kraft sum in whole numbers, and the two exceptions.
    used = [int(length) for length in lengths if length]
    if len(used) < 2:
        return used in ([], [1])
    return sum(1 << (15 - length) for length in used) == 1 << 15
    # end solution


week07.check_is_complete(is_complete)

# %% [markdown]
# ## Question 4: Canonical words (3 points)
#
# The words that Kraft's proof lays down: shorter ones first, of equal length the lower symbol first, counting upwards; a
# longer word begins where the last one ended. As numbers: `110` is 6. Symbols that do not occur get 0.


# %%
def canonical_codes(lengths: np.ndarray) -> list[int]:
    """The canonical word of each symbol as a number of that many bits; 0 where the length is 0."""
    # solution: Question 4: count, and shift where the length grows.
    codes = [0] * len(lengths)
    word = before = 0
    for length, symbol in sorted((int(length), symbol) for symbol, length in enumerate(lengths) if length):
        word <<= length - before
        codes[symbol] = word
        word, before = word + 1, length
    return codes
    # end solution


week07.check_canonical_codes(canonical_codes)

# %% tags=["raises-exception"]
lengths = code_lengths(counts)
for level, (count, length, code) in enumerate(zip(counts, lengths, canonical_codes(lengths), strict=True)):
    print(f"level {level:2}: {count:5} pixels  {f'{code:0{length}b}' if length else ''}")

# %% [markdown]
# *What you should see:* sixteen lines; frequent levels have words of two or three bits, the rarest of seven.

# %% [markdown]
# ## Question 5: Encode (3 points)
#
# The words of the symbols in a row; the first bit is the highest bit of the first byte; zeros fill up the last byte. Also
# the number of *payload bits*, without what fills up. A symbol that has no word cannot be encoded: `ValueError`.


# %%
def encode(symbols: np.ndarray, lengths: np.ndarray) -> tuple[bytes, int]:
    """The symbols' words as bytes, and the number of payload bits."""
    # solution: Question 5: a list of bits, packed eight at a time.
    words = [
        f"{code:0{length}b}" if length else None
        for code, length in zip(canonical_codes(lengths), [int(length) for length in lengths], strict=True)
    ]
    if any(words[symbol] is None for symbol in np.unique(symbols)):
        raise ValueError("symbols: got one without a word")
    bits = "".join(words[symbol] for symbol in symbols)
    filled = bits + "0" * (-len(bits) % 8)
    return bytes(int(filled[at : at + 8], 2) for at in range(0, len(filled), 8)), len(bits)
    # end solution


week07.check_encode(encode)

# %% [markdown]
# ## Question 6: Decode (3 points)
#
# Back again, from the lengths alone. The stream may be damaged: raise `ValueError` when no word matches, when the `n_bits`
# payload bits end before `n_symbols` are read, when some of them are left over (the beginning of a word, too), and when the
# bytes end before `n_bits` bits.


# %%
def decode(data: bytes, n_bits: int, n_symbols: int, lengths: np.ndarray) -> list[int]:
    """The symbols that were encoded; ValueError when the bits are not exactly n_symbols words."""
    # solution: Question 6: read bit by bit until length and bits are those of a word.
    if n_bits > 8 * len(data):
        raise ValueError(f"stream: got {8 * len(data)} bits, expected {n_bits}")
    codes = canonical_codes(lengths)
    book = {(int(length), codes[symbol]): symbol for symbol, length in enumerate(lengths) if length}
    symbols, word, length = [], 0, 0
    for at in range(n_bits):
        word, length = word << 1 | data[at // 8] >> 7 - at % 8 & 1, length + 1
        if (length, word) in book:
            symbols.append(book[length, word])
            word = length = 0
        elif length > 15:
            raise ValueError("stream: no word matches")
    if length or len(symbols) != n_symbols:
        raise ValueError(f"stream: got {len(symbols)} words, expected {n_symbols} and no bit more")
    return symbols
    # end solution


week07.check_decode(decode)

# %% [markdown]
# The whole photograph there and back, beside `common`: other words where counts are equal, but the same number of bits.

# %% tags=["raises-exception"]
data, n_bits = encode(pixels, code_lengths(counts))
back = np.array(decode(data, n_bits, pixels.size, code_lengths(counts)), dtype=np.uint8)
theirs, their_bits = huffman.encode(pixels, huffman.code_lengths(counts))
assert np.array_equal(back, pixels), "decode(encode(pixels)) is not the picture"
assert n_bits == their_bits == counts @ code_lengths(counts), f"{n_bits} bits, expected {their_bits}"
assert entropy(counts) <= n_bits / pixels.size < entropy(counts) + 1, "outside of entropy and entropy + 1"
print(f"{pixels.size // 2:,} bytes at four bits per pixel -> {len(data):,} bytes")
print(f"entropy {entropy(counts):.3f}, your code {n_bits / pixels.size:.3f} bits per pixel")

# %% [markdown]
# *What you should see:* 8,192 bytes become some 7,000, and your code lies within a few hundredths of a bit of the entropy.

# %% [markdown]
# ## Question 7: The table in the file (2 points)
#
# A `.dcz` file holds the code lengths as a *table*, at the highest bit first, as everywhere:
#
# - the first length, in four bits, then how often it comes in a row;
# - then, until every kind of symbol has its length: a step to the next length (`0` one more, `10` one less, `11` and four
#   bits: any), and how often that one comes in a row.
#
# How often is an **Elias gamma** code: $n$ zeros, then the $n + 1$ bits of the number, of which the first is a one. So `1`
# is 1, `010` is 2, `011` is 3, `00100` is 4. Zeros fill up the last byte. For example the lengths 3, 3, 2, 2, 2, 2 are
# `0011 010 10 00100`.
#
# Return the lengths, and how many *bytes* the table takes; other bytes follow it.


# %%
def read_lengths(data: bytes, n_kinds: int) -> tuple[list[int], int]:
    """The first n_kinds code lengths that the bytes spell, and how many bytes that takes."""
    # solution: Question 7: the bits in a row, and a function that takes n of them.
    bits = "".join(f"{byte:08b}" for byte in data[: 2 * n_kinds + 8])
    at = 0

    def number(n: int) -> int:
        nonlocal at
        at += n
        if at > len(bits):
            raise ValueError("table: the bytes end within it")
        return int(bits[at - n : at] or "0", 2)

    lengths: list[int] = []
    length = number(4)
    while True:
        n_zeros = 0
        while number(1) == 0:
            n_zeros += 1
        lengths += [length] * (1 << n_zeros | number(n_zeros))
        if len(lengths) >= n_kinds:
            return lengths, -(-at // 8)
        length = length + 1 if number(1) == 0 else length - 1 if number(1) == 0 else number(4)
    # end solution


week07.check_read_lengths(read_lengths)

# %% [markdown]
# ## The course's own streams
#
# Now the trained network. The cell below finds, for each weight tensor of the file, the place of its values, along the
# specification (the docstring of `common/codec/container.py`): a byte, how many values $a, b, \ldots$ are spelt as one block
# $a + b\,n + \ldots$; the table; the payload bits; the stream. `ByteReader` only takes bytes and counts. The table and the
# stream are read by **your** functions, and compared with what `common` makes of the file.


# %%
def values_of(record: memoryview) -> tuple[int, int, int, bytes]:
    """(number of values, number of clusters, values in a block, all that follows) of a sparse record."""
    reader = ByteReader(record, "record")
    kind = reader.byte("kind")
    for _ in range(reader.varint("axes", most=8)):
        reader.varint("shape", most=2**33)
    n_clusters = reader.varint("clusters", most=2**15)
    reader.take(n_clusters * (2 if kind & 1 else 4), "codebook")
    assert reader.byte("index coding") == 1, "only zones here"
    n_kept = reader.varint("kept weights", most=2**33)
    return n_kept, n_clusters, reader.byte("block"), bytes(record[len(record) - reader.n_left :])


def varint(data: bytes) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and how many bytes it takes."""
    value = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, place + 1
    raise ValueError("no end")


file = (Path(common.__file__).parents[1] / "capstone" / "vgg16_cifar10.dcz").read_bytes()
records = read_layout(file)[1]
sparse = {
    name: tensor
    for name, tensor in load(file).tensors.items()
    if isinstance(tensor, SharedTensor) and tensor.positions is not None and tensor.n_kept < tensor.n_weights
}
smallest = sorted(sparse, key=lambda name: sparse[name].n_kept)[:4]
assert len(smallest) == 4, "the file holds fewer sparse tensors than expected"

# %% tags=["raises-exception"]
for name in smallest:
    n_kept, n_clusters, block, rest = values_of(records[name])
    n_blocks = -(-n_kept // block)
    lengths, n_table = read_lengths(rest, n_clusters**block)
    assert is_complete(lengths), "this table is no code"
    n_bits, n_size = varint(rest[n_table:])
    lanes = 12 if n_blocks >= 1 << 16 else 0  # long streams begin with three entry points
    stream = rest[n_table + n_size + lanes :][: -(-n_bits // 8)]
    blocks = np.array(decode(stream, n_bits, n_blocks, lengths))
    values = (blocks[:, None] // n_clusters ** np.arange(block) % n_clusters).ravel()[:n_kept]
    assert np.array_equal(values, sparse[name].indices), "not what common reads"
    again = encode(blocks, lengths)
    assert again == (stream, n_bits), "your coder encodes these symbols in another way"
print("the values of four layers, read from the file by your codec; coded again, the same bytes come out")

# %% [markdown]
# ## Question 8: What do the bits buy? (4 points)
#
# In 200 to 300 words, with one figure of your own, about streams of the capstone's file: `sparse` has the tensors, with
# `indices`, `positions` and `n_clusters`; `common.codec.gaps.encode_gaps` makes gaps of positions.
#
# | what a reader looks for | points |
# |---|---|
# | for at least five layers: fixed width, your code, entropy, in bits per kept weight, as a figure | 1 |
# | where your code is furthest from the entropy, why, and what would help there (blocks, another coder), with a number | 1 |
# | the table of lengths beside the payload: from how many symbols on does a code of its own pay? A number from your code, not a guess | 1 |
# | one bit of a stream flipped: does `decode` notice, how often of many tries, and why not always? | 1 |

# %% tags=["raises-exception"]
# solution: Question 8: a figure over the layers, and the numbers behind the answers.
names = [name for name in sparse if len(sparse[name].shape) > 1]
rows = []
for name in names:
    indices = sparse[name].indices
    own = np.bincount(indices, minlength=sparse[name].n_clusters)
    fixed = (sparse[name].n_clusters - 1).bit_length()
    rows.append((fixed, own @ code_lengths(own) / indices.size, entropy(own)))
rows = np.array(rows)
furthest = int((rows[:, 1] - rows[:, 2]).argmax())
assert (rows[:, 1] >= rows[:, 2] - 1e-9).all()
assert (rows[:, 1] <= rows[:, 0]).all()

fig = CourseFigure(height=2.6)
axes = fig.subplots()
places = np.arange(len(names))
for column, (label, mark, color) in enumerate(
    (("fixed width", "s", GREY), ("my code", "o", GREEN), ("entropy", "_", VERMILION))
):
    _ = axes.plot(places, rows[:, column], mark, color=color, label=label, markersize=[6, 6, 13][column])
axes.set(xlabel="weight tensor, from the input on", ylabel="bits per kept weight", ylim=(0, None))
axes.legend(loc="lower left")
y_grid(axes)

some = sparse[names[furthest]].indices.astype(int)
n_kinds = sparse[names[furthest]].n_clusters
pairs = some[: some.size // 2 * 2].reshape(-1, 2) @ [1, n_kinds]
of_pairs = np.bincount(pairs)
print(f"furthest: {rows[furthest, 1] - rows[furthest, 2]:.3f} bits per weight over the entropy")
print(
    f"in pairs: {of_pairs @ code_lengths(of_pairs) / pairs.size / 2:.3f} instead of {rows[furthest, 1]:.3f} bits"
)

saved = rows[furthest, 0] - rows[furthest, 1]
table_bits = 5 * n_kinds  # about what a table takes: a step and a run a kind
print(f"a table of about {table_bits} bits pays from {table_bits / saved:.0f} symbols on")

lengths = code_lengths(np.bincount(some))
piece = some[:300]
stream, n_bits = encode(piece, lengths)
noticed = 0
for at in range(n_bits):
    damaged = bytearray(stream)
    damaged[at // 8] ^= 0x80 >> at % 8
    try:
        decode(bytes(damaged), n_bits, piece.size, lengths)
    except ValueError:
        noticed += 1
print(f"{noticed} of {n_bits} flipped bits noticed")
assert 0 < noticed < n_bits
fig
# end solution

# %% [markdown] tags=["answer"]
# **Layers.** In every layer my code lies between the entropy and the fixed width, and much nearer to the entropy. There is
# not much to gain: k-means puts its centroids where the weights are, so no cluster has a large share, and the entropy of
# sixteen kinds stays above three bits of four.
#
# **Furthest from the entropy** is the layer printed above, by a few hundredths of a bit: its shares are far from powers
# of ½, so whole bits fit badly. Pairs of values as one symbol share the loss: the second printed line shows that they come
# closer. A range coder would take the rest, at the price of speed.
#
# **The table.** For this many kinds it takes some dozens of bits, a step and a run for each. My code saves a fraction of a
# bit a symbol, so it pays from the printed number of symbols on. A bias vector of ten numbers is better off with a fixed
# width, or with words that reader and writer know beforehand.
#
# **A flipped bit.** `decode` notices when the words do not come out even with `n_bits`, or their number is wrong. But the
# decoder falls into step again after a few words. If the wrong words are as many and as long as the right ones were,
# everything comes out even, and nothing is noticed: only part of the flips are refused. Bits of a complete code are
# *always* some words. So the file needs its checksums; they cost four bytes per tensor, and notice all of these.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week07.grade(globals())
