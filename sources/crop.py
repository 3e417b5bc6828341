"""One face crop geometry for both sides of a pair.

Frames of reference: landmarks of the finder are frame pixels; everything in a `CropPair` is crop
pixels. The crop is a similarity of the frame: eyes level, the face in the middle.
Source: ours; neighbours crop each side by its own detection, which shifts the sides apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.landmarks import Face
from schemas.errors import Rejected, RejectReason
from schemas.manifest import Measure
from sources.colourmap import ColourMap
from sources.gates import FRONTAL, View, check_face, check_sharpness, face_px, sharpness_of
from sources.grading import find_grade, take_back
from sources.pairs import MIRRORED, FramePair
from sources.registration import Registration, register
from sources.steady import Clip, steady
from sources.tracking import FaceSearch, cuts_of, follow_changed_face

Image = NDArray[np.uint8]
Points = NDArray[np.float32]

REGISTERED = "registered"
"""Repair of a frame: the fake side was moved."""
FOREHEAD_TOP, CHIN = 10, 152
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
MAX_OUTSIDE = 0.15
"""Share of the face's mesh that may lie outside the frame."""
ALIGNED_PX = 0.5
"""Sides that are closer than this, in crop pixels, are left as they are."""
LEAST_AGREEMENT = 0.5
"""A movement that fewer of the followed corners share is not one of the whole picture."""
MAX_SCALE = 0.08
"""Sides whose scales differ by more than this share do not show the same picture."""


@dataclass(frozen=True)
class CropPair:
    """The two sides of one frame in crop pixels.

    Attributes:
        index: Frame index in the fake video, from 0.
        timestamp_s: Presentation time in seconds.
        frame_size: Height and width of the video frame.
        real: `(S, S, 3) uint8` RGB.
        fake: `(S, S, 3) uint8` RGB, after the repairs.
        valid: `(S, S) bool`, true where the crop lies inside the frame.
        affine: `(2, 3) float64`, frame to crop pixels of the real side.
        fake_affine: The same of the fake video's own pixels; equal but where the sides had to be
            registered or the fake was mirrored.
        landmarks: `(478, 3) float32` of the real side, crop pixels.
        face_score: Score of the face mesh.
        faces_in_frame: Faces found in the real frame.
        registration_px: Median shift of unchanged corners from real to fake, crop pixels.
        repairs: What had to be done to make the sides comparable: those of the frame pair,
            `registered`, `graded`.
        frame_offset: Index in the real video less index in the fake one.
        view: Pose, size and sharpness of the real side's face.
        grade: The map of colours that took the grade of the fake side back, where `graded`.
    """

    index: int
    timestamp_s: float
    frame_size: tuple[int, int]
    real: Image
    fake: Image
    valid: NDArray[np.bool_]
    affine: NDArray[np.float64]
    fake_affine: NDArray[np.float64]
    landmarks: Points
    face_score: float
    faces_in_frame: int
    registration_px: float
    repairs: tuple[str, ...] = ()
    frame_offset: int = 0
    view: View = FRONTAL
    grade: ColourMap | None = None

    @property
    def eye_distance(self) -> float:
        """Distance between the outer eye corners, in crop pixels."""
        return float(
            np.linalg.norm(self.landmarks[LEFT_EYE_OUTER] - self.landmarks[RIGHT_EYE_OUTER])
        )

    def face_mask(self, grow: float = 0.0) -> NDArray[np.bool_]:
        """Gives the convex hull of the landmarks, grown by a share of the eye distance."""
        mask = outline(self.landmarks, self.real.shape[0])
        if grow > 0:
            reach = round(grow * self.eye_distance)
            x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
            around = np.s_[
                max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach
            ]
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
            mask[around] = cv2.dilate(mask[around].view(np.uint8), disc).view(np.bool_)
        return mask


def crop_clip(
    frames: Sequence[FramePair], search: FaceSearch, settings: Measure
) -> tuple[list[CropPair], dict[int, Rejected]]:
    """Cuts the changed face out of every frame pair.

    Args:
        frames: Frame pairs of one pair of videos, in order.
        search: Finds the faces; it sees the real side only.
        settings: Crop size and margin, face gate, registration limit.

    Returns:
        The crops, and for each frame index without one the reason.
    """
    crops: list[CropPair] = []
    rejected: dict[int, Rejected] = {}
    images = [frame.real for frame in frames]
    cuts = cuts_of(images)
    faces = search(images, cuts)
    chosen = follow_changed_face(frames, faces)
    if settings.steady:
        clip = Clip(images, [frame.timestamp_s for frame in frames], cuts)
        chosen = steady(chosen, clip, search.finder)
    for frame, found, face in zip(frames, faces, chosen, strict=True):
        try:
            crops.append(_crop(frame, face, len(found), settings))
        except Rejected as rejection:
            rejected[frame.index] = rejection
    return crops, rejected


def _crop(frame: FramePair, face: Face | None, faces: int, settings: Measure) -> CropPair:
    face = _usable(frame, face, settings)
    pose = check_face(face, frame.index, settings.gates)
    size = settings.crop_size
    affine = crop_affine(face.landmarks, size, settings.crop_margin)
    landmarks = transform(face.landmarks, affine)
    real = warp(frame.real, affine, size)
    sharpness = sharpness_of(real, outline(landmarks, size), float(np.hypot(*affine[0, :2])))
    check_sharpness(sharpness, frame.index, settings.gates)
    fake = _lay(frame, real, landmarks, affine)
    if fake.shift_px > settings.max_registration_px:
        raise Rejected(
            RejectReason.MISREGISTERED,
            f"the sides of frame {frame.index} are {fake.shift_px:.1f} crop pixels apart",
        )
    return CropPair(
        index=frame.index,
        timestamp_s=frame.timestamp_s,
        frame_size=(frame.real.shape[0], frame.real.shape[1]),
        real=real,
        fake=fake.image,
        valid=_inside(frame.real, affine, size) & _inside(frame.fake, fake.affine, size),
        affine=affine,
        fake_affine=_of_the_file(frame, fake.affine),
        landmarks=landmarks,
        face_score=face.score,
        faces_in_frame=faces,
        view=View(pose, face_px(face), sharpness),
        registration_px=fake.shift_px,
        repairs=frame.repairs + fake.repairs,
        frame_offset=frame.frame_offset,
        grade=fake.grade,
    )


def _of_the_file(frame: FramePair, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gives the map from the fake video's own pixels, which are flipped first if mirrored."""
    return flipped(affine, frame.fake.shape[1]) if MIRRORED in frame.repairs else affine


def flipped(affine: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Gives a map of a frame's pixels as one of the pixels of the frame flipped left to right."""
    return compose(affine, np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]]))


def _usable(frame: FramePair, face: Face | None, settings: Measure) -> Face:
    """Gives the face, or rejects a frame without one that can be annotated."""
    if face is None:
        raise Rejected(RejectReason.NO_FACE, f"no face in frame {frame.index} of the real side")
    if face.score < settings.min_face_score:
        raise Rejected(
            RejectReason.POOR_FACE,
            f"face mesh score {face.score:.1f} in frame {frame.index} is below "
            f"{settings.min_face_score:g}",
        )
    outside = share_outside(face.landmarks, *frame.real.shape[:2])
    if outside > MAX_OUTSIDE:
        raise Rejected(
            RejectReason.FACE_LEFT_FRAME,
            f"{outside:.0%} of the face lies outside frame {frame.index}",
        )
    return face


@dataclass(frozen=True)
class _Laid:
    """The fake side of a crop, laid on the real one."""

    image: Image
    affine: NDArray[np.float64]
    shift_px: float
    repairs: tuple[str, ...] = ()
    grade: ColourMap | None = None


def _lay(frame: FramePair, real: Image, landmarks: Points, affine: NDArray[np.float64]) -> _Laid:
    """Cuts the fake side as the real one, or moved where that lays it better on the real side."""
    size = real.shape[0]
    around = _inside(frame.real, affine, size)
    cv2.fillConvexPoly(around.view(np.uint8), hull(landmarks), 0)
    plain = _graded(_Laid(warp(frame.fake, affine, size), affine, 0.0), real, around)
    found = register(real, plain.image, around)
    plain = replace(plain, shift_px=found.shift_px)
    if found.shift_px <= ALIGNED_PX or not is_repairable(found):
        return plain
    other = compose(cv2.invertAffineTransform(found.affine), affine)
    moved = _Laid(warp(frame.fake, other, size), other, 0.0, (REGISTERED,))
    moved = _graded(moved, real, around)
    shift = register(real, moved.image, around).shift_px
    return replace(moved, shift_px=shift) if shift < found.shift_px else plain


def _graded(laid: _Laid, real: Image, around: NDArray[np.bool_]) -> _Laid:
    """Takes a colour grade of the whole fake side back, where there is one.

    Before the registration, too: corners are followed by their lightness.
    """
    grade = find_grade(real, laid.image, around)
    if grade is None:
        return laid
    image = take_back(grade, laid.image, real)
    return replace(laid, image=image, repairs=(*laid.repairs, "graded"), grade=grade)


def _inside(frame: Image, affine: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Gives the crop pixels that lie inside the frame."""
    ends = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]])
    corners = ends @ cv2.invertAffineTransform(affine).T
    height, width = frame.shape[:2]
    if corners.min() > 1 and (corners < (width - 2, height - 2)).all():
        return np.ones((size, size), np.bool_)
    return warp(np.full((height, width), 255, np.uint8), affine, size) > 254


def is_repairable(found: Registration) -> bool:
    """Tells whether the sides show one picture, only moved or scaled a little."""
    scale = float(np.hypot(found.affine[0, 0], found.affine[0, 1]))
    return found.agreement >= LEAST_AGREEMENT and abs(scale - 1) <= MAX_SCALE


def compose(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gives the `(2, 3)` map that applies `inner`, then `outer`."""
    return np.hstack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]])


def share_outside(landmarks: Points, height: int, width: int) -> float:
    """Gives the share of landmarks outside a frame."""
    x, y = landmarks[:, 0], landmarks[:, 1]
    return float(np.mean((x < 0) | (y < 0) | (x >= width) | (y >= height)))


def crop_affine(landmarks: Points, size: int, margin: float) -> NDArray[np.float64]:
    """Gives the similarity from frame to crop pixels.

    Args:
        landmarks: `(478, 3) float32`, frame pixels.
        size: Side of the crop in pixels.
        margin: Side of the crop in units of the face's height (forehead top to chin).

    Returns:
        `(2, 3) float64`: eyes level, the middle of the face in the middle of the crop.
    """
    across = (landmarks[LEFT_EYE_OUTER] - landmarks[RIGHT_EYE_OUTER])[:2].astype(np.float64)
    along = across / np.linalg.norm(across)
    turn = np.array([[along[0], along[1]], [-along[1], along[0]]])  # frame -> level
    level = landmarks[:, :2].astype(np.float64) @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)
    scale = size / (margin * (high[1] - low[1]))
    shift = size / 2 - scale * (low + high) / 2
    return np.hstack([scale * turn, shift[:, None]])


def warp(image: Image, affine: NDArray[np.float64], size: int) -> Image:
    """Cuts a crop by bilinear sampling; pixels outside the frame are 0."""
    return np.asarray(cv2.warpAffine(image, affine, (size, size), flags=cv2.INTER_LINEAR))


def transform(landmarks: Points, affine: NDArray[np.float64]) -> Points:
    """Maps `(N, 3)` landmarks by a similarity; z is scaled with x and y."""
    plane = landmarks[:, :2] @ affine[:, :2].T + affine[:, 2]
    scale = np.hypot(affine[0, 0], affine[0, 1])
    return np.column_stack([plane, landmarks[:, 2] * scale]).astype(np.float32)


def outline(landmarks: Points, size: int) -> NDArray[np.bool_]:
    """Gives the `(S, S) bool` inside of the convex hull of `(N, 3)` landmarks."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, hull(landmarks), 1)
    return mask.view(np.bool_)


def hull(landmarks: Points) -> NDArray[np.int32]:
    """Gives the convex hull of `(N, 3)` landmarks as `(K, 1, 2) int32` pixels."""
    plane = np.ascontiguousarray(landmarks[:, :2])
    return np.asarray(cv2.convexHull(plane), dtype=np.int32)
