"""Ratios and medians over frames with 95 % intervals; whole cases are resampled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.scores import FrameScore, Judged

RESAMPLES = 1000

Figure = dict[str, float]
"""`value`, `low` and `high`; empty where there is nothing to take it of."""
Scores = Sequence[FrameScore]
Ratio = Callable[[FrameScore], tuple[float, float]]
"""What a frame adds above and below the line of a ratio of sums."""


def _by_case(scores: Iterable[FrameScore]) -> list[list[FrameScore]]:
    cases: dict[str, list[FrameScore]] = defaultdict(list)
    for score in scores:
        cases[score.case].append(score)
    return list(cases.values())


def _draws(cases: int) -> Any:
    """Draws whole cases with replacement: `(RESAMPLES, cases)` numbers of cases."""
    return np.random.default_rng(0).integers(0, cases, (RESAMPLES, cases))


def ratio(scores: Scores, parts: Ratio) -> Figure:
    """Gives a ratio of sums with its 95 % interval; whole cases are resampled.

    Returns:
        `{value, low, high}`; empty where there is nothing below the line.
    """
    sums = np.array([np.sum([parts(s) for s in case], axis=0) for case in _by_case(scores)])
    if not len(sums) or sums[:, 1].sum() <= 0:
        return {}
    above, below = sums[_draws(len(sums))].sum(axis=1).T
    drawn = above[below > 0] / below[below > 0]
    return _figure(float(sums[:, 0].sum() / sums[:, 1].sum()), drawn)


def median(scores: Scores, chosen: Callable[[Judged], bool]) -> Figure:
    """Gives the median relative error of some stated effects with its interval."""
    cases = [
        [one.error for score in case for one in score.judged if chosen(one)]
        for case in _by_case(scores)
    ]
    values = [np.array([v for v in case if not np.isnan(v)]) for case in cases]
    if not sum(map(len, values)):
        return {}
    drawn = [np.concatenate([values[k] for k in row]) for row in _draws(len(values))]
    medians = np.array([np.median(each) for each in drawn if len(each)])
    return _figure(float(np.median(np.concatenate(values))), medians)


def _figure(value: float, drawn: Any) -> Figure:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4),
    }  # fmt: skip
