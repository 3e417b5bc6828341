"""Expression edits away from the mouth: brows, eyelids and jaw."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    LEFT_EYE,
    RIGHT_EYE,
    Axes,
    Box,
    Frame,
    Points,
    Weight,
    axes_of,
    blend,
    feathered,
    grown,
    polygon,
)
from sources.forge.operation import Aim, Operation, each, touched
from sources.forge.recolour import eyes_open
from sources.forge.reshape import moved, scaled
from sources.forge.still import Still
from sources.forge.zones import concept_mask, zone_of

Way = tuple[float, float]
"""Across (towards the picture's right) and down, in distances between the eyes' corners."""

RIM = 0.04
"""What moves as it is reaches this far beyond its outline: hairs do."""

_BY_BROWS = ("brow bone", "lower forehead", "temple")
_BY_JAW = ("lower cheek", "side cheek")
_EYES = {"right": RIGHT_EYE, "left": LEFT_EYE}


def push(
    frame: Frame,
    points: Points,
    _: Still,
    strength: float,
    *,
    ways: dict[str, Way],
    fixed: tuple[str, ...],
    reach: float,
) -> Frame:
    """Moves concepts as they are; what is around follows, less and less, and some things stay.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the way.
        ways: How far each concept moves.
        fixed: Concepts that stay.
        reach: Where the movement ends, in distances between the eyes' corners.
    """
    axes = axes_of(points)
    for name, way in ways.items():
        zone = zone_of(frame, points, (name,), reach + 0.02)
        stays = concept_mask(zone.part.shape, zone.points, fixed)
        rigid = grown(zone.mask, RIM * zone.unit)
        weight = _pull(rigid, stays, reach * zone.unit).astype(np.float64)[..., None]
        shift = strength * zone.unit * (way[0] * axes.across + way[1] * axes.down)
        frame = zone.box.put(frame, moved(zone.part, weight * shift))
    return frame


def _pull(mask: Weight, stays: Weight, reach: float) -> Weight:
    """Gives how far each pixel follows: 1 in the mask, 0 in what stays and beyond the reach."""
    away, near = _distance(mask), _distance(stays)
    faded = np.clip(1 - away / reach, 0, 1)
    smooth = faded * faded * (3 - 2 * faded) * near / np.maximum(near + away, 1e-3)
    blurred = cv2.GaussianBlur(smooth.astype(np.float32), (0, 0), 1.5)
    return np.where(away < reach, blurred, 0).astype(np.float32)


def _distance(mask: Weight) -> Weight:
    return np.asarray(
        cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, 5), np.float32
    )


def narrow_eyes(
    frame: Frame, points: Points, _: Still, strength: float, *, sides: tuple[str, ...]
) -> Frame:
    """Lowers the upper lids and raises the lower ones; the eyeballs stay.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: At 1 the eyes are almost shut.
        sides: `right`, `left` or both, the subject's.
    """
    axes, pull = axes_of(points), 1.1 * strength
    for side in sides:
        ring = points[_EYES[side]].astype(np.float64)
        width = float(np.hypot(*np.ptp(ring, axis=0)))
        reach, middle = (0.85 * width, 0.6 * width), ring.mean(0) + 0.05 * width * axes.down
        lids = scaled(frame, points, middle, reach, (0.0, pull))
        frame = _with_eyeball(frame, lids, _closing(ring - middle, axes, reach, pull) + middle)
    return frame


def _closing(rim: Weight, axes: Axes, reach: tuple[float, float], pull: float) -> Weight:
    """Gives where the rim of an eye is drawn after the lids moved."""
    across, down = rim @ axes.across, rim @ axes.down
    drawn = down.copy()
    for _round in range(20):
        inside = np.clip(1 - (across / reach[0]) ** 2 - (drawn / reach[1]) ** 2, 0, 1) ** 2
        drawn = down / (1 + pull * inside)
    return np.asarray(across[:, None] * axes.across + drawn[:, None] * axes.down, np.float32)


def _with_eyeball(real: Frame, lids: Frame, rim: Weight) -> Frame:
    """Puts the unmoved eyeball into the opening that is left between the lids."""
    low, high = np.floor(rim.min(0) - 4).astype(int), np.ceil(rim.max(0) + 5).astype(int)
    box = Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    part = box.cut(lids)
    opening = polygon(part.shape, rim - low)
    weight = np.minimum(feathered(opening, 0.9), 1).astype(np.float32)
    return box.put(lids, blend(part, box.cut(real).astype(np.float32), weight))


def _pushed(
    name: str, ways: dict[str, Way], reach: float, aims: tuple[Aim, ...], *fixed: str
) -> Operation:
    edit = partial(push, ways=ways, fixed=fixed, reach=reach)
    return Operation(name, "expression reenactment", edit, aims)


def _brows(name: str, sides: tuple[str, ...], down: float) -> Operation:
    direction = "moved down" if down > 0 else "moved up"
    names = [f"{side} eyebrow" for side in sides]
    aims = (
        *each(names, (Kind.POSITION, direction)),
        *touched("glabella", *(f"{side} {part}" for side in sides for part in _BY_BROWS)),
    )
    eyes = [f"{side} {part}" for side in sides for part in ("eyeball", "lower eyelid")]
    return _pushed(name, dict.fromkeys(names, (0.0, down)), 0.2, aims, *eyes)


def _jaw(name: str, ways: dict[str, Way]) -> Operation:
    aims = tuple(
        (part, Kind.POSITION, "moved left" if way[0] > 0 else "moved right")
        for part, way in ways.items()
    )
    cheeks = (f"{side} {part}" for side in ("right", "left") for part in _BY_JAW)
    return _pushed(name, ways, 0.17, (*aims, *touched("chin and jaw", *cheeks)), "lips")


def _narrowed(name: str, *sides: str) -> Operation:
    lids = [f"{side} upper eyelid" for side in sides]
    aims = (
        *each(lids, (Kind.POSITION, "moved down")),
        *touched(*(f"{side} eye" for side in sides)),
    )
    edit = partial(narrow_eyes, sides=sides)
    return Operation(name, "expression reenactment", edit, aims, eyes_open)


EXPRESSIONS = (
    _brows("raise_brows", ("right", "left"), -0.055),
    _brows("raise_left_brow", ("left",), -0.055),
    _brows("lower_brows", ("right", "left"), 0.05),
    _narrowed("narrow_eyes", "right", "left"),
    _narrowed("wink_right_eye", "right"),
    _jaw("jaw_left", {"chin": (0.085, 0.0)}),
    _jaw("jaw_right", {"chin": (-0.085, 0.0)}),
    _jaw("widen_jaw", {"right jaw": (-0.085, 0.0), "left jaw": (0.085, 0.0)}),
)
