"""Sums the scores of the bench of truth up to figures with intervals, and prints them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from annotators.diff import POLICIES
from benchmarks.breakdown import causes, iou_by, rejects
from benchmarks.intervals import Figure, Ratio, Scores, median, ratio
from benchmarks.scores import FALSE, LEVELS, Counts, FrameScore, Judged, Sort
from benchmarks.worst import worst
from schemas.records import EvidenceKind

AnyScore = TypeVar("AnyScore", bound=FrameScore)
SHOWN = "c23"
"""Level of the figures by kind: the one that most of the field trains on."""
BINS = (0.0, 0.5, 0.8, 0.95, 0.99, 1.0)
"""Edges of the reliability table's bins; most confidences are near 1."""


def figures(scores: Scores) -> dict[str, Any]:
    """Sums scores up to the published figures."""
    every = by_compression(scores)
    forged = {c: [s for s in each if s.forged] for c, each in every.items()}
    unforged = {c: [s for s in each if not s.forged] for c, each in every.items()}
    return {
        "frames": len(scores),
        "counts": {c: _counts(each) for c, each in every.items()},
        "mask_iou": {policy: _levels(forged, _mean_iou(policy)) for policy in POLICIES},
        "oracle_iou": _levels(forged, lambda s: (s.oracle, 1.0)),
        "oracle_ratio": _levels(forged, lambda s: (s.found["calibrated"], s.oracle)),
        "top_fraction_ratio": _levels(
            forged, lambda s: (s.found["calibrated"], s.found["top_fraction"])
        ),
        "false_mask_rate": _levels(unforged, _mean_iou("calibrated")),
        "false_mask_rate_by_policy": {
            policy: _levels(unforged, _mean_iou(policy)) for policy in POLICIES
        },
        **_region_figures(forged),
        **_claim_figures(scores, every),
        "reliability": reliability(scores),
        "mask_iou_by": iou_by(scores),
        "causes": causes(scores),
        "rejects": rejects(scores),
        "worst": worst(scores),
    }


def by_compression(scores: Sequence[AnyScore]) -> dict[str, list[AnyScore]]:
    """Sorts scores by compression level, the levels in order."""
    by_level: dict[str, list[AnyScore]] = defaultdict(list)
    for score in scores:
        by_level[score.compression].append(score)
    return dict(sorted(by_level.items()))


def _counts(scores: Scores) -> dict[str, int]:
    """Counts the cases and frames of a level."""
    found = {}
    for name, forged in (("forged", True), ("unforged", False)):
        chosen = [score for score in scores if score.forged is forged]
        found[f"{name}_frames"] = len(chosen)
        found[f"{name}_cases"] = len({score.case for score in chosen})
    return found


def _region_figures(forged: dict[str, list[FrameScore]]) -> dict[str, Any]:
    """Gives F1, precision and recall of the regions, against the changed and the aimed ones."""
    parts: dict[str, Callable[[Counts], tuple[float, float]]] = {
        "f1": lambda c: (2.0 * c[0], 2.0 * c[0] + c[1] + c[2]),
        "precision": lambda c: (c[0], c[0] + c[1]),
        "recall": lambda c: (c[0], c[0] + c[2]),
    }
    return {
        f"region_{name}{ending}": {
            level: _levels(forged, _of_regions(part, level, field)) for level in LEVELS
        }
        for field, ending in (("regions", ""), ("aimed", "_aimed"))
        for name, part in parts.items()
    }


def _of_regions(part: Callable[[Counts], tuple[float, float]], level: str, field: str) -> Ratio:
    return lambda score: part(getattr(score, field).get(level, (0, 0, 0)))


def _claim_figures(scores: Scores, every: dict[str, list[FrameScore]]) -> dict[str, Any]:
    refused, caught = _share("contradicted", "true"), _share("contradicted", *FALSE)
    return {
        "claim_precision": _levels(every, PRECISION),
        "claim_recall": _levels(every, RECALL),
        "claims_unknown": _levels(every, UNKNOWN),
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
UNKNOWN = _share("unknown", "published")


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
