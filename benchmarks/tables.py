"""Prints the figures of the bench of truth as short tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import tallies

WIDTH = 34
BY_LEVEL = (
    "oracle_iou", "oracle_ratio", "top_fraction_ratio",
    "claim_precision", "claim_recall", "claims_unknown",
    "false_claims_caught_by_level", "false_claims_untestable_by_level",
    "true_claims_refused_by_level", "true_claims_untestable_by_level",
)  # fmt: skip
BY_ROW = (
    "mask_iou", "false_mask_rate_by_policy", "region_precision", "region_recall", "region_f1",
    "region_f1_aimed",
)  # fmt: skip
COUNTS = ("right", "wrong", "unknown", "stated", "missed", "rejected")


def lines(found: dict[str, Any]) -> list[str]:
    """Gives the figures as tables to print."""
    return [
        f"{found['frames']} frame pairs of {found['cases']} cases, seed {found['seed']}",
        *_by_level(found),
        "",
        *(
            f"{name:<{WIDTH}}{_cell(found[name]):>20}"
            for name in ("false_claims_caught", "true_claims_refused")
        ),
        "",
        *_by_kind(found["claims_by_kind"]),
        "",
        *_reliability(found["reliability"]),
        *(["", *tallies.lines(found["recipes"])] if "recipes" in found else []),
    ]


def _by_level(found: dict[str, Any]) -> list[str]:
    levels = list(found["oracle_ratio"])
    told = [_row("", levels)]
    for name in BY_ROW:
        told += [_levels(f"{name} {row}", each, levels) for row, each in found[name].items()]
    told += [_levels(name.removesuffix("_by_level"), found[name], levels) for name in BY_LEVEL]
    for row, each in found["false_claims_caught_by_sort"].items():
        told.append(_levels(f"false_claims_caught {row}", each, levels))
    return told


def _levels(name: str, by_level: dict[str, Any], levels: Sequence[str]) -> str:
    return _row(name, [_cell(by_level.get(level, {})) for level in levels])


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{name:<{WIDTH}}" + "".join(f"{cell:>20}" for cell in cells)


def _by_kind(kinds: dict[str, Any]) -> list[str]:
    names = ("precision", "recall", "effect_error")
    told = [f"{'at c23':<12}" + "".join(f"{n:>20}" for n in names) + _counts(COUNTS)]
    for kind, one in kinds.items():
        cells = "".join(f"{_cell(one[name]):>20}" for name in names)
        told.append(f"{kind:<12}{cells}" + _counts(str(one[name]) for name in COUNTS))
    return told


def _counts(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>9}" for cell in cells)


def _reliability(table: dict[str, Any]) -> list[str]:
    told = ["masks by confidence" + _counts(("mean", "changed", "count"))]
    for one in table["bins"]:
        cells = (f"{one['confidence']:.3f}", f"{one['changed']:.3f}", str(one["count"]))
        told.append(" " * 19 + _counts(cells))
    error = table["expected_calibration_error"]
    return [*told, f"expected calibration error {error:.3f}"] if table["bins"] else []


def _cell(figure: dict[str, float]) -> str:
    if not figure:
        return "-"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"
