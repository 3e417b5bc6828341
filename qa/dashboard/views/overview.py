"""The overview: what the dataset holds, how sure it is, what was rejected."""

from __future__ import annotations

from collections import Counter

from qa.dashboard.drawing import number, percent, render, short
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show
from qa.index import Filter
from qa.tables import POSES, SIZES
from qa.wording import wording, written


async def show_overview(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    await show(overview, visit.opened)


def overview(opened: Opened) -> str:
    """Gives the view's HTML."""
    index, every = opened.index, Filter()
    frames, means = index.count(every), index.means(every)
    rejects = Counter[str]()
    for row in opened.table("rejects"):
        rejects[row["reason"]] += row["rejects"]
    made = sum(means[name] for name in ("supported", "contradicted", "untestable", "refused"))
    methods = index.by("method", every)
    figures = [
        ("frames", number(frames), "annotated frame pairs"),
        ("methods", number(len(methods)), "forgery methods with a frame"),
        ("rejects", number(rejects.total()), "pairs and frames without annotation"),
        ("mask", percent(means["mask_share"]), "mean share of the crop that was changed"),
        ("confidence", short(means["confidence"]), "mean share of a mask that was truly changed"),
        ("stability", short(means["stability"]), "how little a mask depends on the exact cut"),
        ("supported", percent(means["supported"] / made) if made else "–", "of all statements"),
        ("reviews", number(opened.reviews.count()), "decisions of people"),
    ]
    return render(
        "overview.html",
        name=opened.source.name,
        title=opened.facts["title"],
        facts=opened.facts,
        figures=figures,
        frames=frames,
        means=means,
        methods=methods,
        compressions=index.by("compression", every),
        splits=index.by("split", every),
        evidence=index.by("evidence", every),
        poses=_in_order(index.by("pose", every), POSES),
        sizes=_in_order(index.by("size", every), SIZES),
        histogram=index.histogram("confidence", every),
        rejects=dict(rejects.most_common()),
        rejected=rejects.total(),
        text=_text(opened),
        writers=[row["writer"] for row in opened.table("text")],
    )


def _text(opened: Opened) -> list[tuple[str, str, list[str]]]:
    """Gives each figure of the text: its name, its meaning, and its value for each writer.

    A table of older code lacks those that were added since.
    """
    rows = opened.table("text")
    return [
        (name, figure["means"], [written(row.get(name), figure["show"]) for row in rows])
        for name, figure in wording()["text"].items()
        if rows
    ]


def _in_order(counts: dict[str, int], names: list[str]) -> dict[str, int]:
    return {name: counts[name] for name in names if name in counts}
