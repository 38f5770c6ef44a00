"""Week 1, lecture 3: right answers in several forms, and the usual mistakes with a word of their hint."""

import numpy as np
from scipy import fft, ndimage, signal

from common.checks.lectures import week01_3 as checks


def wave(picture, u, v):
    height, width = picture.shape
    y, x = np.mgrid[:height, :width]
    return picture * np.exp(-2j * np.pi * (u * y / height + v * x / width))


def with_loops(picture, u, v):
    total, (height, width) = 0, picture.shape
    for y in range(height):
        for x in range(width):
            angle = -2 * np.pi * (u * y / height + v * x / width)
            total += picture[y, x] * complex(np.cos(angle), np.sin(angle))
    return total


def exponent(factor, turns=lambda y, x, u, v, h, w: u * y / h + v * x / w):
    def answer(picture, u, v):
        height, width = picture.shape
        y, x = np.mgrid[:height, :width]
        return (picture * np.exp(factor * turns(y, x, u, v, height, width))).sum()

    return answer


FULL = -2j * np.pi
COEFFICIENT = {
    "The sign of the exponent": exponent(2j * np.pi),
    "2π is missing": exponent(-1j),
    "A turn is 2π": exponent(-1j * np.pi),
    "u goes with y": exponent(FULL, lambda y, x, u, v, h, w: v * y / h + u * x / w),
    "Divide by height and width": exponent(FULL, lambda y, x, u, v, h, w: u * y + v * x),
    "The i is missing": exponent(-2 * np.pi),
    "Only the cosine": lambda picture, u, v: wave(picture, u, v).sum().real,
    "A sum, not a mean": lambda picture, u, v: wave(picture, u, v).mean(),
    "The picture is left out": lambda picture, u, v: wave(np.ones(picture.shape), u, v).sum(),
    "Sum over all pixels": wave,
}


def rolled(picture, kernel):
    result = np.zeros(picture.shape)
    for (a, b), weight in np.ndenumerate(kernel):
        result += weight * np.roll(picture, (a, b), axis=(0, 1))
    return result


def spectra(picture, kernel):
    return np.fft.fft2(picture), np.fft.fft2(kernel, s=picture.shape)


def product(picture, kernel):
    f, k = spectra(picture, kernel)
    return f * k


def padded(picture, kernel):
    return np.pad(kernel, [(0, n - m) for n, m in zip(picture.shape, kernel.shape, strict=True)])


CONVOLVE = {
    "one shape": lambda p, k: np.fft.ifft2(np.fft.fft2(p) * np.fft.fft2(k)).real,
    "take .real": lambda p, k: np.fft.ifft2(product(p, k)),
    "negative values are lost": lambda p, k: np.abs(np.fft.ifft2(product(p, k))),
    "That is correlation": lambda p, k: np.fft.ifft2(spectra(p, k)[0] * np.conj(spectra(p, k)[1])).real,
    "not added": lambda p, k: np.fft.ifft2(sum(spectra(p, k))).real,
    "Only the rows": lambda p, k: np.fft.ifft(np.fft.fft(p) * np.fft.fft(padded(p, k))).real,
    "The inverse transform is missing": lambda p, k: product(p, k).real,
    "picture itself": lambda p, k: np.fft.ifft2(np.fft.fft2(p)).real,
    "its phases count": lambda p, k: np.fft.ifft2(spectra(p, k)[0] * np.abs(spectra(p, k)[1])).real,
}


def blocks(picture):
    return picture.reshape(picture.shape[0] // 8, 8, picture.shape[1] // 8, 8).swapaxes(1, 2)


def dct(picture):
    return fft.dctn(blocks(picture), axes=(2, 3), norm="ortho")


def step(q):
    return q * (1 + np.add.outer(np.arange(8), np.arange(8)))


QUANTIZE = {
    "only cuts off": lambda p, q: (dct(p - 128) / step(q)).astype(int),
    "multiplying is the way back": lambda p, q: np.round(dct(p - 128) * step(q)),
    "Not rounded yet": lambda p, q: dct(p - 128) / step(q),
    "One step for all": lambda p, q: np.round(dct(p - 128) / q).astype(int),
    "Subtract 128 before": lambda p, q: np.round(dct(p) / step(q)).astype(int),
    "the coefficients are C B Cᵀ": lambda p, q: np.round(
        fft.idctn(blocks(p - 128), axes=(2, 3), norm="ortho") / step(q)
    ),
    "Only the columns": lambda p, q: np.round(fft.dct(blocks(p - 128), axis=2, norm="ortho") / step(q)),
    "not transformed at all": lambda p, q: np.round(blocks(p - 128) / step(q)).astype(int),
    "round the quotient": lambda p, q: np.round(dct(p - 128)) / step(q),
    "the coder wants integers": lambda p, q: np.round(dct(p - 128) / step(q)),
}
RIGHT = {
    "coefficient": [
        with_loops,
        lambda picture, u, v: np.fft.fft2(picture)[u, v],
        lambda picture, u, v: np.complex64(wave(picture, u, v).sum()),
    ],
    "convolve_by_fft": [
        rolled,
        lambda p, k: fft.irfft2(fft.rfft2(p) * fft.rfft2(k, s=p.shape), s=p.shape),
        lambda p, k: np.float32(checks.convolve_by_fft.own(p, k)),
        lambda p, k: (
            np.roll(ndimage.convolve(p, k, mode="wrap"), [(n - 1) // 2 for n in k.shape], axis=(0, 1))
            if all(n % 2 for n in k.shape)
            else signal.convolve2d(
                np.pad(p, ((k.shape[0] - 1, 0), (k.shape[1] - 1, 0)), mode="wrap"), k, "valid"
            )
        ),
    ],
    "quantize": [
        lambda p, q: np.rint(dct(p - 128) / step(q)).astype(np.int16),
        lambda p, q: np.round(dct(np.float32(p) - 128) / step(q)).astype(int).tolist(),
    ],
}
MISTAKES = {"coefficient": COEFFICIENT, "convolve_by_fft": CONVOLVE, "quantize": QUANTIZE}
