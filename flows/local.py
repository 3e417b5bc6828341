"""The whole job in this process tree, without Prefect and without a server."""

from __future__ import annotations

from dataclasses import dataclass

from flows import stages
from flows.compact import compact
from flows.explain import explain
from flows.report import report
from flows.resume import begin
from flows.run import Progress, Run, Summary
from schemas.errors import FacextError
from schemas.stopwatch import CLOCK


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        summary: What is there now.
        done: Units of work that were done for it.
        stopped: Why it ended before the last pair, where a server or the budget stopped it.
        frames: Frames of the pairs that were worked on.
        seconds: Where the time went, summed over processes; see `schemas.stopwatch`.
    """

    summary: Summary
    done: int
    stopped: FacextError | None
    frames: int
    seconds: dict[str, float]


def annotate_dataset(run: Run, progress: Progress) -> Outcome:
    """Annotates a dataset.

    Args:
        run: What to do.
        progress: Called after each file that was read and each unit.

    Raises:
        FacextError: The run cannot go on; finished units are kept.
    """
    CLOCK.take()
    with CLOCK.step("plan"):
        plan = begin(run, progress)
        pairs = stages.waiting(run, plan.pairs)
    measured = stages.measure(run, pairs, progress)
    explained = explain(run, pairs, progress)
    summary = compact(run, plan)
    report(run)
    run.sweep()
    frames = sum(run.measured.effort(pair.measure_unit).frames for pair in pairs)
    return Outcome(summary, measured + explained.done, explained.stopped, frames, CLOCK.take())
