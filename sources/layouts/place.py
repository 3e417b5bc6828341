"""What the layouts share: a dataset's block with its folders, and what they find there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schemas.datasets import Dataset
from schemas.errors import RejectReason
from schemas.records import Pair, Reject


@dataclass(frozen=True)
class Place:
    """A dataset's block with its folders.

    Attributes:
        name: The dataset's name in the manifest.
        dataset: Its block.
        root: Folder of the fakes, the masks and the lists.
        real_root: Folder of the real sides; mostly the same.
    """

    name: str
    dataset: Dataset
    root: Path
    real_root: Path

    def has_real(self, path: str) -> bool:
        """Tells whether a real side is there."""
        return self._has(self.real_root, path)

    def has_fake(self, path: str) -> bool:
        """Tells whether a fake side is there."""
        return self._has(self.root, path)

    def _has(self, root: Path, path: str) -> bool:
        there = os.path.isdir if self.dataset.frames == "folder" else os.path.isfile
        return bool(path) and there(root / path)


@dataclass(frozen=True)
class Candidate:
    """A fake and the real side that it should have; whether that is there is not looked at yet.

    Attributes:
        pair: The pair.
        ids: What official split lists know it by, in any order.
        recording: Names the real recording, the same at each compression.
    """

    pair: Pair
    ids: frozenset[str]
    recording: str


def trouble_with(path: str) -> str:
    """Says why a path that a list names is not one below a root; empty: nothing is wrong."""
    if not path.strip():
        return "is empty"
    if "\0" in path or "\\" in path:
        return "has a character that no path here has (write folders with /)"
    if path.startswith(("/", "~")) or path[1:2] == ":":
        return "is absolute; write it relative to the dataset's root"
    if ".." in PurePosixPath(path).parts:
        return "leaves the dataset's root"
    return ""


def flat_name(path: str) -> str:
    """Names a pair by its fake's whole path, without the suffix."""
    return PurePosixPath(path).with_suffix("").as_posix().replace("/", "-")


def missing(pair: Pair, detail: str) -> Reject:
    """Writes down a fake without a real partner."""
    return _reject(pair, RejectReason.MISSING_PARTNER, detail)


def bad_entry(place: Place, label: str, detail: str, method: str = "") -> Reject:
    """Writes down an entry of a list that names no pair.

    Args:
        place: The dataset.
        label: Where the entry stands: unique in the dataset.
        detail: What is wrong with it.
        method: Its method, where it tells.
    """
    pair = Pair(
        dataset=place.name, method=method, compression="", pair=label, split="", real_path="",
        fake_path="",
    )  # fmt: skip
    return _reject(pair, RejectReason.BAD_ENTRY, detail)


def no_videos(place: Place, method: str, compression: str, like: str) -> Reject:
    """Writes down a method and compression without any file."""
    empty = Pair(
        dataset=place.name, method=method, compression=compression, pair="", split="",
        real_path="", fake_path="",
    )  # fmt: skip
    wanted = {"folder": "folder of frames", "picture": "picture"}.get(place.dataset.frames, "video")
    detail = f"there is no readable {wanted} like {like}"
    return _reject(empty, RejectReason.NO_VIDEOS, detail)


def _reject(pair: Pair, reason: RejectReason, detail: str) -> Reject:
    return Reject(
        id=pair.key,
        frame_index=None,
        stage="plan",
        reason=reason,
        detail=detail,
        **pair.model_dump(include={"dataset", "method", "compression", "pair"}),
    )
