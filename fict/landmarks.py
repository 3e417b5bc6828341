"""Face landmarks: 468 face-mesh points and 5 points per iris of every face in a frame.

Source: Google MediaPipe BlazeFace, Face Mesh and Iris (Apache-2.0 models); the decoding is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fict.detector import find_faces, overlap
from fict.models import load_model
from fict.roi import Roi
from schemas.errors import BackendUnavailable

__all__ = [
    "FACE_SCORE_GATE",
    "LANDMARK_BACKENDS",
    "BackendUnavailable",
    "Face",
    "LandmarkBackend",
    "MeshLandmarks",
]

FACE_SCORE_GATE = 10.0
"""Meshes whose face score is below this are not faces."""
MESH_MODEL = "face_landmark.tflite"
IRIS_MODEL = "iris_landmark.tflite"
GROWTH = 1.5
"""Side of the region of interest over the longer side of the face's box."""
EYE_GROWTH = 2.3
"""Side of the iris model's input over the distance between the two corners of the eye."""
RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (263, 362)
# The iris model's 71 points as face-mesh vertices: the rim of the opening, then ring after ring
# around it, out to the eyebrow and the cheekbone.
RIGHT_EYE_RINGS = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110,
    24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232,
    233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118,
    119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
LEFT_EYE_RINGS = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255,
    339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449,
    450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295,
    372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one frame.

    Attributes:
        box_xyxy: (4,) float32, the box around the mesh, in image pixels.
        score: the mesh's face score, a raw logit: below 0 not a face, 30 to 50 a clear one. Other
            backends map their own measure onto these values.
        landmarks: (478, 3) float32 in image pixels (x right, y down, z in the same unit, smaller is
            nearer, relative to the face's middle): 468 mesh points, then 5 points of the subject's
            right iris (468..472) and 5 of the left (473..477); the first of each five is the
            centre. The z of an iris is the mean z of that eye's corners.
    """

    box_xyxy: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32]


class LandmarkBackend(Protocol):
    """What a landmark backend can do."""

    def detect(self, image: NDArray[np.uint8], *, far: bool = True) -> list[Face]:
        """Every face of an (H, W, 3) uint8 RGB frame, the largest box first.

        Without `far` a large frame may be searched for near faces only, which takes less time.
        """
        ...

    def track(self, image: NDArray[np.uint8], previous: Face) -> Face | None:
        """The same face in the next frame, searched where it was; None when it is not there."""
        ...


class MeshLandmarks:
    """The embedded backend: BlazeFace, then the face mesh, then the iris model.

    Args:
        gate: least face score of a face.
    """

    def __init__(self, gate: float = FACE_SCORE_GATE) -> None:
        self.gate = gate

    def detect(self, image: NDArray[np.uint8], *, far: bool = True) -> list[Face]:
        """Every face of the frame, the largest box first.

        Args:
            image: (H, W, 3) uint8 RGB.
            far: whether a large frame is searched for small faces, too.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
            BackendUnavailable: the models or their interpreter are not installed.
        """
        check_image(image)
        faces: list[Face] = []
        for found in find_faces(image, far):
            face = self._face(image, _roi_of_detection(found))
            if face is None or is_known(face, faces):
                continue
            faces.append(face)
        return largest_first(faces)

    def track(self, image: NDArray[np.uint8], previous: Face) -> Face | None:
        """The face in this frame, from where it was in the previous one; no detector runs.

        Args:
            image: (H, W, 3) uint8 RGB.
            previous: the face in the frame before, in the same frame coordinates.

        Returns:
            The face, or None when the mesh's score is below the gate.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
        """
        check_image(image)
        return self._mesh(image, _roi_of_landmarks(previous.landmarks))

    def _face(self, image: NDArray[np.uint8], roi: Roi) -> Face | None:
        """Two passes: the second looks where the first found the mesh, as tracking does."""
        first = self._mesh(image, roi, with_eyes=False)
        return None if first is None else self._mesh(image, _roi_of_landmarks(first.landmarks))

    def _mesh(self, image: NDArray[np.uint8], roi: Roi, with_eyes: bool = True) -> Face | None:
        model = load_model(MESH_MODEL)
        mesh, logit = model(roi.cut(image, model.side))
        score = float(logit.reshape(-1)[0])
        if not score >= self.gate:
            return None
        points = roi.to_image(mesh.reshape(468, 3), model.side)
        landmarks = np.concatenate([points, np.zeros((10, 3), np.float32)])
        if with_eyes:
            _refine_eye(image, landmarks, RIGHT_EYE_CORNERS, RIGHT_EYE_RINGS, 468, flip=False)
            _refine_eye(image, landmarks, LEFT_EYE_CORNERS, LEFT_EYE_RINGS, 473, flip=True)
        box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
        return Face(box.astype(np.float32), score, landmarks)


def _roi_of_detection(found: NDArray[np.float32]) -> Roi:
    box, right_eye, left_eye = found[1:5], found[5:7], found[7:9]
    across = left_eye - right_eye
    side = GROWTH * float(max(box[2:] - box[:2]))
    return Roi((box[:2] + box[2:]) / 2, side, float(np.arctan2(across[1], across[0])))


def _roi_of_landmarks(landmarks: NDArray[np.float32]) -> Roi:
    points = landmarks[:468, :2]
    across = points[263] - points[33]
    upright = Roi(points[33], 1.0, float(np.arctan2(across[1], across[0])))
    level = points @ upright.axes()
    low, high = level.min(0), level.max(0)
    middle = upright.axes() @ ((low + high) / 2)
    return Roi(middle.astype(np.float32), GROWTH * float(max(high - low)), upright.angle)


def _refine_eye(
    image: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    corners: tuple[int, int],
    rings: tuple[int, ...],
    iris: int,
    flip: bool,
) -> None:
    """Writes the iris points, and the better points around the eye, into `landmarks`.

    The network knows right eyes only; a left eye is shown to it mirrored.
    """
    model = load_model(IRIS_MODEL)
    outer, inner = landmarks[corners[0], :2], landmarks[corners[1], :2]
    across = (outer - inner) if flip else (inner - outer)
    side = max(1.0, EYE_GROWTH * float(np.hypot(*across)))
    roi = Roi((outer + inner) / 2, side, float(np.arctan2(across[1], across[0])))
    cut = roi.cut(image, model.side)
    eye, circle = model(np.ascontiguousarray(cut[:, ::-1]) if flip else cut)
    depth = landmarks[list(corners), 2].mean()
    for index, raw in ((np.array(rings), eye), (np.arange(iris, iris + 5), circle)):
        points = raw.reshape(-1, 3)[: len(index)].copy()
        if flip:
            points[:, 0] = model.side - 1 - points[:, 0]
        landmarks[index, :2] = roi.to_image(points, model.side)[:, :2]
    landmarks[iris : iris + 5, 2] = depth


def largest_first(faces: list[Face]) -> list[Face]:
    """The same faces, those with the largest box first."""
    return sorted(faces, key=lambda face: -float((face.box_xyxy[2:] - face.box_xyxy[:2]).prod()))


def is_known(face: Face, faces: list[Face]) -> bool:
    """Whether a face is one of those found before."""
    boxes = np.array([other.box_xyxy for other in faces], np.float32).reshape(-1, 4)
    return bool((overlap(face.box_xyxy, boxes) > 0.4).any())


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuses what is not an (H, W, 3) uint8 picture.

    Raises:
        ValueError: the image is of another form.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"landmarks need an (H, W, 3) uint8 RGB image, got {image.shape} {image.dtype}; "
            "convert grey or RGBA images first"
        )


def _fan(kind: Literal["2d", "3d"]) -> Callable[[float], LandmarkBackend]:
    def load(gate: float = FACE_SCORE_GATE) -> LandmarkBackend:
        from fict.fan import FanLandmarks  # imports torch

        return FanLandmarks(kind, gate)

    return load


LANDMARK_BACKENDS: dict[str, Callable[[float], LandmarkBackend]] = {
    "mesh": MeshLandmarks,
    "face_alignment_2d": _fan("2d"),
    "face_alignment_3d": _fan("3d"),
}
"""Landmark backends by name; a new one is one file and one line here."""
