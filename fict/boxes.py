"""Boxes of faces for FAN: by SFD, by the embedded BlazeFace, or from where a face was before.

Source: Zhang et al., S3FD: Single Shot Scale-invariant Face Detector (2017), as in face-alignment;
FAN was trained on boxes around the 68 points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.crop import LEFT_OUTER_CORNER, RIGHT_OUTER_CORNER
from fict.detector import find_faces
from fict.ibug import anchors
from fict.mesh import VERTICES
from fict.roi import Roi

if TYPE_CHECKING:
    import torch

LEAST_SIDE, MOST_SIDE = 64, 1024
"""SFD needs pictures of the first, in pixels, and takes those above the second too slowly."""
SFD_SCORE_MIN, SFD_OVERLAP_MAX = 0.5, 0.3
"""As in the package."""


@dataclass(frozen=True, eq=False)
class FaceBox:
    """A face's box, turned with the face.

    Attributes:
        middle: (2,) image pixels.
        width: in pixels.
        height: in pixels.
        angle: of the line from the right to the left eye, radians; 0 where it is not known.
    """

    middle: NDArray[np.floating]
    width: float
    height: float
    angle: float


def embedded_boxes(image: NDArray[np.uint8], far: bool = True) -> list[FaceBox]:
    """Boxes by BlazeFace, which needs no weight file.

    Args:
        image: (H, W, 3) uint8 RGB.
        far: whether a large frame is searched for small faces, too.
    """
    return [
        _box(found[1:5], float(np.arctan2(*(found[7:9] - found[5:7])[::-1])))
        for found in find_faces(image, far)
    ]


def sfd_boxes(image: NDArray[np.uint8], network: torch.nn.Module) -> list[FaceBox]:
    """Boxes by SFD.

    Args:
        image: (H, W, 3) uint8 RGB; a large one is searched at a smaller scale.
        network: the package's `s3fd` with its weights.
    """
    from face_alignment.detection.sfd.bbox import nms
    from face_alignment.detection.sfd.detect import detect

    height, width = image.shape[:2]
    scale = min(1.0, MOST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    beside, below = (max(0, LEAST_SIDE - side) for side in small.shape[1::-1])
    padded = np.pad(small, ((0, below), (0, beside), (0, 0)))
    found = detect(network, padded, "cpu")[0].reshape(-1, 5)
    kept = found[nms(found, SFD_OVERLAP_MAX)]
    sure = kept[(kept[:, 4] > SFD_SCORE_MIN) & np.isfinite(kept).all(1)]
    return [_box(row[:4] / scale, 0.0) for row in sure]


def box_of_landmarks(landmarks: NDArray[np.float32]) -> FaceBox:
    """The box around the 68 points of a face that is known, in its own axes.

    Args:
        landmarks: (478, 3) image pixels.
    """
    points = anchors() @ landmarks[:VERTICES, :2].astype(np.float64)
    across = landmarks[LEFT_OUTER_CORNER, :2] - landmarks[RIGHT_OUTER_CORNER, :2]
    upright = Roi(np.zeros(2), 1.0, float(np.arctan2(across[1], across[0])))
    level = points @ upright.axes()
    box = _box(np.concatenate([level.min(0), level.max(0)]), upright.angle)
    return FaceBox(upright.axes() @ box.middle, box.width, box.height, box.angle)


def _box(box_xyxy: NDArray[np.floating], angle: float) -> FaceBox:
    low, high = box_xyxy[:2], box_xyxy[2:]
    return FaceBox((low + high) / 2, float(high[0] - low[0]), float(high[1] - low[1]), angle)
