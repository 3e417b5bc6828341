"""`facext train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.commands import DONE, INTERRUPTED, progress_bar


@click.command(short_help="Train FiFa-MLLM on shards.")
@click.option(
    "--preset", default="tiny", show_default=True, help="tiny, base, paper, or a YAML file."
)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
    help="A dataset's output folder, or a folder of shards.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/model"), show_default=True,
    help="Folder of the run.",
)  # fmt: skip
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE",
    help="Another value of a key, such as train.steps=200; repeatable.",
)  # fmt: skip
def train(preset: str, data: Path, out: Path, changes: tuple[str, ...]) -> int:
    """Train FiFa-MLLM on shards; the same command goes on where it stopped.

    On several GPUs: `accelerate launch -m flows.cli train ...`. SIGTERM and Ctrl-C stop after the
    step at hand, with a checkpoint.
    """
    from model.config import load_config
    from model.start import train as run

    config = load_config(preset, dict(_change(each) for each in changes))
    with progress_bar() as progress:
        outcome = run(config, data, out, progress)
    dropped = ", ".join(f"{n} {why}" for why, n in sorted(outcome.trained.dropped.items()))
    click.echo(
        f"step {outcome.trained.step} of {config.train.steps} in {out}/"
        + (f"; questions left out: {dropped}" if dropped else "")
    )
    if not outcome.held_out:
        click.echo("nothing was held out: no figure tells how it does on faces that it never saw")
    return INTERRUPTED if outcome.stopped else DONE


def _change(text: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"'{text}' is not KEY=VALUE", param_hint="--set")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise click.BadParameter(
            f"{key}: {value} is no YAML value; in quotes of its own it is a text: '{key}=\"...\"'",
            param_hint="--set",
        ) from None
