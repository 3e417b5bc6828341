"""Expression edits: a smile, and a mouth that opens."""

from __future__ import annotations

import numpy as np

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
from sources.forge.reshape import Field, moved
from sources.forge.still import Still

OPENING = 0.12
"""How far the lower lip moves, as a share of the mouth's width."""
CAVITY_RGB = (62, 24, 22)
"""Colour of the inside of a mouth."""


def smile(frame: Frame, points: Points, _: Still) -> Frame:
    """Pulls the corners of the mouth up and outwards."""
    axes, width = axes_of(points), _width(points)
    box = box_around(points[OUTER_LIPS], 0.6 * width, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    shift = np.zeros((*part.shape[:2], 2))
    for corner, outwards in ((RIGHT_CORNER, -1), (LEFT_CORNER, 1)):
        across, down = axes.offsets(part.shape, local[corner])
        near = np.clip(1 - (across**2 + down**2) / (0.5 * width) ** 2, 0, 1) ** 2
        shift += near[..., None] * width * (outwards * 0.06 * axes.across - 0.13 * axes.down)
    return box.put(frame, moved(part, shift))


def open_mouth(frame: Frame, points: Points, _: Still) -> Frame:
    """Moves the lower lip down; the upper lip and the teeth stay, closed lips part."""
    axes, width = axes_of(points), _width(points)
    box = box_around(points[OUTER_LIPS], 0.7 * width, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    gap = float((local[14] - local[13]) @ axes.down)
    across, down = axes.offsets(part.shape, local[13])
    ramp = np.clip(down / (OPENING * width + max(1.0, gap)), 0, 1)
    shift = _profile(across, width) * ramp * _fading(down, width)
    opened = moved(part, shift[..., None] * axes.down)
    if gap < 0.5 * OPENING * width:
        opened = _with_cavity(opened, local, axes, width)
    return box.put(frame, opened)


def _profile(across: Field, width: float) -> Field:
    """Gives how far the lower lip moves, by the distance from the mouth's middle."""
    return OPENING * width * np.clip(1 - (across / (0.55 * width)) ** 2, 0, 1) ** 1.5


def _fading(down: Field, width: float) -> Field:
    """Lets the movement end above the chin's edge."""
    beyond = np.clip((down - 0.25 * width) / (0.4 * width), 0, 1)
    return (1 - beyond**2) ** 2


def _with_cavity(part: Frame, points: Points, axes: Axes, width: float) -> Frame:
    """Paints the dark inside of a mouth between lips that were closed."""
    inner = points[INNER_LIPS].astype(np.float64)
    lower = np.zeros(len(inner), np.bool_)
    lower[1:10] = True  # INNER_LIPS runs along the lower lip first, corner to corner
    offsets = (inner - points[13]) @ axes.across
    inner[lower] += (_profile(offsets, width)[:, None] * axes.down)[lower]
    hole = feathered(polygon(part.shape, inner), 0.012 * width)
    return blend(part, np.full(part.shape, CAVITY_RGB, np.float64), hole)


def _width(points: Points) -> float:
    return float(np.hypot(*(points[LEFT_CORNER] - points[RIGHT_CORNER])))
