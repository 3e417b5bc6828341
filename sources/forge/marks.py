"""Things added to the skin: moles, spots, a scar, a tattoo, a sticker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.records import EvidenceKind as Kind
from sources.forge.face import Frame, Points, Weight, axes_of, blend
from sources.forge.operation import Operation, each
from sources.forge.still import Still
from sources.forge.zones import concept_mask, zone_of

Field = NDArray[np.float64]
"""`(H, W)`, in distances between the outer corners of the eyes."""

Colour = tuple[int, int, int]
Spot = tuple[float, float, float]
"""Place across and down, and radius."""

Pattern = Callable[[Field, Field], Weight]
"""Gives a pattern's opacity from each pixel's distance across and down, in units."""


def draw(
    frame: Frame,
    points: Points,
    _: Still,
    strength: float,
    *,
    name: str,
    pattern: Pattern,
    rgb: Colour,
) -> Frame:
    """Draws a pattern in the middle of a concept.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Opacity.
        name: The FICT concept.
        pattern: What is drawn.
        rgb: Its colour.
    """
    zone = zone_of(frame, points, (name,))
    middle = np.argwhere(concept_mask(zone.part.shape, zone.points, (name,)) > 0.5).mean(0)[::-1]
    across, down = axes_of(points).offsets(zone.part.shape, middle)
    weight = pattern(across / zone.unit, down / zone.unit)
    weight = cv2.GaussianBlur(weight, (0, 0), 0.8) * np.float32(strength)
    paint = np.full(zone.part.shape, rgb, np.float32)
    return zone.box.put(frame, blend(zone.part, paint, np.where(weight > 0.01, weight, 0)))


def _dots(x: Field, y: Field, *, dots: tuple[Spot, ...]) -> Weight:
    """Round spots: place across, place down, radius."""
    return np.asarray(
        sum(((x - a) ** 2 + (y - b) ** 2 < r * r).astype(np.float32) for a, b, r in dots),
        np.float32,
    )


_MOLE = partial(_dots, dots=((0.0, 0.0, 0.034),))
_SPOTS = partial(
    _dots,
    dots=((0.0, 0.0, 0.02), (0.07, 0.05, 0.014), (-0.06, 0.06, 0.017), (0.03, -0.07, 0.013)),
)
_TATTOO = partial(
    _dots,
    dots=tuple(
        (0.035 * a, 0.035 * b, 0.011)
        for a in range(-2, 3)
        for b in range(-2, 3)
        if abs(a) + abs(b) < 4
    ),
)


def _scar(x: Field, y: Field) -> Weight:
    """A slanting line with four stitches across it."""
    along, off = 0.6 * x + 0.8 * y, 0.8 * x - 0.6 * y
    cut = (np.abs(off) < 0.008) & (np.abs(along) < 0.13)
    stitch = (np.abs(off) < 0.035) & (np.abs((along + 0.135) % 0.06 - 0.03) < 0.006)
    return (cut | stitch & (np.abs(along) < 0.12)).astype(np.float32)


def _sticker(x: Field, y: Field) -> Weight:
    """A five-pointed star."""
    angle, radius = np.arctan2(x, -y), np.hypot(x, y)
    tip = np.abs((angle * 5 / (2 * np.pi)) % 1 - 0.5) * 2
    return (radius < 0.05 + 0.055 * tip).astype(np.float32)


def _drawn(
    name: str, concept: str, pattern: Pattern, rgb: Colour, *changes: tuple[Kind | None, str]
) -> Operation:
    edit = partial(draw, name=concept, pattern=pattern, rgb=rgb)
    return Operation(name, "attribute edit", edit, each((concept,), *changes))


_DARK = (Kind.LIGHTNESS, "darker")

MARKS = (
    _drawn("mole_right_cheek", "right front cheek", _MOLE, (62, 38, 30), _DARK),
    _drawn("mole_chin", "middle chin", _MOLE, (62, 38, 30), _DARK),
    _drawn("spots_left_cheek", "left cheek", _SPOTS, (105, 62, 46), _DARK),
    _drawn("spots_forehead", "middle lower forehead", _SPOTS, (105, 62, 46), _DARK),
    _drawn("tattoo_left_cheek", "left cheek", _TATTOO, (28, 40, 66), _DARK),
    _drawn("scar_right_cheek", "right cheek", _scar, (120, 40, 40), _DARK),
    _drawn(
        "sticker_right_cheek", "right cheek", _sticker, (30, 90, 200), _DARK, (Kind.COLOUR, "bluer")
    ),
)
