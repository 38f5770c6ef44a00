"""Photographs by name: those inside the package, never a download, never a warning."""

import subprocess
import sys

import numpy as np
import pytest

from common.data.pictures import NAMES, photograph


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_picture_of_bytes(name):
    picture = photograph(name)
    assert picture.dtype == np.uint8
    assert picture.ndim == 2 or picture.shape[2] == 3
    assert min(picture.shape[:2]) >= 100


def test_others_are_refused_rather_than_downloaded():
    with pytest.raises(ValueError, match="'eagle' should be one of astronaut"):
        photograph("eagle")


def test_nothing_is_said_on_stderr():
    code = "from common.data.pictures import photograph; photograph('coffee')"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    assert "TqdmWarning" not in done.stderr
