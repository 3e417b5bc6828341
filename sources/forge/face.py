"""Places on a face: outlines, axes and soft masks, from the 478 face-mesh points of a frame.

Point numbers are those of MediaPipe's face mesh. Names are the subject's: their right eye is on
the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""`(H, W, 3) uint8` RGB."""
Points = NDArray[np.float32]
"""`(478, 2) float32` in frame pixels."""
Weight = NDArray[np.float32]
"""`(H, W) float32` from 0 to 1."""

# fmt: off
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
OUTER_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40,
              185]
INNER_LIPS = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80,
              191]
RIGHT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
LEFT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
# fmt: on
RIGHT_CORNER, LEFT_CORNER = 61, 291
"""Mouth corners."""


@dataclass(frozen=True, eq=False)
class Axes:
    """A frame of reference on the face.

    Attributes:
        across: Unit vector towards the picture's right, along the line of the eyes.
        down: Unit vector towards the chin.
        unit: Distance between the outer corners of the eyes, in pixels.
    """

    across: NDArray[np.float64]
    down: NDArray[np.float64]
    unit: float

    def offsets(
        self, shape: tuple[int, ...], origin: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gives each pixel's distance from a point across and down the face, both `(H, W)`."""
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        dx, dy = x - origin[0], y - origin[1]
        return dx * self.across[0] + dy * self.across[1], dx * self.down[0] + dy * self.down[1]


def axes_of(points: Points) -> Axes:
    """Gives the axes of a face."""
    line = (points[263] - points[33]).astype(np.float64)
    unit = float(np.hypot(*line))
    across = line / unit
    return Axes(across, np.array([-across[1], across[0]]), unit)


def box_around(points: NDArray[np.floating], margin: float, shape: tuple[int, ...]) -> Box:
    """Gives the box of some points grown by a margin, within a frame."""
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin)
    x0, y0 = np.maximum(low, 0).astype(int)
    x1, y1 = np.minimum(high + 1, (shape[1], shape[0])).astype(int)
    return Box(int(x0), int(y0), int(x1), int(y1))


@dataclass(frozen=True)
class Box:
    """A part of a frame that an edit works in; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Gives a view of the part."""
        return image[self.y0 : self.y1, self.x0 : self.x1, :]

    def inside(self, points: Points) -> Points:
        """Gives points in the part's own pixels."""
        return np.asarray(points - np.array([self.x0, self.y0]), np.float32)

    def put(self, image: Frame, part: Frame) -> Frame:
        """Gives a copy of the frame with the part replaced."""
        whole = image.copy()
        whole[self.y0 : self.y1, self.x0 : self.x1] = part
        return whole


def polygon(shape: tuple[int, ...], outline: NDArray[np.floating]) -> Weight:
    """Fills an outline `(N, 2)` with 1, with subpixel edges."""
    mask = np.zeros(shape[:2], np.uint8)
    corners = np.rint(outline * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(mask / np.float32(255), np.float32)


def feathered(mask: Weight, sigma: float) -> Weight:
    """Softens the edge of a mask to both sides."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.float32)


def grown(mask: Weight, width: float) -> Weight:
    """Grows a mask by `width` pixels to all sides."""
    away = cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away <= width, np.float32)


def faded_in(mask: Weight, width: float) -> Weight:
    """Lets a mask rise smoothly from 0 at its border to 1 `width` pixels inside."""
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    ramp = np.clip((depth - 1) / width, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def blend(real: Frame, edited: NDArray[np.floating], weight: Weight) -> Frame:
    """Mixes an edit into a part; where the weight is 0 the pixels stay exactly as they were."""
    mixed = real + weight[..., None] * (edited - real)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
