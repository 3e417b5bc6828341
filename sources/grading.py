"""Undoes a colour grade: one smooth map of colours that the whole fake side went through.

Gain, offset, contrast, white balance and saturation are affine maps of gamma-coded RGB, which is
what editors and codecs work on; gamma is a curve of each channel. Fitted around the face, where no
forgery reaches, such a map holds on the face, too, although skin may be rare there. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

GRID = 128
"""Colours are compared on a grid of so many cells a side: a cell's mean has little codec noise."""
MOST_CELLS = 5000
LEAST_CELLS = 200
"""Fewer cells than this cannot carry a map of colours."""
KEEP_OFF = 0.04
"""Cells closer to the face than this share of the crop may be touched by a forgery."""
CLIPPED = 4
"""Levels from the end of the range within which a channel may have been cut off."""
GRADED = 0.7
"""CIELAB units: sides whose colours differ by less in the mean are not graded."""
SHIFT_LEFT, SPREAD_LEFT = 0.3, 0.85
"""Of a grade, a map of colours leaves at most these shares of the mean difference of a part and of
the median difference; the second holds the codec's noise, too. Anything else is no grade."""
BINS = 3
ROUNDS = 6
TUKEY = 4.0
"""A cell that lies this many robust sigmas off the map is no part of it."""
LEAST_SIGMA = 0.004
"""One level of 255: 8-bit rounding, below which cells are not told apart."""
RIDGE = 1e-4
"""Pull of every coefficient towards no grade, per cell: what is not seen is left as it is."""


@dataclass(frozen=True)
class Grade:
    """A map of colours, `out = own curve of the channel + matrix of all three`.

    Attributes:
        matrix: `(3, 3) float64`, RGB to RGB.
        curves: `(3, 4) float64`, weights of `_curve` for each channel.
    """

    matrix: NDArray[np.float64]
    curves: NDArray[np.float64]

    def of(self, colours: Floats) -> Floats:
        """Maps `(N, 3)` RGB in 0..1."""
        bent = [_curve(colours[:, k]) @ self.curves[k] for k in range(3)]
        return np.asarray(colours @ self.matrix.T + np.column_stack(bent), dtype=np.float32)

    def paint(self, image: Image) -> Floats:
        """Maps `(S, S, 3) uint8` RGB; levels that may lie outside 0..255."""
        levels = np.arange(256, dtype=np.float32) / 255
        table = 255 * np.stack([_curve(levels) @ curve for curve in self.curves], axis=1)
        bent = cv2.LUT(image, np.ascontiguousarray(table.astype(np.float32)[None]))
        return np.asarray(cv2.transform(image.astype(np.float32), self.matrix) + bent)


def ungraded(real: Image, fake: Image, around: Mask) -> Image | None:
    """Takes a colour grade of the whole fake side back.

    Args:
        real: `(S, S, 3) uint8` RGB.
        fake: `(S, S, 3) uint8` RGB, laid on the real side.
        around: `(S, S) bool`, pixels outside the face.

    Returns:
        The fake side in the colours of the real one, `(S, S, 3) uint8`; None where the sides are
        graded alike or no map of colours explains how they differ.
    """
    reals, fakes = _cells(real, fake, around)
    if len(reals) < LEAST_CELLS:
        return None
    target, colours = _lab(reals), _lab(fakes)
    before, bins = colours - target, _bins((colours + target) / 2)
    shift = _shift(before, bins)
    if shift < GRADED:
        return None
    grade = fit_grade(fakes, reals)
    after = _lab(np.clip(grade.of(fakes), 0, 1)) - target
    if _shift(after, bins) > SHIFT_LEFT * shift or _spread(after) > SPREAD_LEFT * _spread(before):
        return None
    return _unclipped(grade.paint(fake), fake, real)


def fit_grade(fakes: Floats, reals: Floats) -> Grade:
    """Fits the map from fake to real colours, robust against cells that other things changed.

    Args:
        fakes: `(N, 3) float32` RGB in 0..1.
        reals: `(N, 3) float32`, what they should be.
    """
    designs = [np.column_stack([fakes, _curve(fakes[:, k])]).astype(np.float64) for k in range(3)]
    change = (reals - fakes).astype(np.float64)
    weight = np.ones(len(fakes))
    for _ in range(ROUNDS):
        found = [_ridge(design, change[:, k], weight) for k, design in enumerate(designs)]
        left = change - np.column_stack([d @ f for d, f in zip(designs, found, strict=True)])
        size = np.sqrt(np.sum(left * left, axis=1))
        sigma = max(LEAST_SIGMA, float(np.median(size)) / 1.54)
        weight = np.maximum(1 - (size / (TUKEY * sigma)) ** 2, 0) ** 2
    weights = np.array(found)
    return Grade(np.eye(3) + weights[:, :3], weights[:, 3:])


def _ridge(
    design: NDArray[np.float64], change: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solves weighted least squares with a pull towards zero."""
    weighted = design * weight[:, None]
    gram = design.T @ weighted + RIDGE * weight.sum() * np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(gram, weighted.T @ change))


def _curve(channel: Floats) -> Floats:
    """Gives the terms of a channel's own curve, `(N,)` to `(N, 4)`.

    An offset; `x ln x`, along which gamma bends at first; a square and a cube for S-shapes.
    """
    x = np.maximum(channel, 1e-4)
    return np.stack([np.ones_like(x), x * np.log(x), x * x, x * x * x], axis=-1)


def _cells(real: Image, fake: Image, around: Mask) -> tuple[Floats, Floats]:
    """Gives the mean colours of cells off the face that no side cuts off, `(N, 3)` RGB 0..1."""
    side = min(GRID, real.shape[0])
    small, other, free = (
        cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA)
        for one in (real, fake, around.astype(np.uint8) * 255)
    )
    reach = 2 * round(KEEP_OFF * side) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    usable = cv2.erode(free, disc) == 255
    for one in (small, other):
        usable &= (one.min(axis=2) > CLIPPED) & (one.max(axis=2) < 255 - CLIPPED)
    chosen = np.flatnonzero(usable)
    chosen = chosen[:: max(1, -(-len(chosen) // MOST_CELLS))]
    reals, fakes = (one.reshape(-1, 3)[chosen].astype(np.float32) / 255 for one in (small, other))
    return reals, fakes


def _lab(colours: Floats) -> Floats:
    return np.asarray(cv2.cvtColor(colours[:, None], cv2.COLOR_RGB2LAB)[:, 0])


def _bins(colours: Floats) -> list[Mask]:
    """Splits cells into equal parts by lightness, by red-green and by yellow-blue."""
    parts = []
    for channel in colours.T:
        edges = np.quantile(channel, np.linspace(0, 1, BINS + 1))
        parts += [(channel >= a) & (channel <= b) for a, b in zip(edges, edges[1:], strict=False)]
    return parts


def _shift(difference: Floats, bins: list[Mask]) -> float:
    """Gives the largest mean difference of a part, CIELAB units."""
    return max(float(np.abs(difference[part].mean(axis=0)).max()) for part in bins)


def _spread(difference: Floats) -> float:
    """Gives the median length of the differences, CIELAB units."""
    return float(np.median(np.linalg.norm(difference, axis=1)))


def _unclipped(painted: Floats, fake: Image, real: Image) -> Image:
    """Rounds to levels; a level that was cut off becomes what it may have been.

    All that a grade pushed beyond the range has the level of its end. Of the levels that it may
    have been, the one nearest to the real side is taken: nothing speaks for a change there.
    """
    high, low = fake >= 255 - CLIPPED, fake <= CLIPPED
    painted = np.where(high, np.maximum(painted, real), painted)
    painted = np.where(low, np.minimum(painted, real), painted)
    return np.clip(np.rint(painted), 0, 255).astype(np.uint8)
