"""What the commands of `facext` share. Heavy imports wait until a command needs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flows.console import ProgressBar

DONE, FAILED, WRONG_USE, DONE_WITH_REJECTS, INTERRUPTED = 0, 1, 2, 3, 130

manifest_option = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    default=Path("data_manifest.yaml"),
    show_default=True,
    help="Datasets and settings.",
)

workers_option = click.option(
    "--workers", type=click.IntRange(0), default=0, help="Processes; default: one per core."
)


def progress_bar() -> ProgressBar:
    """Gives a progress bar for the terminal."""
    from flows.console import ProgressBar

    return ProgressBar()
