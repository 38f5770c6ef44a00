"""Facades: the names that users import from a folder, each imported from its module on first use.

So ``from common.codec import load`` works, while ``import common.codec.gaps`` imports nothing for the sake of
names that are not used, such as torch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def hand_on(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return the ``__getattr__``, ``__dir__`` and ``__all__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    names : mapping of str to str
        From each name to the module of the package that defines it.

    Examples
    --------
    >>> __getattr__, __dir__, __all__ = hand_on("common.base", {"whole_file": "files"})
    >>> __getattr__("whole_file").__module__, __all__
    ('common.base.files', ['whole_file'])
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        setattr(sys.modules[package], name, value)  # found at once the next time
        return value

    def directory() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return get, directory, sorted(names)
