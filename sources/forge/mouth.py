"""Expression edits of the mouth: a smile, a frown, and lips that open."""

from __future__ import annotations

from functools import partial

import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    INNER_LIPS,
    LEFT_CORNER,
    OUTER_LIPS,
    RIGHT_CORNER,
    Axes,
    Frame,
    Points,
    axes_of,
    blend,
    box_around,
    feathered,
    polygon,
)
from sources.forge.operation import Operation, each, touched
from sources.forge.reshape import Field, moved
from sources.forge.still import Still

OPENING = 0.16
"""How far the lower lip moves at most, as a share of the mouth's width."""
CLOSED = 0.06
"""Below this gap, as a share of the mouth's width, lips show nothing of the mouth's inside."""
CAVITY_RGB = (62, 24, 22)
"""Colour of the inside of a mouth."""


def pull_corners(
    frame: Frame,
    points: Points,
    _: Still,
    strength: float,
    *,
    outwards: float,
    upwards: float,
) -> Frame:
    """Pulls the corners of the mouth.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the way.
        outwards: Way to both sides, as a share of the mouth's width.
        upwards: Way up; below 0 the corners sink.
    """
    axes, width = axes_of(points), _width(points)
    box = box_around(points[OUTER_LIPS], 0.6 * width, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    shift = np.zeros((*part.shape[:2], 2))
    for corner, side in ((RIGHT_CORNER, -1), (LEFT_CORNER, 1)):
        across, down = axes.offsets(part.shape, local[corner])
        near = np.clip(1 - (across**2 + down**2) / (0.5 * width) ** 2, 0, 1) ** 2
        way = strength * width * (side * outwards * axes.across - upwards * axes.down)
        shift += near[..., None] * way
    return box.put(frame, moved(part, shift))


def open_mouth(frame: Frame, points: Points, _: Still, strength: float) -> Frame:
    """Moves the lower lip down; the upper lip and the teeth stay, closed lips part."""
    axes, width = axes_of(points), _width(points)
    opening = OPENING * strength * width
    box = box_around(points[OUTER_LIPS], 0.7 * width, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    gap = float((local[14] - local[13]) @ axes.down)
    across, down = axes.offsets(part.shape, local[13])
    ramp = np.clip(down / (opening + max(1.0, gap)), 0, 1)
    shift = _profile(across, width, opening) * ramp * _fading(down, width)
    opened = moved(part, shift[..., None] * axes.down)
    if gap < CLOSED * width:
        opened = _with_cavity(opened, local, axes, opening)
    return box.put(frame, opened)


def _profile(across: Field, width: float, opening: float) -> Field:
    """Gives how far the lower lip moves, by the distance from the mouth's middle."""
    return opening * np.clip(1 - (across / (0.55 * width)) ** 2, 0, 1) ** 1.5


def _fading(down: Field, width: float) -> Field:
    """Lets the movement end above the chin's edge."""
    beyond = np.clip((down - 0.25 * width) / (0.4 * width), 0, 1)
    return (1 - beyond**2) ** 2


def _with_cavity(part: Frame, points: Points, axes: Axes, opening: float) -> Frame:
    """Paints the dark inside of a mouth between lips that were closed."""
    width = _width(points)
    inner = points[INNER_LIPS].astype(np.float64)
    lower = np.zeros(len(inner), np.bool_)
    lower[1:10] = True  # INNER_LIPS runs along the lower lip first, corner to corner
    offsets = (inner - points[13]) @ axes.across
    inner[lower] += (_profile(offsets, width, opening)[:, None] * axes.down)[lower]
    hole = feathered(polygon(part.shape, inner), 0.012 * width)
    return blend(part, np.full(part.shape, CAVITY_RGB, np.float64), hole)


def _width(points: Points) -> float:
    return float(np.hypot(*(points[LEFT_CORNER] - points[RIGHT_CORNER])))


_CORNERS = ("right mouth corner", "left mouth corner")
_AROUND = (
    "mouth",
    "labiomental fold",
    *(
        f"{side} {part}"
        for side in ("right", "left")
        for part in ("nasolabial fold", "marionette area", "lower cheek")
    ),
)

MOUTHS = (
    Operation(
        "open_mouth",
        "expression reenactment",
        open_mouth,
        (*each(("lower lip",), (Kind.POSITION, "moved down")), *touched("inner mouth", "chin")),
    ),
    Operation(
        "smile",
        "expression reenactment",
        partial(pull_corners, outwards=0.06 / 0.75, upwards=0.13 / 0.75),
        (*each(_CORNERS, (Kind.POSITION, "moved up")), *touched(*_AROUND)),
    ),
    Operation(
        "frown",
        "expression reenactment",
        partial(pull_corners, outwards=-0.02, upwards=-0.2),
        (*each(_CORNERS, (Kind.POSITION, "moved down")), *touched(*_AROUND)),
    ),
)
