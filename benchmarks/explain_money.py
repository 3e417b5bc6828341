"""What is paid twice when the process is killed, and what is paid beyond the budget.

The server's journal is the bill: it is written by another process and holds what was generated,
also for a client that was gone by then.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from annotators.mllm.store import IN_FLIGHT as OPEN
from annotators.mllm.store import LOST
from benchmarks.captioner import Captioner, Entry, Script
from benchmarks.explain_child import finish, start
from benchmarks.explain_faults import LATENCY_S as FAULT_LATENCY_S
from benchmarks.explain_faults import LIES, fault_script, fault_server, lost_records, price
from benchmarks.explain_material import Material, rows_of
from flows.explain import explain
from flows.run import Progress, Run

KILLS = 10
IN_FLIGHT = 16
LATENCY_S = 0.15
ASKED_AGAIN = 1.5
"""Requests of a record, about, where some claims are lies; places the kills."""
LOOK_S = 0.005
SETTLED_S = 2 * LATENCY_S
"""After it, the server has answered and billed also what a dead client had asked."""
SLOWEST = 12
"""Latencies after which also a slow answer has been billed."""
SHARE = 0.4
"""The budget, of what the whole would cost."""


def measure_kills(
    material: Material, records: int, progress: Progress, kills: int = KILLS, seed: int = 0
) -> dict[str, Any]:
    """Kills the stage at random points, each time goes on, and reads the bill.

    One point lies anywhere within each of as many equal parts of the requests; the kill comes up
    to one latency later. What was in flight then may have to be paid again, nothing else.
    """
    dice = random.Random(seed)
    script = Script(latency_s=LATENCY_S, lies=LIES)
    with Captioner(script, material.folder / "kills.jsonl") as captioner:
        server = {"base_url": captioner.url, "in_flight": IN_FLIGHT}
        run, pairs = material.run("kills", records, server)
        in_flight = []
        for kill in range(kills):
            point = ASKED_AGAIN * records * (kill + dice.random()) / kills
            if not _kill(run, captioner, math.ceil(point), dice.uniform(0, LATENCY_S)):
                break
            in_flight.append(_outcomes(run)[OPEN])
            progress("kills", kill + 1, kills + 1)
        finish(start(run))
        progress("kills", kills + 1, kills + 1)
        time.sleep(SETTLED_S)
        bill = Counter(entry.body for entry in captioner.journal() if entry.billed)
    return {
        "paid_twice": sum(times - 1 for times in bill.values()),
        "paid_twice_allowed": sum(in_flight),
        "kills": len(in_flight),
        "in_flight_at_kills": in_flight,
        "requests": bill.total(),
        "entered_as_lost": _outcomes(run)[LOST],
        "records": material.frames * len(pairs),
        "lost_after": lost_records(run, pairs, rows_of(run, pairs))["records_lost"],
    }


def _kill(run: Run, captioner: Captioner, point: int, delay: float) -> bool:
    """Lets the stage run until so many requests were answered, at least one of its own.

    Returns:
        False where it was over before.
    """
    time.sleep(SETTLED_S)
    point = max(point, len(captioner.journal()) + 1)
    child = start(run)
    while len(captioner.journal()) < point and child.poll() is None:
        time.sleep(LOOK_S)
    time.sleep(delay)
    was_running = child.poll() is None
    child.kill()
    child.communicate()
    return was_running


def _outcomes(run: Run) -> Counter[str]:
    """Counts the ledger's entries by outcome, as they lie on the disk."""
    with sqlite3.connect(run.answers_path) as file:
        found = file.execute("SELECT outcome, count(*) FROM costs GROUP BY outcome").fetchall()
    file.close()
    return Counter(dict(found))


def measure_budget(
    material: Material, records: int, cost_per_record: float, progress: Progress
) -> dict[str, Any]:
    """Stops at a budget under all faults, then goes on without one."""
    budget = SHARE * cost_per_record * records
    with Captioner(fault_script(), material.folder / "budget.jsonl") as captioner:
        server = fault_server(captioner.url)
        run, pairs = material.run("budget", records, server, max_cost=budget)
        stopped = explain(run, pairs, lambda _, n, total: progress("budget", n, total)).stopped
        time.sleep(SLOWEST * FAULT_LATENCY_S)  # answers that nobody waits for are billed, too
        billed = _billed(captioner.journal())
        entered = _entered(run)
        rows = len(rows_of(run, pairs))
        run, pairs = material.run("budget", records, server)
        rest = explain(run, pairs, lambda _, done, total: progress("rest", done, total))
        if rest.stopped:
            raise rest.stopped
        whole = _billed(captioner.journal())
    return {
        "overspend": max(0.0, billed - budget),
        "max_cost": budget,
        "billed": billed,
        "budget_used": billed / budget,
        "budget_entered": entered / budget,
        "stopped_by": type(stopped).__name__ if stopped else "",
        "rows_within_budget": rows,
        "records": material.frames * len(pairs),
        "cost_of_all": whole,
        "lost_after": lost_records(run, pairs, rows_of(run, pairs))["records_lost"],
    }


def _billed(journal: Sequence[Entry]) -> float:
    return sum(map(price, journal))


def _entered(run: Run) -> float:
    """Gives what the client believes to have spent."""
    with sqlite3.connect(run.answers_path) as file:
        (total,) = file.execute("SELECT coalesce(sum(cost), 0) FROM costs").fetchone()
    file.close()
    return float(total)
