"""The list of frames: filtered, sorted, a page at a time."""

from __future__ import annotations

from fict.tree import load_tree
from qa.dashboard.drawing import render
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show
from qa.dashboard.views.options import options
from qa.index import SORTS, Filter

STEP = 25
NAMED = 4
"""Regions of a frame that the list names."""


async def show_records(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    first = given.get("first", "0")
    await show(records, visit.opened, Filter.of(given), int(first) if first.isdecimal() else 0)


def records(opened: Opened, chosen: Filter, first: int) -> str:
    """Gives the view's HTML: `STEP` frames from the one at place `first`."""
    tree, index = load_tree(), opened.index
    rows = index.page(chosen, first, STEP)
    judged = opened.judged(opened.reviews.of(*(row["id"] for row in rows)))
    for row in rows:
        names = [tree.by_id[key].name for key in row["regions"]]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        row["regions"] = ", ".join(names[:NAMED]) + more
    return render(
        "records.html",
        name=opened.source.name,
        version=opened.lookup.version,
        options=options(opened),
        chosen=chosen,
        sorts=list(SORTS),
        rows=rows,
        first=first,
        step=STEP,
        total=index.count(chosen),
        every=index.count(Filter()),
        decisions={**judged.decisions, **dict.fromkeys(judged.outdated, "outdated")},
    )
