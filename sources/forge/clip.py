"""Films a still: a slow pan, zoom and turn, with the noise of a sensor on every frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.forge.still import Still

TURN_DEG = 3.0
ZOOM = 0.03
PAN = 0.015
"""Largest pan to each side, as a share of the frame's width."""
NOISE = (2.0, 0.8)
"""Sensor noise of brightness and of each channel, as standard deviations in levels of 255."""


@dataclass(frozen=True)
class Camera:
    """How a still is filmed.

    Attributes:
        size: Height and width of a frame.
        frames: Frames of the clip.
        seed: Two numbers, the forge's seed and the picture's place; they decide all chance.
    """

    size: tuple[int, int]
    frames: int
    seed: tuple[int, int]


def path_of(still: Still, camera: Camera) -> NDArray[np.float64]:
    """Gives `(frames, 2, 3)`: the map from still to frame pixels of each frame."""
    rng = np.random.default_rng([*camera.seed, 0])
    time = np.arange(camera.frames) / 50  # the motion is the same for shorter clips
    turn, zoom, right, down = (
        np.sin(2 * np.pi * (rate * time + phase))
        for rate, phase in zip(rng.uniform(0.5, 0.9, 4), rng.uniform(0, 1, 4), strict=True)
    )
    middle = still.landmarks.mean(axis=0)
    centre = _centre(still, camera, middle)
    pan = PAN * camera.size[1] * np.stack([right, down], axis=1)
    angle, scale = np.deg2rad(TURN_DEG * turn), 1 + ZOOM * zoom
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], axis=1)
    shift = centre + pan - linear @ middle
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _centre(still: Still, camera: Camera, middle: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places the face in the frame: central, but such that the view stays within the still."""
    frame = np.array(camera.size[::-1], np.float64)
    picture = np.array(still.image.shape[1::-1], np.float64)
    margin = PAN * frame[0] + frame[::-1] / 2 * np.sin(np.deg2rad(TURN_DEG)) + ZOOM * frame / 2
    most, least = middle - margin, frame - (picture - middle) + margin
    ideal = np.where(least <= most, np.clip(frame / 2, least, np.maximum(most, least)), 0)
    return np.where(least <= most, ideal, (least + most) / 2)


def real_frame(
    still: Still, affine: NDArray[np.float64], camera: Camera, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Films one frame.

    Returns:
        The frame `(H, W, 3) uint8` RGB, and its landmarks `(478, 2) float32` in frame pixels.
    """
    height, width = camera.size
    view = cv2.warpAffine(
        still.image, affine, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    rng = np.random.default_rng([*camera.seed, 1, index])
    grain = rng.standard_normal((height, width, 1), np.float32) * NOISE[0]
    colour = rng.standard_normal((height, width, 3), np.float32) * NOISE[1]
    noisy = np.clip(np.rint(view + grain + colour), 0, 255).astype(np.uint8)
    points = still.landmarks @ affine[:, :2].T + affine[:, 2]
    return noisy, points.astype(np.float32)
