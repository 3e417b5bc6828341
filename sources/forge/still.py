"""A picture with one face, prepared to be filmed: cut, scaled, and its landmarks found once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.landmarks import MeshLandmarks
from schemas.errors import UsageError

FACE_WIDTH = (0.34, 0.41)
"""Wanted and largest width of the face, as shares of the frame's width."""
SLACK = 1.07
"""The still is this much larger than the frame, where its face is not too large for that."""


@dataclass(frozen=True, eq=False)
class Still:
    """A picture at the scale of the frames cut from it.

    Attributes:
        name: File name of the picture.
        sha256: Hash of the picture's file.
        image: `(H, W, 3) uint8` RGB.
        landmarks: `(478, 2) float32`, face-mesh points in pixels of `image`.
    """

    name: str
    sha256: str
    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


def default_pictures() -> list[Path]:
    """Gives the public-domain portraits that installed packages carry.

    Eileen Collins (NASA; scikit-image) and Grace Hopper (United States Navy; matplotlib).
    """
    places = (
        ("skimage", "data/astronaut.png"),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    )
    return [_in_package(package, name) for package, name in places]


def load_still(
    path: Path, size: tuple[int, int], face_width: tuple[float, float] = FACE_WIDTH
) -> Still:
    """Reads a picture and finds its largest face.

    Args:
        path: The picture, of any format that OpenCV reads.
        size: Height and width of the frames to be cut from it.
        face_width: Wanted and largest width of the face, as shares of the frame's width.

    Raises:
        UsageError: The file is no picture, or shows no face; the message names it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the picture {path}: {error.strerror}") from error
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if bgr is None:
        raise UsageError(f"{path} is not a picture that OpenCV can read")
    image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    faces = MeshLandmarks().detect(image)
    if not faces:
        raise UsageError(f"no face found in the picture {path}; the forge needs one")
    image, landmarks = _rescaled(image, faces[0].landmarks[:, :2], size, face_width)
    return Still(path.name, hashlib.sha256(content).hexdigest(), image, landmarks)


def load_stills(pictures: Sequence[Path], size: tuple[int, int]) -> list[Still]:
    """Reads several pictures; see `load_still`."""
    return [load_still(path, size) for path in pictures]


def _rescaled(
    image: NDArray[np.uint8],
    points: NDArray[np.float32],
    size: tuple[int, int],
    face_width: tuple[float, float],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cuts the surroundings of a face and scales them so that the face has the wanted size."""
    found = float(np.ptp(points[:, 0]))
    wanted, largest = (share * size[1] / found for share in face_width)
    covering = SLACK * max(size[0] / image.shape[0], size[1] / image.shape[1])
    scale = min(max(wanted, covering), max(wanted, largest))
    middle, reach = points.mean(axis=0), 1.1 * np.array(size[::-1]) / scale
    left, top = np.maximum(middle - reach, 0).astype(int)
    right, bottom = np.ceil(middle + reach).astype(int)
    cut = image[top:bottom, left:right]
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    scaled = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=method)
    moved = (points - np.array([left, top]) + 0.5) * scale - 0.5
    return scaled, moved.astype(np.float32)


def _in_package(package: str, name: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"the default pictures need the package {package}: install it, or name others"
        )
    return Path(spec.origin).parent / name
