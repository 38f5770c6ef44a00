"""Week 7, first half: entropy, Huffman's lengths, complete codes, canonical words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common import huffman
from common.checks.calling import call
from common.checks.comparing import as_array, expect
from common.checks.pictures import side_by_side
from common.checks.verdict import NotYet, check


@check(1, "entropy")
def check_entropy(answer: Callable) -> str:
    """Bits a symbol, from counts; a count of 0 adds nothing."""
    counts = np.array([8, 1, 0, 4, 3])
    got = call(answer, counts, told="five counts, one of them 0")
    p = counts[counts > 0] / counts.sum()
    wanted = -(p * np.log2(p)).sum()
    if np.isnan(as_array(got, "The entropy").astype(float)).any():
        raise NotYet(
            "The entropy is nan.", hint="0 · log 0 is nan in NumPy: leave out the kinds of count 0.",
            picture=side_by_side({"counts": counts}),
        )  # fmt: skip
    suspects = [
        ("The base is 2, not e or 10.", wanted * np.log(2), wanted * np.log10(2)),
        ("That is all symbols together: an entropy is per symbol.", wanted * counts.sum()),
        ("The sign is wrong: a logarithm of a share is negative, the surprise is not.", -wanted),
        ("The surprises are averaged over the kinds: weigh each by its share.", -np.log2(p).mean()),
        ("The surprises are added up: weigh each by its share.", -np.log2(p).sum()),
        ("That is the bits of a fixed width: no count has been looked at.",
         np.log2(5), np.log2(4), 2, 3),
        ("Counts are no shares yet: divide by their sum first.",
         -(counts[counts > 0] * np.log2(counts[counts > 0])).sum(),
         (counts[counts > 0] * np.log2(counts[counts > 0])).sum()),
        ("That is the Gini index of week 2.", 1 - (p**2).sum()),
    ]  # fmt: skip
    expect(got, wanted, suspects=suspects, what="The entropy", shown={"counts": counts})
    got = call(answer, np.array([0, 7]), told="one kind only")
    expect(got, 0.0, what="The entropy of one kind", unknown="A symbol that is certain does not surprise.")
    return "Bits a symbol, with absent kinds, and of a single kind."


_COUNTS = (
    np.array([40, 22, 16, 12, 7, 3]),
    np.array([5, 1, 0, 2]),
    np.array([3, 3, 3, 3, 3]),
    np.array([1, 1, 2, 3, 5, 8, 13, 21]),
    np.array([2, 9, 0, 4, 4, 30, 1, 1, 0]),
    np.random.default_rng(1).integers(1, 500, 40),
)


@check(2, "code_lengths")
def check_code_lengths(answer: Callable) -> str:
    """Lengths of an optimal prefix code: any tie may be broken in any way."""
    for counts in _COUNTS:
        told = f"counts {counts.tolist()}" if counts.size < 10 else f"{counts.size} counts"
        lengths = as_array(call(answer, counts, told=told), "The list of lengths")
        picture = side_by_side({"counts": counts, "yours": lengths})
        if lengths.shape != counts.shape:
            raise NotYet(
                f"It has shape {lengths.shape}, expected one length a count: {counts.shape}.", picture=picture
            )
        if not np.array_equal(lengths, np.rint(lengths)) or (lengths < 0).any():
            raise NotYet("A length is no whole number of bits.", picture=picture)
        _check_optimal(counts, lengths.astype(np.int64), picture)
    for counts, hint in (
        ([0, 6, 0], "A single kind still spends a bit a symbol: length 1."),
        ([0, 0], "Without symbols there is no tree, and every length is 0."),
    ):
        lengths = call(answer, np.array(counts), told=f"counts {counts}")
        wanted = [int(count > 0) for count in counts]
        expect(lengths, wanted, what=f"The answer for counts {counts}", unknown=hint)
    return "Optimal lengths, ties, absent symbols, a single symbol, and none."


def _check_optimal(counts: np.ndarray, lengths: np.ndarray, picture: str) -> None:
    """Raise `NotYet` with what is wrong with these lengths."""
    used = counts > 0
    if lengths[~used].any():
        raise NotYet(
            "A symbol of count 0 has a length.", hint="Absent symbols get no leaf: length 0.", picture=picture
        )
    if (lengths[used] == 0).any():
        raise NotYet(
            "A symbol that occurs has length 0.", hint="Each leaf's length is its depth: is a leaf lost?",
            picture=picture,
        )  # fmt: skip
    if np.array_equal(lengths[used], counts[used]):
        raise NotYet("Those are the counts.", hint="Bits are asked for, not counts.", picture=picture)
    kraft = (2.0 ** -lengths[used].astype(float)).sum()
    shannon = np.ceil(-np.log2(counts[used] / counts.sum())).astype(int)
    if np.array_equal(lengths[used], shannon) and kraft < 1:
        raise NotYet(
            "The lengths are longer than need be.", picture=picture,
            hint="That is the surprise rounded up, as Shannon did: Huffman joins the two rarest.",
        )  # fmt: skip
    if abs(kraft - 1) > 1e-9:
        hint = (
            "No prefix code has such lengths: every join adds one bit to *all* symbols below it."
            if kraft > 1
            else "Bits are wasted: is every length one too large, or a join made of one node?"
        )
        raise NotYet(f"The Kraft sum is {kraft:.4g}, expected exactly 1.", hint=hint, picture=picture)
    best = counts @ huffman.code_lengths(counts).astype(np.int64)
    if counts @ lengths == best:
        return
    order = np.argsort(-counts[used], kind="stable")
    falling = lengths[used][order]
    more, longer = (np.subtract.outer(part, part) > 0 for part in (counts[used], lengths[used]))
    if (more & longer).any() and not (more & longer.T).any():
        hint = "Frequent symbols have the long words: join the two *smallest* counts, not the largest."
    elif np.array_equal(np.sort(falling), [*range(1, falling.size), falling.size - 1]):
        hint = "A list, not a tree: a joined node has the *sum* of both counts, and goes back among all."
    elif falling.max() - falling.min() <= 1:
        hint = "Nearly equal lengths: are the counts of joined nodes added up, and put back among the others?"
    else:
        hint = "A prefix code, but not the shortest: after each join look for the two smallest anew."
    raise NotYet(f"The symbols take {counts @ lengths} bits, more than need be.", hint=hint, picture=picture)


_COMPLETE = (
    ([1, 2, 2], True, "½ + ¼ + ¼ is exactly 1."),
    ([2, 2, 2], False, "A Kraft sum below 1 leaves bit patterns that no word owns: not complete."),
    ([1, 1, 1], False, "A Kraft sum above 1: no prefix code has these lengths."),
    ([1, 0, 2, 2], True, "Length 0 means that the symbol does not occur: it owns nothing, and 2⁻⁰ is 1."),
    ([0, 1, 0], True, "One symbol of length 1 is allowed, although half of the interval is empty."),
    ([0, 3, 0], False, "A single symbol has length 1, no other."),
    ([2, 0], False, "A single symbol has length 1, no other."),
    ([0, 0, 0], True, "No symbols at all need no words: that is allowed."),
    ([*range(1, 15), 15, 15], True, "Long words count, too: 2⁻¹⁵ and 2⁻¹⁵ make 2⁻¹⁴."),
    ([*range(1, 15), 15], False, "The sum lacks 2⁻¹⁵: nearly 1 is not 1. Calculate in whole numbers."),
)


@check(3, "is_complete")
def check_is_complete(answer: Callable) -> str:
    """Whether lengths are a code that the file format takes."""
    wrong = []
    for lengths, wanted, hint in _COMPLETE:
        got = call(answer, np.array(lengths), told=f"lengths {lengths}")
        if not isinstance(got, bool | np.bool_):
            raise NotYet(f"It returns a {type(got).__name__}, expected True or False.")
        if bool(got) != wanted:
            wrong.append((lengths, got, hint))
    if len(wrong) == len(_COMPLETE):
        raise NotYet("Every answer is the opposite.", hint="True means that the lengths are a code.")
    if wrong:
        lengths, got, hint = wrong[0]
        raise NotYet(f"It says {got} for the lengths {lengths}.", hint=hint)
    return "Complete and incomplete codes, absent symbols, a single one, and none."


def _words(lengths: np.ndarray, *, key=lambda length, symbol: (length, symbol), shift=True, first=0):
    """Canonical codes with a switch for what goes wrong."""
    codes, word, before = [0] * len(lengths), first, 0
    used = [(length, symbol) for symbol, length in enumerate(lengths) if length]
    for length, symbol in sorted(used, key=lambda pair: key(*pair)):
        if shift:
            word = word << (length - before) if length >= before else word >> (before - length)
        codes[symbol], before = word, length
        word += 1
    return codes


@check(4, "canonical_codes")
def check_canonical_codes(answer: Callable) -> str:
    """The word of each symbol as a number: shorter first, of equals the lower symbol, counting."""
    for lengths in ([2, 0, 3, 1, 3], [3, 3, 2, 2, 2], [4, 4, 3, 1, 2], [0, 1, 0], [0, 0]):
        got = call(answer, np.array(lengths), told=f"lengths {lengths}")
        if isinstance(got, list | tuple) and any(isinstance(code, str) for code in got):
            raise NotYet("It returns words as text.", hint="Numbers are asked for: '110' is 6.")
        wanted = huffman.canonical_codes(lengths)
        reverse = [int(f"{code:0{n}b}"[::-1], 2) if n else 0 for code, n in zip(wanted, lengths, strict=True)]
        ones = [(1 << n) - 1 - int(code) if n else 0 for code, n in zip(wanted, lengths, strict=True)]
        suspects = [
            ("Of equally long words the lower symbol comes first.",
             _words(lengths, key=lambda length, symbol: (length, -symbol))),
            ("Shorter words come first: sort by length, then by symbol.",
             _words(lengths, key=lambda length, symbol: symbol)),
            ("The shortest words come first, not the longest.",
             _words(lengths, key=lambda length, symbol: (-length, symbol))),
            ("When words get longer, zeros are appended: shift to the left by the difference.",
             _words(lengths, shift=False)),
            ("The first word is all zeros.", _words(lengths, first=1)),
            ("The words' bits are in reverse order: the first bit of a word is the highest of its number.",
             reverse),
            ("Zeros and ones are exchanged.", ones),
        ]  # fmt: skip
        expect(
            got, wanted, suspects=suspects, what="The list of codes", shown={"lengths": np.array(lengths)},
            unknown="Count upwards; where the length grows, shift to the left. Absent symbols get 0.",
        )  # fmt: skip
    lengths = huffman.code_lengths(_COUNTS[-1])
    got = call(answer, lengths.astype(np.int64), told="40 lengths")
    expect(got, huffman.canonical_codes(lengths), what="The list of 40 codes")
    return "Words of one and of several lengths, absent symbols, a single one, and 40."
