"""The rejects: how many for which reason, and which they are."""

from __future__ import annotations

from collections import Counter

from qa.dashboard.drawing import render, words
from qa.dashboard.opened import MAX_LISTED, Opened
from qa.dashboard.pages import Visit, show
from qa.index import NONE


async def show_rejects(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    chosen = given.get("reason", ""), given.get("method", "")
    await show(rejects, visit.opened, *chosen)


def rejects(opened: Opened, reason: str, method: str) -> str:
    """Gives the view's HTML."""
    counts = {name: Counter[str]() for name in ("reason", "method", "stage")}
    controls = 0
    for row in opened.table("rejects"):
        for name, count in counts.items():
            count[row[name]] += row["rejects"]
        controls += row["rejects"] * (row["method"] in opened.facts["controls"])
    return render(
        "rejects.html",
        total=counts["reason"].total(),
        controls=controls,
        reason=reason,
        method=method,
        reasons=[(key, words(key)) for key in sorted(counts["reason"])],
        methods=[(key or NONE, key or NONE) for key in sorted(counts["method"])],
        by_reason=dict(counts["reason"].most_common()),
        by_method=dict(counts["method"].most_common()),
        by_stage=dict(counts["stage"].most_common()),
        listed=opened.rejects(reason, method),
        most=MAX_LISTED,
    )
