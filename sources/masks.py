"""Whether a dataset's own mask can belong to its fake, as far as the headers of both files tell.

Nothing is decoded, and what a mask means is not asked: it is recorded, not used.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from schemas.errors import Rejected
from sources.decoding import header
from sources.pictures import is_pictures, open_pictures

LENGTH = 0.1
"""A mask of the same clip may have more or fewer frames by this share."""
SHAPE = 0.02
"""Its long side over its short side may differ by this share: masks are kept at other sizes."""


class MaskTrouble(StrEnum):
    """What is wrong with a mask."""

    UNREADABLE = "cannot be read"
    LENGTH = "are of another length"
    SHAPE = "are of another shape"


def trouble_with_mask(mask: Path, fake: Path) -> tuple[MaskTrouble, str] | None:
    """Says why a mask cannot be one of a fake; None where nothing speaks against it.

    Args:
        mask: A video, a folder of frames, or a picture.
        fake: The same of the fake side; where that cannot be read, nothing is said.
    """
    try:
        frames, width, height = _header(mask)
    except Rejected as rejected:
        return MaskTrouble.UNREADABLE, rejected.detail
    try:
        wanted, *size = _header(fake)
    except Rejected:
        return None
    if frames and wanted and abs(frames - wanted) > max(1, LENGTH * wanted):
        return MaskTrouble.LENGTH, f"{mask.name} has {frames} frames, the fake {wanted}"
    ours, theirs = max(width, height) / min(width, height), max(size) / min(size)
    if abs(ours - theirs) > SHAPE * theirs:
        told = f"{mask.name} is {width} x {height}, the fake {size[0]} x {size[1]} pixels"
        return MaskTrouble.SHAPE, told
    return None


def _header(path: Path) -> tuple[int, int, int]:
    """Gives frames, width and height."""
    if not is_pictures(path):
        return header(path)
    clip = open_pictures(path)
    return len(clip.frames), *replace(clip, frames=clip.frames[:1]).size()
