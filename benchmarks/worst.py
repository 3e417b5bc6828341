"""Where the masks fail worst, and why: causes are read off measured numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.scores import FrameScore

SHOWN = 10
"""Cases that are shown."""
HALF = 0.5
"""A mask of less precision or recall than this is called spilled, or not grown."""


def worst(scores: Sequence[FrameScore]) -> list[dict[str, Any]]:
    """Chooses the worst frames, one a case: false masks first, then the lowest IoU.

    Among equals that comes first whose change stands out most from the noise: it should have been
    found.

    Returns:
        For each the case, the frame, what was done, and the cause.
    """
    false = [score for score in scores if is_false(score)]
    forged = [score for score in scores if score.forged]
    order = [
        *sorted(false, key=lambda score: (-score.marked, score.case, score.index)),
        *sorted(forged, key=_badness),
    ]
    chosen: dict[str, FrameScore] = {}
    for score in order:
        chosen.setdefault(score.case, score)
    return [_told(score) for score in list(chosen.values())[:SHOWN]]


def _badness(score: FrameScore) -> tuple[float, float, str, int]:
    return (score.found["calibrated"], -score.visibility, score.case, score.index)


def is_false(score: FrameScore) -> bool:
    """Tells whether a frame has a mask although nothing was forged."""
    return not score.forged and score.found["calibrated"] > 0


def _told(score: FrameScore) -> dict[str, Any]:
    return {
        "case": score.case,
        "frame": score.index,
        "compression": score.compression,
        "done": done(score.operations) or score.control,
        "conditions": ", ".join(
            part for part in (score.occluder, score.profile.replace("stable", "")) if part
        ),
        "iou": round(score.found["calibrated"], 3) if score.forged else None,
        "cause": cause(score),
    }


def done(operations: Iterable[tuple[str, float]]) -> str:
    """Gives operations with their strengths in words."""
    return ", ".join(f"{name.replace('_', ' ')} {strength:g}" for name, strength in operations)


def cause(score: FrameScore) -> str:
    """Gives the cause of a bad mask with its numbers."""
    return f"{sort_of(score)}: {_numbers(score)}"


def sort_of(score: FrameScore) -> str:
    """Names the cause of a bad mask."""
    if is_false(score):
        return "false mask"
    if score.difference is None:
        return "no crop"
    if score.confidence is None:
        return "change below the noise" if score.visibility < 1 else "abstained"
    if score.changed >= HALF and score.recall >= HALF:
        return "border off"
    if score.changed >= HALF:
        return "found but not grown"
    return "spilled" if score.recall >= HALF else "found elsewhere"


def _numbers(score: FrameScore) -> str:
    if is_false(score):
        return f"{score.marked:.1%} of the crop, confidence {score.confidence or 0:.2f}"
    if score.difference is None:
        return score.rejected
    seen = f"mean true difference {score.difference:.1f} CIELAB against noise {score.noise:.1f}"
    if score.confidence is None:
        return f"{seen}; {score.rejected}"
    return f"precision {score.changed:.2f}, recall {score.recall:.2f}; {seen}"
