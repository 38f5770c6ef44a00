"""Checkpoints of a running training, and weights as safetensors.

A checkpoint is a file of this machine's own making, so it is torch's format, read with ``weights_only=True``:
no code in it is ever run. Files that travel are safetensors or `.dcz`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from common.base.files import whole_file
from common.base.numbers import to_half


def save_checkpoint(
    path: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    history: object,
    callbacks: Sequence[object],
    options: dict,
    step: int,
) -> None:
    """Write everything that a resumed run needs; the old checkpoint stays whole until the new one is."""
    state = {
        "step": step,
        "options": options,
        "model": model.state_dict(),
        "parameters": [parameter.detach() for parameter in parameters],
        "optimizer": optimizer.state_dict(),
        "history": asdict(history),
        "callbacks": [_state_of(callback) for callback in callbacks],
    }
    with whole_file(path) as aside:
        try:
            torch.save(state, aside)
        except RuntimeError as error:  # a full disk, in torch's words
            raise OSError(f"{path} cannot be written: {error}") from error


def load_checkpoint(
    path: str | Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    history: object,
    callbacks: Sequence[object],
    options: dict,
) -> int:
    """Restore a run in place and return the number of steps that it has made.

    Raises
    ------
    ValueError
        The checkpoint was written with other options or from another start (where it has noted one), or is
        damaged: delete it to start afresh.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]  # torch writes paragraphs
        raise ValueError(f"checkpoint {path} cannot be read ({why}): delete it to start afresh") from error
    if not isinstance(state, dict) or "options" not in state:
        raise ValueError(f"checkpoint {path} is none of a training: delete it to start afresh")
    theirs = dict(state["options"])
    if "start" in options:
        theirs.setdefault("start", options["start"])  # older files do not tell
    if theirs != options:
        changed = [key for key in options | theirs if theirs.get(key) != options.get(key)]
        raise ValueError(
            f"checkpoint {path} was made with other {', '.join(changed)}: delete it, or use its options again"
        )
    model.load_state_dict(state["model"])
    with torch.no_grad():
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    for key, value in state["history"].items():
        setattr(history, key, value)
    for callback, saved in zip(callbacks, state["callbacks"], strict=True):
        if saved is not None:
            callback.load_state_dict(saved)
    return state["step"]


def state_digest(model: nn.Module) -> str:
    """SHA-256 of a model's state, in hexadecimal digits: which weights something was made from."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_weights(model: nn.Module, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a model's floating-point state as safetensors of `dtype`; batch counters are left out.

    Raises
    ------
    ValueError
        A value beyond float16's range, where that is the dtype.
    """
    state = {
        name: _in_dtype(value, dtype, name)
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    save_state(state, path)


def save_state(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write named tensors as they are: safetensors, or torch's format where the suffix is .pt or .pth."""
    with whole_file(path) as aside:
        try:
            if Path(path).suffix.lower() in (".pt", ".pth"):
                torch.save(dict(state), aside)
                return
            # safetensors refuses names that share memory
            save_file({name: value.clone().contiguous() for name, value in state.items()}, aside)
            os.chmod(aside, 0o644)  # safetensors keeps its files to their owner
        except (SafetensorError, RuntimeError) as error:  # a full disk, in their words
            raise OSError(f"{path} cannot be written: {error}") from error


def load_weights(model: nn.Module, path: str | Path, *, keeps_last_layer: bool = False) -> nn.Module:
    """Load `save_weights`' file into a model of the same architecture, as float32; returns the model.

    With `keeps_last_layer`, the model's last linear layer stays as it is: the file's may be of other classes.

    Raises
    ------
    FileNotFoundError
        No file is there.
    ValueError
        It is no safetensors file; a tensor is missing, superfluous, or of another shape.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no weights at {path}: train them, or check the path")
    try:
        state = load_file(path)
    except Exception as error:  # safetensors raises its own class, and OSError
        raise ValueError(f"{path} is not a safetensors file: {error}") from error
    for name, value in state.items():
        if not value.is_floating_point():
            raise ValueError(
                f"{path}: tensor {name} holds {value.dtype} numbers, which are weights only with a scale: "
                "dequantize it, and save it as floats"
            )
    state = {name: value.float() for name, value in state.items()}
    own = {name: tuple(v.shape) for name, v in model.state_dict().items() if v.is_floating_point()}
    if keeps_last_layer:
        last = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
        for kept in (f"{last}.weight", f"{last}.bias"):
            own.pop(kept)
            state.pop(kept, None)
    theirs = {name: tuple(value.shape) for name, value in state.items()}
    if own != theirs:
        name, shape = sorted(set(own.items()) ^ set(theirs.items()))[0]
        raise ValueError(f"{path} does not fit this architecture: for one, tensor {name} of shape {shape}")
    model.load_state_dict(state, strict=False)  # batch counters are not in the file, nor a layer that is kept
    return model


def round_to_half_(model: nn.Module) -> nn.Module:
    """Round every floating-point value to float16's nearest, in place: what the shipped file holds.

    Raises
    ------
    ValueError
        A value that is not finite, or beyond float16's range; the message names the tensor.
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(_in_dtype(value, torch.float16, name).float())
    return model


def _in_dtype(value: torch.Tensor, dtype: torch.dtype, name: str) -> torch.Tensor:
    """A copy on the CPU; to float16 only what fits it."""
    value = value.detach().to("cpu")
    if dtype is torch.float16:
        return torch.from_numpy(to_half(value.float().numpy(), name))
    return value.to(dtype, copy=True).contiguous()


def _state_of(callback: object) -> object:
    return callback.state_dict() if hasattr(callback, "state_dict") else None
