"""The whole job in this process tree, without Prefect and without a server."""

from __future__ import annotations

from flows import stages
from flows.compact import compact
from flows.run import Progress, Run, Summary
from qa.report import write_report


def annotate_dataset(run: Run, progress: Progress) -> tuple[Summary, int]:
    """Annotates a dataset.

    Args:
        run: What to do.
        progress: Called after each unit.

    Returns:
        What is there now, and the number of units that had to be done for it.

    Raises:
        FacextError: The run cannot go on; finished units are kept.
    """
    plan = stages.plan(run)
    pairs = stages.waiting(run, plan)
    done = stages.measure(run, pairs, progress) + stages.explain(run, pairs, progress)
    summary = compact(run, plan)
    write_report(run.name, run.shards, run.rejects_path, run.output / "qa")
    return summary, done
