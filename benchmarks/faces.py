"""Portraits for the bench of truth from a folder of pictures and clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.landmarks import MeshLandmarks
from schemas.errors import Rejected, UsageError
from sources.pairs import spaced_indices
from sources.video import probe, read_frames

LOOKED_AT = 10
"""Frames of a clip among which the clearest face is chosen."""
LEAST = 2
"""A swap needs a target and a donor."""

Image = NDArray[np.uint8]


def portraits(folder: Path, made: Path, skipped: Callable[[str], None]) -> list[Path]:
    """Gives the usable portraits of a folder, in order of their names.

    Args:
        folder: Pictures and clips; of a clip the frame with the clearest face is taken.
        made: Folder for the frames of clips, written as PNG; it must outlive their use.
        skipped: Told of each file that is left out, with its name and the reason.

    Raises:
        UsageError: Fewer than two can be used.
    """
    finder, usable = MeshLandmarks(), list[Path]()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            try:
                usable.append(_portrait(path, made, finder))
            except UsageError as error:
                skipped(f"{path.name} is skipped: {error}")
    if len(usable) < LEAST:
        raise UsageError(f"{folder} has {len(usable)} usable faces; the bench needs {LEAST}")
    return usable


def _portrait(path: Path, made: Path, finder: MeshLandmarks) -> Path:
    bgr = _picture(path)
    if bgr is not None:
        if not finder.detect(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)):
            raise UsageError("no face found")
        return path
    best = _clearest(path, finder)
    target = made / f"{path.name}.png"
    cv2.imwrite(str(target), cv2.cvtColor(best, cv2.COLOR_RGB2BGR))
    return target


def _picture(path: Path) -> Image | None:
    """Reads a picture; None for anything else."""
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}") from error
    return cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None


def _clearest(path: Path, finder: MeshLandmarks) -> Image:
    """Gives the frame of a clip with the highest face score, `(H, W, 3) uint8` RGB."""
    try:
        count = probe(path).frames
        frames = read_frames(path, spaced_indices(count, min(LOOKED_AT, count)))
    except Rejected as error:
        raise UsageError(
            f"neither a picture nor a clip that can be read ({error.reason})"
        ) from error
    scored = [(face.score, frame.image) for frame in frames for face in finder.detect(frame.image)]
    if not scored:
        raise UsageError(f"no face found in {len(frames)} frames")
    return max(scored, key=lambda one: one[0])[1]
