"""The mask's IoU by what was forged and how, so that one sees where it fails."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.intervals import Scores, ratio
from benchmarks.scores import FrameScore
from benchmarks.worst import is_false, sort_of
from sources.forge.brows import BROWS
from sources.forge.expression import EXPRESSIONS
from sources.forge.light import LIGHTS
from sources.forge.marks import MARKS
from sources.forge.mouth import MOUTHS
from sources.forge.operation import Operation
from sources.forge.paste import PASTES
from sources.forge.recolour import RECOLOURS
from sources.forge.reshape import RESHAPES
from sources.forge.retouch import RETOUCHES
from sources.forge.swap import SWAPS
from sources.forge.wrinkles import WRINKLES

FAMILIES: dict[str, tuple[Operation, ...]] = {
    "swap": SWAPS, "paste": PASTES, "mouth": MOUTHS, "expression": EXPRESSIONS,
    "reshape": RESHAPES, "brows": BROWS, "recolour": RECOLOURS, "light": LIGHTS,
    "retouch": RETOUCHES, "marks": MARKS, "wrinkles": WRINKLES,
}  # fmt: skip
"""Families of operations, in the order of `sources.forge.operations`."""
FAMILY_OF = {each.name: family for family, members in FAMILIES.items() for each in members}
BAD = 0.5
"""Masks of less IoU than this are sorted by their causes."""

Keys = Callable[[FrameScore], Iterable[str]]

VIEWS: dict[str, Keys] = {
    "family": lambda s: dict.fromkeys(FAMILY_OF[name] for name, _ in s.operations),
    "strongest operation": lambda s: [f"{max(strength for _, strength in s.operations):.2f}"],
    "operations in one face": lambda s: [str(len(s.operations))],
    "occluder": lambda s: ["occluded" if s.occluder else "free"],
    "course": lambda s: [{"flicker": "flickering"}.get(s.profile, s.profile)],
}
"""What frames are grouped by; a frame with several families counts for each of them."""


def iou_by(scores: Scores) -> dict[str, Any]:
    """Gives the IoU of the calibrated mask by view, group and compression level.

    Returns:
        `{view: {group: {"cases": n, "all": figure, "c0": figure, ...}}}`, for forged frames.
    """
    forged = [score for score in scores if score.forged and score.operations]
    return {view: _groups(forged, keys) for view, keys in VIEWS.items()}


def _groups(scores: Scores, keys: Keys) -> dict[str, Any]:
    groups: dict[str, list[FrameScore]] = defaultdict(list)
    for score in scores:
        for key in keys(score):
            groups[key].append(score)
    order = [*FAMILIES, *sorted(groups)]
    return {key: _row(groups[key]) for key in dict.fromkeys(order) if key in groups}


def _row(scores: Scores) -> dict[str, Any]:
    levels = sorted({score.compression for score in scores})
    return {
        "cases": len({score.case for score in scores}),
        "all": ratio(scores, _iou),
        **{c: ratio([s for s in scores if s.compression == c], _iou) for c in levels},
    }


def _iou(score: FrameScore) -> tuple[float, float]:
    return score.found["calibrated"], 1.0


def causes(scores: Scores) -> dict[str, dict[str, int]]:
    """Counts causes of bad masks by level, the most common first: `{cause: {level: frames}}`."""
    bad = [s for s in scores if is_false(s) or (s.forged and s.found["calibrated"] < BAD)]
    return _counted(scores, [(sort_of(score), score.compression) for score in bad])


def rejects(scores: Scores) -> dict[str, dict[str, int]]:
    """Counts forged frames without a row: `{reason: {level: frames}}`."""
    lost = [(s.rejected, s.compression) for s in scores if s.forged and s.rejected]
    return _counted(scores, lost)


def _counted(scores: Scores, found: list[tuple[str, str]]) -> dict[str, dict[str, int]]:
    levels = sorted({score.compression for score in scores})
    totals, by_level = Counter(name for name, _ in found), Counter(found)
    order = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return {name: {level: by_level[name, level] for level in levels} for name, _ in order}
