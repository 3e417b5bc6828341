"""Retouching: an area's skin smoothed as a beauty filter does, or sharpened."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import (
    Frame,
    Points,
    axes_of,
    blend,
    box_around,
    faded_in,
    grown,
    polygon,
)
from sources.forge.operation import Forgery, Operation, each
from sources.forge.still import Still
from sources.forge.trial import less_detail, more_detail
from sources.forge.zones import soft, zone_of

# fmt: off
AREAS = {
    "forehead": [54, 103, 67, 109, 10, 338, 297, 332, 284, 298, 333, 299, 337, 151, 108, 69, 104,
                 68],
    "right cheek": [116, 117, 118, 119, 100, 142, 203, 206, 216, 214, 192, 213, 147, 177, 137, 227],
    "left cheek": [345, 346, 347, 348, 329, 371, 423, 426, 436, 434, 416, 433, 376, 401, 366, 447],
}
# fmt: on
"""Outlines of skin areas."""


def smooth_skin(frame: Frame, points: Points, _: Still, strength: float, *, area: str) -> Frame:
    """Wipes the texture of an area's skin; strong edges such as hair stay.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the texture that goes.
        area: A key of `AREAS`.
    """
    unit = axes_of(points).unit
    box = box_around(points[AREAS[area]], 0.2 * unit, frame.shape)
    part = box.cut(frame)
    smooth = wiped(part, unit)
    mask = grown(polygon(part.shape, box.inside(points)[AREAS[area]]), 0.04 * unit)
    weight = faded_in(mask, 0.06 * unit) * np.float32(strength)
    return box.put(frame, blend(part, smooth.astype(np.float32), weight))


def wiped(part: Frame, unit: float) -> Frame:
    """Gives a part without its fine texture."""
    for _round in range(2):
        part = cv2.bilateralFilter(part, 0, 40, 0.06 * unit)
    return part


def smooth_concept(frame: Frame, points: Points, _: Still, strength: float, *, name: str) -> Frame:
    """Blurs a concept, its edges with its texture.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Opacity of the blur.
        name: The FICT concept.
    """
    zone = zone_of(frame, points, (name,))
    smooth = cv2.GaussianBlur(zone.part.astype(np.float32), (0, 0), 0.03 * zone.unit)
    weight = soft(zone, 0.05) * np.float32(strength)
    return zone.box.put(frame, blend(zone.part, smooth, weight))


def sharpen_concept(frame: Frame, points: Points, _: Still, strength: float, *, name: str) -> Frame:
    """Exaggerates the detail of a concept, as too strong an unsharp mask does.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the exaggeration.
        name: The FICT concept.
    """
    zone = zone_of(frame, points, (name,))
    part = zone.part.astype(np.float32)
    detail = part - cv2.GaussianBlur(part, (0, 0), 0.02 * zone.unit)
    sharp = part + np.float32(3.0 * strength) * detail
    return zone.box.put(frame, blend(zone.part, np.clip(sharp, 0, 255), soft(zone, 0.05)))


def _both(area: str, smooth: partial[Frame] | None = None) -> tuple[Operation, Operation]:
    """Gives the two operations on an area."""
    key = area.replace(" ", "_")
    less, more = ("less textured", "smoother"), ("more textured", "sharper")
    kinds = (Kind.TEXTURE, Kind.SHARPNESS)
    wipe = smooth or partial(smooth_concept, name=area)
    sharpen = partial(sharpen_concept, name=area)
    aims = [each((area,), *zip(kinds, how, strict=True)) for how in (less, more)]
    forgery: Forgery = "attribute edit"
    return (
        Operation(f"smooth_{key}", forgery, wipe, aims[0], less_detail(wipe, area)),
        Operation(f"sharpen_{key}", forgery, sharpen, aims[1], more_detail(sharpen, area)),
    )


RETOUCHES = (
    *(operation for area in AREAS for operation in _both(area, partial(smooth_skin, area=area))),
    *(
        operation
        for area in ("chin", "nose", "upper lip skin", "right eyebrow", "left eyebrow")
        for operation in _both(area)
    ),
    *_both("lips"),
)
