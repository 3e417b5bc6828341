"""The crops of released rows, cut again from the videos that they came from.

A crop is rebuilt from what its row says: frame, map to the crop, repairs, grade. The hash in the
row then tells whether it is, pixel by pixel, the crop that was annotated.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from release.rows import pixel_hash
from schemas.errors import Rejected
from schemas.provenance import file_hash
from sources.colourmap import ColourMap
from sources.crop import REGISTERED, flipped, warp
from sources.grading import take_back
from sources.pairs import MIRRORED
from sources.pictures import to_jpeg
from sources.video import read_frames

Image = NDArray[np.uint8]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Crops:
    """The encoded crops of a row, or why there are none.

    Attributes:
        real: JPEG of the real side.
        fake: JPEG of the fake side.
        reason: Why they are not there, of a few words; empty where they are.
        detail: The same for a person.
    """

    real: bytes | None = None
    fake: bytes | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Copy:
    """A user's own copy of the source.

    Attributes:
        root: Folder that the paths of fake sides are below.
        real_root: The same of real sides.
        side: Height and width of a crop.
        quality: JPEG quality of crops.
    """

    root: Path
    real_root: Path
    side: int
    quality: int


def rebuild(rows: Iterable[Row], copy: Copy) -> Iterator[Crops]:
    """Cuts the crops of rows; rows of one pair that follow each other are decoded once."""
    for _, same in groupby(rows, key=lambda row: (row["real_path"], row["fake_path"])):
        yield from _of_pair(list(same), copy)


def _of_pair(rows: list[Row], copy: Copy) -> list[Crops]:
    sides = (("real", copy.real_root), ("fake", copy.root))
    for side, root in sides:
        if why := _unlike(rows[0][f"{side}_path"], root, rows[0][f"{side}_sha256"]):
            return [Crops(reason=why[0], detail=why[1])] * len(rows)
    fakes = [row["frame_index"] for row in rows]
    reals = [row["frame_index"] + row["frame_offset"] for row in rows]
    try:
        real = read_frames(copy.real_root / rows[0]["real_path"], reals)
        fake = read_frames(copy.root / rows[0]["fake_path"], fakes)
    except Rejected as rejection:
        return [Crops(reason="unreadable video", detail=rejection.detail)] * len(rows)
    frames = zip(rows, real, fake, strict=True)
    return [_checked(row, cut(row, r.image, f.image, copy.side), copy) for row, r, f in frames]


def _unlike(path: str, root: Path, digest: str) -> tuple[str, str] | None:
    """Says what is wrong with a video: not there, or another one."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        return "strange path", f"{path!r} leads out of the source's folder"
    if not (root / path).exists():
        return "missing video", f"{path} is not below {root}"
    if _hash(root / path) != digest:
        return "other video", f"{path} is not the file that was annotated"
    return None


@functools.lru_cache(maxsize=4096)
def _hash(path: Path) -> str:
    return file_hash(path)


def cut(row: Row, real_frame: Image, fake_frame: Image, side: int) -> tuple[Image, Image]:
    """Cuts both crops as `sources.crop` did.

    Args:
        row: The row: `affine`, `fake_affine`, `repairs`, `grade`.
        real_frame: `(H, W, 3) uint8` RGB.
        fake_frame: `(H, W, 3) uint8` RGB, as its file shows it.
        side: Height and width of a crop.

    Returns:
        Real and fake crop, `(S, S, 3) uint8` RGB.
    """
    affine = np.array(row["affine"], dtype=np.float64).reshape(2, 3)
    fake_affine = affine
    mirrored = MIRRORED in row["repairs"]
    if REGISTERED in row["repairs"]:
        fake_affine = np.array(row["fake_affine"], dtype=np.float64).reshape(2, 3)
        fake_affine = flipped(fake_affine, fake_frame.shape[1]) if mirrored else fake_affine
    if mirrored:
        fake_frame = np.ascontiguousarray(fake_frame[:, ::-1])
    real, fake = warp(real_frame, affine, side), warp(fake_frame, fake_affine, side)
    if len(row["grade"]):
        fake = take_back(ColourMap.of_numbers(row["grade"]), fake, real)
    return real, fake


def _checked(row: Row, crops: tuple[Image, Image], copy: Copy) -> Crops:
    """Encodes both crops and compares them with the hashes of the row."""
    real, fake = (to_jpeg(crop, copy.quality) for crop in crops)
    for side, encoded in (("real", real), ("fake", fake)):
        if pixel_hash(encoded, (copy.side, copy.side)) != row[f"{side}_pixels_sha256"]:
            detail = f"the rebuilt {side} crop is not the one that was annotated"
            return Crops(reason="other pixels", detail=detail)
    return Crops(real, fake)
