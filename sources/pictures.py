"""Frames that were already taken out of a video: a folder of numbered pictures, or one picture.

The k-th picture in natural order is frame k, whatever its number: OpenCV counts from 0, ffmpeg
from 1. A folder that may not be one whole clip is rejected, since pairing by place would then lay
different moments on each other.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from schemas.errors import Rejected, RejectReason

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
DEFAULT_FPS = 25.0
"""Rate of frames whose dataset sets none: only timestamps depend on it."""

_NUMBER = re.compile(r"\d+(?!.*\d)")
_UPRIGHT_ONLY = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""
_ORIENTATION = 0x0112
_DEEP = ("I", "F")
"""Modes of more than 8 bits: what is black and white in them is not known."""


@dataclass(frozen=True)
class PictureClip:
    """A clip whose frames are picture files.

    Attributes:
        path: The folder or the only picture.
        frames: The pictures in natural order.
        first_number: Number in the first one's name; 0 where it has none.
    """

    path: Path
    frames: tuple[Path, ...]
    first_number: int

    def size(self) -> tuple[int, int]:
        """Gives width and height of the frames, upright, from their headers.

        Raises:
            Rejected: `BAD_FRAMES`: they differ; `UNREADABLE_VIDEO`.
        """
        first, *others = (_size(path) for path in self.frames)
        for path, size in zip(self.frames[1:], others, strict=True):
            if size != first:
                raise Rejected(
                    RejectReason.BAD_FRAMES,
                    f"the frames of {self.path.name} have different sizes: {self.frames[0].name} "
                    f"is {first[0]} x {first[1]}, {path.name} is {size[0]} x {size[1]} pixels",
                )
        return first

    def read(self, index: int) -> NDArray[np.uint8]:
        """Decodes one frame as `(H, W, 3) uint8` RGB, upright.

        Raises:
            Rejected: `UNREADABLE_VIDEO`: damaged, or there is no such frame.
        """
        if index >= len(self.frames):
            raise Rejected(
                RejectReason.UNREADABLE_VIDEO,
                f"{self.path.name} has {len(self.frames)} frames, frame {index} was wanted",
            )
        return _decode(self.frames[index])


def thumbnail(image: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """Makes a small grey picture, `(h, w) uint8`, of `(H, W, 3) uint8` RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    share = long_side / max(grey.shape)
    height, width = (max(1, round(share * side)) for side in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))


def to_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Encodes `(H, W, 3) uint8` RGB as JPEG of a quality of 1 to 100, as stored crops are."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def from_picture(encoded: bytes) -> NDArray[np.uint8] | None:
    """Decodes a stored crop to `(S, S, 3) uint8` RGB; None for what is no picture."""
    if not encoded:
        return None
    found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None if found is None else np.asarray(found, dtype=np.uint8)


def is_pictures(path: Path) -> bool:
    """Tells whether a path is a folder of frames or a picture, not a video file."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES


def open_pictures(path: Path) -> PictureClip:
    """Lists the frames of a folder, or takes a picture as a clip of one frame.

    Files of other kinds, hidden files and folders inside are ignored.

    Raises:
        Rejected: `UNREADABLE_VIDEO`: absent, or without any picture. `BAD_FRAMES`: pictures of two
            kinds or of two clips, without numbers, or with numbers that are missing or twice there.
    """
    if not path.is_dir():
        return PictureClip(path, (path,), 0)
    frames = _listed(path)
    kinds = Counter(frame.suffix.lower() for frame in frames)
    if len(kinds) > 1:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise Rejected(
            RejectReason.BAD_FRAMES,
            f"{path.name} mixes kinds of pictures ({told}); which are the frames is not known",
        )
    if len(frames) == 1 and not _NUMBER.search(frames[0].stem):
        return PictureClip(path, tuple(frames), 0)
    numbers = [_number(path, frame, frames[0]) for frame in frames]
    order = sorted(range(len(frames)), key=lambda place: numbers[place])
    _check_run(path, [numbers[place] for place in order])
    return PictureClip(path, tuple(frames[place] for place in order), min(numbers))


def _listed(path: Path) -> list[Path]:
    try:
        found = [one for one in path.iterdir() if one.suffix.lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise _unreadable(path, error.strerror or "no folder") from error
    frames = sorted(one for one in found if not one.name.startswith(".") and one.is_file())
    if not frames:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        raise _unreadable(path, f"it is a folder without pictures ({kinds})")
    return frames


def _number(folder: Path, frame: Path, first: Path) -> int:
    """Gives the last number of a name; all else in the name must be as in the first one's."""
    found = _NUMBER.search(frame.stem)
    if not found:
        raise Rejected(
            RejectReason.BAD_FRAMES, f"{frame.name} in {folder.name} has no number in its name"
        )
    if _NUMBER.sub("#", frame.stem) != _NUMBER.sub("#", first.stem):
        raise Rejected(
            RejectReason.BAD_FRAMES,
            f"{folder.name} holds frames of more than one clip: {first.name} and {frame.name}",
        )
    return int(found[0])


def _check_run(folder: Path, numbers: list[int]) -> None:
    for before, number in itertools.pairwise(numbers):
        if number == before:
            raise Rejected(
                RejectReason.BAD_FRAMES, f"{folder.name} has two frames of the number {number}"
            )
        if number != before + 1:
            raise Rejected(
                RejectReason.BAD_FRAMES,
                f"{folder.name} has a gap: after frame {before} comes {number}; sides are paired "
                "frame by frame, so extract every frame",
            )


def _size(path: Path) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                turned = picture.getexif().get(_ORIENTATION) in _UPRIGHT_ONLY
                width, height = picture.size
    except Exception as error:  # Pillow's readers raise all sorts over damaged files
        raise _unreadable(path, error) from error
    return (height, width) if turned else (width, height)


def _decode(path: Path) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a bomb, a cut-off file: not a picture to trust
            with Image.open(path) as picture:
                if picture.mode.startswith(_DEEP):
                    raise ValueError(f"a picture of mode {picture.mode}, not 8 bits a channel")
                upright = ImageOps.exif_transpose(picture)
                return np.array(upright.convert("RGB"), dtype=np.uint8)
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception | str) -> Rejected:
    """Names the file by its last part alone: a reject is published."""
    said = type(error).__name__ if isinstance(error, OSError) and error.filename else str(error)
    said = said.replace(f"{path.parent}/", "") or type(error).__name__
    return Rejected(RejectReason.UNREADABLE_VIDEO, f"{path.name} cannot be read: {said}")
