"""Where the 68 iBUG points lie on the canonical mesh, as weights of its vertices.

The points are numbered from 0, the subject's right first: jaw 0..16, brows 17..26, bridge of the
nose 27..30, its base 31..35, eyes 36..47, outer lips 48..59, inner lips 60..67.

Source: Sagonas et al., 300 Faces In-the-Wild (2013), for the points. The vertices were chosen by
what each point is defined to be; public tables agree on eyes, lips and brows, and differ by a
vertex at the jaw and the wings of the nose.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from fict.mesh import VERTICES, load_mesh

POINTS = 68
JAW = 17
"""Number of jaw points; they come first."""
CHIN = 8

OUTLINE = (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
"""The right half of the face's outline, from the ear at the height of the eye to the chin. The nine
jaw points of a side are defined as evenly spaced along it."""
ON_A_VERTEX = {
    # Upper edge of the brow, from the temple: annotators follow the hair's edge, not its middle.
    17: 70, 18: 63, 19: 105, 20: 66, 21: 107,
    # Bridge: 27 between the eyes (the origin of the mesh), 30 the tip, two evenly between.
    27: 168, 28: 197, 29: 5, 30: 4,
    # Base: 31 where the wing meets the cheek, 33 where the septum meets the lip, 32 the nostril.
    31: 98, 32: 97, 33: 2,
    # Eye: outer corner, two on the upper lid's edge, inner corner, two on the lower.
    36: 33, 37: 160, 38: 158, 39: 133, 40: 153, 41: 144,
    # Outer lips: corner, side and peak of the bow, its middle; middle and side of the lower lip.
    48: 61, 49: 39, 50: 37, 51: 0, 57: 17, 58: 84, 59: 91,
    # Inner lips: corner, between corner and middle, middle; above, then below.
    60: 78, 61: 82, 62: 13, 66: 14, 67: 87,
}  # fmt: skip
"""Points of the right half and of the middle line; the mirror table gives the left."""
MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
)  # fmt: skip
"""The point on the other side."""


@functools.cache
def anchors() -> NDArray[np.float64]:
    """(68, 468) weights: `anchors() @ vertices` are the points; rows sum to 1, do not write."""
    rows = np.zeros((POINTS, VERTICES))
    rows[: CHIN + 1] = _evenly_spaced(OUTLINE, CHIN + 1)
    for point, vertex in ON_A_VERTEX.items():
        rows[point, vertex] = 1
    twins = rows[list(MIRROR)][:, load_mesh().mirror[:VERTICES]]
    empty = ~rows.any(axis=1)
    rows[empty] = twins[empty]
    rows.flags.writeable = False
    return rows


def _evenly_spaced(path: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """(count, 468) weights of points at even distances along a path of vertices, ends included."""
    places = load_mesh().vertices[list(path)].astype(np.float64)
    along = np.concatenate([[0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    step = np.interp(np.linspace(0, along[-1], count), along, np.arange(len(path)))
    rows = np.zeros((count, VERTICES))
    for row, where in zip(rows, step, strict=True):
        before = min(int(where), len(path) - 2)
        row[path[before]] += before + 1 - where
        row[path[before + 1]] += where - before
    return rows
