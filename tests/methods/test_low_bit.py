"""Few bits per weight, against slow searches over all levels, least squares, and torch's kernels."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.methods.low_bit import (
    TWN_THRESHOLD,
    GridQuantizer,
    ScaledQuantizer,
    asymmetric_grid,
    binarize,
    dequantize,
    fake_quantize,
    quantization_aware_,
    quantize,
    settle_,
    symmetric_grid,
    ternarize,
    weight_grid,
)
from common.networks.models import prunable_parameters
from common.networks.training import train
from tests.tiny import CONFIG, image_set, network


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def torch_codes(values, grid, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # announced as deprecated, and still the reference
        if grid.axis is None:
            made = torch.quantize_per_tensor(values, grid.scale.item(), int(grid.zero_point), dtype)
        else:
            made = torch.quantize_per_channel(values, grid.scale, grid.zero_point.long(), grid.axis, dtype)
        return made.int_repr().int(), made.dequantize()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.0, 6.0), (-3.0, -1.0), (0.5, 4.0), (-1e-3, 1e3)])
def test_codes_are_torchs_exactly(low, high):
    grid = asymmetric_grid(low, high, 8)
    values = (high - low) * noise(5000)
    codes, numbers = torch_codes(values, grid, torch.quint8)
    assert torch.equal(quantize(values, grid), codes)
    assert torch.equal(dequantize(codes, grid), numbers)
    assert codes.unique().numel() > 100


@pytest.mark.parametrize("axis", [0, 1])
def test_channels_have_their_own_scale_as_in_torch(axis):
    values = noise(6, 7, 3) * torch.tensor([0.01, 1, 100, 3, 5, 7, 11])[: 6 + axis].view(
        -1, *[1] * (2 - axis)
    )
    largest = values.abs().amax(dim=[i for i in range(3) if i != axis])
    grid = symmetric_grid(largest, 8, axis=axis)
    codes, numbers = torch_codes(values, grid, torch.qint8)
    assert torch.equal(quantize(values, grid), codes)
    assert torch.equal(dequantize(codes, grid), numbers)
    fake = torch.fake_quantize_per_channel_affine(values, grid.scale, grid.zero_point, axis, -127, 127)
    assert torch.equal(fake_quantize(values, grid), fake)


@pytest.mark.parametrize("n_bits", [1, 2, 3, 8])
def test_each_value_goes_to_the_nearest_of_all_levels(n_bits):
    grid = asymmetric_grid(-1.3, 0.9, n_bits)
    levels = dequantize(torch.arange(grid.q_max + 1), grid).double()
    assert levels.numel() == 2**n_bits
    values = noise(1000)
    slow = (values.double()[:, None] - levels).abs().min(dim=1).values
    ours = (values.double() - dequantize(quantize(values, grid), grid).double()).abs()
    torch.testing.assert_close(ours, slow, rtol=0, atol=1e-6)


def test_zero_is_a_level_and_inside_the_range_the_error_is_half_a_step():
    for low, high in [(-1.0, 2.0), (-0.7, 0.1), (0.2, 3.0), (-3.0, -0.2)]:
        grid = asymmetric_grid(low, high, 5)
        assert fake_quantize(torch.zeros(3), grid).tolist() == [0, 0, 0]
        values = torch.linspace(max(low, low + grid.scale / 2), min(high, high - grid.scale / 2), 999)
        assert (fake_quantize(values, grid) - values).abs().max() <= 0.5001 * grid.scale


def test_a_symmetric_grid_mirrors():
    grid = symmetric_grid(2.0, 4)
    assert (grid.q_min, grid.q_max, grid.zero_point.item()) == (-7, 7, 0)
    values = 2 * noise(1000)
    assert torch.equal(quantize(-values, grid), -quantize(values, grid))
    assert symmetric_grid(1.0, 2).scale.item() == 1.0  # -1, 0, 1


def test_ranges_without_extent_are_level_zero():
    assert quantize(torch.zeros(2), asymmetric_grid(0.0, 0.0, 8)).tolist() == [0, 0]
    weight = torch.tensor([[0.0, 0.0], [1.0, -0.5]])
    for clip in ("max", "mse"):
        found = fake_quantize(weight, weight_grid(weight, 8, clip=clip))
        torch.testing.assert_close(found, weight, rtol=0, atol=0.5 / 127 + 1e-6)
        assert found[0].tolist() == [0, 0]


def test_the_gradient_is_torchs():
    values = (3 * noise(2000)).requires_grad_()
    grid = asymmetric_grid(-1.0, 2.0, 4)
    weights = noise(2000, seed=1)
    (ours,) = torch.autograd.grad((fake_quantize(values, grid) * weights).sum(), values)
    scale, zero_point = grid.scale.item(), int(grid.zero_point)
    fake = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, 0, 15)
    (theirs,) = torch.autograd.grad((fake * weights).sum(), values)
    assert torch.equal(ours, theirs)
    assert 0 < (ours == 0).sum() < 2000


def test_multiplying_a_channel_leaves_its_codes():
    """Why folding batch norm does not touch per-channel quantization; powers of two multiply exactly."""
    weight = noise(4, 30)
    folded = weight * torch.tensor([0.25, 1, 4, 64])[:, None]
    for clip in ("max", "mse"):
        codes = [quantize(w, weight_grid(w, 4, clip=clip)) for w in (weight, folded)]
        assert torch.equal(*codes)
    whole = [quantize(w, weight_grid(w, 4, per_channel=False)) for w in (weight, folded)]
    assert not torch.equal(*whole)


def squared_error(weight, grid):
    return (fake_quantize(weight, grid) - weight).double().square().sum().item()


@pytest.mark.parametrize("n_bits", [2, 3, 4])
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_best_clip_is_near_the_best_of_a_fine_search(n_bits, per_channel):
    weight = torch.distributions.Laplace(0.0, 1.0).icdf(torch.linspace(0.001, 0.999, 2000)).view(2, 1000)
    found = squared_error(weight, weight_grid(weight, n_bits, per_channel=per_channel, clip="mse"))
    slow = 0.0
    for part in weight if per_channel else [weight]:
        ends = np.linspace(0.02, 1, 500) * part.abs().max().item()
        slow += min(squared_error(part, symmetric_grid(end, n_bits)) for end in ends)
    assert slow - 1e-6 <= found <= 1.02 * slow  # 7 % between the ends that are tried
    assert found < 0.9 * squared_error(weight, weight_grid(weight, n_bits, per_channel=per_channel))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: asymmetric_grid(0.0, 1.0, 0), "n_bits=0"),
        (lambda: asymmetric_grid(2.0, 1.0, 8), "low <= high"),
        (lambda: asymmetric_grid(0.0, float("nan"), 8), "finite"),
        (lambda: symmetric_grid(1.0, 1), "binarize"),
        (lambda: symmetric_grid(-1.0, 8), ">= 0"),
        (lambda: weight_grid(torch.ones(2, 2), 8, clip="best"), "clip='best'"),
    ],
)
def test_what_is_wrong_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_no_signs_and_no_scale_are_nearer_than_binarize():
    weight = noise(2, 6)
    signs, scale = binarize(weight)
    assert scale.shape == (2, 1)
    for row, row_signs, row_scale in zip(weight, signs, scale, strict=True):
        found = (row - row_scale * row_signs).square().sum().item()
        errors = []
        for candidate in itertools.product((-1.0, 1.0), repeat=6):
            column = np.array(candidate)[:, None]
            _, residual, *_ = np.linalg.lstsq(column, row.double().numpy(), rcond=None)
            errors.append(residual[0])
        assert found == pytest.approx(min(errors), rel=1e-5)
    assert binarize(torch.zeros(1, 2))[0].tolist() == [[1, 1]]
    assert binarize(noise(3, 2, 2, 2), per_channel=False)[1].shape == (1, 1, 1, 1)


def best_ternary_error(weight):
    """Slowly: for a given number of kept weights the largest are the best, and their mean the best scale."""
    size = np.sort(np.abs(weight.double().numpy()).ravel())[::-1]
    return min((size**2).sum() - size[:k].sum() ** 2 / k for k in range(1, size.size + 1))


def test_ternary_by_hand():
    # mean |w| is 2, so the threshold is 1.4: 1 goes to 0, the scale is (3 + 2 + 2) / 3
    codes, scale = ternarize(torch.tensor([[3.0, -1.0, 2.0, -2.0]]))
    assert codes.tolist() == [[1, 0, 1, -1]]
    assert scale.item() == pytest.approx(7 / 3)
    codes, scale = ternarize(torch.zeros(2, 3))
    assert not codes.any()
    assert not scale.any()


@pytest.mark.parametrize(
    "make", [noise, lambda *shape: 2 * torch.rand(*shape, generator=torch.Generator()) - 1]
)
def test_the_ternary_threshold_costs_little_against_the_optimum(make):
    weight = make(1, 20_000)
    codes, scale = ternarize(weight)
    found = (weight - scale * codes).double().square().sum().item()
    assert best_ternary_error(weight) <= found + 1e-6
    assert found <= 1.01 * best_ternary_error(weight)
    signs, binary_scale = binarize(weight)
    assert found < (weight - binary_scale * signs).double().square().sum().item()
    kept = weight.abs() > TWN_THRESHOLD * weight.abs().mean()
    assert torch.equal(codes != 0, kept)


def test_training_moves_the_float_weights_and_settling_leaves_the_rounded_ones():
    model = network()
    before = {name: weight.detach().clone() for name, weight in prunable_parameters(model).items()}
    grids = {name: weight_grid(weight, 3, clip="mse") for name, weight in before.items()}
    waiting = iter(grids.values())
    quantization_aware_(model, lambda _: GridQuantizer(next(waiting)))
    train(model, image_set(), CONFIG)
    moved = [p.detach() for name, p in model.named_parameters() if name.endswith("original")]
    assert all(not torch.equal(a, b) for a, b in zip(moved, before.values(), strict=True))
    image = noise(2, 1, 8, 8, seed=3)
    with torch.no_grad():
        quantized = model.eval()(image)
        settle_(model)
        assert torch.equal(model(image), quantized)
    after = prunable_parameters(model)
    assert list(after) == list(before)
    for (name, weight), original in zip(after.items(), moved, strict=True):
        assert torch.equal(weight, fake_quantize(original, grids[name]))


@pytest.mark.parametrize(("rule", "n_values"), [(binarize, 2), (ternarize, 3)])
def test_few_values_in_each_channel_and_the_gradient_as_it_is(rule, n_values):
    model = quantization_aware_(network(), lambda _: ScaledQuantizer(rule))
    original = dict(model.named_parameters())["features.0.parametrizations.weight.original"]
    quantized = model.features[0].weight
    (gradient,) = torch.autograd.grad((quantized * noise(*quantized.shape)).sum(), original)
    assert torch.equal(gradient, noise(*quantized.shape))
    for row in settle_(model).features[0].weight.detach().flatten(1):
        assert row.abs().unique().numel() <= n_values - 1
        assert row.unique().numel() <= n_values


def test_an_integer_product_is_the_product_of_the_numbers():
    """What scale and zero-point are for: sums over whole numbers only, scales in front."""
    x, w = noise(5, 40), noise(7, 40, seed=1)
    left, right = asymmetric_grid(x.min(), x.max(), 8), weight_grid(w, 8)
    whole = (quantize(x, left) - left.zero_point) @ quantize(w, right).T
    numbers = F.linear(
        dequantize(quantize(x, left), left).double(), dequantize(quantize(w, right), right).double()
    )
    torch.testing.assert_close(left.scale * right.scale * whole, numbers.float(), rtol=1e-5, atol=1e-5)
