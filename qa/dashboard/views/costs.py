"""What captioning models cost, over time and by model."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import Any

from nicegui import ui

from qa.dashboard.charts import BASE, axis
from qa.dashboard.drawing import number, render, short
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show

TIMES = {"color": "var(--soft)", "alignMinLabel": "left", "alignMaxLabel": "right"}
"""How times are written: the first and the last stay inside the chart."""
SUMS = ("requests", "attempts", "prompt_tokens", "completion_tokens", "cost")


async def show_costs(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    if not await show(costs, visit.opened):
        return
    rows = visit.opened.table("costs")
    if rows:
        with ui.element("section").classes("card"):
            ui.label("Over time").props("role=heading aria-level=2").classes("h2")
            ui.echart(over_time(rows), renderer="svg").classes("chart")


def costs(opened: Opened) -> str:
    """Gives the view's HTML."""
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    every: dict[str, float] = defaultdict(float)
    for row in opened.table("costs"):
        names = {name: row[name] for name in ("model", "recipe", "outcome")}
        one = sums.setdefault(tuple(names.values()), names | dict.fromkeys((*SUMS, "waited"), 0))
        for name in SUMS:
            one[name] += row[name] or 0
            every[name] += row[name] or 0
        one["waited"] += row["latency_s"] * row["requests"]
    rows = [one | {"latency_s": one["waited"] / one["requests"]} for one in sums.values()]
    figures = [
        ("requests", number(every["requests"]), "to captioning models, over all runs"),
        ("tokens in", number(every["prompt_tokens"]), "as the servers counted"),
        ("tokens out", number(every["completion_tokens"]), "as the servers counted"),
        ("cost", short(every["cost"], 4), "in the unit of the manifest's prices"),
    ]
    return render("costs.html", rows=sorted(rows, key=lambda one: -one["cost"]), figures=figures)


def over_time(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Gives the chart: cost of each hour, and the sum so far."""
    hours: dict[Any, float] = defaultdict(float)
    for row in rows:
        hours[row["hour"]] += row["cost"]
    ordered = sorted(hours.items())
    times = [hour.strftime("%Y-%m-%d %H:%M") for hour, _ in ordered]
    each = [round(cost, 6) for _, cost in ordered]
    return BASE | {
        "legend": {"top": 0, "textStyle": {"color": "var(--ink)"}},
        "xAxis": axis("category", data=times, axisLabel=TIMES),
        "yAxis": axis("value"),
        "series": [
            {"name": "in the hour", "type": "bar", "data": each, "barMaxWidth": 28},
            {
                "name": "so far",
                "type": "line",
                "step": "end",
                "data": [round(sum_, 6) for sum_ in accumulate(each)],
            },
        ],
    }
