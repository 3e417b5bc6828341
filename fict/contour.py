"""The visible contour of the jaw: where a turned face ends, and points that slide along it.

Source: the sliding follows Zhu et al., High-Fidelity Pose and Expression Normalization (2015):
their points of the contour march over the mesh as the head turns.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from fict.ibug import JAW, anchors
from fict.mesh import load_mesh

Points = NDArray[np.float64]

REACH = 0.5
"""How far a contour point may march over the mesh, in distances of the outer eye corners."""
MARGIN = 0.03
"""It marches where another vertex lies this much further out, in the same unit."""


def marched(shape: Points, turn: Points) -> NDArray[np.intp]:
    """(17,) the vertex that ends the face where each jaw point is; -1 where it stays in its place.

    Args:
        shape: (468, 3) the bent mesh, in its own frame.
        turn: (3, 3) rotation, mesh to view.
    """
    flat, jaw = shape @ turn[:2].T, anchors()[:JAW] @ shape @ turn[:2].T
    goal = np.full(JAW, -1)
    for point, near in enumerate(_near()):
        further = (flat[near] - jaw[point]) @ unit(turn[:2, :2] @ _outwards()[point])
        if further.max() > MARGIN:
            goal[point] = near[further.argmax()]
    return goal


def on_polyline(points: Points, line: Points) -> Points:
    """(N, 2) the place on a (K, 2) open polyline that is nearest to each of (N, 2) points."""
    start, side = line[:-1], np.diff(line, axis=0)
    length = np.maximum((side**2).sum(1), 1e-12)
    share = np.clip(((points[:, None] - start) * side).sum(2) / length, 0, 1)
    places = start + share[..., None] * side
    nearest = ((places - points[:, None]) ** 2).sum(2).argmin(1)
    return np.asarray(places[np.arange(len(points)), nearest])


@functools.cache
def _outwards() -> Points:
    """(17, 2) which way is out of the face at each jaw point, seen from the front."""
    jaw = anchors()[:JAW] @ load_mesh().vertices[:, :2].astype(np.float64)
    along: Points = np.gradient(jaw, axis=0)
    out = np.column_stack([-along[:, 1], along[:, 0]])
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


@functools.cache
def _near() -> tuple[NDArray[np.intp], ...]:
    """The vertices that each jaw point may march to: near it, and not above the outline's ends."""
    places = load_mesh().vertices.astype(np.float64)
    jaw = anchors()[:JAW] @ places
    away = np.linalg.norm(places - jaw[:, None], axis=2)
    below = places[:, 1] >= jaw[0, 1] - MARGIN
    return tuple(np.flatnonzero(row) for row in (away < REACH) & below)


def unit(way: Points) -> Points:
    """The direction of a (D,) vector; zeros stay zeros."""
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-12))
