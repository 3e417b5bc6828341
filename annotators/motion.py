"""What of a change is movement: anatomy that lies elsewhere in the fake than in the real face.

Where undoing the movement removes the difference, the pixels were moved; their colour must then be
compared with where they came from, or a lip that moved down would be told as pale skin turned red.
Source: ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.noise import median, summed

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

EXPLAINS = 0.6
"""A movement counts where undoing it leaves less than this share of the difference."""

STILL_PX = 0.5
"""Pixels that moved less than this, in crop pixels, count as unmoved."""
MOST_NOISE = 0.6
"""Share of a difference that is taken for noise at most."""
LEAST_APART = 0.1
"""Pixels that move against each other by less, in crop pixels, did not: there is no growth."""
GROWTH_EXPLAINS = 0.15
"""Least share of the pixels' movement against each other that a growth must explain."""
STRUCTURE_PX = 4.0
"""Structure that is compared in place is finer than this, in crop pixels."""
ALIKE = 0.5
"""Correlation of the structure of both sides from which it counts as the same structure."""
BLUR_AREA = 16.0
"""Pixels that share one piece of structure: so many count as one observation."""


@dataclass(frozen=True)
class Drift:
    """How far structure that stayed the same can have moved, with its standard errors.

    Attributes:
        shift: Movement in crop pixels, x then y.
        growth: Relative growth about the region's middle.
        errors: Standard errors of the three.
    """

    shift: tuple[float, float]
    growth: float
    errors: tuple[float, float, float]


class Motion:
    """The movement from the real to the fake side of a crop.

    Args:
        real: `(S, S, 3) float32` CIELAB of the real side.
        fake: The same of the fake side.
        noise: Mean difference of unchanged pixels, summed over the channels, CIELAB units.
    """

    def __init__(self, real: Map, fake: Map, noise: float = 0.0) -> None:
        self.real, self.fake, self.noise = real, fake, noise

    @functools.cached_property
    def flow(self) -> Map:
        """`(S, S, 2)` movement from the real to the fake side, crop pixels, x then y."""
        sides = (np.clip(side[..., 0] * 2.55, 0, 255) for side in (self.real, self.fake))
        before, after = (side.astype(np.uint8) for side in sides)
        finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        return np.asarray(finder.calc(before, after, None))

    @functools.cached_property
    def undone(self) -> Map:
        """`(S, S, 3)` fake minus real, CIELAB, after the movement is undone."""
        ramp = np.arange(self.real.shape[0], dtype=np.float32)
        columns, rows = ramp + self.flow[..., 0], ramp[:, None] + self.flow[..., 1]
        return np.asarray(cv2.remap(self.fake, columns, rows, cv2.INTER_LINEAR) - self.real)

    @functools.cached_property
    def _lengths(self) -> tuple[Map, Map]:
        return summed(np.abs(self.fake - self.real)), summed(np.abs(self.undone))

    def explains(self, where: Mask) -> bool:
        """Tells whether the change of some pixels, beyond the noise, is a movement."""
        before, after = (float(each[where].mean(dtype=np.float64)) for each in self._lengths)
        noise = min(self.noise, MOST_NOISE * before)
        return before > 0 and after - noise < EXPLAINS * (before - noise)

    def is_still(self, where: Mask) -> bool:
        """Tells whether some pixels stayed where they were.

        The flow alone does not tell: it takes a change of colour on bare skin for a movement.
        """
        found = self.drift(where)
        if found is not None and float(np.hypot(*found.shift)) < STILL_PX:
            return True
        ways = self.flow[where]
        return float(median(np.hypot(ways[:, 0], ways[:, 1]))) < STILL_PX

    def growth(self, where: Mask) -> float:
        """Gives the relative growth of a region: the scale that fits its movement best.

        Each connected part grows about its own middle. (The mean divergence would be nothing:
        it adds up to zero over any movement that dies out within the region.)

        Returns:
            The growth; NaN where a growth explains little of how the pixels move apart, as at the
            rim of another region's movement.
        """
        _, parts = cv2.connectedComponents(where.astype(np.uint8))
        rows, columns = np.nonzero(where)
        part = parts[rows, columns]
        pixels = np.maximum(np.bincount(part), 1)
        outward, spread, motion = np.zeros((3, len(part)))
        for place, flow in ((columns, self.flow[..., 0]), (rows, self.flow[..., 1])):
            away = place - (np.bincount(part, place) / pixels)[part]
            apart = flow[rows, columns] - (np.bincount(part, flow[rows, columns]) / pixels)[part]
            outward += away * apart
            spread += away * away
            motion += apart * apart
        growth = float(outward.sum() / max(spread.sum(), 1e-6))
        if motion.mean() < LEAST_APART**2:
            return growth
        explained = growth * growth * spread.sum() / max(motion.sum(), 1e-6)
        return growth if explained >= GROWTH_EXPLAINS else float("nan")

    def growth_of_windows(self, side: int) -> Map:
        """Gives the growth of the square window around each pixel."""
        ramp = np.arange(side, dtype=np.float32) - side // 2
        box = np.ones(side, np.float32)
        outward = cv2.sepFilter2D(self.flow[..., 0], cv2.CV_32F, ramp, box)
        outward = outward + cv2.sepFilter2D(self.flow[..., 1], cv2.CV_32F, box, ramp)
        return np.asarray(outward / (2 * side * float(ramp @ ramp)))

    def drift(self, where: Mask) -> Drift | None:
        """Measures the movement of structure that is the same on both sides, to first order.

        One step of Lucas and Kanade's fit on locally normalised lightness, which no change of
        colour or light disturbs.

        Returns:
            The movement with its errors; None where the structure of the sides is not alike.
        """
        before, after = (each[where] for each in self._structure)
        alike = float(np.mean(before * after) / max(before.std() * after.std(), 1e-6))
        if alike < ALIKE:
            return None
        rows, columns = np.nonzero(where)
        slopes = [slope[where] for slope in self._slopes]
        outward = slopes[0] * (columns - columns.mean()) + slopes[1] * (rows - rows.mean())
        design = np.stack([*slopes, outward], axis=1).astype(np.float64)
        normal = design.T @ design + 1e-6 * np.eye(3)
        fit = np.linalg.solve(normal, design.T @ (before - after))
        rest = float(np.mean((before - after - design @ fit) ** 2))
        x, y, scale = np.sqrt(BLUR_AREA * rest * np.diag(np.linalg.inv(normal))).tolist()
        return Drift((float(fit[0]), float(fit[1])), float(fit[2]), (x, y, scale))

    @functools.cached_property
    def _structure(self) -> tuple[Map, Map]:
        return _normalised(self.real[..., 0]), _normalised(self.fake[..., 0])

    @functools.cached_property
    def _slopes(self) -> tuple[Map, Map]:
        """Steepness of the structure of both sides, along x and along y."""
        middle = (self._structure[0] + self._structure[1]) / 2
        across, along = (cv2.Sobel(middle, cv2.CV_32F, k, 1 - k, scale=1 / 8) for k in (1, 0))
        return across, along


def _normalised(lightness: Map) -> Map:
    """Gives lightness less its surroundings, over their contrast."""
    fine = cv2.GaussianBlur(lightness, (0, 0), 1.0)
    detail = fine - cv2.GaussianBlur(lightness, (0, 0), STRUCTURE_PX)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 2 * STRUCTURE_PX))
    return np.asarray(detail / (contrast + 0.5))
