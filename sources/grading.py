"""Takes a colour grade back that the whole fake side went through.

One map of colours is fitted around the face, where no forgery reaches. Such a map holds on the
face, too, although skin may be rare around it. Source: ours.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.colourmap import ColourMap, fit_map

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

GRID = 128
"""Colours are compared on a grid of so many cells a side: a cell's mean has little codec noise."""
MOST_CELLS = 5000
"""More cells do not make the fit better, only slower."""
LEAST_CELLS = 200
"""Fewer cells than this cannot carry a map of colours."""
KEEP_OFF = 0.04
"""Cells closer to the face than this share of the crop may be touched by a forgery."""
CLIPPED = 4
"""Levels from the end of the range within which a channel may have been cut off."""
SMEAR_PX, SMEAR = 5, 12
"""Width in pixels, and most levels, that a channel may be wrong by near one that was cut off."""
GRADED = 0.7
"""CIELAB units: sides whose colours differ by less in the mean are not graded."""
SHIFT_LEFT, SPREAD_LEFT = 0.3, 0.85
"""Of a grade, a map of colours leaves at most these shares of the mean difference of a part and of
the median difference; the second holds the codec's noise, too. Anything else is no grade."""
BINS = 3
"""Parts by which a colour channel is split: a contrast moves its ends and leaves the middle."""


def find_grade(real: Image, fake: Image, around: Mask) -> ColourMap | None:
    """Finds a colour grade that the whole fake side went through.

    Args:
        real: `(S, S, 3) uint8` RGB.
        fake: `(S, S, 3) uint8` RGB, laid on the real side.
        around: `(S, S) bool`, pixels outside the face.

    Returns:
        The map from the fake side's colours to the real one's; None where the sides are graded
        alike or no map of colours explains how they differ.
    """
    reals, fakes = _cells(real, fake, around)
    if len(reals) < LEAST_CELLS:
        return None
    target, colours = _lab(reals), _lab(fakes)
    before, bins = colours - target, _bins((colours + target) * np.float32(0.5))
    shift = _shift(before, bins)
    if shift < GRADED:
        return None
    grade = fit_map(fakes, reals)
    after = _lab(np.clip(grade.of(fakes), 0, 1)) - target
    if _shift(after, bins) > SHIFT_LEFT * shift or _spread(after) > SPREAD_LEFT * _spread(before):
        return None
    return grade


def take_back(grade: ColourMap, fake: Image, real: Image) -> Image:
    """Takes a colour grade of the whole fake side back.

    Args:
        grade: What `find_grade` gave.
        fake: `(S, S, 3) uint8` RGB, laid on the real side.
        real: `(S, S, 3) uint8` RGB.

    Returns:
        The fake side in the colours of the real one, `(S, S, 3) uint8`.
    """
    return _unclipped(grade.paint(fake), fake, real)


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
        kept = cv2.inRange(one, (CLIPPED + 1,) * 3, (254 - CLIPPED,) * 3)
        usable &= cv2.erode(kept, np.ones((3, 3), np.uint8)) > 0
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
        parts += [(channel >= a) & (channel <= b) for a, b in itertools.pairwise(edges)]
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
    gap = real - painted
    off = np.where(_cut_off(fake >= 255 - CLIPPED, gap), gap, 0)
    off += np.where(_cut_off(fake <= CLIPPED, -gap), gap, 0)
    return np.clip(np.rint(painted + off), 0, 255).astype(np.uint8)


def _cut_off(ends: Mask, gap: Floats) -> Mask:
    """Gives the channels, `(S, S, 3)`, that lie `gap` short of the real side as they were cut off.

    Codecs store colour at half the resolution: what is cut off takes from its neighbours, too.
    """
    near = cv2.dilate(ends.astype(np.uint8), np.ones((SMEAR_PX, SMEAR_PX), np.uint8)) > 0
    return np.asarray((gap > 0) & (ends | (near & (gap < SMEAR))))
