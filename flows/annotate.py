"""The flow `annotate`: real/fake pairs of one dataset in, shards and a report out.

It wraps the stages in Prefect tasks, for `prefect deployment run annotate/<dataset>`;
`flows.local` runs the same stages without Prefect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from pydantic import Field

from flows import stages
from flows.artifacts import leave_artifacts
from flows.compact import compact
from flows.explain import Explained, explain
from flows.report import report
from flows.resume import begin
from flows.run import Plan, PlannedPair, Resume, Run, Summary, make_run


def _log_progress(stage: str, done: int, total: int) -> None:
    if total and (done == total or done % max(1, total // 20) == 0):
        get_run_logger().info("%s: %d of %d", stage, done, total)


@task(name="plan")
def plan_task(run: Run) -> Plan:
    """Checks that the run may go on from what is there, and freezes the plan."""
    return begin(run, _log_progress)


@task(name="measure")
def measure_task(run: Run, pairs: list[PlannedPair]) -> int:
    """Measures where the manifest says (`flows.runners`); gives the number of pairs done."""
    return stages.measure(run, pairs, _log_progress)


@task(name="explain")
def explain_task(run: Run, pairs: list[PlannedPair]) -> Explained:
    """Explains, as far as the server and the budget let it."""
    return explain(run, pairs, _log_progress)


@task(name="compact")
def compact_task(run: Run, plan: Plan) -> Summary:
    """Writes the shards."""
    return compact(run, plan)


@task(name="report")
def report_task(run: Run, summary: Summary) -> Path:
    """Writes the report and leaves the run's artifacts; gives the report's page."""
    page = report(run)
    leave_artifacts(run, summary, page)
    run.sweep()
    return page


@flow(name="annotate", validate_parameters=True)
def annotate(
    dataset: str,
    manifest: str = "data_manifest.yaml",
    explainer: str = "",
    recipe: str = "",
    limit: Annotated[int, Field(ge=0)] = 0,
    workers: Annotated[int, Field(ge=0)] = 0,
    resume: Resume = "same",
) -> dict[str, Any]:
    """Annotates one dataset of the manifest.

    Args:
        dataset: Its name in the manifest.
        manifest: Path of the manifest.
        explainer: `evidence` or `mllm`; empty for the manifest's.
        recipe: How the model is asked; empty for the manifest's.
        limit: At most so many pairs of new work; 0 for all.
        workers: Worker processes; 0 for one each core.
        resume: What to do where results of other settings are there: stop (`same`), keep what fits
            (`if-possible`), or start anew (`never`).
    """
    explain_as = {"explainer": explainer, "recipe": recipe}
    run = make_run(
        dataset, Path(manifest), limit=limit, workers=workers, explain=explain_as, resume=resume
    )
    plan = plan_task(run)
    pairs = stages.waiting(run, plan.pairs)
    measure_task(run, pairs)
    explained = explain_task(run, pairs)
    summary = compact_task(run, plan)
    page = report_task(run, summary)
    get_run_logger().info("%d frames annotated; report: %s", summary.frames.total(), page)
    if explained.stopped:
        raise explained.stopped  # what was done before is published; the next run goes on
    return {
        "frames": summary.frames.total(),
        "rejects": dict(summary.rejects),
        "report": str(page),
    }
