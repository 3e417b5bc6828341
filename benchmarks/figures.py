"""Sums the scores of the bench of truth up to figures with intervals, and prints them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from annotators.diff import POLICIES
from benchmarks.scores import FALSE, LEVELS, FrameScore, Judged, Sort
from schemas.records import EvidenceKind

RESAMPLES = 1000
SHOWN = "c23"
"""Level of the figures by kind: the one that most of the field trains on."""
BINS = (0.0, 0.5, 0.8, 0.95, 0.99, 1.0)
"""Edges of the reliability table's bins; most confidences are near 1."""

Figure = dict[str, float]
Scores = Sequence[FrameScore]
Ratio = Callable[[FrameScore], tuple[float, float]]
"""What a frame adds above and below the line of a ratio of sums."""


def figures(scores: Scores) -> dict[str, Any]:
    """Sums scores up to the published figures."""
    by_level: dict[str, list[FrameScore]] = defaultdict(list)
    for score in scores:
        by_level[score.compression].append(score)
    every = dict(sorted(by_level.items()))
    forged = {c: [s for s in each if s.forged] for c, each in every.items()}
    unforged = {c: [s for s in each if not s.forged] for c, each in every.items()}
    return {
        "frames": len(scores),
        "mask_iou": {policy: _levels(forged, _mean_iou(policy)) for policy in POLICIES},
        "oracle_ratio": _levels(forged, lambda s: (s.found["calibrated"], s.oracle)),
        "false_mask_rate": {policy: _levels(unforged, _mean_iou(policy)) for policy in POLICIES},
        "region_f1": {name: _levels(forged, _f1(name)) for name in LEVELS},
        **_claim_figures(scores, every),
        "reliability": reliability(scores),
    }


def _claim_figures(scores: Scores, every: dict[str, list[FrameScore]]) -> dict[str, Any]:
    refused, caught = _share("contradicted", "true"), _share("contradicted", *FALSE)
    return {
        "claim_precision": _levels(every, PRECISION),
        "claim_recall": _levels(every, RECALL),
        "claims_unknown": _levels(every, _share("unknown", "published")),
        "false_claims_caught": ratio(scores, caught),
        "false_claims_caught_by_level": _levels(every, caught),
        "false_claims_untestable_by_level": _levels(every, _share("untestable", *FALSE)),
        "false_claims_caught_by_sort": {
            sort: _levels(every, _share("contradicted", sort)) for sort in FALSE
        },
        "true_claims_refused": ratio(scores, refused),
        "true_claims_refused_by_level": _levels(every, refused),
        "true_claims_untestable_by_level": _levels(every, _share("untestable", "true")),
        "claims_by_kind": by_kind(every.get(SHOWN, [])),
    }


def _levels(by_level: dict[str, list[FrameScore]], parts: Ratio) -> dict[str, Figure]:
    return {level: ratio(each, parts) for level, each in by_level.items()}


def _mean_iou(policy: str) -> Ratio:
    return lambda score: (score.found[policy], 1.0)


def _f1(name: str) -> Ratio:
    def f1(score: FrameScore) -> tuple[float, float]:
        hit, extra, missed = score.regions.get(name, (0, 0, 0))
        return 2.0 * hit, 2.0 * hit + extra + missed

    return f1


def _outcomes(
    over: Sequence[str], under: Sequence[str], *sorts: Sort, kind: str | None = None
) -> Ratio:
    """Gives the share of some outcomes among others; an empty `under` stands for all."""

    def parts(score: FrameScore) -> tuple[float, float]:
        found = [
            one.outcome
            for one in score.judged
            if one.sort in sorts and (kind is None or one.kind == kind)
        ]
        above = sum(outcome in over for outcome in found)
        return above, sum(outcome in under for outcome in found) if under else len(found)

    return parts


def _share(outcome: str, *sorts: Sort) -> Ratio:
    return _outcomes((outcome,), (), *sorts)


PRECISION = _outcomes(("right",), ("right", "wrong"), "published")
RECALL = _outcomes(("stated",), (), "aim")


def by_kind(scores: Scores) -> dict[str, Any]:
    """Gives precision, recall, error of the effect and counts of each evidence kind."""
    found = {}
    for kind in (each.value for each in EvidenceKind):
        said = [one for score in scores for one in score.judged if one.kind == kind]
        counts = {
            name: sum(one.sort == sort and one.outcome == name for one in said)
            for sort, names in (
                ("published", ("right", "wrong", "unknown")),
                ("aim", ("stated", "missed", "rejected")),
            )
            for name in names
        }
        found[kind] = {
            "precision": ratio(
                scores, _outcomes(("right",), ("right", "wrong"), "published", kind=kind)
            ),
            "recall": ratio(scores, _outcomes(("stated",), (), "aim", kind=kind)),
            "effect_error": median(scores, partial(_tells_effect, kind=kind)),
            **counts,
        }
    return found


def _tells_effect(one: Judged, kind: str) -> bool:
    return one.sort == "published" and one.outcome == "right" and one.kind == kind


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


def reliability(scores: Scores) -> dict[str, Any]:
    """Compares the confidence of the masks with the share of them that was truly changed.

    Returns:
        `bins`, each with the mean `confidence`, the mean true `changed` share and the `count` of
        masks, and `expected_calibration_error`, the mean gap weighted by the counts; None where
        there is no mask.
    """
    found = np.array([(s.confidence, s.changed) for s in scores if s.confidence is not None])
    if not len(found):
        return {"bins": [], "expected_calibration_error": None}
    place = np.clip(np.digitize(found[:, 0], BINS) - 1, 0, len(BINS) - 2)
    bins, gap = [], 0.0
    for number in np.unique(place):
        inside = found[place == number]
        confidence, changed = inside.mean(axis=0)
        gap += len(inside) * abs(confidence - changed) / len(found)
        bins.append(
            {"confidence": round(float(confidence), 4), "changed": round(float(changed), 4),
             "count": len(inside)}
        )  # fmt: skip
    return {"bins": bins, "expected_calibration_error": round(float(gap), 4)}


def write(found: dict[str, Any], path: Path) -> None:
    """Writes the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
