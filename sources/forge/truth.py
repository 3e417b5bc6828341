"""What a forgery really changed: one row for each frame, beside the forged videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas import rle
from schemas.records import EvidenceKind, Record, Segmentation
from schemas.shards import read_records

TRUTH_FILE = "truth.parquet"
CHANGED = 3
"""A pixel is changed when any channel differs by more than this many of 255 levels."""
CLOSING = 7
"""Diameter in pixels of the disc that closes the mask: noise leaves holes where it cancels out."""


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


def read_truth(folder: Path) -> list[Truth]:
    """Reads the truth of a forged dataset.

    Raises:
        OutputError: There is none, or it cannot be read.
    """
    return read_records(folder / TRUTH_FILE, Truth)
