"""The capstone's profiles: how much of it this machine can do, chosen once and printed first.

===========  ==========================  =================================================================
``full``     a GPU, CIFAR-10             everything is trained, compressed and measured
``cpu``      CIFAR-10, at most 15 min    shipped files are coded anew and measured; a short live fine-tune
``offline``  neither, at most 3 min      shipped files are coded anew, their accuracies quoted; the whole
                                         loop live on the digits that come inside the dependencies
``test``     as offline, a minute        the same with the fewest epochs that still meet the targets
===========  ==========================  =================================================================

``dnnc capstone --profile``, or ``DNNC_CAPSTONE_PROFILE`` in the environment, chooses by hand; the suite of
tests sets ``test``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PROFILES = ("full", "cpu", "offline", "test")
SWITCH = "DNNC_CAPSTONE_PROFILE"


@dataclass(frozen=True)
class Profile:
    """A profile's name, and why it is this one."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"profile {self.name}: {self.reason}"


def choose_profile(requested: str | None = None) -> Profile:
    """Choose by request, by the environment, or by what the machine has.

    Parameters
    ----------
    requested : {"full", "cpu", "offline", "test"}, optional

    Returns
    -------
    Profile
        Without a network the answer takes less than ten seconds; with one, CIFAR-10 is downloaded when no
        folder has it.

    Raises
    ------
    ValueError
        No such profile.
    """
    for name, reason in ((requested, "asked for"), (os.environ.get(SWITCH), f"{SWITCH} asks for it")):
        if name:
            if name not in PROFILES:
                raise ValueError(f"profile {name!r} ({reason}): expected one of {', '.join(PROFILES)}")
            return Profile(name, reason)
    return _fitting_profile()


def _fitting_profile() -> Profile:
    import torch  # slow to import, and a profile that was asked for needs neither

    from common.datasets import DatasetNotFoundError, load_dataset

    try:
        for split in ("test", "train"):
            load_dataset("cifar10", split)
    except DatasetNotFoundError:
        return Profile("offline", "CIFAR-10 is neither on this machine nor to be downloaded")
    if torch.cuda.is_available():
        return Profile("full", f"CIFAR-10 and a GPU ({torch.cuda.get_device_name()}) are at hand")
    return Profile("cpu", "CIFAR-10 is at hand, a GPU is not")
