"""Answers to the questions of week 7, right and wrong, with a pattern of what a wrong one must be told."""

import heapq

import numpy as np
import torch
from scipy import stats
from styles import listed, single, tensor

from common.codec import huffman


def entropy(
    *, log=np.log2, sign=-1.0, drop=True, weigh=True, each=True, as_shares=True, finish=lambda total: total
):
    def answer(counts):
        counts = counts[counts > 0] if drop else counts
        p = counts / counts.sum() if as_shares else counts
        surprise = sign * log(p)
        total = (p * surprise).sum() if weigh else surprise.sum()
        return finish(total if each else total * counts.sum())

    return answer


def lengths_by_heap(*, largest=False, add_up=True, single=1, absent=0, once=False, extra=0):
    def answer(counts):
        lengths = np.full(len(counts), absent)
        sign = -1 if largest else 1
        heap = [(sign * int(count), s, [s]) for s, count in enumerate(counts) if count]
        lengths[[entry[1] for entry in heap]] = 0
        heapq.heapify(heap)
        if len(heap) == 1:
            lengths[heap[0][1]] = single
        number = len(counts)
        while len(heap) > 1:
            (a, _, below_a), (b, _, below_b) = heapq.heappop(heap), heapq.heappop(heap)
            lengths[below_a + ([] if once else below_b)] += 1
            heapq.heappush(heap, (a + b if add_up else max(a, b), number, below_a + below_b))
            number += 1
        return lengths + extra * (np.asarray(counts) > 0)

    return answer


def as_list(counts):
    """A list in the place of a tree: the joined node is always joined next."""
    lengths = np.zeros(len(counts), int)
    rising = [s for s in np.argsort(counts, kind="stable") if counts[s]]
    if len(rising) == 1:
        lengths[rising[0]] = 1
    for step, symbol in enumerate(reversed(rising), 1):
        lengths[symbol] = min(step, max(len(rising) - 1, 1))
    return lengths


def shannon(counts):
    used = counts > 0
    lengths = np.zeros(len(counts), int)
    lengths[used] = np.maximum(np.ceil(-np.log2(counts[used] / max(1, counts.sum()))), 1)
    return lengths


def fixed(counts):
    n = int((counts > 0).sum())
    return np.where(counts > 0, max(1, int(np.ceil(np.log2(max(1, n))))), 0)


def complete(*, below=False, zeros=False, single=True, none=True, above=False):
    def answer(lengths):
        used = [int(n) for n in lengths if n or zeros]
        if not used:
            return none
        if len(used) == 1 and single:
            return used == [1]
        kraft = sum(2.0**-n for n in used)
        return kraft == 1 or (below and kraft < 1) or (above and kraft > 1)

    return answer


def canonical(*, key=lambda length, symbol: (length, symbol), shift=True, first=0, finish=lambda c, n: c):
    def answer(lengths):
        codes, word, before = [0] * len(lengths), first, 0
        used = [(int(length), symbol) for symbol, length in enumerate(lengths) if length]
        for length, symbol in sorted(used, key=lambda pair: key(*pair)):
            if shift:
                word = word << length - before if length >= before else word >> before - length
            codes[symbol], before = word, length
            word += 1
        return finish(codes, [int(n) for n in lengths])

    return answer


def in_reverse(codes, lengths):
    return [int(f"{code:0{n}b}"[::-1], 2) if n else 0 for code, n in zip(codes, lengths, strict=True)]


def as_text(codes, lengths):
    return [f"{code:0{n}b}" if n else "" for code, n in zip(codes, lengths, strict=True)]


def encoder(
    *, fill="0", front=False, lowest=False, whole=False, short=False, refuse=True, finish=None, cut=0
):
    def answer(symbols, lengths):
        lengths = [int(n) for n in lengths]
        codes = canonical()(lengths)
        if refuse and any(lengths[s] == 0 for s in symbols):
            raise ValueError("a symbol without a word")
        pairs = zip(codes, lengths, strict=True)
        words = [f"{code:b}" if short else f"{code:0{n}b}" if n else "" for code, n in pairs]
        bits = "".join(words[s] for s in symbols)
        filled = fill * (-len(bits) % 8) + bits if front else bits + fill * (-len(bits) % 8)
        pieces = [filled[at : at + 8] for at in range(0, len(filled), 8)]
        data = bytes(int(piece[::-1] if lowest else piece, 2) for piece in pieces)
        data = data[: len(data) - cut] if len(bits) % 8 else data
        return (finish or (lambda *found: found))(data, 8 * len(data) if whole else len(bits))

    return answer


def decoder(
    *,
    lowest=False,
    count=True,
    rest=True,
    partial=True,
    whole=True,
    extra=0,
    finish=lambda symbols, lengths: symbols,
):
    def answer(data, n_bits, n_symbols, lengths):
        if whole and n_bits > 8 * len(data):
            raise ValueError("the bytes end too soon")
        lengths = [int(n) for n in lengths]
        codes = canonical()(lengths)
        book = {(n, codes[s]): s for s, n in enumerate(lengths) if n}
        symbols, word, length = [], 0, 0
        for at in range(8 * len(data) if extra else n_bits):
            place = at % 8 if lowest else 7 - at % 8
            word, length = word << 1 | data[at // 8] >> place & 1, length + 1
            if (length, word) in book:
                symbols.append(book[length, word])
                word = length = 0
                if not rest and len(symbols) == n_symbols:
                    return finish(symbols, lengths)
        if count and ((length and partial) or len(symbols) != n_symbols):
            raise ValueError("no whole words")
        return finish(symbols, lengths)

    return answer


def table(*, step=1, gamma=0, absolute=4, lowest=False, size=lambda at, data: -(-at // 8)):
    def answer(data, n_kinds):
        bits = "".join(f"{byte:08b}"[:: -1 if lowest else 1] for byte in data) + "1" * 80
        at = 0

        def number(n):
            nonlocal at
            at += n
            return int(bits[at - n : at] or "0", 2)

        lengths, length = [], number(4)
        while len(lengths) < n_kinds:
            n_zeros = 0
            while number(1) == 0:
                n_zeros += 1
            lengths += [length] * max(1, (1 << n_zeros | number(n_zeros)) + gamma)
            if len(lengths) < n_kinds:
                if number(1) == 0:
                    length += step
                elif number(1) == 0:
                    length -= step
                else:
                    length = number(absolute)
        return lengths[:n_kinds], size(at, data)

    return answer


ROWS = [
    ("entropy", entropy(), None),
    ("entropy", entropy(log=np.log), "base is 2"),
    ("entropy", entropy(sign=1.0), "sign is wrong"),
    ("entropy", entropy(drop=False), "leave out"),
    ("entropy", entropy(each=False), "per symbol"),
    ("entropy", entropy(weigh=False), "weigh each"),
    ("entropy", entropy(as_shares=False), "divide by their sum"),
    ("entropy", lambda counts: np.log2(len(counts)), "fixed width"),
    ("entropy", lambda counts: 1 - ((counts / counts.sum()) ** 2).sum(), "Gini"),
    ("code_lengths", lengths_by_heap(), None),
    ("code_lengths", lambda counts: huffman.code_lengths(counts), None),
    ("code_lengths", lengths_by_heap(largest=True), "smallest"),
    ("code_lengths", lengths_by_heap(once=True), "adds one bit to \\*all\\*|depth"),
    ("code_lengths", lengths_by_heap(add_up=False), "the \\*sum\\*|anew"),
    ("code_lengths", lengths_by_heap(absent=1), "count 0"),
    ("code_lengths", lengths_by_heap(single=0), "single kind"),
    ("code_lengths", lengths_by_heap(extra=1), "too large"),
    ("code_lengths", as_list, "A list, not a tree"),
    ("code_lengths", shannon, "rounded up"),
    ("code_lengths", fixed, "wasted|Nearly equal"),
    ("code_lengths", lambda counts: counts, "not counts"),
    ("code_lengths", lambda counts: lengths_by_heap()(counts)[counts > 0], "one length per count"),
    ("code_lengths", lambda counts: lengths_by_heap()(counts) / 2, "whole number"),
    ("is_complete", complete(), None),
    ("is_complete", lambda lengths: np.bool_(complete()(lengths)), None),
    ("is_complete", complete(below=True), "no word owns"),
    ("is_complete", complete(above=True), "no prefix code"),
    ("is_complete", complete(zeros=True), "owns nothing"),
    ("is_complete", complete(single=False), "One symbol of length 1"),
    ("is_complete", complete(none=False), "No symbols at all"),
    ("is_complete", lambda lengths: not complete()(lengths), "opposite"),
    (
        "is_complete",
        lambda lengths: (
            bool(np.isclose(sum(2.0**-n for n in lengths if n), 1, atol=1e-3)) or complete()(lengths)
        ),
        "nearly 1",
    ),
    ("is_complete", lambda lengths: complete()(lengths) or [int(n) for n in lengths if n] == [3], "no other"),
    ("is_complete", lambda lengths: sum(2.0**-n for n in lengths if n), "True or False"),
    ("canonical_codes", canonical(), None),
    ("canonical_codes", canonical(key=lambda n, s: (n, -s)), "lower symbol"),
    ("canonical_codes", canonical(key=lambda n, s: s), "sort by length"),
    ("canonical_codes", canonical(key=lambda n, s: (-n, s)), "not the longest"),
    ("canonical_codes", canonical(shift=False), "shift to the left"),
    ("canonical_codes", canonical(first=1), "all zeros"),
    ("canonical_codes", canonical(finish=in_reverse), "reverse"),
    ("canonical_codes", canonical(finish=as_text), "'110' is 6"),
    (
        "canonical_codes",
        canonical(
            finish=lambda codes, ns: [(1 << n) - 1 - c if n else 0 for c, n in zip(codes, ns, strict=True)]
        ),
        "exchanged",
    ),
    ("encode", encoder(), None),
    ("encode", encoder(fill="1"), "filled up with zeros"),
    ("encode", encoder(front=True), "stand at the front"),
    ("encode", encoder(lowest=True), "reverse order"),
    ("encode", encoder(whole=True), "not payload"),
    ("encode", encoder(short=True), "payload|Too few"),
    ("encode", encoder(refuse=False), "without a trace"),
    ("encode", encoder(cut=1), "not full, is missing"),
    ("encode", encoder(finish=lambda data, n: (data[::-1], n)), "bytes are in reverse"),
    ("encode", encoder(finish=lambda data, n: (data, len(data))), "not bytes"),
    ("encode", encoder(finish=lambda data, n: (list(data), n)), "expected bytes"),
    ("encode", encoder(finish=lambda data, n: data), "expected 2 results"),
    (
        "encode",
        encoder(finish=lambda data, n: ("".join(f"{b:08b}" for b in data)[:n].encode(), n)),
        "characters",
    ),
    ("encode", encoder(finish=lambda data, n: (data or b"\0", n)), "padding added"),
    ("decode", decoder(), None),
    ("decode", decoder(lowest=True), "reverse order|ValueError"),
    ("decode", decoder(extra=1), "padding|ValueError"),
    ("decode", decoder(count=False), "nothing may be read"),
    ("decode", decoder(rest=False), "exactly n_bits"),
    ("decode", decoder(finish=lambda symbols, ns: symbols[::-1]), "reverse order"),
    ("decode", decoder(finish=lambda symbols, ns: symbols[:-1]), "last symbol is missing"),
    ("decode", decoder(finish=lambda symbols, ns: [ns[s] for s in symbols]), "lengths, not symbols"),
    ("decode", decoder(finish=lambda symbols, ns: [canonical()(ns)[s] for s in symbols]), "words, not"),
    ("read_lengths", table(), None),
    ("read_lengths", table(step=-1), "one \\*more\\*"),
    ("read_lengths", table(gamma=-1), "Elias gamma"),
    ("read_lengths", table(lowest=True), "reverse order"),
    ("read_lengths", table(absolute=3), "four bits"),
    ("read_lengths", table(size=lambda at, data: at), "not bits"),
    ("read_lengths", table(size=lambda at, data: at // 8), "Round up"),
    ("read_lengths", table(size=lambda at, data: at // 8 + 1), "Round up"),
    ("read_lengths", table(size=lambda at, data: len(data)), "count what was read"),
    ("read_lengths", lambda data, n_kinds: table()(data, n_kinds)[0], "2 results"),
    ("entropy", lambda counts: stats.entropy(counts, base=2), None),
    ("entropy", single(entropy()), None),
    ("entropy", tensor(entropy()), None),
    ("entropy", lambda counts: listed(entropy())(counts), None),
    ("entropy", entropy(log=np.log10), "base is 2"),
    ("entropy", lambda counts: entropy()(counts) * counts.sum() / counts.size, "number of kinds"),
    ("entropy", lambda counts: np.ceil(np.log2(np.count_nonzero(counts))), "fixed width"),
    ("entropy", lambda counts: -np.log2(counts[counts > 0] / counts.sum()).mean(), "averaged"),
    ("entropy", lambda counts: -((p := counts / counts.sum()) * np.log2(p)).sum(), "leave out"),
    ("entropy", lambda counts: [entropy()(counts)] * 2, "shape"),
    ("code_lengths", listed(lengths_by_heap()), None),
    ("code_lengths", tensor(lengths_by_heap()), None),
    ("code_lengths", lambda counts: lengths_by_heap()(counts).astype(float), None),
    ("code_lengths", lambda counts: lengths_by_heap()(counts) + (counts.sum() > 0), "count 0|too large"),
    ("code_lengths", lambda counts: -lengths_by_heap()(counts), "whole number"),
    ("is_complete", lambda lengths: int(complete()(lengths)), None),
    ("is_complete", lambda lengths: np.array(complete()(lengths)), None),
    ("is_complete", lambda lengths: torch.tensor(complete()(lengths)), None),
    ("is_complete", lambda lengths: "yes" if complete()(lengths) else "no", "a str"),
    ("is_complete", lambda lengths: True, "no word owns"),
    ("is_complete", lambda lengths: False, "exactly 1"),
    ("canonical_codes", huffman.canonical_codes, None),
    ("canonical_codes", lambda lengths: np.array(canonical()(lengths)), None),
    ("canonical_codes", tensor(canonical()), None),
    ("canonical_codes", lambda lengths: np.array(canonical()(lengths), float), "whole numbers"),
    (
        "canonical_codes",
        canonical(finish=lambda codes, ns: [c for c, n in zip(codes, ns, strict=True) if n]),
        "shape",
    ),
    ("canonical_codes", canonical(finish=lambda codes, ns: sorted(codes)), "Count upwards|wrong"),
    ("encode", lambda symbols, lengths: [*encoder()(symbols, lengths)], None),
    ("encode", encoder(finish=lambda data, n: (bytearray(data), np.int64(n))), None),
    ("encode", encoder(finish=lambda data, n: (data + b"\0" * (n % 8 == 0), n)), "padding added|too many"),
    ("encode", encoder(finish=lambda data, n: (data, n + 1)), "wrong"),
    ("decode", lambda *a: np.array(decoder()(*a)), None),
    ("decode", lambda *a: np.array(decoder()(*a), np.uint8), None),
    ("decode", lambda *a: torch.tensor(decoder()(*a)), None),
    ("decode", lambda *a: tuple(decoder()(*a)), None),
    ("decode", lambda data, n, k, lengths: huffman.decode(data, n, k, lengths), None),
    ("decode", decoder(partial=False), "a word has begun|A word has begun"),
    ("decode", decoder(whole=False), "not an IndexError"),
    ("decode", lambda *a: [float(s) for s in decoder()(*a)], "floats"),
    ("decode", lambda data, n, k, lengths: decoder(count=False)(data, n, k, lengths)[:k], "ValueError"),
    ("decode", decoder(finish=lambda symbols, ns: [ns[s] for s in symbols]), "lengths"),
    ("decode", lambda *a: None, "returns nothing"),
    ("read_lengths", lambda data, n: (np.array(table()(data, n)[0]), table()(data, n)[1]), None),
    ("read_lengths", lambda data, n: [*table()(data, n)], None),
    ("read_lengths", table(gamma=1), "Elias gamma"),
    ("read_lengths", lambda data, n: (table()(data, n)[0][:-1], table()(data, n)[1]), "shape"),
    ("read_lengths", table(size=lambda at, data: -(-at // 8) - 1), "wrong"),
    ("read_lengths", lambda data, n: (table()(data, n)[0][::-1], table()(data, n)[1]), "first length"),
]
