"""The canonical face mesh: a frontal, symmetric face of 468 vertices, triangles and mirror table.

Source: vertex numbering of Google MediaPipe's Face Mesh; positions and triangles are derived by
`fict.derive_mesh`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MESH_FILE = Path(__file__).with_name("mesh_data.json")
VERTICES = 468
IRIS_POINTS = 5


@dataclass(frozen=True, eq=False)
class Mesh:
    """The canonical mesh.

    Attributes:
        vertices: (468, 3) float32; x right, y down, z away, zero between the eyes, one unit = the
            distance of the two outer corners of the eyes.
        triangles: (T, 3) int32; seen from the front their signed area in (x, y) is positive.
        mirror: (478,) int32; the landmark on the other side, for vertices and then iris points.
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    mirror: NDArray[np.int32]


@functools.cache
def load_mesh() -> Mesh:
    """The canonical mesh of this version, read once."""
    data = json.loads(MESH_FILE.read_text())
    return Mesh(
        np.array(data["vertices"], np.float32),
        np.array(data["triangles"], np.int32),
        with_irises(np.array(data["mirror"], np.int32)),
    )


def with_irises(mirror: NDArray[np.int32]) -> NDArray[np.int32]:
    """(478,) the (468,) vertex mirror table, followed by the right and the left iris, swapped."""
    right = np.arange(VERTICES, VERTICES + IRIS_POINTS, dtype=np.int32)
    return np.concatenate([mirror, right + IRIS_POINTS, right])


def unfold(vertices: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) the face rolled out flat, so that no part of it hides another.

    The face is unrolled from a cylinder around the neck's axis (sides of the face), and the
    underside of the nose is folded down.
    """
    x, y, z = vertices.astype(np.float64).T
    around = np.arctan2(x, 0.95 - z)
    near_nostrils = np.exp(-(((y - 0.58) / 0.12) ** 2) - (x / 0.25) ** 2)
    return np.stack([around, y + 0.6 * near_nostrils * (z + 0.2)], axis=1)


def inside(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) bool: which (N, 2) points lie within a closed (K, 2) polygon (even-odd rule)."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = polygon.T
    bx, by = np.roll(polygon, -1, axis=0).T
    spans = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        left_of = x < (bx - ax) * (y - ay) / (by - ay) + ax
    return np.asarray((spans & left_of).sum(1) % 2 == 1)
