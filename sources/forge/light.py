"""Light: one side of the face lighter or darker, teeth whitened."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    INNER_LIPS,
    OVAL,
    Frame,
    Points,
    Weight,
    axes_of,
    blend,
    box_around,
    faded_in,
    feathered,
    polygon,
)
from sources.forge.operation import Operation, each
from sources.forge.recolour import BLUER, DARKER, LIGHTER, shifted
from sources.forge.still import Still
from sources.forge.zones import zone_of


def relight(
    frame: Frame, points: Points, _: Still, strength: float, *, side: str, gain: float
) -> Frame:
    """Makes one side of the face lighter or darker, more and more away from its middle.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the gain.
        side: `right` or `left`, the subject's.
        gain: What is added to the light, as a share of it.
    """
    axes = axes_of(points)
    box = box_around(points[OVAL], 2, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    across, _down = axes.offsets(part.shape, local[[6, 4, 13, 152]].mean(0))
    ramp = np.clip((across if side == "left" else -across) / (0.35 * axes.unit) - 0.15, 0, 1)
    weight = faded_in(polygon(part.shape, local[OVAL]), 0.1 * axes.unit) * ramp
    lit = part.astype(np.float32) * np.float32(1 + gain * strength)
    return box.put(frame, blend(part, lit, weight.astype(np.float32)))


def whiten_teeth(frame: Frame, points: Points, _: Still, strength: float) -> Frame:
    """Makes the teeth lighter and less yellow; lips, gums and the dark stay."""
    zone = zone_of(frame, points, ("inner mouth",), 0.1)
    weight = feathered(_teeth(zone.part, zone.points), 0.006 * zone.unit)
    white = shifted(zone.part, (16, -2, -20), strength)
    return zone.box.put(frame, blend(zone.part, white, np.where(weight > 0.02, weight, 0)))


def shows_teeth(points: Points, frame: Frame) -> bool:
    """Says whether enough bright pixels are seen between the lips."""
    zone = zone_of(frame, points, ("inner mouth",), 0.1)
    return float(_teeth(zone.part, zone.points).sum()) > 0.008 * zone.unit**2


def _teeth(part: Frame, points: Points) -> Weight:
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    bright = (lab[..., 0] > 52) & (lab[..., 1] < 16)
    return np.where(bright, polygon(part.shape, points[INNER_LIPS]), 0).astype(np.float32)


def _relit(side: str, gain: float, change: tuple[Kind, str]) -> Operation:
    names = ("temple", "eye", "cheek", "jaw", "lower forehead")
    concepts = [f"{side} {name}" for name in names]
    edit = partial(relight, side=side, gain=gain)
    name = f"{change[1].removesuffix('er')}en_{side}_side"
    return Operation(name, "attribute edit", edit, each(concepts, change))


LIGHTS = (
    _relit("right", -0.5, DARKER),
    _relit("left", -0.5, DARKER),
    _relit("right", 0.35, LIGHTER),
    Operation(
        "whiten_teeth",
        "attribute edit",
        whiten_teeth,
        each(("teeth",), LIGHTER, BLUER),
        shows_teeth,
    ),
)
