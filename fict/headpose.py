"""How a face is turned, from its mesh, and what a strong turn leaves of the label map.

Source: least squares of a scaled rotation between point sets (Umeyama 1991); the canonical mesh is
`fict.mesh`'s, so a face like it, seen from the front, has no turn at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fict.mesh import VERTICES, load_mesh
from fict.tree import Tree

FAR_SIDE_DEG = 60.0
"""Beyond this yaw the side that is turned away is too narrow for its atomic concepts."""


@dataclass(frozen=True)
class HeadPose:
    """The turn of a head, in degrees; the picture is seen under parallel light (orthographic).

    Turned is `Rz(roll) Ry(-yaw) Rx(pitch)` of the canonical mesh in picture axes (x right, y down,
    z away).

    Attributes:
        yaw: positive where the face looks to the picture's right, the subject's left.
        pitch: positive where it looks down.
        roll: positive where the head leans clockwise in the picture.
    """

    yaw: float
    pitch: float
    roll: float


def pose_of(landmarks: NDArray[np.floating]) -> HeadPose:
    """Gives the pose of a face.

    Args:
        landmarks: (478, 3) or (468, 3) float, x right, y down, z away in the same unit, in pixels
            of the frame: those of an upright crop have lost their roll.
    """
    turn = rotation_of(landmarks)
    yaw = np.arcsin(np.clip(turn[2, 0], -1.0, 1.0))
    pitch = np.arctan2(turn[2, 1], turn[2, 2])
    roll = np.arctan2(turn[1, 0], turn[0, 0])
    degrees = np.rad2deg([yaw, pitch, roll])
    return HeadPose(float(degrees[0]), float(degrees[1]), float(degrees[2]))


def rotation_of(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Gives the (3, 3) rotation that takes the canonical mesh nearest to a face, scale aside."""
    mesh = load_mesh().vertices.astype(np.float64)
    face = np.asarray(landmarks[:VERTICES], np.float64)
    left, _, right = np.linalg.svd((face - face.mean(0)).T @ (mesh - mesh.mean(0)))
    sign = np.sign(np.linalg.det(left @ right))
    return np.asarray((left * [1.0, 1.0, sign]) @ right)


def coarsen_far_side(labels: NDArray[np.uint8], yaw: float, tree: Tree) -> NDArray[np.uint8]:
    """Gives a label map whose concepts on the side that is turned away are their parents.

    Args:
        labels: (S, S) uint8 node ids.
        yaw: degrees, see `HeadPose`; up to `FAR_SIDE_DEG` to either side the map stays as it is.
        tree: the tree.

    Returns:
        (S, S) uint8; concepts of the middle and of the near side are untouched.
    """
    if abs(yaw) <= FAR_SIDE_DEG:
        return labels
    far = "left" if yaw > 0 else "right"
    table = np.arange(256, dtype=np.uint8)
    parents = tree.lookup_table("parent")
    for concept in tree.atomic:
        if concept.side == far:
            table[concept.id] = parents[concept.id]
    return table[labels]
