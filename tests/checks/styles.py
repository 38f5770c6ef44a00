"""Other styles of one answer: what it returns in single precision, as lists, as tensors."""

import functools

import numpy as np
import torch


def _changed(result, change):
    if isinstance(result, tuple):
        return tuple(_changed(part, change) for part in result)
    if isinstance(result, dict):
        return {name: _changed(part, change) for name, part in result.items()}
    return change(np.asarray(result))


def _style(change):
    def style(answer):
        @functools.wraps(answer)
        def styled(*arguments, **options):
            return _changed(answer(*arguments, **options), change)

        return styled

    return style


single = _style(lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array)
listed = _style(lambda array: array.tolist())
tensor = _style(lambda array: torch.from_numpy(array.copy()))


def in_single(answer):
    """The answer calculates with float32 all the way, as torch does by default."""

    @functools.wraps(answer)
    def styled(*arguments, **options):
        low = [_lowered(argument) for argument in arguments]
        return single(answer)(*low, **{name: _lowered(option) for name, option in options.items()})

    return styled


def _lowered(argument):
    if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
        return argument.astype(np.float32)
    if isinstance(argument, dict):
        return {name: _lowered(part) for name, part in argument.items()}
    return argument
