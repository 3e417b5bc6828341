"""Retouching: skin smoothed as a beauty filter does, lips given another colour."""

from __future__ import annotations

import cv2
import numpy as np

from sources.forge.face import (
    INNER_LIPS,
    OUTER_LIPS,
    Frame,
    Points,
    Weight,
    axes_of,
    blend,
    box_around,
    faded_in,
    feathered,
    grown,
    polygon,
)
from sources.forge.still import Still

# fmt: off
AREAS = {
    "forehead": [54, 103, 67, 109, 10, 338, 297, 332, 284, 298, 333, 299, 337, 151, 108, 69, 104,
                 68],
    "right cheek": [116, 117, 118, 119, 100, 142, 203, 206, 216, 214, 192, 213, 147, 177, 137, 227],
    "left cheek": [345, 346, 347, 348, 329, 371, 423, 426, 436, 434, 416, 433, 376, 401, 366, 447],
}
# fmt: on
"""Outlines of skin areas."""


def smooth_skin(frame: Frame, points: Points, _: Still, area: str = "forehead") -> Frame:
    """Wipes the texture of an area's skin; strong edges such as hair stay.

    Args:
        frame: The real frame.
        points: Its landmarks.
        area: A key of `AREAS`.
    """
    unit = axes_of(points).unit
    box = box_around(points[AREAS[area]], 0.2 * unit, frame.shape)
    part = box.cut(frame)
    smooth = part
    for _round in range(2):
        smooth = cv2.bilateralFilter(smooth, 0, 40, 0.06 * unit)
    mask = grown(polygon(part.shape, box.inside(points)[AREAS[area]]), 0.04 * unit)
    return box.put(frame, blend(part, smooth.astype(np.float32), faded_in(mask, 0.06 * unit)))


def recolour_lips(
    frame: Frame, points: Points, _: Still, lab: tuple[float, float, float] = (-6, 14, 2)
) -> Frame:
    """Shifts the colour of both lips in CIELAB.

    Args:
        frame: The real frame.
        points: Its landmarks.
        lab: Shift of L*, a* and b*.
    """
    unit = axes_of(points).unit
    box = box_around(points[OUTER_LIPS], 0.1 * unit, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    colours = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    shifted = cv2.cvtColor(colours + np.array(lab, np.float32), cv2.COLOR_LAB2RGB) * 255
    return box.put(frame, blend(part, shifted, _lips(part.shape, local, unit)))


def _lips(shape: tuple[int, ...], points: Points, unit: float) -> Weight:
    lips = polygon(shape, points[OUTER_LIPS]) - polygon(shape, points[INNER_LIPS])
    soft = feathered(np.clip(lips, 0, 1), 0.012 * unit)
    return np.where(soft > 0.02, soft, 0).astype(np.float32)
