"""`facext annotate` and `facext plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.commands import DONE, DONE_WITH_REJECTS, manifest_option, progress_bar, workers_option

if TYPE_CHECKING:
    from flows.local import Outcome
    from flows.run import Resume, Run, Summary


@click.command()
@click.argument("dataset")
@manifest_option
@click.option("--explainer", default="", help="`evidence` or `mllm` instead of the manifest's.")
@click.option("--recipe", default="", help="How the model is asked, instead of the manifest's.")
@click.option("--mllm", default="", help="Which captioning server of the manifest.")
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    help="Budget of the dataset over all its runs, in the unit of the prices.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what asking the model would cost.")
@click.option("--limit", type=click.IntRange(1), help="At most so many more pairs; default: all.")
@click.option(
    "--resume", type=click.Choice(["same", "if-possible", "never"]), default="same",
    help="Where results of other settings are there: stop and say what changed (default), keep "
    "what fits, or redo all. Shards are replaced when all of their pairs are done.",
)  # fmt: skip
@click.option("--profile", is_flag=True, help="At the end, print where the time went.")
@workers_option
def annotate(
    dataset: str, manifest: Path, explainer: str, recipe: str, mllm: str, max_cost: float | None,
    dry_run: bool, limit: int | None, resume: Resume, profile: bool, workers: int,
) -> int:  # fmt: skip
    """Annotate a DATASET of the manifest.

    Writes out/DATASET/annotations/*.parquet, rejects/ and the report qa/index.html. What is done
    stays done: the same command goes on after an interruption, and a second run only checks.
    No Prefect server is needed.
    """
    from flows.local import annotate_dataset
    from flows.run import make_run

    explain = {"explainer": explainer, "recipe": recipe, "mllm": mllm, "max_cost": max_cost}
    run = make_run(
        dataset, manifest, explain=explain, limit=limit or 0, workers=workers, resume=resume
    )
    if dry_run:
        from flows.estimate import estimate

        with progress_bar() as progress:
            estimated = estimate(run, progress=progress)
        click.echo("\n".join(estimated.lines()))
        return DONE
    with progress_bar() as progress:
        outcome = annotate_dataset(run, progress)
    summary = outcome.summary
    _print_summary(dataset, summary, outcome.done)
    _print_costs(run)
    if profile:
        _print_profile(outcome)
    click.echo(f"annotations  {run.shards}/")
    click.echo(f"report       {run.output / 'qa' / 'index.html'}")
    if outcome.stopped:
        raise outcome.stopped
    if summary.fallbacks["server_error"]:
        server = run.manifest.mllm(run.manifest.explain.mllm)
        click.echo(f"the captioning server {server.base_url} failed; run again to ask it again")
    return DONE_WITH_REJECTS if summary.rejects or summary.fallbacks else DONE


@click.command(short_help="Show what annotating a dataset would do.")
@click.argument("dataset")
@manifest_option
@workers_option
def plan(dataset: str, manifest: Path, workers: int) -> int:
    """Show what annotating a DATASET of the manifest would do, and start nothing.

    Pairs by method, compression and split; what cannot be paired and why; units of work done and
    open; hours and bytes. All files are read once, to tell what was done with them before.
    """
    from flows.console import print_preview
    from flows.preview import preview
    from flows.run import make_run

    run = make_run(dataset, manifest, workers=workers)
    with progress_bar() as progress:
        found = preview(run, progress)
    print_preview(dataset, found)
    click.echo(f"plan         {run.plan_path}")
    if found.rejects:
        click.echo(f"rejects      {run.unplanned_path}")
    return DONE_WITH_REJECTS if found.rejects else DONE


def _print_summary(dataset: str, summary: Summary, done: int) -> None:
    from flows.console import print_summary

    print_summary(dataset, summary, done)


def _print_profile(outcome: Outcome) -> None:
    from flows.console import print_profile

    print_profile(outcome.seconds, outcome.frames)


def _print_costs(run: Run) -> None:
    from flows.console import print_costs

    if run.manifest.explain.explainer == "mllm":
        print_costs(run.costs_path, run.manifest.explain.max_cost)
