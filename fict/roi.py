"""A turned square of an image: what the face networks look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Roi:
    """A turned square of the image: middle (x, y), side, and the angle of its x axis (radians)."""

    middle: NDArray[np.floating]
    side: float
    angle: float

    def axes(self) -> NDArray[np.float64]:
        """(2, 2) its axes in the image, as columns."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    def cut(self, image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        """(size, size, 3) float32 in [0, 1], black outside the image."""
        linear = self.axes() * (self.side / size)
        shift = self.middle - linear @ np.array([size / 2 - 0.5, size / 2 - 0.5])
        matrix = np.concatenate([linear, shift[:, None]], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cut = cv2.warpAffine(image, matrix, (size, size), flags=flags)
        return np.asarray(cut, dtype=np.float32) / np.float32(255)

    def to_image(self, points: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """(N, 3) points of a size x size cut as (N, 3) float32 image points."""
        scale = self.side / size
        flat = (points[:, :2] - (size / 2 - 0.5)) * scale @ self.axes().T + self.middle
        return np.concatenate([flat, points[:, 2:] * scale], axis=1).astype(np.float32)
