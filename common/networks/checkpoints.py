"""Checkpoints of a running training, and weights as safetensors.

A checkpoint is written and read on the same machine, so it has torch's format; it is read with
``weights_only=True``, which never runs code from it. Files that are passed on are safetensors or `.dcz`.
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
    """Write everything that a resumed run needs; the old checkpoint stays until the new one is complete."""
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
        When the checkpoint was written with other options or from other weights at the start, or is damaged:
        delete it to start again.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]  # torch writes paragraphs
        raise ValueError(f"checkpoint {path} cannot be read ({why}): delete it to start afresh") from error
    if not isinstance(state, dict) or "options" not in state:
        raise ValueError(f"{path} is not a checkpoint of a training: delete it to start afresh")
    theirs = dict(state["options"])
    if "start" in options:
        theirs.setdefault("start", options["start"])  # older checkpoints do not hold it
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
    """Return the SHA-256 of a model's state, in hexadecimal digits: it identifies the weights."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_weights(model: nn.Module, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Write a model's floating-point state as safetensors of `dtype`; batch norm's counters are left out.

    Raises
    ------
    ValueError
        When the dtype is float16 and a value is not finite, or beyond its range.
    OSError
        When the file cannot be written.
    """
    state = {
        name: _in_dtype(value, dtype, name)
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    save_state(state, path)


def save_state(state: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Write named tensors as they are: safetensors, or torch's format where the suffix is .pt or .pth.

    Raises
    ------
    OSError
        When the file cannot be written.
    ValueError
        When a tensor has the name that safetensors keeps for itself.
    """
    is_torch = Path(path).suffix.lower() in (".pt", ".pth")
    if "__metadata__" in state and not is_torch:
        raise ValueError(f"{path}: safetensors keeps the name __metadata__ for itself: write a .pt file")
    with whole_file(path) as aside:
        try:
            if is_torch:
                torch.save(dict(state), aside)
                return
            # safetensors refuses names that share memory
            save_file({name: value.clone().contiguous() for name, value in state.items()}, aside)
            os.chmod(aside, 0o644)  # safetensors makes files that only their owner may read
        except (SafetensorError, RuntimeError) as error:  # a full disk, in their words
            raise OSError(f"{path} cannot be written: {error}") from error


def load_weights(model: nn.Module, path: str | Path, *, keeps_last_layer: bool = False) -> nn.Module:
    """Load a file of `save_weights` into a model of the same architecture, as float32; return the model.

    With `keeps_last_layer`, the model's last linear layer stays as it is: the file's may have other classes.

    Raises
    ------
    FileNotFoundError
        When there is no file.
    ValueError
        When it is not a safetensors file, or a tensor is missing, superfluous, or of another shape or kind.
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
    """Round every floating-point value to the nearest float16, in place, as `save_weights` does.

    Raises
    ------
    ValueError
        When a value is not finite, or beyond float16's range; the message names the tensor.
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(_in_dtype(value, torch.float16, name).float())
    return model


def _in_dtype(value: torch.Tensor, dtype: torch.dtype, name: str) -> torch.Tensor:
    """Return a copy on the CPU; a value that does not fit float16 raises ValueError."""
    value = value.detach().to("cpu")
    if dtype is torch.float16:
        return torch.from_numpy(to_half(value.float().numpy(), name))
    return value.to(dtype, copy=True).contiguous()


def _state_of(callback: object) -> object:
    return callback.state_dict() if hasattr(callback, "state_dict") else None
