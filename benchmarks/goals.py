"""What the annotations should reach, and what arithmetic says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TIMES_TOP_FRACTION = 3.0
"""The mask's IoU should be this many times that of the paper's rule, the largest 5 %."""
FALSE_MASKS = 0.01
"""Share of unforged frames that may get a mask."""
RULE_OF_THREE = 3.0
"""Without one failure in n independent trials, the rate may still be 3 / n (95 %)."""


@dataclass(frozen=True)
class Goal:
    """A goal of one figure.

    Attributes:
        name: What is measured.
        path: Keys that lead to the figure in a run's JSON.
        bound: The goal.
        at_most: The figure should be below the bound, not above.
    """

    name: str
    path: tuple[str, ...]
    bound: float
    at_most: bool = False

    def figure(self, found: dict[str, Any]) -> dict[str, float]:
        """Gives the figure; empty where the run has none."""
        for key in self.path:
            found = found.get(key, {})
        return found

    def verdict(self, found: dict[str, Any]) -> str:
        """Gives `met` or `not met`; `no figure` where there is none."""
        figure = self.figure(found)
        if not figure:
            return "no figure"
        value = figure["value"]
        return (
            "met" if (value <= self.bound if self.at_most else value >= self.bound) else "not met"
        )


LEVELS = ("c0", "c23", "c40")


def _each(name: str, *path: str, **bounds: float) -> tuple[Goal, ...]:
    return tuple(Goal(f"{name}, {c}", (*path, c), bound) for c, bound in bounds.items())


GOALS = (
    *_each("mask IoU", "mask_iou", "calibrated", c0=0.80, c23=0.65, c40=0.45),
    *_each("mask IoU over that of the top 5 %", "top_fraction_ratio",
           **dict.fromkeys(LEVELS, TIMES_TOP_FRACTION)),
    *_each("mask IoU over that of the oracle", "oracle_ratio", c23=0.95, c40=1.0),
    *(Goal(f"masks of unforged frames, {c}", ("false_mask_rate", c), FALSE_MASKS,
           at_most=True) for c in LEVELS),
    Goal("region F1, 4 groups, c23", ("region_f1", "4", "c23"), 0.95),
    Goal("region F1, parents, c23", ("region_f1", "parents", "c23"), 0.85),
    Goal("region F1, 112 atomic, c23", ("region_f1", "112", "c23"), 0.75),
    Goal("claim precision, c23", ("claim_precision", "c23"), 0.97),
    Goal("claim recall, c23", ("claim_recall", "c23"), 0.75),
    Goal("planted false claims caught", ("false_claims_caught",), 0.99),
    Goal("true claims refused", ("true_claims_refused",), 0.02, at_most=True),
)  # fmt: skip
"""In the order of the page."""


def limits(found: dict[str, Any]) -> list[str]:
    """Gives what arithmetic says of the goals, in sentences, from the figures alone."""
    return [*_of_ratio(found), *_of_oracle(found), *_of_controls(found), *_of_recall(found)]


def _missed(found: dict[str, Any], *path: str) -> Iterator[Goal]:
    """Gives the goals below some keys that were not met."""
    for goal in GOALS:
        if goal.path[: len(path)] == path and goal.verdict(found) == "not met":
            yield goal


def _of_ratio(found: dict[str, Any]) -> Iterator[str]:
    for goal in _missed(found, "top_fraction_ratio"):
        level = goal.path[-1]
        value = found["mask_iou"]["top_fraction"][level]["value"]
        told = f"{TIMES_TOP_FRACTION:g} x {value:.2f} = {TIMES_TOP_FRACTION * value:.2f}"
        if TIMES_TOP_FRACTION * value > 1:
            yield (
                f"{level}: three times the top 5 % cannot be reached by any mask: {told}, and no "
                "IoU is above 1."
            )
        else:
            yield f"{level}: three times the top 5 % asks for an IoU of {told}."


def _of_oracle(found: dict[str, Any]) -> Iterator[str]:
    for goal in _missed(found, "mask_iou"):
        level = goal.path[-1]
        oracle = found["oracle_iou"][level]
        if oracle["value"] < goal.bound:
            yield (
                f"{level}: the best single cut of each frame, chosen with the truth in hand, has "
                f"an IoU of {oracle['value']:.2f}; the goal of {goal.bound:.2f} asks for more than "
                "any cut of one frame can give."
            )


def _of_controls(found: dict[str, Any]) -> Iterator[str]:
    for level, figure in found["false_mask_rate"].items():
        cases = found["counts"][level]["unforged_cases"]
        if figure and figure["value"] == 0 and RULE_OF_THREE / cases > FALSE_MASKS:
            yield (
                f"{level}: no false mask in {found['counts'][level]['unforged_frames']} frames of "
                f"{cases} unforged clips still allows a rate of up to "
                f"{min(1, RULE_OF_THREE / cases):.2f} of the clips (rule of three)."
            )


def _of_recall(found: dict[str, Any]) -> Iterator[str]:
    kinds = found["claims_by_kind"].values()
    lost = sum(kind["rejected"] for kind in kinds)
    every = lost + sum(kind["stated"] + kind["missed"] for kind in kinds)
    for goal in _missed(found, "claim_recall", "c23"):
        if every and 1 - lost / every < goal.bound:
            yield (
                f"c23: {lost} of {every} aims lie in frames without a row; whatever is said of the "
                f"others, claim recall is at most {1 - lost / every:.2f}."
            )
