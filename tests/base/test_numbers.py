"""What does not fit into fewer bits is an error that names the tensor."""

import json
import math

import numpy as np
import pytest

from common.base.numbers import check_finite, to_half
from common.base.text import json_text


def test_every_float16_goes_through_unchanged():
    patterns = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = patterns[np.isfinite(patterns)]
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(to_half(finite.astype(dtype), "x"), finite)


@pytest.mark.parametrize("value", [65519.99, -65519.99])
def test_what_rounds_to_the_largest_fits(value):
    assert abs(to_half(np.float64([value]), "x")[0]) == 65504


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (65520.0, r"fc1\.bias holds 65520, beyond float16's largest value 65504"),
        (-1e30, r"fc1\.bias holds -1e\+30, beyond float16's largest value 65504"),
        (math.nan, r"fc1\.bias holds 1 NaN or infinite of 3 values"),
        (-math.inf, r"fc1\.bias holds 1 NaN or infinite of 3 values"),
    ],
)
def test_what_does_not_fit_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        to_half(np.float64([1, value, 2]), "fc1.bias")


def test_weights_that_would_all_vanish_are_refused_where_they_may_not():
    assert not to_half(np.float32([1e-9, -1e-12]), "x").any()
    with pytest.raises(ValueError, match="conv holds no value above 1e-09"):
        to_half(np.float32([1e-9, -1e-12]), "conv", may_vanish=False)
    assert not to_half(np.zeros(3, np.float32), "conv", may_vanish=False).any()


def test_empty_arrays_are_finite():
    check_finite(np.zeros(0), "x")
    assert to_half(np.zeros((0, 3), np.float32), "x").shape == (0, 3)


def test_json_has_no_nan_at_any_depth():
    value = {"a": math.nan, "b": [1.5, (math.inf, {"c": -math.inf})], "d": "NaN"}
    text = json_text(value)
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word)) == {
        "a": None,
        "b": [1.5, [None, {"c": None}]],
        "d": "NaN",
    }
