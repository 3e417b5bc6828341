"""Turns the figures of a run into docs/speed.md: a pure function of its JSON.

`facext bench speed --docs` makes a run and writes page and JSON; `python -m benchmarks.speed.page`
writes the page again from the JSON, after a change of wording.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import write
from benchmarks.report import FOLDER, table
from benchmarks.speed.goals import GOALS, details, limits, rows
from schemas.errors import OutputError

PROSE = Path(__file__).with_name("page.yaml")
Found = dict[str, Any]


def read(folder: Path = FOLDER) -> Found:
    """Reads the figures of the last run."""
    found: Found = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    return found


def publish(found: Found, folder: Path = FOLDER) -> None:
    """Writes `speed.md` and `speed.json`.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        write(found, folder / "speed.json")
        (folder / "speed.md").write_text(page(read(folder)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error


def page(found: Found) -> str:
    """Gives the page.

    Args:
        found: The JSON of what `benchmarks.speed.bench.run` gives.
    """
    prose = yaml.safe_load(PROSE.read_text(encoding="utf-8"))
    words = _words(found)
    parts = [
        part
        for name, passage in prose.items()
        for part in (passage.format(**words).strip(), TABLES[name](found) if name in TABLES else "")
        if part and (name not in TABLES or TABLES[name](found))
    ]
    return "\n\n".join(parts) + "\n"


def _words(found: Found) -> Found:
    """Gives what the prose's braces stand for."""
    sampled, dense = found["sampled"], found["dense"]
    height, width = found["frame"]
    return found | {
        "met_goals": sum(goal.is_met(found) for goal in GOALS.values()), "goals": len(GOALS),
        **{f"regions_{name}": count for name, count in sampled["regions_of_a_row"].items()},
        "height": height, "width": width, "rounds": sampled["rounds"],
        "frames": sampled["frames"] // sampled["pairs"], "context": sampled["context"],
        "dense": dense["frames"] // dense["pairs"], "scaled": found["scaling"]["frames"],
        "processes": found["memory"]["processes"], "units": found["resume"]["units"],
        "prefect_units": found["prefect"]["units"],
    }  # fmt: skip


def _contest(found: Found) -> str:
    head = (
        "", "pairs", "frames", "floor, ms", "stage, ms", "straightforward, ms", "stage over floor",
        "straightforward over stage", "the same without the floor",
    )  # fmt: skip
    cells = []
    for name in ("sampled", "dense"):
        part = found[name]
        ms = (f"{part['ms_per_frame'][each]:.0f}" for each in ("floor", "stage", "straightforward"))
        ratios = ("floor_ratio", "speedup_straightforward", "speedup_beyond_floor")
        cells.append((name, str(part["pairs"]), str(part["frames"]), *ms,
                      *(f"{part[each]:.2f}" for each in ratios)))  # fmt: skip
    return table(head, cells)


def _steps(found: Found) -> str:
    sampled = found["sampled"]
    a_frame = sampled["ms_per_frame"]["stage"]
    cells = [
        (name, f"{share:.0%}", f"{share * a_frame:.0f}")
        for name, share in sampled["stage_steps"].items()
    ]
    return table(("step", "share", "ms a frame"), cells)


TABLES: dict[str, Callable[[Found], str]] = {
    "goals": lambda found: table(("figure", "goal", "found", ""), rows(found)),
    "limits": lambda found: "\n".join(f"- {sentence}" for sentence in limits(found)),
    "contest": _contest,
    "steps": _steps,
    "details": lambda found: table(("part", "found"), details(found)[3:]),
}
"""Tables below passages of the prose; a passage whose table is empty is left out."""


if __name__ == "__main__":
    (FOLDER / "speed.md").write_text(page(read()), encoding="utf-8")
