"""How the two sides of a pair lie on each other, measured where nothing should have changed.

Corners outside the face are followed from the real to the fake side; a similarity fitted to them
tells shift, scale and turn, and is robust against what the forgery moved. Source: ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

MIN_TRACKED = 8
"""Fewer tracked corners than this say nothing about the registration."""
CORNERS = 150
INLIER_PX = 1.0
"""A corner agrees with the fit when it lies within this many crop pixels of it."""


@dataclass(frozen=True)
class Registration:
    """The movement from the real to the fake side.

    Attributes:
        affine: `(2, 3) float64` similarity, real to fake crop pixels.
        shift_px: Median shift of the followed corners, crop pixels.
        residual_px: Median distance of the corners that agree from the fit, crop pixels.
        agreement: Share of the followed corners that agree with the fit.
        corners: Corners that could be followed.
    """

    affine: NDArray[np.float64]
    shift_px: float
    residual_px: float
    agreement: float
    corners: int


IDENTITY = Registration(np.eye(2, 3), 0.0, 0.0, 1.0, 0)


def register(real: Image, fake: Image, around: NDArray[np.bool_]) -> Registration:
    """Measures the movement between the sides of a crop.

    Args:
        real: `(S, S, 3) uint8` RGB.
        fake: `(S, S, 3) uint8` RGB.
        around: `(S, S) bool`, pixels that no forgery should have touched.

    Returns:
        The movement; none where too few corners can be followed.
    """
    before, after = (cv2.cvtColor(side, cv2.COLOR_RGB2GRAY) for side in (real, fake))
    corners: Any = cv2.goodFeaturesToTrack(
        before, CORNERS, 0.01, 7, mask=around.astype(np.uint8) * 255
    )
    if corners is None or len(corners) < MIN_TRACKED:
        return IDENTITY
    moved, status, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(21, 21))
    followed = status.ravel() == 1
    start, end = corners.reshape(-1, 2)[followed], moved.reshape(-1, 2)[followed]
    if len(start) < MIN_TRACKED:
        return IDENTITY
    return _fit(start, end)


def _fit(start: NDArray[np.float32], end: NDArray[np.float32]) -> Registration:
    shift = float(np.linalg.norm(np.median(end - start, axis=0)))
    affine, inliers = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX
    )
    if affine is None:
        return Registration(np.eye(2, 3), shift, shift, 0.0, len(start))
    agrees = inliers.ravel() == 1
    away = np.linalg.norm(start @ affine[:, :2].T + affine[:, 2] - end, axis=1)
    residual = float(np.median(away[agrees])) if agrees.any() else float(np.median(away))
    return Registration(affine, shift, residual, float(agrees.mean()), len(start))
