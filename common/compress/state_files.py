"""Networks of any architecture: a file of named tensors in, a `.dcz` file out, and back again.

Names and shapes are all that is needed to prune, share and code weights. Tensors with two or more axes longer
than 1 are pruned and share values; the others (biases, norms, tables of integers) are stored dense. The dtype
of each tensor, and which names stand for the same tensor (tied weights), are written into the metadata::

    {"state": {"float": "float32",                      the dtype of floating-point tensors, but for
               "dtypes": {"head.weight": "bfloat16"},   these
               "aliases": {"lm_head.weight": "wte.weight"}}}

bfloat16 and the 8-bit floats, for which the container has no dtype, are stored bit for bit as unsigned
integers where they stay dense.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import mmap
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from common.base.numbers import check_finite
from common.codec import container
from common.codec.byte_io import ByteReader, ContainerError
from common.codec.container import MAX_DENSE_BYTES, CompressedModel, load_tensor, read_layout
from common.codec.records import kind_and_shape
from common.codec.tensors import DenseTensor, SharedTensor
from common.compress.file_kinds import sniff
from common.pruning.masks import check_sparsity, global_masks
from common.pruning.network import SCORES, one_shot_scores
from common.sharing.weight_sharing import share_weights

PREFIXES = ("module.", "_orig_mod.")  # DataParallel's and torch.compile's
COUNTER = "num_batches_tracked"
RESERVED = "__metadata__"  # in a safetensors file's header, beside the tensors' names
_FLOATS = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_AS_BITS = {"bfloat16": np.uint16, "float8_e4m3fn": np.uint8, "float8_e5m2": np.uint8}
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights", "params", "ema")

# ----------------------------------------------------------------------------------------------------
# The state in a file: named tensors, cleaned of what training and pruning tools leave in them.


@dataclass(frozen=True)
class State:
    """A network's tensors.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Without batch norm's counters (`num_batches_tracked`), and each tied tensor once.
    aliases : dict of str to str
        Further names of tied tensors, and the name under which each is stored.
    notes : tuple of str
        What was changed on the way, a line each.
    """

    tensors: dict[str, Tensor]
    aliases: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def full(self) -> dict[str, Tensor]:
        """Return the tensors under all names, tied ones included."""
        return self.tensors | {name: self.tensors[stored] for name, stored in self.aliases.items()}


def read_state(path: str | Path, *, max_dense_bytes: int = MAX_DENSE_BYTES) -> State:
    """Read the named tensors of a `.safetensors`, a `torch.save`d state dict, or a `.dcz` file.

    No code in a file is ever run: pickled modules are refused. `max_dense_bytes` limits the memory that the
    tensors of a `.dcz` may take (`container.load`).

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it is of another kind, damaged or empty, or a tensor cannot be a weight; the message says what to
        do.
    """
    kind = sniff(path)
    aliases: dict[str, str] = {}
    notes: list[str] = []
    if kind == "dcz":
        content = container.load_file(path, max_dense_bytes=max_dense_bytes)
        aliases = _about(content.metadata, set(_stored_names(list(content.tensors), content.metadata)))[1]
        tensors = {name: tensor for name, tensor in restore(content).items() if name not in aliases}
    elif kind == "torch":
        tensors = _read_torch(Path(path), notes)
    else:
        tensors, aliases = _read_safetensors(Path(path))
    try:
        limit = max_dense_bytes if kind == "dcz" else MAX_DENSE_BYTES
        return _clean(tensors, aliases, notes, strips=kind != "dcz", max_dense_bytes=limit)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def state_of(model: torch.nn.Module) -> State:
    """Return the state of a module, as `read_state` would return it from a file."""
    return _clean(dict(model.state_dict()), {}, [], strips=False)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError, OSError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from error
    # safetensors' save_model writes each tied tensor once, and its other names into the metadata.
    aliases = {name: kept for name, kept in told.items() if kept in tensors and name not in tensors}
    return tensors, aliases


def _read_torch(path: Path, notes: list[str]) -> dict[str, Tensor]:
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        _check_archive(path)
    convert = (
        f"where you trust it, convert it in Python: model = torch.load({path.name!r}, weights_only=False); "
        "torch.save(model.state_dict(), 'weights.pt')"
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises a dozen kinds for a damaged or hostile file
        said = str(error)
        if "TorchScript" in said or "torch.jit" in said:
            raise ValueError(
                f"{path} is a TorchScript archive: torch.save(torch.jit.load({path.name!r}).state_dict(), "
                "'weights.pt') makes a state dict of it"
            ) from error
        if any(word in said for word in ("Unsupported", "GLOBAL", "weights_only", "Weights only")):
            raise ValueError(
                f"{path} holds a pickled object that would run code when read: {convert}"
            ) from error
        first = (said.strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is not a file of torch.save, or is damaged: {first[:200]}") from error
    return _tensors_of(content, path, notes)


def _check_archive(path: Path) -> None:
    """Refuse an archive of another kind, and a zip bomb: torch stores without compression."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile, too, raises many kinds
        raise ValueError(f"{path} is a damaged archive: {error}; copy or download it again") from error
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        raise ValueError(
            f"{path} is an archive, but not one of torch.save: expected a state dict or .safetensors"
        )
    if sum(entry.file_size for entry in entries) > 2 * path.stat().st_size + (1 << 20):
        raise ValueError(f"{path} is an archive that swells when it is read: refused")


def _tensors_of(content: object, path: Path, notes: list[str]) -> dict[str, Tensor]:
    """Return the state dict in what torch.load returned: all of it, or an entry of a checkpoint."""
    if isinstance(content, Mapping) and _is_state(content):
        return dict(content)
    if isinstance(content, Mapping):
        found = [key for key, value in content.items() if isinstance(value, Mapping) and _is_state(value)]
        named = [key for key in _NESTED if key in found]
        if named or len(found) == 1:
            chosen = (named or found)[0]
            notes.append(f"a checkpoint: its entry {chosen!r} was taken")
            return dict(content[chosen])
        if found:
            raise ValueError(
                f"{path} holds several state dicts ({', '.join(map(str, found))}): save one alone"
            )
    raise ValueError(
        f"{path} holds no state dict but a {type(content).__name__}: write one with "
        "torch.save(model.state_dict(), 'weights.pt')"
    )


def _is_state(value: Mapping) -> bool:
    return bool(value) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _clean(
    tensors: dict[str, Tensor],
    aliases: dict[str, str],
    notes: list[str],
    *,
    strips: bool = True,
    max_dense_bytes: int = MAX_DENSE_BYTES,
) -> State:
    """Check the tensors; drop counters, strip prefixes, multiply masks in, keep tied tensors once."""
    for name, tensor in tensors.items():
        _check_kind(name, tensor)
    n_weights = sum(tensor.numel() for tensor in tensors.values())
    if 4 * n_weights > max_dense_bytes:
        raise ValueError(f"{n_weights:,} weights: expected at most {max_dense_bytes // 4:,} in one file")
    while (
        strips
        and tensors
        and (prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in tensors)), None))
    ):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        aliases = {a.removeprefix(prefix): s.removeprefix(prefix) for a, s in aliases.items()}
        notes.append(f"the prefix {prefix!r} of all names was stripped")
    counters = [n for n, tensor in tensors.items() if n.split(".")[-1] == COUNTER and tensor.ndim == 0]
    tensors = {name: tensor for name, tensor in tensors.items() if name not in counters}
    tensors = _masked(tensors, notes) if strips else tensors
    if RESERVED in tensors or RESERVED in aliases:
        raise ValueError(f"tensor {RESERVED}: safetensors keeps this name for itself: rename the tensor")
    if not tensors:
        raise ValueError("it holds no tensor: expected a network's weights")
    for name, tensor in tensors.items():
        is_weight = "weight" in name.split(".")[-1] or name.split(".")[-1] == "bias"
        if is_weight and not tensor.is_floating_point():
            raise ValueError(
                f"tensor {name} holds {_dtype_name(tensor)} numbers, which are weights only with a scale: "
                "dequantize it, and save it as floats"
            )
    stored, tied = _untied(tensors)
    if tied:
        notes.append(f"{len(tied)} tied tensors are stored once")
    known = {alias: tied.get(name, name) for alias, name in aliases.items() if alias not in tensors}
    gone = [alias for alias, name in known.items() if name not in stored]  # a counter's, a mask's
    return State(stored, {a: s for a, s in known.items() if a not in gone} | tied, tuple(notes))


def _check_kind(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized:
        how = "dequantize() it" if tensor.is_quantized else "make it dense with to_dense()"
        raise ValueError(f"tensor {name} is {'quantized' if tensor.is_quantized else 'sparse'}: {how} first")
    if tensor.is_meta:
        raise ValueError(f"tensor {name} has no values: it is on torch's meta device")
    dtype = _dtype_name(tensor)
    if tensor.is_floating_point() and dtype not in _FLOATS:
        raise ValueError(f"tensor {name} is {dtype}: expected one of {', '.join(_FLOATS)}")
    if tensor.is_complex():
        raise ValueError(f"tensor {name} is {dtype}: expected real numbers")


def _masked(tensors: dict[str, Tensor], notes: list[str]) -> dict[str, Tensor]:
    """Return the tensors with weight_orig and weight_mask, which torch.nn.utils.prune leaves, multiplied."""
    pairs = {
        name: name.removesuffix("_orig")
        for name, tensor in tensors.items()
        if name.endswith("_orig") and getattr(tensors.get(f"{name[:-5]}_mask"), "shape", None) == tensor.shape
    }
    if not pairs:
        return tensors
    notes.append(f"{len(pairs)} masks of torch.nn.utils.prune were multiplied in")
    masks = {f"{plain}_mask" for plain in pairs.values()}
    return {
        pairs.get(name, name): tensor * tensors[f"{pairs[name]}_mask"].to(tensor.dtype)
        if name in pairs
        else tensor
        for name, tensor in tensors.items()
        if name not in masks
    }


def _untied(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return each tensor of two or more axes once, and the names of its copies.

    Copies are found by content: a file need not say which tensors shared their memory.
    """
    stored: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    seen: dict[tuple, str] = {}
    for name, tensor in tensors.items():
        if _is_matrix(tensor):
            key = (tuple(tensor.shape), tensor.dtype, hashlib.sha256(_bits(tensor)).digest())
            if key in seen:
                tied[name] = seen[key]
                continue
            seen[key] = name
        stored[name] = tensor
    return stored, tied


def _bits(tensor: Tensor) -> np.ndarray:
    """Return the tensor as an array; bfloat16 and 8-bit floats, which NumPy lacks, as integers."""
    tensor = tensor.detach().cpu().contiguous()
    name = _dtype_name(tensor)
    if name in _AS_BITS:
        as_integers = torch.int16 if name == "bfloat16" else torch.uint8
        return tensor.view(as_integers).numpy().view(_AS_BITS[name])
    return tensor.numpy()


def _dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_matrix(tensor: Tensor) -> bool:
    """Return whether two or more axes are longer than 1: (1, 1, 768) is a vector, shaped for broadcasting."""
    return sum(size > 1 for size in tensor.shape) >= 2


# ----------------------------------------------------------------------------------------------------
# From a state to a container.


@dataclass(frozen=True)
class StateConfig:
    """How a state is compressed.

    Attributes
    ----------
    sparsity : float in [0, 1)
        Over all tensors that are pruned and have no sparsity of their own.
    sparsities : tuple of (glob, float)
        Sparsities of tensors by name, each over all tensors that its pattern matches; the first pattern that
        matches a name counts.
    keep : tuple of glob
        Names of tensors that stay as they are, bit for bit.
    criterion : {"magnitude", "normalized", "lamp"}
        Which weights are pruned (`pruning.masks`).
    conv_clusters, linear_clusters : int
        Shared values of a tensor with three or more axes, and with two.

    Raises
    ------
    ValueError
        When a sparsity is outside [0, 1), or the criterion is unknown.
    """

    sparsity: float = 0.9
    sparsities: tuple[tuple[str, float], ...] = ()
    keep: tuple[str, ...] = ()
    criterion: str = "magnitude"
    conv_clusters: int = 256
    linear_clusters: int = 32

    def __post_init__(self):
        for sparsity in (self.sparsity, *(value for _, value in self.sparsities)):
            if not 0 <= sparsity < 1:
                raise ValueError(f"sparsity={sparsity}: expected a fraction in [0, 1)")
        if self.criterion not in SCORES:
            raise ValueError(f"criterion={self.criterion!r}: expected one of {', '.join(SCORES)}")

    def clusters(self, shape: Sequence[int]) -> int:
        """Return the number of shared values of a tensor of this shape."""
        return self.conv_clusters if len(shape) > 2 else self.linear_clusters


@dataclass(frozen=True)
class Treatment:
    """What is done with one tensor.

    `reason` says why it stays dense, and is empty where it is pruned and shares values; `group` is the glob
    whose sparsity it has, or None for the common one.
    """

    name: str
    reason: str = ""
    group: str | None = None


def treatments(
    tensors: Mapping[str, Tensor], config: StateConfig, *, aliases: Mapping[str, str] | None = None
) -> dict[str, Treatment]:
    """Decide for each tensor whether it is pruned and shared, or stays dense, and why.

    Raises
    ------
    ValueError
        When a glob matches no name.
    """
    others: dict[str, list[str]] = {}
    for alias, name in (aliases or {}).items():
        others.setdefault(name, []).append(alias)
    names = [*tensors, *(aliases or {})]
    for pattern in (*config.keep, *(pattern for pattern, _ in config.sparsities)):
        if not fnmatch.filter(names, pattern):
            shown = ", ".join(names[:3])
            raise ValueError(
                f"{pattern!r} fits no tensor's name: they begin with {shown}; see `dnnc inspect`"
            )

    def fits(pattern: str, name: str) -> bool:
        return any(fnmatch.fnmatchcase(known, pattern) for known in (name, *others.get(name, ())))

    chosen = {}
    for name, tensor in tensors.items():
        kept = next((pattern for pattern in config.keep if fits(pattern, name)), None)
        if kept is not None:
            reason = f"kept by {kept!r}"
        elif not tensor.is_floating_point():
            reason = f"{_dtype_name(tensor)} numbers"
        elif not _is_matrix(tensor):
            reason = "one axis" if tensor.numel() else "empty"
        elif _is_additive_mask(tensor):
            reason = "a mask of 0 and infinity"
        else:
            reason = ""
        group = next((pattern for pattern, _ in config.sparsities if fits(pattern, name)), None)
        chosen[name] = Treatment(name, reason, group)
    return chosen


def _is_additive_mask(tensor: Tensor) -> bool:
    """Return whether it is an attention mask: minus infinity where attention may not look, 0 elsewhere.

    Infinite weights of a diverged layer are told apart by the other values, which are not 0.
    """
    values = tensor.detach()
    values = values if values.dtype == torch.float64 else values.float()  # 1e300 is finite
    hidden, shown = torch.isneginf(values), values == 0
    return bool(hidden.any()) and bool(shown.any()) and bool((hidden | shown).all())


@dataclass(frozen=True)
class CompressedState:
    """What `compress_state` made: the container's content, what was done with each tensor, and notes."""

    model: CompressedModel
    treatments: dict[str, Treatment]
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return in one line how many tensors are pruned and shared, and why the others stayed dense."""
        dense = Counter(one.reason for one in self.treatments.values() if one.reason)
        n_shared = len(self.treatments) - sum(dense.values())
        reasons = ", ".join(
            f"{n} of {reason}" if reason == "one axis" else f"{n} {reason}" for reason, n in dense.items()
        )
        told = f"; dense: {reasons}" if dense else ""
        return f"{len(self.treatments)} tensors, {n_shared} pruned and shared{told}"


def prune_state(
    tensors: Mapping[str, Tensor], config: StateConfig, chosen: Mapping[str, Treatment]
) -> dict[str, Tensor]:
    """Return the masks of the tensors that are pruned; those of a group are ranked together.

    Raises
    ------
    ValueError
        When a weight is not finite, or the criterion needs gradients.
    """
    masks: dict[str, Tensor] = {}
    sparsities: dict[str | None, float] = {None: config.sparsity} | dict(reversed(config.sparsities))
    for group, sparsity in sparsities.items():
        names = [name for name, one in chosen.items() if not one.reason and one.group == group]
        weights = {}
        for name in names:
            check_sparsity(sparsity)
            weights[name] = tensors[name].detach().float()
            check_finite(weights[name].cpu().numpy(), name)
        if names and sparsity:
            masks |= global_masks(one_shot_scores(config.criterion)(weights), sparsity)
    return masks


def compress_state(state: State, config: StateConfig | None = None) -> CompressedState:
    """Prune and share a state, one-shot, and return the content of its file.

    Raises
    ------
    ValueError
        When a glob matches no name, or a weight is not finite; the message names the tensor.
    """
    config = config or StateConfig()
    chosen = treatments(state.tensors, config, aliases=state.aliases)
    masks = prune_state(state.tensors, config, chosen)
    shared = {
        name: share_tensor(state.tensors[name], masks.get(name), config, name)
        for name, one in chosen.items()
        if not one.reason
    }
    return pack_state(state, shared, chosen)


def share_tensor(weight: Tensor, mask: Tensor | None, config: StateConfig, name: str) -> SharedTensor:
    """Cluster one tensor's kept weights; the codebook is float16 where its values fit, or else float32."""
    values = weight.detach().cpu().float().numpy()
    check_finite(values, name)
    tensor = share_weights(
        values,
        None if mask is None else mask.cpu().numpy(),
        n_clusters=config.clusters(values.shape),
        name=name,
    )
    if _fits_half(tensor.codebook):
        codebook, back = np.unique(tensor.codebook.astype(np.float16), return_inverse=True)
        indices = back[tensor.indices].astype(np.uint8 if codebook.size <= 256 else np.uint16)
        return SharedTensor(tensor.shape, codebook, tensor.positions, indices)
    return tensor


def pack_state(
    state: State, shared: Mapping[str, SharedTensor], chosen: Mapping[str, Treatment]
) -> CompressedState:
    """Return the file's content: shared and dense tensors, and metadata that restores names and dtypes."""
    tensors: dict[str, DenseTensor | SharedTensor] = {}
    notes = []
    for name, tensor in state.tensors.items():
        if name in shared:
            tensors[name] = shared[name]
            if shared[name].codebook.dtype == np.float32:
                notes.append(f"{name} keeps float32 values: some are outside float16's range")
            if not shared[name].n_kept and shared[name].n_weights:
                notes.append(f"{name} is pruned empty")
        else:
            tensors[name] = DenseTensor(_dense(tensor, name, exact=chosen[name].reason.startswith("kept")))
    dtypes = {
        name: _dtype_name(tensor) for name, tensor in state.tensors.items() if tensor.is_floating_point()
    }
    usual = Counter(dtypes.values()).most_common(1)[0][0] if dtypes else "float32"
    about: dict[str, object] = {"float": usual}
    # Where floats are stored as integers of their bits, real integers of that dtype have to be marked.
    as_bits = np.dtype(_AS_BITS[usual]).name if usual in _AS_BITS else None
    dtypes |= {name: as_bits for name, tensor in state.tensors.items() if _dtype_name(tensor) == as_bits}
    if others := {name: dtype for name, dtype in dtypes.items() if dtype != usual}:
        about["dtypes"] = others
    if state.aliases:
        about["aliases"] = dict(state.aliases)
    return CompressedState(CompressedModel(tensors, {"state": about}), dict(chosen), (*state.notes, *notes))


def _dense(tensor: Tensor, name: str, *, exact: bool) -> np.ndarray:
    """Return what is stored of a dense tensor: its values, in the narrowest dtype that fits or `exact`."""
    values = _bits(tensor)
    if not tensor.is_floating_point():
        return values
    if not exact and not (_is_matrix(tensor) and _is_additive_mask(tensor)):
        check_finite(tensor.detach().cpu().float().numpy(), name)
    if exact or values.dtype not in (np.float32, np.float64):
        return values
    for dtype in (np.float16, np.float32):
        if values.dtype != dtype and _fits(values, dtype):
            return values.astype(dtype)
    return values


def _fits_half(values: np.ndarray) -> bool:
    return _fits(values, np.float16)


def _fits(values: np.ndarray, dtype: type) -> bool:
    """Return whether rounding changes no value by more than 2 ** -11 of it, float16's own precision.

    Values that are too small or too large for the dtype do not fit; infinities do.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = values.astype(dtype).astype(np.float64)
        exact = values.astype(np.float64)
        is_near = np.abs(rounded - exact) <= 2.0**-11 * np.abs(exact)
    return bool((is_near | (rounded == exact)).all())


# ----------------------------------------------------------------------------------------------------
# And back: the whole state, or one tensor of a file.


def is_state(metadata: Mapping[str, object]) -> bool:
    """Return whether the metadata is that of a container made by this module."""
    return isinstance(metadata.get("state"), Mapping)


def restore(compressed: CompressedModel) -> dict[str, Tensor]:
    """Return the state dict of a container: names, shapes and dtypes as they were; tied names share a tensor.

    A container of one of the course's networks gives float32 tensors under its architecture's names.

    Raises
    ------
    ValueError
        When the metadata does not fit the tensors.
    """
    names = _stored_names(list(compressed.tensors), compressed.metadata)
    dtypes, aliases = _about(compressed.metadata, set(names))
    state = {
        name: _tensor(tensor, dtypes.get(name, dtypes[""]), name)
        for name, tensor in zip(names, compressed.tensors.values(), strict=True)
    }
    return state | {alias: state[name] for alias, name in aliases.items()}


def _stored_names(names: list[str], metadata: Mapping[str, object]) -> list[str]:
    """Return the tensors' names; those of the architecture where the file has numbers only."""
    if "architecture" in metadata and names == [str(number) for number in range(len(names))]:
        from common.networks.shapes import names_of

        known = names_of(metadata)
        if len(known) == len(names):
            return known
    return names


def _about(metadata: Mapping[str, object], names: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return dtypes by name ("" for the usual one) and aliases, checked: the file may come from anyone."""
    about = metadata.get("state", {"float": "float32"})
    problem = None
    if not isinstance(about, Mapping):
        problem = "state is not an object"
        about = {}
    dtypes, aliases = about.get("dtypes", {}), about.get("aliases", {})
    usual = about.get("float", "float32")
    if not isinstance(dtypes, Mapping) or not isinstance(aliases, Mapping):
        problem = "dtypes or aliases are not objects"
    elif not all(
        isinstance(d, str) and d in (*_FLOATS, "uint8", "uint16") for d in (usual, *dtypes.values())
    ):
        problem = "an unknown dtype"
    elif not all(isinstance(s, str) and s in names and a not in names for a, s in aliases.items()):
        problem = "an alias of no tensor, or of the name of another"
    elif not set(dtypes) <= names:
        problem = "a dtype of no tensor"
    if problem:
        raise ContainerError(f"metadata: got {problem}, expected what `dnnc compress` writes")
    return {"": usual, **dtypes}, dict(aliases)


def _tensor(tensor: DenseTensor | SharedTensor, dtype: str, name: str) -> Tensor:
    """Return a stored tensor in the dtype it had."""
    if isinstance(tensor, DenseTensor):
        values = np.array(tensor.values)  # a copy that torch may write to
        if dtype in _AS_BITS and values.dtype == _AS_BITS[dtype]:
            as_integers = torch.from_numpy(values.view(np.int16) if values.dtype == np.uint16 else values)
            return as_integers.view(getattr(torch, dtype))
        if values.dtype.kind != "f":
            return torch.from_numpy(values)
        return torch.from_numpy(values).to(getattr(torch, dtype))
    return torch.from_numpy(tensor.to_dense()).to(getattr(torch, dtype))


@dataclass(frozen=True)
class TensorInfo:
    """What is known of a tensor before it is decoded.

    `n_bytes` is the size of its record in the file, 0 for an alias; `alias_of` is the name that it is stored
    under, if that is another.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int
    alias_of: str | None = None

    @property
    def n_weights(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=object))


class CompressedFile(Mapping):
    """A `.dcz` file as a mapping of names to arrays, each decoded when it is accessed.

    At first only the file's header is read, later only the tensors that are accessed: neither the file nor
    the network has to fit into memory. bfloat16 and 8-bit floats are returned as float32, which holds them
    exactly. `info` maps names to `TensorInfo`.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it is not a `.dcz` file, or its header is damaged; accessing a damaged tensor raises, too.

    Examples
    --------
    >>> with open_file("resnet18.dcz") as file:            # doctest: +SKIP
    ...     print(file.info["fc.weight"])
    ...     weight = file["fc.weight"]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        kind = sniff(path)
        if kind != "dcz":
            raise ValueError(f"{path} is not a .dcz file but {kind}: make one with `dnnc compress`")
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self.metadata, records = read_layout(self._map)
            names = _stored_names(list(records), self.metadata)
            self._dtypes, self._aliases = _about(self.metadata, set(names))
            self._stored = dict(zip(names, records, strict=True))
            self.info = {
                name: self._look(name, record) for name, record in zip(names, records.values(), strict=True)
            }
            del records
        except ContainerError as error:
            raise ContainerError(f"{path}: {error}") from error
        for alias, name in self._aliases.items():
            known = self.info[name]
            self.info[alias] = TensorInfo(alias, known.shape, known.dtype, 0, name)

    def _look(self, name: str, record: memoryview) -> TensorInfo:
        kind, shape = kind_and_shape(ByteReader(record, name))
        dtype = self._dtypes.get(name, self._dtypes[""])
        if kind is not None and kind.kind != "f" and not (dtype in _AS_BITS and kind == _AS_BITS[dtype]):
            dtype = str(kind)
        return TensorInfo(name, shape, dtype, len(record))

    def __getitem__(self, name: str) -> np.ndarray:
        stored = self._aliases.get(name, name)
        if stored not in self._stored:
            raise KeyError(name)
        tensor = load_tensor(self._map, self._stored[stored])
        value = _tensor(tensor, self._dtypes.get(stored, self._dtypes[""]), name)
        return (value.float() if _dtype_name(value) in _AS_BITS else value).numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self.info)

    def __len__(self) -> int:
        return len(self.info)

    def __repr__(self) -> str:
        return f"<{self.path}: {len(self)} tensors>"

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def __enter__(self) -> CompressedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_file(path: str | Path) -> CompressedFile:
    """Open a `.dcz` file for reading tensor by tensor; see `CompressedFile`."""
    return CompressedFile(path)
