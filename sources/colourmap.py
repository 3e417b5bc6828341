"""A map of colours as editors make them, and how to fit one.

Gain, offset, contrast, white balance and saturation are affine maps of gamma-coded RGB, which is
what editors and codecs work on; gamma is a curve of each channel. Source: ours.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]

ROUNDS = 6
"""Rounds of reweighting; the weights change little after the fourth."""
TUKEY = 4.0
"""A cell that lies this many robust sigmas off the map is no part of it."""
LEAST_SIGMA = 0.004
"""One level of 255: 8-bit rounding, below which cells are not told apart."""
RIDGE, UNUSUAL = 1e-6, 1e-3
"""Pull of the coefficients towards no grade, per cell, along what editors do and along the rest:
colours that are not seen around the face are mapped as the usual grade would that fits best."""
LUMA = (0.299, 0.587, 0.114)
"""Share of the channels in brightness (BT.601), around which saturation turns."""
TERMS = 7
"""Terms of a channel: red, green, blue and `_curve`."""


@dataclass(frozen=True)
class ColourMap:
    """A map of colours, `out = own curve of the channel + matrix of all three`.

    Attributes:
        matrix: `(3, 3) float64`, RGB to RGB.
        curves: `(3, 4) float64`, weights of `_curve` for each channel.
    """

    matrix: Numbers
    curves: Numbers

    def of(self, colours: Floats) -> Floats:
        """Maps `(N, 3)` RGB in 0..1."""
        bent = [_curve(colours[:, k]) @ self.curves[k] for k in range(3)]
        return np.asarray(colours @ self.matrix.T + np.column_stack(bent), dtype=np.float32)

    def paint(self, image: Image) -> Floats:
        """Maps `(S, S, 3) uint8` RGB; levels that may lie outside 0..255."""
        levels = np.linspace(0, 1, 256, dtype=np.float32)
        table = 255 * np.stack([_curve(levels) @ curve for curve in self.curves], axis=1)
        bent = cv2.LUT(image, np.ascontiguousarray(table.astype(np.float32)[None]))
        return np.asarray(cv2.transform(image.astype(np.float32), self.matrix) + bent)

    @property
    def numbers(self) -> tuple[float, ...]:
        """Gives the 21 numbers of the map: `matrix`, then `curves`, row by row."""
        return tuple(float(one) for one in (*self.matrix.ravel(), *self.curves.ravel()))

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> ColourMap:
        """Makes the map of 21 numbers; the inverse of `numbers`."""
        flat = np.array(numbers, dtype=np.float64)
        return cls(flat[:9].reshape(3, 3), flat[9:].reshape(3, 4))


def fit_map(fakes: Floats, reals: Floats) -> ColourMap:
    """Fits the map from fake to real colours, robust against cells that other things changed.

    Args:
        fakes: `(N, 3) float32` RGB in 0..1.
        reals: `(N, 3) float32`, what they should be.
    """
    terms = np.stack([np.column_stack([fakes, _curve(fakes[:, k])]) for k in range(3)])
    terms, change = terms.astype(np.float64), (reals - fakes).T.astype(np.float64)
    weight = np.ones(len(fakes))
    for _ in range(ROUNDS):
        found = _ridge(terms, change, weight)
        left = change - np.einsum("kni,ki->kn", terms, found)
        size = np.sqrt(np.sum(left * left, axis=0))
        sigma = max(LEAST_SIGMA, float(np.median(size)) / 1.54)
        weight = np.maximum(1 - (size / (TUKEY * sigma)) ** 2, 0) ** 2
    return ColourMap(np.eye(3) + found[:, :3], found[:, 3:])


def _ridge(terms: Numbers, change: Numbers, weight: Numbers) -> Numbers:
    """Solves weighted least squares with a pull towards what editors do.

    Args:
        terms: `(3, N, 7)`, the terms of each channel.
        change: `(3, N)`, what they should add to the channel.
        weight: `(N,)`.

    Returns:
        `(3, 7)` coefficients.
    """
    system, side = weight.sum() * pull(), np.zeros(TERMS * 3)
    for k in range(3):
        own = slice(TERMS * k, TERMS * (k + 1))
        weighted = terms[k] * weight[:, None]
        system[own, own] += terms[k].T @ weighted
        side[own] = weighted.T @ change[k]
    return np.asarray(np.linalg.solve(system, side).reshape(3, TERMS))


@functools.cache
def pull() -> Numbers:
    """Gives the penalty of coefficients, `(21, 21)` per cell: small along what editors do.

    These are a gain and an offset of each channel, saturation, and one curve for all channels.
    """
    usual = np.zeros((10, 3, TERMS))
    for k in range(3):
        usual[k, k, k] = usual[3 + k, k, 3] = 1  # gain, offset
        usual[6 + k, :, 4 + k] = 1  # a term of the curve
    usual[9, :, :3] = np.eye(3) - LUMA  # saturation
    basis, _ = np.linalg.qr(usual.reshape(len(usual), -1).T)
    return np.asarray(UNUSUAL * np.eye(3 * TERMS) - (UNUSUAL - RIDGE) * basis @ basis.T)


def _curve(channel: Floats) -> Floats:
    """Gives the terms of a channel's own curve, `(N,)` to `(N, 4)`.

    An offset; `x ln x`, along which gamma bends at first; a square and a cube for S-shapes.
    """
    x = np.maximum(channel, 1e-4)
    return np.stack([np.ones_like(x), x * np.log(x), x * x, x * x * x], axis=-1)
