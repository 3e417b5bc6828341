"""Eyebrows made thicker or thinner, or taken away."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from schemas.records import EvidenceKind as Kind
from sources.forge.face import Frame, Points, axes_of, blend, feathered, grown
from sources.forge.operation import Operation, each
from sources.forge.reshape import moved
from sources.forge.still import Still
from sources.forge.zones import concept_mask, zone_of

_NAMES = ("right eyebrow", "left eyebrow")


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


def _within(
    along: np.ndarray[tuple[int, ...], np.dtype[np.float64]], low: float, high: float, reach: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
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
        hole = grown(zone.mask, 0.025 * zone.unit)
        bare = cv2.inpaint(zone.part, (hole > 0.5).astype(np.uint8), 4, cv2.INPAINT_TELEA)
        bare = cv2.GaussianBlur(bare, (0, 0), 0.012 * zone.unit).astype(np.float32)
        weight = feathered(hole, 0.012 * zone.unit) * np.float32(strength)
        weight = np.where(weight > 0.02 * strength, weight, 0)
        frame = zone.box.put(frame, blend(zone.part, bare, weight))
    return frame


def darker_than_skin(points: Points, frame: Frame) -> bool:
    """Says whether both brows are clearly darker than the skin above and below them."""
    return all(_contrast(points, frame, name) > 6 for name in _NAMES)


def _contrast(points: Points, frame: Frame, name: str) -> float:
    zone = zone_of(frame, points, (name,), 0.2)
    light = cv2.cvtColor(zone.part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    around = grown(zone.mask, 0.07 * zone.unit) - grown(zone.mask, 0.025 * zone.unit)
    brow = concept_mask(zone.part.shape, zone.points, (name,)) > 0.5
    return float(light[around > 0.5].mean() - light[brow].mean())


BROWS = (
    Operation(
        "thicken_brows",
        "attribute edit",
        partial(thicken, grow=0.6),
        each(_NAMES, (Kind.SIZE, "larger")),
        darker_than_skin,
    ),
    Operation(
        "thin_brows",
        "attribute edit",
        partial(thicken, grow=-0.7),
        each(_NAMES, (Kind.SIZE, "smaller")),
        darker_than_skin,
    ),
    *(
        Operation(
            name,
            "attribute edit",
            partial(remove_brows, names=names),
            each(names, (Kind.LIGHTNESS, "lighter")),
            darker_than_skin,
        )
        for name, names in (("remove_brows", _NAMES), ("remove_right_brow", _NAMES[:1]))
    ),
)
