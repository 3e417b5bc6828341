"""Which side of a pair was edited, told from the fine noise at the border of the changed area.

A camera's noise goes on across that border; an edit that interpolates, blends or smooths leaves
other noise inside than outside. It holds where the noise of the sensor is still there: videos
that were not compressed with loss. Source: ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.crop import CropPair

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

BORDER_PX = (3, 20)
"""Noise outside is taken this far from the changed area: past the blend, on like skin."""
FLAT = 2.0
"""Levels per pixel: where a picture changes faster, detail would be taken for noise."""
CLIPPED = (15.0, 240.0)
"""Darker and lighter pixels lose their noise."""
LEAST_PIXELS = 300
"""Fewer flat pixels, inside or outside, over all frames say nothing."""
KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Answers to noise alone: a plane, an edge along x and one along y all give 0."""


def noise_departure(clip: Sequence[CropPair], masks: Sequence[Mask]) -> float | None:
    """Tells on which side the noise changes more at the border of the changed area.

    Args:
        clip: Crops of one pair of videos.
        masks: `(S, S) bool` of each, the changed pixels.

    Returns:
        |ln(inside / outside)| of the fake side's noise less that of the real side: positive where
        the fake side was edited, negative where the sides may be swapped; None where there are
        too few flat pixels to tell.
    """
    noise: dict[tuple[str, str], list[Floats]] = {}
    for crop, mask in zip(clip, masks, strict=True):
        grey = {side: _grey(getattr(crop, side)) for side in ("real", "fake")}
        flat = crop.valid & _flat(grey["real"]) & _flat(grey["fake"])
        for place, where in (("inside", _inner(mask)), ("outside", _around(mask))):
            for side, light in grey.items():
                fine = np.abs(cv2.filter2D(light, -1, KERNEL))[where & flat]
                noise.setdefault((side, place), []).append(fine)
    level = {key: np.concatenate(parts) for key, parts in noise.items()}
    if min((one.size for one in level.values()), default=0) < LEAST_PIXELS:
        return None
    ratio = {
        side: np.log((level[side, "inside"].mean() + 1e-3) / (level[side, "outside"].mean() + 1e-3))
        for side in ("real", "fake")
    }
    return float(abs(ratio["fake"]) - abs(ratio["real"]))


def _grey(image: NDArray[np.uint8]) -> Floats:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def _flat(light: Floats) -> Mask:
    smooth = cv2.GaussianBlur(light, (0, 0), 2.0)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, k, 1 - k, scale=1 / 8) for k in (1, 0))
    flat: Mask = (np.hypot(right, down) < FLAT) & (light > CLIPPED[0]) & (light < CLIPPED[1])
    return flat


def _inner(mask: Mask) -> Mask:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return inner if inner.any() else mask


def _around(mask: Mask) -> Mask:
    near, far = (
        cv2.dilate(mask.astype(np.uint8), np.ones((2 * px + 1, 2 * px + 1), np.uint8)) > 0
        for px in BORDER_PX
    )
    around: Mask = far & ~near
    return around
