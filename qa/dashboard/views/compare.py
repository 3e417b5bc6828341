"""Two datasets, releases or writers side by side: shares, drift, and the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fict.tree import load_tree
from qa.dashboard.drawing import percent, render, short
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show
from qa.drift import compare_counts, judged
from qa.explanation import lit, writer_of
from qa.index import VERDICTS, Filter
from qa.wording import wording, written

MOST = 8
"""Categories of a distribution, frames side by side."""
COUNTED = ("method", "compression", "split", "writer", "pose", "size", "regions", "evidence")


@dataclass(frozen=True)
class Compared:
    """One side: a dataset and the writer whose frames are looked at; empty for all."""

    opened: Opened
    writer: str

    @property
    def name(self) -> str:
        """The dataset."""
        return self.opened.source.name

    @property
    def chosen(self) -> Filter:
        """The frames."""
        return Filter(writer=self.writer)

    @property
    def writers(self) -> list[tuple[str, str]]:
        """The dataset's writers."""
        return [(name, name) for name in sorted(self.opened.index.by("writer", Filter()))]

    def counts(self, column: str) -> dict[str, int]:
        """Counts the frames by a column, regions by their names."""
        found = self.opened.index.by(column, self.chosen)
        names = load_tree().by_id
        return {names[key].name if column == "regions" else str(key): n for key, n in found.items()}


async def show_compare(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view; a dataset is chosen by name among those that were opened."""
    names = list(visit.datasets)
    a = visit.datasets.get(given.get("a", ""), visit.datasets[names[0]])
    b = visit.datasets.get(given.get("b", ""), visit.datasets[names[-1]])
    sides = Compared(a, given.get("writer_a", "")), Compared(b, given.get("writer_b", ""))
    await show(compare, names, *sides)


def compare(names: list[str], a: Compared, b: Compared) -> str:
    """Gives the view's HTML."""
    distributions = []
    for column in COUNTED:
        rows = compare_counts(column, a.counts(column), b.counts(column))
        psi = rows[0].psi if rows else 0.0
        distributions.append((column, psi, judged(psi), rows[:MOST]))
    distributions.append(_verdicts(a, b))
    return render(
        "compare.html",
        datasets=names,
        sides={"a": a, "b": b},
        same=(a.name, a.writer) == (b.name, b.writer),
        figures=_figures(a, b),
        distributions=sorted(distributions, key=lambda one: -one[1]),
        text=_text(a, b),
        pairs=_pairs(a, b),
    )


def _verdicts(a: Compared, b: Compared) -> tuple[str, float, str, list[Any]]:
    counts = []
    for side in (a, b):
        means = side.opened.index.means(side.chosen)
        counts.append({name: int(means[name]) for name in VERDICTS if means[name]})
    rows = compare_counts("verdict", *counts)
    psi = rows[0].psi if rows else 0.0
    return "verdict", psi, judged(psi), rows


def _text(a: Compared, b: Compared) -> dict[str, Any]:
    """Gives the figures of the text: who wrote on which side, and a line for each figure."""
    rows = [
        (side, row)
        for side, compared in (("a", a), ("b", b))
        for row in compared.opened.table("text")
        if compared.writer in ("", row["writer"])
    ]
    lines = [
        (name, figure["means"], [written(row.get(name), figure["show"]) for _, row in rows])
        for name, figure in wording()["text"].items()
    ]
    return {"writers": [(side, row["writer"]) for side, row in rows], "lines": lines}


def _figures(a: Compared, b: Compared) -> list[tuple[str, str, str]]:
    sizes = [side.opened.index.count(side.chosen) for side in (a, b)]
    means = [side.opened.index.means(side.chosen) for side in (a, b)]
    figures = [("frames", f"{sizes[0]:,} | {sizes[1]:,}", "A | B")]
    for name, write in (("mask_share", percent), ("confidence", short), ("stability", short)):
        both = " | ".join(write(one[name]) for one in means)
        figures.append((name.replace("_", " "), both, "mean of A | mean of B"))
    return figures


def _pairs(a: Compared, b: Compared) -> list[list[dict[str, Any]]]:
    """Gives frames that both have, each with what is said of it."""
    other = b.opened.folder / "index.parquet"
    found = []
    for ids in a.opened.index.shared(other, a.chosen, b.writer, MOST):
        both = []
        for side, row in zip((a, b), ids, strict=True):
            frame = side.opened.lookup.frame(row)
            if frame is not None:
                mask = frame.artifact
                area = mask.segmentation.size[0] * mask.segmentation.size[1]
                both.append(
                    {
                        "id": row,
                        "text": lit(frame),
                        "writer": writer_of(frame),
                        "share": mask.area / area,
                        "claims": len(frame.claims),
                    }
                )
        if len(both) == len(ids):
            found.append(both)
    return found
