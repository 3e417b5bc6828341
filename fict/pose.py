"""How a face is seen: a scaled orthographic view of the canonical mesh, from points of it.

Source: the nearest scaled orthographic view is the polar factor of the affine one (Schönemann's
orthogonal Procrustes problem, 1966); the weights are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

LEAST_ROUND = 0.2
"""Points are flat where the lesser scale of their affine view is below this share of the larger."""
LEAST_FACING = 0.17
"""Cosine of the largest angle between the face and the viewer: 80 degrees."""
MOST_APART = 0.35
"""Root mean square distance, in eye distances, at which points are not those of a face."""


class NoFit(ValueError):
    """The 68 points are not those of a face that can be seen."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A scaled orthographic view.

    Attributes:
        scale: pixels of one eye distance of the canonical mesh.
        turn: (3, 3) float64 rotation, mesh to view (x right, y down, z away).
        shift: (2,) float64, image pixels.
    """

    scale: float
    turn: Points
    shift: Points

    def project(self, vertices: Points) -> Points:
        """(N, 2) image pixels of (N, 3) mesh points."""
        return np.asarray(self.scale * vertices @ self.turn[:2].T + self.shift)


def find_pose(seen: Points, places: Points, weight: Points) -> Pose:
    """The view in which points of the mesh at rest explain seen ones best.

    Generalised least squares for the affine view, then the nearest scaled orthographic one: one
    solution, which turns, scales and shifts with the points.

    Args:
        seen: (N, 2) image pixels.
        places: (N, 3) the same points of the mesh at rest; not all in one plane.
        weight: (N, N) inverse covariance of how the seen points may differ from those at rest.

    Raises:
        NoFit: the points are on a line, on one spot, far from any face, or of a face from behind.
    """
    middle = seen.mean(0)
    basis = np.column_stack([places, np.ones(len(places))])
    normal = basis.T @ weight
    affine = np.linalg.solve(normal @ basis, normal @ (seen - middle))
    left, scales, right = np.linalg.svd(affine[:3].T, full_matrices=False)
    if not scales[1] > LEAST_ROUND * scales[0]:
        raise NoFit("the 68 points lie on a line or on one spot")
    two, scale = left @ right, float(scales.mean())
    rest = seen - middle - scale * places @ two.T
    shift = middle + weight.sum(0) @ rest / weight.sum()
    pose = Pose(scale, np.vstack([two, np.cross(*two)]), shift)
    apart = np.sqrt(((seen - pose.project(places)) ** 2).sum(1).mean()) / scale
    if pose.turn[2, 2] < LEAST_FACING or not apart < MOST_APART:
        raise NoFit("the 68 points are not those of a face that is seen from its front")
    return pose
