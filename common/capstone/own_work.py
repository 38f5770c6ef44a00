"""A member's own functions of assignments 5, 6 and 7, from which the whole pipeline is built.

An assignment's notebook trains and draws for minutes, but here only its functions are wanted. So it is not
run. The definitions of the functions that `NEEDED` names, and of what these use (imports, helpers,
constants), are taken from its cells and executed, nothing else. Each function is then tried by its
assignment's check. A function that is missing or not right yet is replaced by the course's own, and
`OwnWork.table` says so.

The code that runs is the member's own, in the member's own kernel; for other people's notebooks there is
`common.sandbox`.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import re
import symtable
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from common.base.files import ROOT
from common.base.text import markdown_table
from common.codec import code_lengths, decode, encode
from common.codec.gaps import encode_gaps_with_fillers
from common.codec.huffman import canonical_codes

NEEDED = {
    "week05": ("magnitude", "global_masks", "masked_step", "encode_gaps"),
    "week06": ("decode", "centroid_gradient", "take_step", "fine_tune", "tidy"),
    "week07": ("code_lengths", "canonical_codes", "encode", "decode"),
}
MAX_NOTEBOOK = 16 << 20  # bytes
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class OwnWork:
    """Functions for the pipeline, and who wrote each.

    Attributes
    ----------
    week05, week06, week07 : SimpleNamespace
        The functions of `NEEDED`, each by its name.
    rows : tuple of (week, function, whose, remark)
        One row per function: ``whose`` is "yours" or "the course's", ``remark`` says why.
    """

    week05: SimpleNamespace
    week06: SimpleNamespace
    week07: SimpleNamespace
    rows: tuple[tuple[str, str, str, str], ...]

    @property
    def n_own(self) -> int:
        """How many of the functions are the member's."""
        return sum(whose == "yours" for _, _, whose, _ in self.rows)

    def table(self) -> str:
        """Who wrote each function, as a markdown table."""
        return "\n".join(markdown_table(("assignment", "function", "whose", "remark"), self.rows))


def own_work(name: str | None = None, *, root: Path = ROOT) -> OwnWork:
    """The functions that a member has written.

    Parameters
    ----------
    name : str, optional
        The member, whose notebooks are ``members/<name>/weekNN/assignment.ipynb``. By default the course's
        reference solutions where this edition has them, else the course's own functions.
    root : Path
        The repository's folder.

    Returns
    -------
    OwnWork
        Always complete: every function is either the member's or the course's.

    Raises
    ------
    ValueError
        `name` is not a member's name, or there is no folder ``members/<name>``.
    """
    if name is not None and not (_NAME.fullmatch(name) and (root / "members" / name).is_dir()):
        raise ValueError(
            f"members/{name} is not there: expected a member's name; `dnnc members new` makes it"
        )
    found, rows = {}, []
    for week, names in NEEDED.items():
        definitions, remark = _definitions(name, week, root)
        checks = {
            question.answer: question.check
            for question in importlib.import_module(f"common.checks.{week}").QUESTIONS
        }
        functions = SimpleNamespace()
        for function in names:
            answer, why = _tried(definitions, function, checks[function], remark)
            setattr(functions, function, answer or _COURSE[week][function])
            rows.append((week, function, "yours" if answer else "the course's", why))
        found[week] = functions
    return OwnWork(**found, rows=tuple(rows))


def _definitions(name: str | None, week: str, root: Path) -> tuple[dict[str, ast.stmt], str]:
    """The top-level definitions of a week's work by name, the last of each; or none, and why."""
    if name is None:
        sources = list(root.glob(f"{week}_*/assignment/source.py"))
        if not sources:
            return {}, "no name given"
        return _by_name([sources[0].read_text(encoding="utf-8")]), "the reference solution"
    path = root / "members" / name / week / "assignment.ipynb"
    if path.is_symlink() or not path.is_file():
        return {}, f"{week}/assignment.ipynb is not there: `dnnc members start {name} {int(week[4:])}`"
    if path.stat().st_size > MAX_NOTEBOOK:
        return {}, f"the notebook is larger than {MAX_NOTEBOOK:,} bytes"
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}, "the notebook cannot be read: open it in JupyterLab, and save it"
    return _by_name(texts), ""


def _by_name(texts: list[str]) -> dict[str, ast.stmt]:
    """The definitions in a notebook's cells, by name; a cell that cannot be parsed is skipped."""
    found: dict[str, ast.stmt] = {}
    for text in texts:
        plain = re.sub(r"^\s*[%!].*$", "", text, flags=re.MULTILINE)  # IPython's magics are not Python
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            for node in ast.parse(plain).body:
                for name in _names_of(node):
                    found.pop(name, None)  # so that the name moves to the place of its last definition
                    found[name] = node
    return found


def _names_of(node: ast.stmt) -> list[str]:
    """The names that a statement defines, where it is one that may be taken."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return [node.targets[0].id]
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _tried(
    definitions: Mapping[str, ast.stmt], name: str, check: Callable, remark: str
) -> tuple[Callable | None, str]:
    """The function, when its check finds it right; else None, and why."""
    if name not in definitions:
        return None, remark or "not found in the notebook"
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            function = _executed(definitions, name)
        except Exception as error:
            return None, f"its definition raises {type(error).__name__}"
        verdict = check(function)
    return (function, remark or "right") if verdict.ok else (None, f"not yet: {verdict.message}")


def _executed(definitions: Mapping[str, ast.stmt], name: str) -> object:
    """The function, executed in a module of its own with all that it uses, directly or through others."""
    wanted, waiting = set(), [name]
    while waiting:
        each = waiting.pop()
        if each in definitions and each not in wanted:
            wanted.add(each)
            waiting += sorted(_globals_of(definitions[each]))
    # By identity, since one statement may define several of the names: `import numpy as np, math`.
    body = list({id(definitions[each]): definitions[each] for each in definitions if each in wanted}.values())
    body.sort(key=lambda node: not isinstance(node, ast.Import | ast.ImportFrom))  # imports first
    # Annotations are then never evaluated, so a type that only they name need not be imported.
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, *body], []))
    home = ModuleType(f"own_{name}")
    exec(compile(module, f"<your {name}>", "exec"), home.__dict__)
    return home.__dict__[name]


def _globals_of(node: ast.stmt) -> set[str]:
    """Names that a statement takes from its module, without the local variables of its functions."""
    found: set[str] = set()
    scopes = [symtable.symtable(ast.unparse(node), "<cell>", "exec")]
    while scopes:
        scope = scopes.pop()
        is_module = scope.get_type() == "module"
        scopes += scope.get_children()
        found |= {
            symbol.get_name()
            for symbol in scope.get_symbols()
            if symbol.is_referenced() and (is_module or symbol.is_global())
        }
    return found


# ----------------------------------------------------------------------------------------------------
# The course's own functions, with the types of the assignments: NumPy arrays, and dicts of them by name.


def _global_masks(scores: Mapping[str, np.ndarray], sparsity: float) -> dict[str, np.ndarray]:
    import torch

    from common.pruning import global_masks

    masks = global_masks({name: torch.as_tensor(score) for name, score in scores.items()}, sparsity)
    return {name: mask.numpy() for name, mask in masks.items()}


def _masked_step(weights, gradients, velocity, masks, rate, momentum):
    moved = {name: momentum * velocity[name] + gradients[name] for name in weights}
    return {name: masks[name] * (weights[name] - rate * moved[name]) for name in weights}, moved


def _encode_gaps(positions, n_bits):
    gaps, is_filler = encode_gaps_with_fillers(np.asarray(positions), n_bits)
    return gaps.tolist(), is_filler.tolist()


def _decode_layer(codebook, indices, mask):
    layer = np.zeros(mask.shape, dtype=np.asarray(codebook).dtype)
    layer[mask] = codebook[indices]
    return layer


def _centroid_gradient(grad, indices, n_clusters):
    return np.bincount(np.ravel(indices), np.ravel(grad), minlength=n_clusters)


def _take_step(codebook, indices, grad, rate):
    moved = codebook - rate * _centroid_gradient(grad, indices, codebook.size)
    return moved, moved[indices]


def _fine_tune(codebook, indices, gradient_of, rate, n_steps):
    for _ in range(n_steps):
        codebook, _ = _take_step(codebook, indices, gradient_of(codebook[indices]), rate)
    return codebook


def _tidy(codebook, indices):
    merged, place = np.unique(codebook, return_inverse=True)
    return merged, place.ravel()[indices]


def _encode(symbols, lengths):
    symbols, lengths = np.asarray(symbols), np.asarray(lengths, dtype=np.uint8)
    if symbols.size and not 0 <= symbols.min() <= symbols.max() < lengths.size:
        raise ValueError(
            f"symbols: got {symbols.min()} to {symbols.max()}, expected 0 to {lengths.size - 1}: "
            "no other symbol has a code word"
        )
    return encode(symbols.astype(np.uint16), lengths)


_COURSE: Mapping[str, Mapping[str, Callable]] = {
    "week05": {
        "magnitude": lambda weights: {name: np.abs(weight) for name, weight in weights.items()},
        "global_masks": _global_masks,
        "masked_step": _masked_step,
        "encode_gaps": _encode_gaps,
    },
    "week06": {
        "decode": _decode_layer,
        "centroid_gradient": _centroid_gradient,
        "take_step": _take_step,
        "fine_tune": _fine_tune,
        "tidy": _tidy,
    },
    "week07": {
        "code_lengths": lambda counts: code_lengths(np.asarray(counts)),
        "canonical_codes": lambda lengths: canonical_codes(np.asarray(lengths)).tolist(),
        "encode": _encode,
        "decode": lambda data, n_bits, n_symbols, lengths: decode(
            data, n_bits, n_symbols, np.asarray(lengths, dtype=np.uint8)
        ).tolist(),
    },
}
