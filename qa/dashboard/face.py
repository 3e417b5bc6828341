"""The regions of a face as shapes: FICT's polygons on the canonical mesh, from the front."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fict.mesh import load_mesh
from fict.tree import Concept, Inside, Loop, load_tree

SIDE = 1000
"""Width and height of the drawing."""
MARGIN = 20
IRIS, PUPIL = 0.24, 0.11
"""Radii of an eye's iris and pupil over its opening's width, as a frontal face has them."""


@dataclass(frozen=True)
class Shape:
    """One atomic concept.

    Attributes:
        id: The concept.
        name: Its name.
        path: SVG path in a square of `SIDE`; the picture's left is the subject's right.
    """

    id: int
    name: str
    path: str


@functools.cache
def shapes() -> tuple[Shape, ...]:
    """Gives the concepts that lie on the face, in the order in which they are painted."""
    points = _points()
    drawn = ((concept, _path(concept, points)) for concept in load_tree().atomic)
    return tuple(Shape(concept.id, concept.name, path) for concept, path in drawn if path)


def touched(counts: Mapping[int, int]) -> dict[int, int]:
    """Gives for each atomic concept how many frames changed it or a parent that it belongs to.

    The regions of a frame never lie one below the other, so that no frame counts twice.

    Args:
        counts: Frames by region, as they are stored.
    """
    tree = load_tree()
    return {
        concept.id: sum(counts.get(node.id, 0) for node in (concept, *tree.ancestors_of(concept)))
        for concept in tree.atomic
    }


def _points() -> NDArray[np.float64]:
    """(468, 2) the mesh in the drawing's units, centred."""
    flat = load_mesh().vertices[:, :2].astype(np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / (high - low).max()
    centred: NDArray[np.float64] = (flat - (low + high) / 2) * scale + SIDE / 2
    return centred


def _path(concept: Concept, points: NDArray[np.float64]) -> str:
    where = concept.where
    if isinstance(where, Loop):
        return _polygon(points[list(where.loop)])
    if isinstance(where, Inside):
        rim = points[list(where.inside)]
        if where.part == "sclera":
            return _polygon(rim)
        if where.part in ("iris", "pupil"):
            width = rim[:, 0].max() - rim[:, 0].min()
            return _circle(rim.mean(axis=0), width * (IRIS if where.part == "iris" else PUPIL))
        if where.part == "cavity":
            return _polygon(rim)
    return ""


def _polygon(corners: Iterable[Iterable[float]]) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in corners) + "Z"


def _circle(centre: NDArray[np.float64], radius: float) -> str:
    half = f"a{radius:.1f} {radius:.1f} 0 1 0"
    left, across = centre[0] - radius, 2 * radius
    return f"M{left:.1f} {centre[1]:.1f}{half} {across:.1f} 0{half} {-across:.1f} 0Z"
