"""What the bench of truth notes down of each frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from annotators.diff import POLICIES
from fict.tree import Level

LEVELS: dict[str, Level] = {"4": "group4", "parents": "parent", "112": "atomic"}
Counts = tuple[int, int, int]
"""True positives, false positives, false negatives."""

Sort = Literal["published", "aim", "true", "direction", "kind", "region"]
"""Why a statement was judged: it was `published`; it is an `aim` of the forge that should be
published; it is `true` and was tested; or it is false in its direction, kind or region and was
tested."""
FALSE: tuple[Sort, ...] = ("direction", "kind", "region")


@dataclass(frozen=True)
class Judged:
    """One statement with its outcome.

    Attributes:
        sort: Why it was judged.
        region: FICT name.
        kind: Evidence kind.
        direction: How the region is said to have changed.
        outcome: Published: `right`, `wrong` or `unknown`. Aim: `stated`, `missed`, or `rejected`
            where the whole frame was. Others: the verdict of the claim check.
        value: True change in the direction, in the probe's unit; NaN where it is not known.
        claimed: Measured change in the direction; NaN where there is no measurement.
        note: What the outcome rests on, for a person.
    """

    sort: Sort
    region: str
    kind: str
    direction: str
    outcome: str
    value: float = np.nan
    claimed: float = np.nan
    note: str = ""

    @property
    def error(self) -> float:
        """Gives the relative error of the stated effect; NaN where the truth is not known."""
        truth = abs(self.value)
        return abs(self.claimed - truth) / truth if truth > 0 else float("nan")


@dataclass
class FrameScore:
    """What was found in one frame, against its truth.

    Attributes:
        case: The frame's case; frames of a case are resampled together.
        compression: Its compression level.
        forged: Whether anything was changed in it.
        found: IoU with the truth by policy; for an unforged frame 1.0 where a mask was found. A
            frame that was rejected before there could be a mask keeps 0.
        oracle: Best IoU of any single cut of this frame's smoothed difference.
        regions: True positives, false positives and false negatives by level, against what was
            changed.
        index: Frame index.
        confidence: Confidence of the calibrated mask; None where there is none.
        changed: Share of the calibrated mask that was truly changed.
        judged: Statements and their outcomes.
        rejected: Why there is no row; empty where there is one.
        aimed: As `regions`, against what the forge aimed at.
        recall: Share of the truly changed pixels that the calibrated mask holds.
        marked: Share of the crop that it marks.
        difference: Mean true difference of the changed pixels, unencoded, CIELAB units; None for an
            unforged frame and for one without a crop.
        noise: Median difference to expect of them if nothing were changed, CIELAB units.
        operations: What was done, with strengths; empty for a control.
        control: Which control it is; empty for a forgery.
        occluder: What covers a part of the face; empty where nothing does.
        profile: How the strength runs over the frames.
    """

    case: str
    compression: str
    forged: bool
    found: dict[str, float] = field(default_factory=lambda: dict.fromkeys(POLICIES, 0.0))
    oracle: float = 0.0
    regions: dict[str, Counts] = field(default_factory=dict)
    index: int = 0
    confidence: float | None = None
    changed: float = 0.0
    judged: list[Judged] = field(default_factory=list)
    rejected: str = ""
    aimed: dict[str, Counts] = field(default_factory=dict)
    recall: float = 0.0
    marked: float = 0.0
    difference: float | None = None
    noise: float | None = None
    operations: tuple[tuple[str, float], ...] = ()
    control: str = ""
    occluder: str = ""
    profile: str = "stable"

    @property
    def visibility(self) -> float:
        """Gives the true difference over the noise; infinite for a frame without a crop."""
        if self.difference is None or self.noise is None:
            return float("inf")
        return self.difference / max(self.noise, 1e-6)
