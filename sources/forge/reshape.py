"""Shape edits: smooth warps that enlarge the eyes and resize the nose."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.forge.face import (
    LEFT_EYE,
    RIGHT_EYE,
    Frame,
    Points,
    axes_of,
    box_around,
)
from sources.forge.still import Still

Field = NDArray[np.float64]

STILL_PX = 0.15
"""Smaller shifts are left out, so that pixels outside an edit keep their exact values."""


def enlarge_eyes(frame: Frame, points: Points, _: Still, which: str = "both") -> Frame:
    """Enlarges the eyes by a quarter.

    Args:
        frame: The real frame.
        points: Its landmarks.
        which: `right`, `left` or `both`.
    """
    rings = {"right": [RIGHT_EYE], "left": [LEFT_EYE], "both": [RIGHT_EYE, LEFT_EYE]}[which]
    for ring in rings:
        middle, width = points[ring].mean(0), float(np.ptp(points[ring][:, 0]))
        frame = _scaled(frame, points, middle, (0.95 * width, 0.8 * width), (-0.26, -0.26))
    return frame


def resize_nose(frame: Frame, points: Points, _: Still, grow: float = -0.34) -> Frame:
    """Narrows the lower nose (`grow` below 0), or enlarges it."""
    width = float(np.hypot(*(points[358] - points[129])))
    middle = points[[129, 358, 4, 2]].mean(0) - 0.12 * width * axes_of(points).down
    lengthen = max(grow, 0.0)
    return _scaled(frame, points, middle, (0.9 * width, 0.75 * width), (-grow, -lengthen))


def _scaled(
    frame: Frame,
    points: Points,
    middle: NDArray[np.floating],
    reach: tuple[float, float],
    pull: tuple[float, float],
) -> Frame:
    """Scales around a point, less and less up to `reach` across and down the face.

    A negative pull reads nearer to the middle, which enlarges what is there.
    """
    axes = axes_of(points)
    corners = np.array([middle - max(reach), middle + max(reach)])
    box = box_around(corners, 2, frame.shape)
    part = box.cut(frame)
    across, down = axes.offsets(part.shape, middle - np.array([box.x0, box.y0]))
    inside = np.clip(1 - (across / reach[0]) ** 2 - (down / reach[1]) ** 2, 0, 1) ** 2
    read = (pull[0] * across * inside)[..., None] * axes.across
    read = read + (pull[1] * down * inside)[..., None] * axes.down
    return box.put(frame, moved(part, -read))


def moved(part: Frame, shift: Field) -> Frame:
    """Moves a part's pixels by a smooth field `(H, W, 2)`: what was at p is drawn at p + shift."""
    y, x = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
    where = (np.stack([x, y], axis=2) - shift).astype(np.float32)
    drawn = cv2.remap(part, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    moves = np.hypot(shift[..., 0], shift[..., 1]) > STILL_PX
    return np.where(moves[..., None], drawn, part)
