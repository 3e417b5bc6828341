"""The whole job in this process tree, without Prefect and without a server."""

from __future__ import annotations

from dataclasses import dataclass

from flows import stages
from flows.compact import compact
from flows.explain import explain
from flows.run import Progress, Run, Summary
from qa.report import write_report
from schemas.errors import FacextError


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        summary: What is there now.
        done: Units of work that were done for it.
        stopped: Why it ended before the last pair, where a server or the budget stopped it.
    """

    summary: Summary
    done: int
    stopped: FacextError | None


def annotate_dataset(run: Run, progress: Progress) -> Outcome:
    """Annotates a dataset.

    Args:
        run: What to do.
        progress: Called after each unit.

    Raises:
        FacextError: The run cannot go on; finished units are kept.
    """
    plan = stages.plan(run)
    pairs = stages.waiting(run, plan)
    measured = stages.measure(run, pairs, progress)
    explained = explain(run, pairs, progress)
    summary = compact(run, plan)
    write_report(run.name, run.shards, run.rejects_path, run.output / "qa")
    return Outcome(summary, measured + explained.done, explained.stopped)
