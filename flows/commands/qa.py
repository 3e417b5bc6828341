"""`facext qa`."""

from __future__ import annotations

from pathlib import Path

import click

from flows.commands import DONE, manifest_option, progress_bar


@click.command(short_help="Write a dataset's report again.")
@click.argument("dataset")
@manifest_option
@click.option(
    "--parroting", type=click.IntRange(2), metavar="FRAMES",
    help="First ask the captioning model about so many frames twice, told their true and "
    "another method, and compare: does it say what it sees or what it is told?",
)  # fmt: skip
@click.option("--recipe", default="", help="Of --parroting: how the model is asked.")
@click.option("--mllm", default="", help="Of --parroting: which captioning server.")
def qa(dataset: str, manifest: Path, parroting: int | None, recipe: str, mllm: str) -> int:
    """Write the report of an annotated DATASET again: out/DATASET/qa/index.html."""
    from flows.report import report
    from flows.run import make_run

    run = make_run(dataset, manifest)
    if parroting:
        from flows.parroting import run_parroting

        asks = {"explainer": "mllm", "recipe": recipe, "mllm": mllm}
        with progress_bar() as progress:
            run_parroting(make_run(dataset, manifest, explain=asks), parroting, progress)
    click.echo(report(run, anew=True))
    return DONE
