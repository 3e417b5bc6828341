"""An upright square crop around one face, with the landmarks moved along: for pictures and tests.

The crops of the data set are made by `sources`, one transform a clip; this one knows a single
picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.mesh import VERTICES

RIGHT_OUTER_CORNER, LEFT_OUTER_CORNER = 33, 263


def upright_crop(
    image: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    size: int,
    share: float = 0.55,
    around: tuple[int, ...] = (),
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Turns the eyes level, scales the face to `share` of the crop's side and centres it.

    Args:
        image: (H, W, 3) uint8 RGB.
        landmarks: (478, 3) float32 in pixels of the image.
        size: side of the crop, S.
        share: width of the face over the side of the crop; above 1 zooms in.
        around: landmarks whose mean is the crop's centre; empty centres the whole face.

    Returns:
        The (S, S, 3) uint8 crop, and the (478, 3) float32 landmarks in pixels of the crop.
    """
    across = landmarks[LEFT_OUTER_CORNER, :2] - landmarks[RIGHT_OUTER_CORNER, :2]
    cos, sin = across / np.hypot(*across)
    level = np.array([[cos, sin], [-sin, cos]])
    face = landmarks[:VERTICES, :2] @ level.T
    low, high = face.min(0), face.max(0)
    centre = face[list(around)].mean(0) if around else (low + high) / 2
    scale = size * share / (high - low)[0]
    shift = (size - 1) / 2 - scale * centre
    matrix = np.concatenate([level * scale, shift[:, None]], axis=1)
    moved = landmarks.copy()
    moved[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + shift
    moved[:, 2] *= scale
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.warpAffine(image, matrix, (size, size), flags=flags), moved.astype(np.float32)
