"""What of a change is movement: anatomy that lies elsewhere in the fake than in the real face.

Where undoing the movement removes the difference, the pixels were moved; their colour must then be
compared with where they came from, or a lip that moved down would be told as pale skin turned red.
Source: ours.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

EXPLAINS = 0.6
"""A movement counts where undoing it leaves less than this share of the difference."""


class Motion:
    """The movement from the real to the fake side of a crop.

    Args:
        real: `(S, S, 3) float32` CIELAB of the real side.
        fake: The same of the fake side.
    """

    def __init__(self, real: Map, fake: Map) -> None:
        self.real, self.fake = real, fake

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
        size = self.real.shape[0]
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        places = np.dstack([columns + self.flow[..., 0], rows + self.flow[..., 1]])
        return np.asarray(cv2.remap(self.fake, places, None, cv2.INTER_LINEAR) - self.real)

    @functools.cached_property
    def _lengths(self) -> tuple[Map, Map]:
        before = np.abs(self.fake - self.real).sum(axis=2)
        return before, np.abs(self.undone).sum(axis=2)

    def explains(self, where: Mask) -> bool:
        """Tells whether the change of some pixels is a movement."""
        before, after = (float(each[where].sum(dtype=np.float64)) for each in self._lengths)
        return before > 0 and after < EXPLAINS * before

    def growth(self, where: Mask) -> float:
        """Gives the relative growth of a region: the scale that fits its movement best.

        Each connected part grows about its own middle. (The mean divergence would be nothing:
        it adds up to zero over any movement that dies out within the region.)
        """
        _, parts = cv2.connectedComponents(where.astype(np.uint8))
        rows, columns = np.nonzero(where)
        part = parts[rows, columns]
        pixels = np.maximum(np.bincount(part), 1)
        outward = np.zeros(len(part))
        spread = np.zeros(len(part))
        for place, flow in ((columns, self.flow[..., 0]), (rows, self.flow[..., 1])):
            middle = np.bincount(part, place) / pixels
            away = place - middle[part]
            outward += away * flow[rows, columns]
            spread += away * away
        return float(outward.sum() / max(spread.sum(), 1e-6))

    def growth_of_windows(self, side: int) -> Map:
        """Gives the growth of the square window around each pixel."""
        ramp = np.arange(side, dtype=np.float32) - side // 2
        box = np.ones(side, np.float32)
        outward = cv2.sepFilter2D(self.flow[..., 0], cv2.CV_32F, ramp, box)
        outward = outward + cv2.sepFilter2D(self.flow[..., 1], cv2.CV_32F, box, ramp)
        return np.asarray(outward / (2 * side * float(ramp @ ramp)))
