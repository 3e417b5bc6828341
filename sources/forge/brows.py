"""Eyebrows made thicker or thinner, or taken away."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import Frame, Points, axes_of, blend, feathered, grown
from sources.forge.operation import Operation, each
from sources.forge.reshape import Field, moved
from sources.forge.still import Still
from sources.forge.swap import Colours
from sources.forge.zones import Zone, zone_of

_NAMES = ("right eyebrow", "left eyebrow")

RIM = 0.025
"""How far a brow's hairs reach beyond its outline, in distances between the eyes' corners."""
LEAST = 3.0
"""Least lightening (L*) for which a brow counts as one that can be seen."""


def thicken(frame: Frame, points: Points, _: Still, strength: float, *, grow: float) -> Frame:
    """Stretches both brows away from their middle line, or squeezes them.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Share of the growth.
        grow: Growth of a brow's height; below 0 it gets thinner.
    """
    axes = axes_of(points)
    for name in _NAMES:
        zone = zone_of(frame, points, (name,), 0.12)
        across, down = axes.offsets(zone.part.shape, np.zeros(2))
        inside = zone.mask > 0.5
        line = np.polyfit(across[inside], down[inside], 2)
        above = down - np.polyval(line, across)
        reach = 0.11 * zone.unit
        ends = _within(across, float(across[inside].min()), float(across[inside].max()), reach)
        near = np.clip(1 - (above / reach) ** 2, 0, 1) ** 2 * ends
        shift = (grow * strength * above * near)[..., None] * axes.down
        frame = zone.box.put(frame, moved(zone.part, shift))
    return frame


def _within(along: Field, low: float, high: float, reach: float) -> Field:
    beyond = np.maximum(np.maximum(low - along, along - high), 0)
    return np.clip(1 - (beyond / reach) ** 2, 0, 1) ** 2


def remove_brows(
    frame: Frame, points: Points, _: Still, strength: float, *, names: tuple[str, ...]
) -> Frame:
    """Paints skin over brows, continued from around them.

    Args:
        frame: The real frame.
        points: Its landmarks.
        strength: Opacity of the paint.
        names: `right eyebrow`, `left eyebrow` or both.
    """
    for name in names:
        zone = zone_of(frame, points, (name,), 0.2)
        hole = grown(zone.mask, RIM * zone.unit)
        weight = feathered(hole, 0.012 * zone.unit) * np.float32(strength)
        weight = np.where(weight > 0.02 * strength, weight, 0)
        frame = zone.box.put(frame, blend(zone.part, _bare(zone), weight))
    return frame


def _bare(zone: Zone) -> Colours:
    """Gives a brow's surroundings without it."""
    hole = (grown(zone.mask, RIM * zone.unit) > 0.5).astype(np.uint8)
    bare = cv2.inpaint(zone.part, hole, 4, cv2.INPAINT_TELEA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(bare, (0, 0), 0.012 * zone.unit), np.float32)


def lighter_without(points: Points, frame: Frame, names: tuple[str, ...]) -> bool:
    """Says whether brows are clearly darker than the skin that would take their place."""
    return all(_lightening(zone_of(frame, points, (name,), 0.2)) > LEAST for name in names)


def _lightening(zone: Zone) -> float:
    real, bare = (
        cv2.cvtColor(side.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
        for side in (zone.part, _bare(zone))
    )
    return float((bare - real)[zone.mask > 0.5].mean())


BROWS = (
    Operation(
        "thicken_brows",
        "attribute edit",
        partial(thicken, grow=0.6),
        each(_NAMES, (Kind.SIZE, "larger")),
        partial(lighter_without, names=_NAMES),
    ),
    Operation(
        "thin_brows",
        "attribute edit",
        partial(thicken, grow=-0.7),
        each(_NAMES, (Kind.SIZE, "smaller")),
        partial(lighter_without, names=_NAMES),
    ),
    *(
        Operation(
            name,
            "attribute edit",
            partial(remove_brows, names=names),
            each(names, (Kind.LIGHTNESS, "lighter")),
            partial(lighter_without, names=names),
        )
        for name, names in (("remove_brows", _NAMES), ("remove_right_brow", _NAMES[:1]))
    ),
)
