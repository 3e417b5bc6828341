"""Looks of a still: mirrored, under another light, turned to a side; the landmarks follow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from fict.landmarks import MeshLandmarks
from fict.mesh import VERTICES, load_mesh
from schemas.errors import UsageError
from sources.forge.face import OVAL, axes_of
from sources.forge.still import Still

LOOKS = ("plain", "mirrored", "lit_right", "lit_left", "dim", "turned_right", "turned_left")
"""Left and right are the picture's."""

YAW_DEG = {"turned_right": 17.0, "turned_left": -13.0}
"""Angle of each turned look; above 0 the nose moves to the picture's right."""
MOST_LIGHT = 0.4
"""Most light that a slope adds or takes, as a share of it."""
SLOPES = {"lit_right": (0.6, -0.15), "lit_left": (-0.6, -0.15)}
"""How much the light of a look grows to the right and downwards; see `relit`."""
REACH = 1.75
"""Where the turning ends, in sizes of the face's outline."""


def look_of(still: Still, look: str) -> Still:
    """Gives a still with another look.

    Args:
        still: The still.
        look: One of `LOOKS`.

    Raises:
        UsageError: There is no such look, or no face is found after turning.
    """
    if look == "plain":
        return still
    if look == "mirrored":
        return mirrored(still)
    if look == "dim":
        return relit(still, (0.0, 0.0), 1.35)
    if look in SLOPES:
        return relit(still, SLOPES[look], 0.95)
    if look in YAW_DEG:
        return turned(still, YAW_DEG[look])
    raise UsageError(f"no look '{look}' of a still; known: {', '.join(LOOKS)}")


def mirrored(still: Still) -> Still:
    """Swaps left and right, the landmarks' numbers included."""
    points = still.landmarks[load_mesh().mirror].copy()
    points[:, 0] = still.image.shape[1] - 1 - points[:, 0]
    return replace(still, image=np.ascontiguousarray(still.image[:, ::-1]), landmarks=points)


def relit(still: Still, slope: tuple[float, float], gamma: float) -> Still:
    """Changes the light.

    Args:
        still: The still.
        slope: How much the light grows to the right and downwards, as a share of it per distance
            between the outer corners of the eyes.
        gamma: Above 1 middle tones get darker.
    """
    middle, unit = still.landmarks.mean(0), axes_of(still.landmarks).unit
    y, x = np.mgrid[0 : still.image.shape[0], 0 : still.image.shape[1]]
    gain = (
        1 + np.tanh((slope[0] * (x - middle[0]) + slope[1] * (y - middle[1])) / unit) * MOST_LIGHT
    )
    tones = (still.image / np.float32(255)) ** np.float32(gamma) * gain[..., None]
    return replace(still, image=np.clip(np.rint(tones * 255), 0, 255).astype(np.uint8))


def turned(still: Still, yaw_deg: float) -> Still:
    """Turns the head about its upright axis; what is far from the head stays.

    Args:
        still: The still.
        yaw_deg: Angle; above 0 the nose moves to the picture's right.

    Raises:
        UsageError: No face is found before or after.
    """
    points = _detected(still.image, still.name)
    places, shifts = _turning(points[:VERTICES], np.deg2rad(yaw_deg))
    y, x = np.mgrid[0 : still.image.shape[0] : 4, 0 : still.image.shape[1] : 4]
    coarse = np.stack(
        [LinearNDInterpolator(places, axis, fill_value=0)(x, y) for axis in shifts.T], axis=2
    )
    coarse = cv2.GaussianBlur(coarse.astype(np.float32), (0, 0), 2.5)
    height, width = still.image.shape[:2]
    to_coarse = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32)
    shift = cv2.remap(
        coarse, to_coarse / 4, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    image = cv2.remap(
        still.image, to_coarse - shift, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return replace(still, image=image, landmarks=_detected(image, still.name)[:, :2])


def _turning(
    points: NDArray[np.float32], yaw: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gives places after turning, and how far each has moved; a ring around the head stays."""
    middle = points[OVAL].mean(0)
    around = points - middle
    x = around[:, 0] * np.cos(yaw) - around[:, 2] * np.sin(yaw)
    shift = np.stack([x - around[:, 0], np.zeros(len(x))], axis=1).astype(np.float64)
    shift -= shift[OVAL].mean(0)
    ring = middle[:2] + REACH * (points[OVAL, :2] - middle[:2])
    places = np.concatenate([points[:, :2] + shift, ring])
    return places, np.concatenate([shift, np.zeros((len(ring), 2))])


def _detected(image: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    faces = MeshLandmarks().detect(image)
    if not faces:
        raise UsageError(f"no face found in {name} after turning it")
    return faces[0].landmarks
