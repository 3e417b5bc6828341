"""Turns the figures of a run of the bench of truth into docs/truth.md: a pure function of its JSON.

`facext bench truth --docs` makes a run and writes page, JSON and picture; `python -m
benchmarks.report` writes the page again from the JSON, after a change of wording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.breakdown import BAD
from benchmarks.goals import GOALS, limits
from benchmarks.regions import TOUCHED_SHARE
from benchmarks.tables import COUNTS
from benchmarks.worst import HALF
from sources.forge.truth import CHANGED, SEEN

FOLDER = Path(__file__).resolve().parent.parent / "docs"
PICTURE = "img/truth_worst.jpg"
PROSE = Path(__file__).with_name("page.yaml")
SHOWN = "c23"
"""Level of the table by kind."""

Row = tuple[str, ...]


def read(folder: Path = FOLDER) -> dict[str, Any]:
    """Reads the figures of the last run."""
    found: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return found


def page(found: dict[str, Any]) -> str:
    """Gives the page.

    Args:
        found: The JSON of what `benchmarks.truth.run` gives.
    """
    prose = yaml.safe_load(PROSE.read_text(encoding="utf-8"))
    words = _words(found)
    made = {name: TABLES[name](found) for name in prose}
    parts = [[prose[name].format(**words), *tables] for name, tables in made.items() if tables]
    return "\n\n".join(part.strip() for passage in parts for part in passage if part) + "\n"


def _words(found: dict[str, Any]) -> dict[str, Any]:
    """Gives what the prose's braces stand for."""
    verdicts = [goal.verdict(found) for goal in GOALS]
    return found | {
        "portraits": ", ".join(found["portraits"]), "faces": len(found["portraits"]),
        "changed": CHANGED, "touched": f"{TOUCHED_SHARE:.0%}", "seen": SEEN,
        "met": verdicts.count("met"), "goals": len(verdicts), "bad": BAD, "half": HALF,
        "caught": cell(found["false_claims_caught"], 3), "shown": SHOWN,
        "refused": cell(found["true_claims_refused"], 3),
        "worst": len(found["worst"]), "picture": PICTURE,
    }  # fmt: skip


def _goals(found: dict[str, Any]) -> list[str]:
    rows = [
        (goal.name, f"{'<=' if goal.at_most else '>='} {goal.bound:.2f}",
         cell(goal.figure(found), 3), goal.verdict(found))
        for goal in GOALS
    ]  # fmt: skip
    return [table(("figure", "goal", "found [95 %]", ""), rows)]


def _limits(found: dict[str, Any]) -> list[str]:
    told = limits(found)
    return ["\n".join(f"- {sentence}" for sentence in told)] if told else []


def _masks(found: dict[str, Any]) -> list[str]:
    figures = [
        *((f"IoU, {name}", each) for name, each in found["mask_iou"].items()),
        ("IoU, oracle", found["oracle_iou"]),
        ("calibrated over oracle", found["oracle_ratio"]),
        ("calibrated over top 5 %", found["top_fraction_ratio"]),
        *(
            (f"false masks, {name}", each)
            for name, each in found["false_mask_rate_by_policy"].items()
        ),
    ]
    counts = [
        (name.replace("_", " "), *(str(each[name]) for each in found["counts"].values()))
        for name in ("forged_cases", "forged_frames", "unforged_cases", "unforged_frames")
    ]
    return [table(("", *found["counts"]), [*counts, *_by_level(figures, found)])]


def _breakdown(found: dict[str, Any]) -> list[str]:
    columns = ("all", *found["counts"])
    return [
        table(
            (view, "cases", *columns),
            [
                (name, str(row["cases"]), *(cell(row.get(column, {})) for column in columns))
                for name, row in groups.items()
            ],
        )
        for view, groups in found["mask_iou_by"].items()
    ]


def _causes(found: dict[str, Any]) -> list[str]:
    return _counted(found, "causes")


def _rejects(found: dict[str, Any]) -> list[str]:
    return _counted(found, "rejects")


def _counted(found: dict[str, Any], key: str) -> list[str]:
    rows = [(name, *map(str, counts.values())) for name, counts in found[key].items()]
    return [table(("frames", *found["counts"]), rows)] if rows else []


def _reliability(found: dict[str, Any]) -> list[str]:
    reliability = found["reliability"]
    rows = [
        (f"{one['confidence']:.3f}", f"{one['changed']:.3f}", str(one["count"]))
        for one in reliability["bins"]
    ]
    error = reliability["expected_calibration_error"]
    told = [] if error is None else [f"Expected calibration error: {error:.3f}."]
    return [table(("mean confidence", "truly changed", "masks"), rows), *told]


def _regions(found: dict[str, Any]) -> list[str]:
    rows = [
        (f"{names}{told}: {figure}", found[f"region_{figure}{ending}"][level])
        for level, names in (("4", "4 groups"), ("parents", "parents"), ("112", "112 atomic"))
        for ending, told in (("", ""), ("_aimed", ", aimed"))
        for figure in ("precision", "recall", "f1")
    ]
    return [table(("", *found["counts"]), _by_level(rows, found))]


def _claims(found: dict[str, Any]) -> list[str]:
    rows = [
        ("precision", found["claim_precision"]),
        ("recall", found["claim_recall"]),
        ("claims of unknown truth", found["claims_unknown"]),
        ("planted false claims caught", found["false_claims_caught_by_level"]),
        *(
            (f"planted, wrong {sort}, caught", each)
            for sort, each in found["false_claims_caught_by_sort"].items()
        ),
        ("planted false claims untestable", found["false_claims_untestable_by_level"]),
        ("true claims refused", found["true_claims_refused_by_level"]),
        ("true claims untestable", found["true_claims_untestable_by_level"]),
    ]
    return [table(("", *found["counts"]), _by_level(rows, found))]


def _kinds(found: dict[str, Any]) -> list[str]:
    names = ("precision", "recall", "effect_error")
    rows = [
        (kind, *(cell(one[name]) for name in names), *(str(one[name]) for name in COUNTS))
        for kind, one in found["claims_by_kind"].items()
    ]
    return [table(("", *(name.replace("_", " ") for name in names), *COUNTS), rows)]


def _worst(found: dict[str, Any]) -> list[str]:
    rows = [
        (str(number), f"{one['case'][:4]}, frame {one['frame']}", one["compression"],
         ", ".join(part for part in (one["done"], one["conditions"]) if part),
         "-" if one["iou"] is None else f"{one['iou']:.2f}", one["cause"])
        for number, one in enumerate(found["worst"], 1)
    ]  # fmt: skip
    return [table(("", "case", "level", "what was done", "IoU", "cause"), rows)]


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "head": lambda _: [""], "goals": _goals, "limits": _limits, "masks": _masks,
    "breakdown": _breakdown, "causes": _causes, "rejects": _rejects, "reliability": _reliability,
    "regions": _regions, "claims": _claims, "kinds": _kinds, "worst": _worst,
}  # fmt: skip
"""Tables below each passage of the prose; a passage without any is left out."""


def _by_level(rows: Iterable[tuple[str, dict[str, Any]]], found: dict[str, Any]) -> list[Row]:
    return [(name, *(cell(each.get(c, {})) for c in found["counts"])) for name, each in rows]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Gives a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(figure: dict[str, float], digits: int = 2) -> str:
    """Gives a figure with its interval; a dash where there is none."""
    if not figure:
        return "-"
    value, low, high = (f"{figure[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    (FOLDER / "truth.md").write_text(page(read()), encoding="utf-8")
