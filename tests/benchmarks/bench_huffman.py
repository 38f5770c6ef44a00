"""Huffman coding of 4 million symbols on one core beside other coders: symbols a second, bits per symbol.

Two streams: 32 kinds with an entropy of 3.714 bits, like the cluster indices of a layer, and gaps of 6 bits
with skips, like the positions of weights of which one in 40 is kept. Encoding starts from an array of
symbols, finds the code and spells; decoding leads back to an array. Coders that take one symbol a call in
Python get fewer symbols. ANS gets its model for nothing, and its probabilities are counted as 2 bytes each.

A stream of this size must be decoded 100 million, and encoded 50 million symbols a second on a machine where
bitarray decodes 24 million; so on any machine, ours is held against bitarray's decoder.
"""

import lzma
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pytest

from common.codec import huffman
from common.codec.gaps import encode_gaps
from common.codec.huffman_kernels import count_symbols

N_SYMBOLS = 4_000_000
FEW = 100_000  # symbols for coders that take one per call
FLOORS = {"decoding": 100 / 24, "encoding": 50 / 24}  # times bitarray's decoder
BITARRAY = "bitarray, canonical Huffman"
seconds: dict[tuple[str, str], float] = {}


@dataclass(frozen=True)
class Coder:
    """A coder ready for one stream: `decode(encode())` is the stream."""

    encode: Callable[[], object]
    decode: Callable[[object], object]
    n_bytes: Callable[[object], int]


@lru_cache
def stream(name: str) -> np.ndarray:
    """The symbols, uint8."""
    rng = np.random.default_rng(0)
    if name == "gaps":
        return encode_gaps(np.cumsum(rng.geometric(1 / 40, N_SYMBOLS)) - 1, 6)[:N_SYMBOLS]
    weights = np.exp(-np.abs(np.arange(32) - 15.5) / 2.418)  # this decay gives 3.714 bits
    return rng.choice(32, N_SYMBOLS, p=weights / weights.sum()).astype(np.uint8)


def this_course(symbols: np.ndarray) -> Coder:
    def encode():
        lengths = huffman.code_lengths(count_symbols(symbols, 256))
        return *huffman.encode(symbols, lengths), lengths

    def decode(coded):
        data, n_bits, lengths = coded
        return huffman.decode(data, n_bits, symbols.size, lengths)

    return Coder(encode, decode, lambda coded: len(coded[0]) + np.count_nonzero(coded[2]))


def bitarray_huffman(symbols: np.ndarray) -> Coder:
    from bitarray import bitarray, util

    def encode():
        counts = np.bincount(symbols)
        codes, *code = util.canonical_huffman({s: int(count) for s, count in enumerate(counts) if count})
        bits = bitarray()
        bits.encode(codes, symbols)
        return bits, *code

    def decode(coded):
        return np.fromiter(util.canonical_decode(*coded), np.uint8, symbols.size)

    return Coder(encode, decode, lambda coded: len(coded[0]) // 8 + len(coded[2]))


def constriction_ans(symbols: np.ndarray) -> Coder:
    from constriction import stream as peer

    counts, wide = np.bincount(symbols), symbols.astype(np.int32)
    model = peer.model.Categorical(counts / counts.sum(), perfect=False)

    def encode():
        coder = peer.stack.AnsCoder()
        coder.encode_reverse(wide, model)
        return coder.get_compressed()

    return Coder(
        encode,
        lambda words: peer.stack.AnsCoder(words).decode(model, symbols.size),
        lambda words: words.nbytes + 2 * counts.size,
    )


def constriction_huffman(symbols: np.ndarray) -> Coder:
    from constriction import symbol as peer

    shares, listed = np.bincount(symbols) / symbols.size, symbols.tolist()

    def encode():
        tree, coder = peer.huffman.EncoderHuffmanTree(shares), peer.QueueEncoder()
        for symbol in listed:
            coder.encode_symbol(symbol, tree)
        return coder.get_compressed_and_bitrate()

    def decode(coded):
        tree, coder = peer.huffman.DecoderHuffmanTree(shares), peer.QueueDecoder(coded[0])
        return [coder.decode_symbol(tree) for _ in listed]

    return Coder(encode, decode, lambda coded: coded[1] // 8 + shares.size)


def dahuffman(symbols: np.ndarray) -> Coder:
    from dahuffman import HuffmanCodec

    listed, kinds = symbols.tolist(), np.unique(symbols).size
    codec = HuffmanCodec.from_data(listed)
    return Coder(
        lambda: HuffmanCodec.from_data(listed).encode(listed), codec.decode, lambda data: len(data) + kinds
    )


def zstandard_coder(symbols: np.ndarray, **parameters) -> Coder:
    import zstandard as zstd

    compress, decompress = zstd.ZstdCompressor(**parameters).compress, zstd.ZstdDecompressor().decompress
    return Coder(partial(compress, symbols.tobytes()), lambda d: np.frombuffer(decompress(d), np.uint8), len)


def zstandard_huffman(symbols: np.ndarray) -> Coder:
    """zstd held to its Huffman coder: a search that hardly finds a match. Its best setting for speed here."""
    import zstandard as zstd

    parameters = zstd.ZstdCompressionParameters(strategy=zstd.STRATEGY_FAST, min_match=7, hash_log=6)
    return zstandard_coder(symbols, compression_params=parameters)


def xz(symbols: np.ndarray) -> Coder:
    raw = symbols.tobytes()
    return Coder(partial(lzma.compress, raw), lambda d: np.frombuffer(lzma.decompress(d), np.uint8), len)


CODERS = {  # name: coder, symbols it gets, rounds; the peers' packages are optional
    "this course": (this_course, N_SYMBOLS, 15),
    BITARRAY: (bitarray_huffman, N_SYMBOLS, 3),
    "constriction, ANS": (constriction_ans, N_SYMBOLS, 5),
    "constriction, Huffman, a call a symbol": (constriction_huffman, FEW, 3),
    "dahuffman": (dahuffman, FEW, 3),
    "zstandard, Huffman only": (zstandard_huffman, N_SYMBOLS, 15),
    "zstandard -1": (partial(zstandard_coder, level=1), N_SYMBOLS, 15),
    "zstandard -19": (partial(zstandard_coder, level=19), N_SYMBOLS, 15),
    "xz": (xz, N_SYMBOLS, 3),
}


@pytest.mark.parametrize("direction", FLOORS)
@pytest.mark.parametrize("name", ["32 kinds", "gaps"])
@pytest.mark.parametrize("peer", CODERS)
def bench_huffman(benchmark, name, direction, peer):
    coder_of, n_symbols, rounds = CODERS[peer]
    symbols = stream(name)[:n_symbols]
    entropy = huffman.entropy_bits(np.bincount(stream(name))) / N_SYMBOLS
    benchmark.group = f"Huffman, {direction} of {name} ({entropy:.3f} bits)"
    try:
        coder = coder_of(symbols)
    except ImportError as error:
        pytest.skip(str(error))
    if direction == "decoding":
        coded = coder.encode()
        decoded = benchmark.pedantic(coder.decode, (coded,), rounds=rounds, warmup_rounds=1)
        assert np.array_equal(decoded, symbols)
    else:
        is_slow = peer in ("xz", "zstandard -19")
        coded = benchmark.pedantic(coder.encode, rounds=1 if is_slow else rounds, warmup_rounds=not is_slow)
    bits = 8 * coder.n_bytes(coded) / n_symbols
    of_these = huffman.entropy_bits(np.bincount(symbols)) / n_symbols
    benchmark.extra_info |= {
        "peer": peer,
        "work": n_symbols / 1e6,
        "unit": "M symbols",
        "bits per symbol": bits,
        "% above the entropy": 100 * (bits / of_these - 1),
    }
    if benchmark.stats is not None:
        seconds[peer, direction + name] = benchmark.stats.stats.median
        check_floors(name)


def check_floors(name: str) -> None:
    """Compare ours with bitarray's decoder as soon as both are measured."""
    theirs = seconds.get((BITARRAY, "decoding" + name))
    for direction, floor in FLOORS.items():
        ours = seconds.get(("this course", direction + name))
        if ours and theirs:
            times = theirs / ours
            told = f"{direction} {name}: {times:.1f} × bitarray's decoder, expected {floor:.1f}"
            assert times >= floor, told
