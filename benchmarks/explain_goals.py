"""What the captioning client should reach, and how its figures are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TICK, CROSS = "✓", "✗"
WIDTH = 46

Found = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A goal of one figure.

    Attributes:
        name: What is measured; `{}` stands for what it was measured on.
        form: How the figure is printed.
        on: What it was measured on.
        bound: The goal.
        at_most: The figure should be below the bound, not above.
    """

    name: str
    form: str
    on: Callable[[Found], object]
    bound: Callable[[Found], float]
    at_most: bool = True

    def is_met(self, found: Found) -> bool:
        """Tells whether a run reaches it."""
        value = found[next(key for key, goal in GOALS.items() if goal is self)]
        bound = self.bound(found)
        return bool(value <= bound if self.at_most else value >= bound)


GOALS = {
    "throughput_ratio": Goal(
        "throughput over that of bare sockets", ".3f", lambda _: "", lambda _: 0.95, at_most=False
    ),
    "records_lost": Goal(
        "records lost in {:,} requests", "d", lambda f: f["faults"]["requests"], lambda _: 0
    ),
    "paid_twice": Goal(
        "requests paid twice after {} kills", "d", lambda f: f["kills"]["kills"],
        lambda f: float(f["kills"]["paid_twice_allowed"]),
    ),
    "overspend": Goal(
        "spent above max_cost {:.2f}", ".4f", lambda f: f["budget"]["max_cost"], lambda _: 0
    ),
    "contradicted_published": Goal(
        "contradicted of {:,} published claims", "d",
        lambda f: f["faults"]["claims_published"], lambda _: 0,
    ),
    "cpu_ms_per_request": Goal("client CPU of a request, ms", ".2f", lambda _: "", lambda _: 5),
    "memory_ratio": Goal(
        "memory from {} records", ".3f", lambda f: " to ".join(f["memory"]["peak_mb"]),
        lambda _: 1.2,
    ),
}  # fmt: skip
"""By the figure's key, in the order of the table."""


def lines(found: Found) -> list[str]:
    """Gives the table of goals, then what stands behind it."""
    table = [
        f"{goal.name.format(goal.on(found)):<{WIDTH}}{format(found[key], goal.form):>10}"
        f"  {'<=' if goal.at_most else '>='} {goal.bound(found):<6g}"
        f"{TICK if found['met'][key] else CROSS}"
        for key, goal in GOALS.items()
    ]
    return [*table, "", *_of_speed(found["speed"], found["memory"]), *_of_faults(found["faults"]),
            *_of_money(found["kills"], found["budget"])]  # fmt: skip


def _of_speed(speed: Found, memory: Found) -> list[str]:
    peaks = ", ".join(f"{mb:.0f} MiB at {n}" for n, mb in memory["peak_mb"].items())
    return [
        f"speed    {speed['requests_per_second']:.0f} requests/s of {speed['request_kb']:.0f} kB; "
        f"bare sockets {speed['server_rate']:.0f}, in theory {speed['ideal_rate']:.0f}: "
        f"{speed['throughput_of_theory']:.3f} of it",
        f"stage    {speed['stage_frames_per_second']:.0f} frames/s; "
        f"the pictures of a frame take {speed['render_ms']:.1f} ms",
        f"memory   {peaks}; {memory['frames_per_second']:.0f} frames/s",
    ]


def _of_faults(faults: Found) -> list[str]:
    ended = {"by the model": faults["rows_by_model"], **faults["fallbacks"], **faults["rejects"]}
    return [
        f"faults   {faults['faulty_share']:.0%} of the requests; {faults['records']:,} records: "
        + _counted(ended),
        f"claims   {faults['lies_told']:,} false ones seen; not published: "
        + _counted(faults["statements_dropped"])
        + f"; {faults['badly_grounded']} rows with wrong masks; "
        f"the key is in {faults['key_found']} files",
    ]


def _of_money(kills: Found, budget: Found) -> list[str]:
    return [
        f"kills    {kills['paid_twice_allowed']} requests in flight at them, {kills['requests']} "
        f"billed in all, {kills['lost_after']} records lost",
        f"budget   {budget['budget_used']:.0%} of it billed, {budget['budget_entered']:.0%} "
        f"entered as possibly billed; {budget['lost_after']} records lost after going on; "
        f"all cost {budget['cost_of_all']:.2f}",
    ]


def _counted(counts: Found) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
