"""The faces of a clip: found in key frames, followed in between, and which one was forged.

A face's place, size and turn change smoothly, a detector's answer does not; so a face is followed
by its mesh, and `sources.steady` takes the jitter out. New faces are looked for in key frames.
Source: ours.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.detector import overlap
from fict.landmarks import FACE_SCORE_GATE, Face, LandmarkBackend, is_known
from sources.pairs import FramePair

Image = NDArray[np.uint8]

KEY_FRAMES = 12
"""Of so many frames one is searched for new faces; so are the first and the last of a clip."""
SAME_FACE = 0.4
"""Boxes of a face in two frames overlap by more (intersection over union)."""
KEPT_SCORE = 0.6
"""A followed mesh whose score falls below this share of its last one is lost."""
CUT = 24.0
"""Small pictures of two frames that differ by more levels of 255 show two scenes."""
OFF_CENTRE = 0.05
"""A face that moved by more of its width is looked at again where it is now."""
STRIDE = 1.5
"""Among several people a face is followed over at most so many of its widths between frames."""


def faces_of_clip(
    images: Sequence[Image], cuts: Sequence[bool], finder: LandmarkBackend
) -> list[list[Face]]:
    """Finds the faces of every frame.

    A frame is searched as a whole where it is a key frame, comes after a cut, or where a face of
    the frame before was lost. Where a key frame shows another number of faces than were followed,
    the frames followed since the last key frame are searched, too. Who comes and goes between two
    key frames is missed, and so is who comes while all others are followed and stays so small that
    only a search in parts of the frame finds them.

    Args:
        images: `(H, W, 3) uint8` RGB frames in order of time, of any spacing.
        cuts: Whether a new scene begins with the frame; see `cuts_of`.
        finder: Landmark backend.

    Returns:
        For each frame its faces, those of a searched frame the largest first.
    """
    found: list[list[Face]] = []
    searched = 0
    for place, image in enumerate(images):
        key = place - searched >= KEY_FRAMES or place in (0, len(images) - 1)
        followed = None if key or cuts[place] else _follow(image, found[-1], finder)
        if followed is None:
            goes_on = key and place > 0 and not cuts[place]
            faces = _search(image, found[-1] if goes_on else (), finder)
            if found and not cuts[place] and len(faces) != len(found[-1]):
                for other in range(searched + 1, place):
                    found[other] = finder.detect(images[other])
            searched = place
        found.append(faces if followed is None else followed)
    return found


class FaceSearch:
    """Finds the faces of clips; those of the last one are kept for as long as its frames are.

    Args:
        finder: Landmark backend.
    """

    def __init__(self, finder: LandmarkBackend) -> None:
        self.finder = finder
        self._frames: list[weakref.ref[Image]] = []
        self._found: list[list[Face]] = []

    def __call__(self, images: Sequence[Image], cuts: Sequence[bool]) -> list[list[Face]]:
        """Gives what `faces_of_clip` does."""
        known = len(images) == len(self._frames) and all(
            frame() is image for frame, image in zip(self._frames, images, strict=True)
        )
        if not known:
            self._found = faces_of_clip(images, cuts, self.finder)
            self._frames = [weakref.ref(image) for image in images]
        return self._found


def _search(image: Image, known: Sequence[Face], finder: LandmarkBackend) -> list[Face]:
    """Searches a frame, for small faces only where the others are not all that are known."""
    if known:
        near = finder.detect(image, far=False)
        if all(is_known(face, near) for face in known):
            return near
    return finder.detect(image)


def _follow(image: Image, known: Sequence[Face], finder: LandmarkBackend) -> list[Face] | None:
    """Gives the same faces in the next frame; `None` where one is lost or there was none."""
    followed = [_next(image, face, finder) for face in known]
    there = [face for face in followed if face is not None]
    if not there or len(there) < len(known):
        return None
    boxes = np.stack([face.box_xyxy for face in there])
    shared = np.stack([overlap(box, boxes) for box in boxes])
    return None if (np.triu(shared, 1) > SAME_FACE).any() else there


def _next(image: Image, last: Face, finder: LandmarkBackend) -> Face | None:
    face = finder.track(image, last)
    if face is not None and _distance(face, last) > OFF_CENTRE * _width(last):
        face = finder.track(image, face)
    if face is None or face.score < KEPT_SCORE * last.score:
        return None
    same = overlap(face.box_xyxy, last.box_xyxy[None])[0] > SAME_FACE
    return face if same else None


def cuts_of(images: Sequence[Image]) -> list[bool]:
    """Tells of each `(H, W, 3) uint8` frame whether it shows another scene than the one before."""
    small = [cv2.resize(_thinned(image), (24, 24)).astype(np.float32) for image in images]
    apart = [float(np.abs(b - a).mean()) for a, b in pairwise(small)]
    return [False, *(one > CUT for one in apart)][: len(images)]


def _thinned(image: Image) -> Image:
    """Gives every k-th pixel of a frame, about a hundred a side."""
    step = max(1, max(image.shape[:2]) // 96)
    return np.ascontiguousarray(image[::step, ::step])


def follow_changed_face(
    frames: Sequence[FramePair], faces: Sequence[Sequence[Face]]
) -> list[Face | None]:
    """Chooses the face that was forged and follows it over the frames.

    The face whose box changed most, against the rest of its frame, is the anchor, a poor one only
    where there is no other; before and after it the face nearest to the previous place is taken.
    A frame that does not show it gives `None`: one without a face, or, where there are several
    people, with none near its last place.
    """
    chosen: list[Face | None] = [None] * len(frames)
    candidates = [
        (face.score >= FACE_SCORE_GATE, _change(frame, face), position, number)
        for position, frame in enumerate(frames)
        for number, face in enumerate(faces[position])
    ]
    if not candidates:
        return chosen
    *_, anchor, number = max(candidates)
    alone = max(len(found) for found in faces) == 1
    for order in (range(anchor, len(frames)), range(anchor, -1, -1)):
        last = faces[anchor][number]
        for position in order:
            nearest = min(faces[position], key=lambda face: _distance(face, last), default=None)
            if nearest is not None and (alone or _distance(nearest, last) <= STRIDE * _width(last)):
                chosen[position] = last = nearest
    return chosen


def _width(face: Face) -> float:
    return float(face.box_xyxy[2] - face.box_xyxy[0])


def _change(frame: FramePair, face: Face) -> float:
    """Mean difference inside a face's box relative to the whole frame's."""
    difference = cv2.absdiff(frame.real, frame.fake)
    left, top, right, bottom = np.maximum(face.box_xyxy, 0).astype(int)
    inside = difference[top:bottom, left:right]
    return float(inside.mean() / (difference.mean() + 0.5)) if inside.size else 0.0


def _distance(one: Face, other: Face) -> float:
    return float(np.linalg.norm(one.landmarks.mean(axis=0) - other.landmarks.mean(axis=0)))
