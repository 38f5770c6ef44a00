"""Week 1, lecture 3: one coefficient of the DFT, convolution as a product, and quantized coefficients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.checks.comparing import as_array, call, expect, expect_integers
from common.checks.grading import NotYet
from common.checks.lectures import fill_in

# ----------------------------------------------------------------------------------------------------
# One coefficient


def _coefficient(picture, u, v):
    height, width = picture.shape
    y, x = np.mgrid[:height, :width]
    return (picture * np.exp(-2j * np.pi * (u * y / height + v * x / width))).sum()


def _parts(z) -> np.ndarray:
    return np.array([np.real(z), np.imag(z)])


@fill_in(own=_coefficient)
def coefficient(answer: Callable) -> str:
    """F[u, v] of a real picture, by the definition."""
    rng = np.random.default_rng(5)
    for height, width, u, v in ((3, 4, 1, 1), (5, 3, 2, 1), (4, 6, 0, 5)):
        picture = rng.integers(0, 9, (height, width)).astype(float)
        got = call(answer, picture, u, v, told=f"a picture of {(height, width)} and (u, v) = {(u, v)}")
        try:
            z = complex(np.asarray(got).item())
        except (TypeError, ValueError):
            shape = np.shape(got)
            hint = (
                "Sum over all pixels: .sum()."
                if shape == picture.shape
                else "One complex number is asked for."
            )
            raise NotYet(f"It returns something of shape {shape}, expected one number.", hint=hint) from None
        y, x = np.mgrid[:height, :width]
        turns = u * y / height + v * x / width
        wave = np.exp(-2j * np.pi * turns)
        wanted = (picture * wave).sum()
        suspects = [
            (
                "The sign of the exponent is wrong: it is −2πi. With + it is the inverse transform.",
                _parts(np.conj(wanted)),
            ),
            ("2π is missing: one period is a whole turn.", _parts((picture * np.exp(-1j * turns)).sum())),
            ("A turn is 2π, not π.", _parts((picture * np.exp(-1j * np.pi * turns)).sum())),
            (
                "u goes with y and the height, v with x and the width: something is exchanged.",
                _parts((picture * np.exp(-2j * np.pi * (v * y / height + u * x / width))).sum()),
                _parts((picture * np.exp(-2j * np.pi * (u * x / height + v * y / width))).sum()),
                _parts((picture * np.exp(-2j * np.pi * (u * y / width + v * x / height))).sum()),
            ),
            (
                "Divide by height and width: u is a number of periods over the whole picture.",
                _parts((picture * np.exp(-2j * np.pi * (u * y + v * x))).sum()),
            ),
            (
                "The i is missing: np.exp of an imaginary number (1j).",
                _parts((picture * np.exp(-2 * np.pi * turns)).sum()),
            ),
            ("Only the cosine is there: the sine belongs to it, as the imaginary part.", _parts(wanted.real)),
            ("A sum, not a mean, is asked for.", _parts(wanted / picture.size)),
            ("The picture is left out: multiply the wave by the pixels.", _parts(wave.sum())),
        ]
        expect(
            _parts(z),
            _parts(wanted),
            tolerance=1e-6,
            suspects=suspects,
            what="The pair (real, imaginary)",
            shown={"picture": picture},
        )
    return "Three pictures, three waves."


# ----------------------------------------------------------------------------------------------------
# The convolution theorem


def _convolve_by_fft(picture, kernel):
    return np.fft.ifft2(np.fft.fft2(picture) * np.fft.fft2(kernel, s=picture.shape)).real


@fill_in(own=_convolve_by_fft)
def convolve_by_fft(answer: Callable) -> str:
    """Circular convolution: the product of both spectra, transformed back."""
    rng = np.random.default_rng(6)
    for shape, size in (((5, 6), (3, 3)), ((6, 4), (2, 3))):
        picture, kernel = rng.integers(0, 9, shape).astype(float), rng.integers(-2, 5, size).astype(float)
        try:
            got = call(answer, picture, kernel, told=f"a picture of {shape} and a kernel of {size}")
        except NotYet as why:
            if "broadcast" in why.message:
                why.hint = (
                    "Both spectra need one shape: fft2(kernel, s=picture.shape) puts zeros behind the kernel."
                )
            raise
        wanted = _convolve_by_fft(picture, kernel)
        if np.iscomplexobj(np.asarray(got)):
            hint = "Rounding leaves a tiny imaginary part: take .real." if np.allclose(got, wanted) else ""
            raise NotYet("The result is complex, expected real numbers.", hint=hint)
        f, k = np.fft.fft2(picture), np.fft.fft2(kernel, s=shape)
        rows = np.fft.ifft(
            np.fft.fft(picture)
            * np.fft.fft(np.pad(kernel, ((0, shape[0] - size[0]), (0, shape[1] - size[1]))))
        ).real
        suspects = [
            (
                "Those are absolute values: negative values are lost. Take the real part, .real.",
                np.abs(wanted),
            ),
            ("That is correlation: leave out the complex conjugate.", np.fft.ifft2(f * np.conj(k)).real),
            ("The spectra have to be multiplied, not added.", np.fft.ifft2(f + k).real),
            ("Only the rows are transformed: use fft2 and ifft2.", rows),
            ("The inverse transform is missing: ifft2.", (f * k).real),
            ("That is the picture itself: multiply by the kernel's spectrum.", picture),
            (
                "You take only the magnitudes of the kernel's spectrum: its phases count, too.",
                np.fft.ifft2(f * np.abs(k)).real,
            ),
        ]
        expect(
            got,
            wanted,
            tolerance=1e-6,
            suspects=suspects,
            what="The result",
            shown={"picture": picture, "kernel": kernel},
        )
    return "Two pictures, square and oblong kernels."


# ----------------------------------------------------------------------------------------------------
# Quantized coefficients

_K, _X = np.mgrid[:8, :8]
_DCT = np.cos(np.pi * (2 * _X + 1) * _K / 16) * np.where(_K == 0, np.sqrt(1 / 8), np.sqrt(1 / 4))
_DIAGONAL = np.add.outer(np.arange(8), np.arange(8))


def _blocks(picture):
    return picture.reshape(picture.shape[0] // 8, 8, picture.shape[1] // 8, 8).swapaxes(1, 2)


def _coefficients(picture):
    return _DCT @ _blocks(picture - 128) @ _DCT.T


def _quantize(picture, q):
    return np.round(_coefficients(picture) / (q * (1 + _DIAGONAL))).astype(int)


@fill_in(own=_quantize)
def quantize(answer: Callable) -> str:
    """DCT coefficients of the blocks, in whole steps of q (1 + u + v)."""
    y, x = np.mgrid[:16, :24]
    for picture, q in ((100 + 5.3 * x + 40 * np.sin(y * x / 9), 3.0), ((x * y * 1.7) % 251, 7)):
        got = call(answer, picture, q, told=f"a picture of {picture.shape} and q = {q}")
        c, step = _coefficients(picture), q * (1 + _DIAGONAL)
        wanted = _quantize(picture, q)
        suspects = [
            (
                "Round to the nearest: np.round before astype, which only cuts off.",
                np.trunc(c / step),
                np.floor(c / step),
            ),
            ("Divide by the step: multiplying is the way back.", np.round(c * step)),
            ("Not rounded yet: whole numbers are stored.", c / step),
            (
                "One step for all is used: q (1 + u + v) is coarser for high frequencies.",
                np.round(c / q),
                np.round(c / q / 8),
            ),
            (
                "Subtract 128 before the transform, so that the levels lie around 0.",
                np.round(_DCT @ _blocks(picture) @ _DCT.T / step),
            ),
            (
                "That is the inverse transform: the coefficients are C B Cᵀ.",
                np.round(_DCT.T @ _blocks(picture - 128) @ _DCT / step),
            ),
            (
                "Only the columns are transformed: the coefficients are C B Cᵀ.",
                np.round(_DCT @ _blocks(picture - 128) / step),
            ),
            ("The blocks are not transformed at all.", np.round(_blocks(picture - 128) / step)),
            (
                "Rounded before the division: round the quotient.",
                np.round(c) / step,
                np.round(np.round(c) / step),
            ),
        ]
        expect(got, wanted, tolerance=1e-6, suspects=suspects, what="The array of numbers")
        expect_integers(as_array(got), "The array", hint=".astype(int): the coder wants integers.")
    return "Two pictures of six blocks."
