"""Shape edits: smooth warps that enlarge, shrink and push parts of the face."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_EYE,
    Frame,
    Points,
    axes_of,
    box_around,
)
from sources.forge.operation import Operation, each, touched
from sources.forge.still import Still

Field = NDArray[np.float64]

STILL_PX = 0.15
"""Smaller shifts are left out, so that pixels outside an edit keep their exact values."""

_RINGS = {"right": [RIGHT_EYE], "left": [LEFT_EYE], "both": [RIGHT_EYE, LEFT_EYE]}


def resize_eyes(
    frame: Frame, points: Points, _: Still, strength: float, *, which: str, grow: float
) -> Frame:
    """Enlarges or shrinks the eyes.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the growth.
        which: `right`, `left` or `both`.
        grow: Growth; below 0 the eyes shrink.
    """
    pull = -grow * strength
    for ring in _RINGS[which]:
        middle, width = points[ring].mean(0), float(np.ptp(points[ring][:, 0]))
        frame = scaled(frame, points, middle, (0.95 * width, 0.8 * width), (pull, pull))
    return frame


def resize_nose(frame: Frame, points: Points, _: Still, strength: float, *, grow: float) -> Frame:
    """Narrows the lower nose (`grow` below 0), or enlarges it."""
    grow = grow * strength
    width = float(np.hypot(*(points[358] - points[129])))
    middle = points[[129, 358, 4, 2]].mean(0) - 0.12 * width * axes_of(points).down
    lengthen = max(grow, 0.0)
    return scaled(frame, points, middle, (0.9 * width, 0.75 * width), (-grow, -lengthen))


def resize_lips(frame: Frame, points: Points, _: Still, strength: float, *, grow: float) -> Frame:
    """Makes the lips fuller or thinner."""
    pull = -grow * strength
    lips = points[OUTER_LIPS]
    axes = axes_of(points)
    width, height = (float(np.ptp(lips @ axis)) for axis in (axes.across, axes.down))
    reach = (0.75 * width, max(0.9 * height, 0.35 * width))
    return scaled(frame, points, lips.mean(0), reach, (0.5 * pull, pull))


def scaled(
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


def _eyes(name: str, which: str, grow: float, direction: str) -> Operation:
    names = ("right eye", "left eye") if which == "both" else (f"{which} eye",)
    edit = partial(resize_eyes, which=which, grow=grow)
    return Operation(name, "attribute edit", edit, each(names, (Kind.SIZE, direction)))


_BY_NOSE = touched("right front cheek", "left front cheek", "upper lip skin")
_BY_LIPS = touched("mouth", "labiomental fold")

RESHAPES = (
    Operation(
        "narrow_nose",
        "attribute edit",
        partial(resize_nose, grow=-0.34 / 0.75),
        (*each(("nose",), (Kind.SIZE, "smaller")), *_BY_NOSE),
    ),
    Operation(
        "enlarge_nose",
        "attribute edit",
        partial(resize_nose, grow=0.22 / 0.75),
        (*each(("nose",), (Kind.SIZE, "larger")), *_BY_NOSE),
    ),
    _eyes("enlarge_eyes", "both", 0.26 / 0.75, "larger"),
    _eyes("enlarge_left_eye", "left", 0.26 / 0.75, "larger"),
    _eyes("shrink_right_eye", "right", -0.45, "smaller"),
    _eyes("shrink_eyes", "both", -0.45, "smaller"),
    Operation(
        "fuller_lips",
        "attribute edit",
        partial(resize_lips, grow=0.42),
        (*each(("lips",), (Kind.SIZE, "larger")), *_BY_LIPS),
    ),
    Operation(
        "thinner_lips",
        "attribute edit",
        partial(resize_lips, grow=-0.55),
        (*each(("lips",), (Kind.SIZE, "smaller")), *_BY_LIPS),
    ),
)
