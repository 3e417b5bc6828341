"""Soft masks of FICT concepts in a frame, drawn from its landmarks."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fict.tree import Inside, Loop, load_tree
from sources.forge.face import (
    Box,
    Frame,
    Points,
    Weight,
    axes_of,
    box_around,
    faded_in,
    feathered,
    grown,
    polygon,
)
from sources.forge.operation import leaves_of

IRISES = {"right iris": slice(468, 473), "left iris": slice(473, 478)}
"""Landmarks of each iris, its centre first."""


class Zone(NamedTuple):
    """A part of a frame around some concepts.

    Attributes:
        box: Where the part is.
        part: Its pixels.
        points: Landmarks in pixels of the part.
        mask: The concepts, hard-edged.
        unit: Distance between the outer corners of the eyes.
    """

    box: Box
    part: Frame
    points: Points
    mask: Weight
    unit: float


@functools.cache
def outlines(names: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Gives the outlines, as landmark numbers, of the atomic concepts of some concepts."""
    tree, found = load_tree(), []
    for number in sorted(leaves_of(names)):
        where = tree.by_id[number].where
        if isinstance(where, Loop):
            found.append(tuple(where.loop))
        elif isinstance(where, Inside):
            found.append(tuple(where.inside))
    return tuple(dict.fromkeys(found))


def concept_mask(shape: tuple[int, ...], points: Points, names: tuple[str, ...]) -> Weight:
    """Gives `(H, W)`: 1 inside the concepts; an opening's parts count as the whole opening."""
    if names[0] in IRISES:
        irises = [_iris(shape, points, name) for name in names]
        return np.asarray(np.max(irises, axis=0), np.float32)
    mask = np.zeros(shape[:2], np.float32)
    for loop in outlines(names):
        np.maximum(mask, polygon(shape, points[list(loop)]), out=mask)
    return mask


def zone_of(frame: Frame, points: Points, names: tuple[str, ...], margin: float = 0.2) -> Zone:
    """Cuts the part of a frame around some concepts.

    Args:
        frame: The frame.
        points: Its landmarks.
        names: FICT concepts.
        margin: Pixels around them, as a share of the distance between the eyes' corners.
    """
    unit = axes_of(points).unit
    corners = points[sorted({number for loop in outlines(names) for number in loop})]
    box = box_around(corners, margin * unit, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    return Zone(box, part, local, concept_mask(part.shape, local, names), unit)


def soft(zone: Zone, feather: float) -> Weight:
    """Gives a zone's mask with a soft edge inside it, `feather` as a share of the unit."""
    whole = grown(zone.mask, 1.5)
    return faded_in(whole, max(1.5, feather * zone.unit))


def _iris(shape: tuple[int, ...], points: Points, name: str) -> Weight:
    ring = points[IRISES[name]]
    middle, radius = ring[0], float(np.hypot(*(ring[1:] - ring[0]).T).mean())
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    circle = middle + radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    eye = polygon(shape, points[list(outlines((name,))[0])])
    return np.minimum(feathered(polygon(shape, circle), 0.8), eye).astype(np.float32)
