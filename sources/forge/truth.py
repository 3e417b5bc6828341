"""What a forgery really changed: one row for each frame, beside the forged videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas import rle
from schemas.records import EvidenceKind, Record, Segmentation
from schemas.shards import read_records
from sources.forge.face import Points
from sources.forge.operation import Aim
from sources.forge.zones import concept_mask, outlines

TRUTH_FILE = "truth.parquet"
CHANGED = 3
"""A pixel is changed when any channel differs by more than this many of 255 levels."""
CLOSING = 7
"""Diameter in pixels of the disc that closes the mask: noise leaves holes where it cancels out."""
SEEN = 12
"""Least changed pixels of a concept that count as a change of it."""

Mask = NDArray[np.bool_]
"""`(H, W) bool` in frame pixels."""


class Truth(Record):
    """The truth of one forged frame, the same at every compression.

    `concepts`, `kinds` and `directions` are parallel: the k-th concept was changed in the k-th way,
    and a concept comes once for each way. Where it depends on the two people how a concept changed
    (a swapped face), `kinds` and `directions` are empty.
    """

    method: str = Field(description="Forgery method.")
    pair: str = Field(description="Name of the pair: target and source.")
    frame_index: int = Field(description="Index of the frame, from 0.")
    segmentation: Segmentation = Field(
        description="Pixels that the forgery changed before encoding, in frame pixels."
    )
    area: int = Field(description="Changed pixels.")
    concepts: tuple[str, ...] = Field(description="FICT concepts that the forgery aimed at.")
    kinds: tuple[EvidenceKind, ...] = Field(description="What it changed of each.")
    directions: tuple[str, ...] = Field(description="How it changed that, real to fake.")


def changed_pixels(real: NDArray[np.uint8], fake: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Gives `(H, W) bool`: where two unencoded `(H, W, 3) uint8` frames differ visibly."""
    differs = cv2.absdiff(real, fake).max(axis=2) > CHANGED
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING, CLOSING))
    closed = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    return np.asarray(closed, dtype=np.bool_)


def segment(mask: NDArray[np.bool_]) -> tuple[Segmentation, int]:
    """Gives a mask as it is stored, and its area."""
    return rle.encode(mask), rle.area(mask)


@dataclass(frozen=True)
class FrameTruth:
    """What was changed in one frame; nothing in a control.

    Attributes:
        frame_index: Number of the frame, from 0.
        segmentation: Pixels that differed before encoding, in frame pixels.
        area: Their number.
        concepts: FICT concepts that were changed; parallel to `kinds` and `directions`.
        kinds: What was changed of each; None where it has no known direction, such as skin that
            follows a movement.
        directions: How, real to fake; empty where the kind is None.
        strength: Share of the operations' strengths in this frame; 0 in a control.
    """

    frame_index: int
    segmentation: Segmentation
    area: int
    concepts: tuple[str, ...]
    kinds: tuple[EvidenceKind | None, ...]
    directions: tuple[str, ...]
    strength: float


def frame_truth(
    index: int, changed: Mask, points: Points, aims: tuple[Aim, ...], share: float
) -> FrameTruth:
    """Tells what was changed in a frame; concepts that are hidden or did not change are left out.

    Args:
        index: Number of the frame.
        changed: Pixels that differ.
        points: Landmarks of the real frame.
        aims: What was meant to change.
        share: Share of the operations' strengths.
    """
    segmentation, area = segment(changed)
    seen = {name for name in dict.fromkeys(a for a, _, _ in aims) if _seen(name, changed, points)}
    told = [aim for aim in aims if aim[0] in seen]
    concepts, kinds, directions = zip(*told, strict=True) if told else ((), (), ())
    return FrameTruth(index, segmentation, area, concepts, kinds, directions, share)


def _seen(name: str, changed: Mask, points: Points) -> bool:
    if not outlines((name,)):
        return False
    near = concept_mask(changed.shape, points, (name,))
    return bool((changed & (near > 0)).sum() >= SEEN)


def read_truth(folder: Path) -> list[Truth]:
    """Reads the truth of a forged dataset.

    Raises:
        OutputError: There is none, or it cannot be read.
    """
    return read_records(folder / TRUTH_FILE, Truth)
