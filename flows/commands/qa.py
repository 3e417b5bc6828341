"""`facext qa`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flows.commands import DONE, manifest_option, progress_bar


@click.command(short_help="Statistics, report and dashboard of a dataset.")
@click.argument("dataset")
@manifest_option
@click.option("--serve", is_flag=True, help="Serve the dashboard instead, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Of --serve: address to bind.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True,
    help="Of --serve; 0 for a free one.",
)  # fmt: skip
@click.option(
    "--token", default="", envvar="FACEXT_QA_TOKEN", show_envvar=True,
    help="Of --serve: what a visitor must know; needed at another address than this machine's own.",
)  # fmt: skip
@click.option(
    "--against", multiple=True, metavar="DATASET|FOLDER",
    help="Also compare with another dataset or a folder of shards, repeatable.",
)  # fmt: skip
@click.option(
    "--parroting", type=click.IntRange(2), metavar="FRAMES",
    help="First ask the captioning model about so many frames twice, told their true and "
    "another method, and compare: does it say what it sees or what it is told?",
)  # fmt: skip
@click.option("--recipe", default="", help="Of --parroting: how the model is asked.")
@click.option("--mllm", default="", help="Of --parroting: which captioning server.")
def qa(
    dataset: str, manifest: Path, serve: bool, host: str, port: int, token: str,
    against: tuple[str, ...], parroting: int | None, recipe: str, mllm: str,
) -> int:  # fmt: skip
    """Write statistics and report of an annotated DATASET, or serve its dashboard.

    The tables are out/DATASET/qa/tables/*.parquet, the report is out/DATASET/qa/index.html. The
    dashboard is for looking through the frames and deciding on them; a release honours what people
    decided. With --against, DATASET may be a folder, too: two releases are then compared.
    """
    if serve:
        # before Arrow is loaded: its own pool keeps what it once took, the system's gives it back
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    from flows.run import make_run
    from schemas.manifest import load_manifest

    if against and not (serve or parroting) and dataset not in load_manifest(manifest).datasets:
        from flows.dashboard import compare_folders

        click.echo("\n".join(compare_folders(manifest, dataset, against)))
        return DONE
    run = make_run(dataset, manifest)
    if serve:
        from flows.dashboard import serve_dashboard

        serve_dashboard(run, manifest, against, host, port, token)
        return DONE
    if parroting:
        from flows.parroting import run_parroting

        asks = {"explainer": "mllm", "recipe": recipe, "mllm": mllm}
        with progress_bar() as progress:
            run_parroting(make_run(dataset, manifest, explain=asks), parroting, progress)
    from flows.report import report

    click.echo(report(run, anew=True))
    for other in against:
        from flows.dashboard import compare_with

        click.echo("\n".join(compare_with(run, manifest, other)))
    return DONE
