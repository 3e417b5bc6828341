"""The whole face mesh from 68 points: the canonical mesh is posed, then bent to meet them.

Pose: a scaled orthographic view (one scale, one turn, one shift). Bending: each vertex moves in the
picture's plane, so that the points are met and neighbours move alike; depth is that of the posed
canonical mesh. Both are linear least squares with one solution, and all that does not depend on the
points is factorised once. Upper and lower lip are neighbours only at the corners of the mouth, so
it opens.

Source: ours; the smoothness is that of Sorkine et al., Laplacian Surface Editing (2004).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fict.contour import marched, on_polyline, unit
from fict.crop import LEFT_OUTER_CORNER, RIGHT_OUTER_CORNER
from fict.ibug import JAW, POINTS, anchors
from fict.mesh import IRIS_POINTS, VERTICES, load_mesh
from fict.pose import NoFit, Pose, find_pose

Points = NDArray[np.float64]

BENDING, STRETCHING, RESTING = 1.0, 0.3, 0.1
"""Costs of a vertex that differs from its neighbours in its change, from their places, from rest.
Without the last two, the forehead, which no point holds, would follow every brow."""
SLACK = 0.01
"""Cost of missing a point, over the cost of bending; 0 would meet the noise of the points too."""
EDGE = 0.1
"""Edges of this length, in distances of the outer eye corners, hold with weight 1."""
INNER_UPPER_LIP = ((62, 183), (183, 42), (42, 41), (292, 407), (407, 272), (272, 271))
"""Edges of the four vertices that no triangle uses."""
EYES = ((33, 133, (33, 160, 158, 133, 153, 144)), (263, 362, (263, 387, 385, 362, 380, 373)))
"""Of the right and the left eye: outer corner, inner corner, the six iBUG points of its opening."""
IRIS_SHARE = 0.22
"""Radius of the iris over the distance of the eye's corners, as in the mesh's two portraits."""


def fit_mesh(points: NDArray[np.floating], contour: bool = False) -> NDArray[np.float32]:
    """The landmarks of a face from its 68 iBUG points.

    The irises are not seen: each is put in the middle of its eye's opening, with a radius from the
    eye's width. A gaze to the side is lost.

    Args:
        points: (68, 2) in image pixels.
        contour: the jaw points follow the visible contour (the 2D convention) and may slide along
            it; otherwise they are where the outline of the face is, hidden or not (3D).

    Returns:
        (478, 3) float32 as `fict.landmarks.Face.landmarks`: z in pixels, its mean over the mesh 0.

    Raises:
        NoFit: a coordinate is not finite, or the points are not those of a face in view.
        ValueError: the points are not (68, 2).
    """
    seen = _checked(points)
    held = _held(inner_only=contour)
    goal = seen[-len(held.rows) :]
    pose = find_pose(goal, held.places, held.weight)
    bent = _bent(pose, held, goal)
    if contour:
        held, goal = _slid(seen, pose, bent)
        pose = find_pose(goal, held.places, held.weight)
        bent = _bent(pose, held, goal)
    flat = pose.project(bent)
    depth = pose.scale * bent @ pose.turn[2]
    mesh = np.column_stack([flat, depth - depth.mean()])
    return np.concatenate([mesh, _irises(mesh)]).astype(np.float32)


def _checked(points: NDArray[np.floating]) -> Points:
    if points.shape != (POINTS, 2):
        raise ValueError(f"the fit needs (68, 2) points, got {points.shape}")
    seen = np.asarray(points, dtype=np.float64)
    if not np.isfinite(seen).all():
        raise NoFit("some of the 68 points are not finite")
    return seen


@dataclass(frozen=True, eq=False)
class _Held:
    """Points of the mesh: (N, 468) weights, and how (468, N) all vertices follow when held."""

    rows: Points
    pull: Points

    @functools.cached_property
    def places(self) -> Points:
        """(N, 3) the points at rest."""
        return np.asarray(self.rows @ load_mesh().vertices)

    @functools.cached_property
    def weight(self) -> Points:
        """(N, N) inverse covariance: points that bend apart easily say less about the pose."""
        spread = self.rows @ self.pull + SLACK * np.eye(len(self.rows))
        return np.asarray(np.linalg.inv(spread))


@functools.cache
def _held(inner_only: bool) -> _Held:
    """The 68 points, or without those of the jaw, whose places depend on the view."""
    rows = anchors()[JAW if inner_only else 0 :]
    return _Held(rows, _softness() @ rows.T)


def _slid(seen: Points, pose: Pose, bent: Points) -> tuple[_Held, Points]:
    """The held points and (68, 2) their goals, with the hidden part of the jaw on the contour."""
    whole, goal = _held(inner_only=False), seen.copy()
    rows, pull = whole.rows.copy(), whole.pull.copy()
    vertices = marched(bent, pose.turn)
    moved = np.flatnonzero(vertices >= 0)
    rows[moved] = np.eye(VERTICES)[vertices[moved]]
    pull[:, moved] = _softness()[:, vertices[moved]]
    goal[moved] = on_polyline(pose.project(bent[vertices[moved]]), seen[:JAW])
    return _Held(rows, pull), goal


def _bent(pose: Pose, held: _Held, goal: Points) -> Points:
    """(468, 3) the mesh, bent in the picture's plane so that the held points meet `goal`."""
    miss = (goal - pose.project(held.places)) / pose.scale
    moved = held.pull @ (held.weight @ miss)
    return np.asarray(load_mesh().vertices + moved @ pose.turn[:2])


@functools.cache
def _softness() -> Points:
    """(468, 468) inverse of the quadratic form that is the cost of moving the vertices."""
    laplacian = _laplacian()
    cost = BENDING * laplacian @ laplacian + STRETCHING * laplacian + RESTING * np.eye(VERTICES)
    return np.asarray(np.linalg.inv(cost))


def _laplacian() -> Points:
    """(468, 468) graph Laplacian of the mesh's edges; short edges hold more."""
    mesh = load_mesh()
    trios = mesh.triangles
    ends = np.concatenate([trios[:, [0, 1]], trios[:, [1, 2]], trios[:, [2, 0]], INNER_UPPER_LIP])
    places = mesh.vertices.astype(np.float64)
    length = np.linalg.norm(places[ends[:, 0]] - places[ends[:, 1]], axis=1)
    weights = np.zeros((VERTICES, VERTICES))
    weights[ends[:, 0], ends[:, 1]] = EDGE / np.maximum(length, EDGE / 5)
    weights = np.maximum(weights, weights.T)
    return np.asarray(np.diag(weights.sum(1)) - weights)


def _irises(mesh: Points) -> Points:
    """(10, 3) two irises: the centre, then inner, upper, outer and lower end of each."""
    along = unit((mesh[LEFT_OUTER_CORNER] - mesh[RIGHT_OUTER_CORNER])[:2])
    up = np.array([along[1], -along[0]])
    found = []
    for (outer, inner, rim), inwards in zip(EYES, (along, -along), strict=True):
        radius = IRIS_SHARE * np.linalg.norm(mesh[outer] - mesh[inner])
        ways = np.stack([0 * up, inwards, up, -inwards, -up])
        flat = mesh[list(rim), :2].mean(0) + radius * ways
        depth = np.full(IRIS_POINTS, (mesh[outer, 2] + mesh[inner, 2]) / 2)
        found.append(np.column_stack([flat, depth]))
    return np.concatenate(found)
