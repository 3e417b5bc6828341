"""What a release leaves out: rows that somebody asked to take down, and those that reviews hold."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.judged import judge
from release.source import Source
from release.takedown import TakenDown, taken_down
from schemas.reviews import Judged

TAKEN_DOWN = "take-down"


@dataclass(frozen=True)
class Held:
    """What is left out.

    Attributes:
        reasons: Why, by the id of the row.
        down: What the take-down list names.
        judged: What people decided.
    """

    reasons: Mapping[str, str]
    down: TakenDown
    judged: Judged

    @property
    def counts(self) -> Counter[str]:
        """Counts them by reason."""
        return Counter(self.reasons.values())


def hold(source: Source) -> Held:
    """Finds the rows that are left out; a take-down goes before a review.

    Raises:
        OutputError: The take-down list, a shard or the rejects cannot be read.
    """
    down, judged = taken_down(source), judge(source)
    reasons: dict[str, str] = {
        row: decision for row, decision in judged.decisions.items() if decision != "accept"
    }
    return Held(reasons | dict.fromkeys(down.rows, TAKEN_DOWN), down, judged)


def write_withheld(path: Path, held: Held) -> None:
    """Lists the rows that reviews hold back; who asked for a take-down is not told."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["id", "reason"])
        lines.writerows(
            (row, why) for row, why in sorted(held.reasons.items()) if why != TAKEN_DOWN
        )
