"""Colour edits: a concept takes another colour, shifted in CIELAB."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    INNER_LIPS,
    OUTER_LIPS,
    Frame,
    Points,
    Weight,
    axes_of,
    blend,
    box_around,
    feathered,
    polygon,
)
from sources.forge.operation import Fits, Operation, always, each
from sources.forge.still import Still
from sources.forge.zones import soft, zone_of

Lab = tuple[float, float, float]
"""Shift of L*, a* and b*."""

DARKER, LIGHTER = (Kind.LIGHTNESS, "darker"), (Kind.LIGHTNESS, "lighter")
REDDER, GREENER = (Kind.COLOUR, "redder"), (Kind.COLOUR, "greener")
YELLOWER, BLUER = (Kind.COLOUR, "yellower"), (Kind.COLOUR, "bluer")

EYE_OPEN = 0.16
"""Least height of an open eye over its width."""


def recolour(
    frame: Frame,
    points: Points,
    _: Still,
    strength: float,
    *,
    names: tuple[str, ...],
    lab: Lab,
    feather: float = 0.04,
) -> Frame:
    """Shifts the colour of concepts in CIELAB.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the shift.
        names: FICT concepts.
        lab: The whole shift.
        feather: Width of the soft edge, as a share of the distance between the eyes' corners.
    """
    for name in names:
        zone = zone_of(frame, points, (name,), 0.1)
        weight = zone.mask if "iris" in name else soft(zone, feather)
        frame = zone.box.put(frame, blend(zone.part, shifted(zone.part, lab, strength), weight))
    return frame


def shifted(part: Frame, lab: Lab, strength: float) -> Weight:
    """Gives pixels `(H, W, 3) float32`, 0 to 255, moved in CIELAB."""
    colours = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    moved = colours + np.array(lab, np.float32) * np.float32(strength)
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB) * 255, np.float32)


def recolour_lips(frame: Frame, points: Points, _: Still, strength: float, *, lab: Lab) -> Frame:
    """Shifts the colour of both lips in CIELAB, along their exact outline.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the shift.
        lab: The whole shift of L*, a* and b*.
    """
    unit = axes_of(points).unit
    box = box_around(points[OUTER_LIPS], 0.1 * unit, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    painted = shifted(part, lab, strength)
    return box.put(frame, blend(part, painted, _lips(part.shape, local, unit)))


def _lips(shape: tuple[int, ...], points: Points, unit: float) -> Weight:
    lips = polygon(shape, points[OUTER_LIPS]) - polygon(shape, points[INNER_LIPS])
    soft = feathered(np.clip(lips, 0, 1), 0.012 * unit)
    return np.where(soft > 0.02, soft, 0).astype(np.float32)


def eyes_open(points: Points, _frame: Frame) -> bool:
    """Says whether both eyes are open far enough to show their irises."""
    heights = np.hypot(*(points[[159, 386]] - points[[145, 374]]).T)
    widths = np.hypot(*(points[[33, 263]] - points[[133, 362]]).T)
    return bool((heights > EYE_OPEN * widths).all())


def _colour(
    name: str,
    names: tuple[str, ...],
    lab: Lab,
    *changes: tuple[Kind, str],
    feather: float = 0.04,
    fits: Fits = always,
) -> Operation:
    edit = partial(recolour, names=names, lab=lab, feather=feather)
    return Operation(name, "attribute edit", edit, each(names, *changes), fits)


def _lipstick(name: str, lab: Lab, *changes: tuple[Kind, str]) -> Operation:
    return Operation(name, "attribute edit", partial(recolour_lips, lab=lab), each(_LIPS, *changes))


_IRISES, _BROWS = ("right iris", "left iris"), ("right eyebrow", "left eyebrow")
_LIPS, _CHEEKS = ("upper lip", "lower lip"), ("right front cheek", "left front cheek")

RECOLOURS = (
    _lipstick("paint_lips_red", (-12, 28, 4), REDDER, DARKER),
    _lipstick("paint_lips_blue", (-16, 8, -28), BLUER, DARKER),
    _lipstick("pale_lips", (14, -22, 0), GREENER, LIGHTER),
    _colour("blue_irises", _IRISES, (8, -2, -36), BLUER, LIGHTER, fits=eyes_open),
    _colour("green_irises", _IRISES, (6, -30, 8), GREENER, LIGHTER, fits=eyes_open),
    _colour("amber_irises", _IRISES, (12, 4, 36), YELLOWER, LIGHTER, fits=eyes_open),
    _colour("darken_brows", _BROWS, (-26, 0, 0), DARKER),
    _colour("lighten_brows", _BROWS, (24, 0, 8), LIGHTER),
    _colour("redden_left_brow", ("left eyebrow",), (0, 26, 6), REDDER),
    _colour("blush_cheeks", _CHEEKS, (-6, 22, 2), REDDER, DARKER, feather=0.14),
    _colour("blush_right_cheek", ("right front cheek",), (-4, 24, 0), REDDER, feather=0.14),
    _colour("tan_forehead", ("forehead",), (-12, 2, 18), YELLOWER, DARKER, feather=0.16),
    _colour("pale_left_cheek", ("left cheek",), (10, -14, 0), GREENER, feather=0.12),
    _colour("bluish_chin", ("chin",), (-10, 0, -20), BLUER, DARKER, feather=0.08),
    _colour("redden_nose", ("nose base",), (-4, 26, 4), REDDER, feather=0.08),
    _colour("shadow_lids", ("right upper eyelid", "left upper eyelid"), (-22, 4, -12), DARKER),
    _colour("bright_under_eyes", ("right under-eye", "left under-eye"), (14, 0, 0), LIGHTER),
)
