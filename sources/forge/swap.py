"""Identity swap: another face, bent into the target's shape and blended in without a seam."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from sources.forge.face import (
    INNER_LIPS,
    OVAL,
    Frame,
    Points,
    Weight,
    axes_of,
    blend,
    box_around,
    faded_in,
    feathered,
    polygon,
)
from sources.forge.operation import Operation, touched
from sources.forge.still import Still

NETWORK_PX = 128
"""Width at which the swapped face is drawn: face swappers work on small pictures."""
MESH = 468
"""Points of the mesh proper; irises come after."""
UNLIKE_SKIN = 35
"""Levels by which a border pixel may differ from the others' usual difference."""

Colours = NDArray[np.float32]
"""`(H, W, 3) float32` RGB, 0 to 255."""

Seam = Literal["gradient", "alpha", "hard"]
"""How the border of a pasted face is hidden."""


def swap_face(
    frame: Frame,
    points: Points,
    donor: Still,
    strength: float,
    *,
    seam: Seam = "gradient",
    match: bool = True,
) -> Frame:
    """Replaces the inner face by the donor's; the target's expression and open mouth stay.

    Args:
        frame: The real frame.
        points: Its landmarks.
        donor: The other person.
        strength: Opacity of the other face.
        seam: How the border is hidden: `gradient` carries the target's light inwards, `alpha` only
            fades, `hard` cuts.
        match: Whether the donor's face takes the target's mean colour and contrast.
    """
    unit, outline = axes_of(points).unit, _outline(points)
    box = box_around(outline, 0.1 * unit, frame.shape)
    part, local = box.cut(frame), box.inside(points)
    hull = polygon(part.shape, box.inside(outline))
    face = as_target(part, network_look(bent(donor, local, part.shape)), hull, unit, seam, match)
    opening = feathered(polygon(part.shape, local[INNER_LIPS]), 1.5)
    faded = hull if seam == "hard" else faded_in(hull, 0.10 * unit)
    return box.put(frame, blend(part, face, faded * (1 - opening) * np.float32(strength)))


def as_target(
    part: Frame, drawn: Frame, hull: Weight, unit: float, seam: Seam, match: bool
) -> Colours:
    """Gives the donor's pixels the colours of the target, as far as asked."""
    face = contrast_like(part, drawn, hull) if match else drawn.astype(np.float32)
    return cloned(part, face, hull, unit) if seam == "gradient" else face


def _outline(points: Points) -> Points:
    """Gives the face's oval, a little inwards, the forehead only just above the eyebrows."""
    middle, axes = points[OVAL].mean(0), axes_of(points)
    rim = points[OVAL] - middle
    outline = middle + 0.96 * rim + 0.03 * (rim @ axes.across)[:, None] * axes.across
    brows = float(((points[[105, 334]] - middle) @ axes.down).min()) - 0.06 * axes.unit
    above = np.minimum((outline - middle) @ axes.down - brows, 0)
    return np.asarray(outline - 0.9 * above[:, None] * axes.down, np.float32)


def bent(donor: Still, points: Points, shape: tuple[int, ...]) -> Frame:
    """Draws the donor's face in the target's shape, triangle by triangle."""
    triangles = _solid(points, Delaunay(points[:MESH]).simplices)
    drawn = np.zeros(shape[:2], np.int32)
    corners = np.rint(points * 16).astype(np.int32)
    for number, triangle in enumerate(triangles):
        cv2.fillConvexPoly(drawn, corners[triangle], number, shift=4)
    to, of = points[triangles].astype(np.float64), donor.landmarks[triangles].astype(np.float64)
    homogeneous = np.concatenate([to, np.ones((*to.shape[:2], 1))], axis=2)
    maps = np.linalg.solve(homogeneous, of)[drawn]  # (H, W, 3, 2): x, y, 1 to the donor's x, y
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]][..., None]
    where = x * maps[:, :, 0] + y * maps[:, :, 1] + maps[:, :, 2]
    return np.asarray(
        cv2.remap(donor.image, where.astype(np.float32), None, cv2.INTER_CUBIC), np.uint8
    )


def _solid(points: Points, triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leaves out triangles that are so thin that they define no map."""
    a, b, c = (points[triangles[:, k]].astype(np.float64) for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return triangles[np.abs(area) > 0.01]


def network_look(face: Frame, unit: float = 0) -> Frame:
    """Takes away the detail that a network of this size cannot draw.

    Args:
        face: The drawn face, or a part of one.
        unit: For a part, the distance between the outer corners of the eyes.
    """
    height, width = face.shape[:2]
    shrink = min(1.0, NETWORK_PX / (1.7 * unit)) if unit else NETWORK_PX / width
    small = (max(1, round(shrink * width)), max(1, round(shrink * height)))
    reduced = cv2.resize(face, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def contrast_like(target: Frame, face: Frame, hull: Weight) -> Colours:
    """Gives the face the mean colour and the contrast of the skin that it replaces (CIELAB)."""
    inside = hull > 0.5
    wanted, found = (
        cv2.cvtColor(side.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for side in (target, face)
    )
    gain = np.clip(wanted[inside].std(axis=0) / found[inside].std(axis=0), 0.6, 1.3)
    toned = (found - found[inside].mean(axis=0)) * gain + wanted[inside].mean(axis=0)
    return np.asarray(cv2.cvtColor(toned.astype(np.float32), cv2.COLOR_LAB2RGB) * 255, np.float32)


def cloned(target: Frame, face: Colours, hull: Weight, unit: float) -> Colours:
    """Takes the target's light along the hull's border and carries it smoothly inwards.

    As Poisson cloning does, but hair, glasses and other things on the border that are not skin do
    not bleed into the face: differences far from the usual one do not count.
    """
    depth = cv2.distanceTransform((hull > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    ring = (depth > 0) & (depth < 0.12 * unit)
    difference = target.astype(np.float32) - face
    usual = np.median(difference[ring], axis=0)
    like_skin = ring & (np.abs(difference - usual).max(axis=2) < UNLIKE_SKIN)
    weight = like_skin.astype(np.float32) + 1e-6
    spread = 0.35 * unit
    light = cv2.GaussianBlur(difference * weight[..., None], (0, 0), spread)
    total = cv2.GaussianBlur(weight, (0, 0), spread)
    return np.asarray(face + light / total[..., None], np.float32)


SWAPS = tuple(
    Operation(
        f"swap_{seam}" + ("_matched" if match else ""),
        "identity swap",
        partial(swap_face, seam=seam, match=match),
        touched("face"),  # how it changes depends on the two people
    )
    for seam in get_args(Seam)
    for match in (True, False)
)
