"""`facext release` and `facext rehydrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.commands import (
    DONE,
    DONE_WITH_REJECTS,
    FAILED,
    manifest_option,
    progress_bar,
    workers_option,
)

if TYPE_CHECKING:
    from release.make import Outcome


@click.command(short_help="Make a version of a dataset that others can open.")
@click.argument("dataset")
@click.option("--version", required=True, help="Like 0.1.0; each is made once.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Folder that holds the versions; default: out/DATASET/releases.",
)  # fmt: skip
@click.option("--with-pixels", is_flag=True, help="With the crops, where the licence lets it.")
@click.option("--format", "formats", multiple=True, metavar="NAME", help="Add an export; "
              "repeatable; `all`: every one. See docs/releases.md.")  # fmt: skip
@click.option(
    "--truth", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("docs/truth.json"), show_default=True,
    help="Figures of `facext bench truth`.",
)  # fmt: skip
@manifest_option
@workers_option
def release(
    dataset: str, version: str, out: Path | None, with_pixels: bool, formats: tuple[str, ...],
    truth: Path, manifest: Path, workers: int,
) -> int:  # fmt: skip
    """Check an annotated DATASET and make a release of it.

    A release is a folder with Parquet files by split, a card for Hugging Face, Croissant metadata,
    checksums, and the wanted exports.

    One failing check stops the release and names the rows. Without --with-pixels the crops are left
    out, with all that `facext rehydrate` needs to rebuild them from a copy of the source.
    """
    from flows.release import release_dataset
    from flows.run import make_run
    from release.formats import FORMATS

    run = make_run(dataset, manifest, workers=workers)
    wanted = tuple(FORMATS) if "all" in formats else formats
    with progress_bar() as progress:
        folder, outcome = release_dataset(
            run, version, progress, out=out, with_pixels=with_pixels, formats=wanted, truth=truth
        )
    click.echo("\n".join(_lines(outcome)))
    if not outcome.passed:
        click.echo("not released: nothing was written", err=True)
        return FAILED
    click.echo(f"{outcome.rows.total()} rows released in {folder}")
    return DONE


def _lines(outcome: Outcome) -> list[str]:
    """Gives the gate's table, with the first failures of each check below it."""
    lines = []
    for result in outcome.results:
        state = f"{result.failed} failed" if result.failed else "pass"
        lines.append(f"{result.name:<24} {state}")
        lines += [f"    {one.subject}: {one.reason}" for one in result.first]
        if result.failed > len(result.first):
            lines.append(f"    ... and {result.failed - len(result.first)} more")
    lines += [f"{count} rows are left out: {why}" for why, count in outcome.withheld.items()]
    return [*lines, *outcome.remarks]


@click.command(short_help="Put the pixels back into a release, from your copy of the source.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--root", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Your copy of the source.",
)  # fmt: skip
@click.option(
    "--real-root", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the real sides, where it is another one.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path),
    help="Folder to make; default: FOLDER-pixels.",
)  # fmt: skip
@workers_option
def rehydrate(
    folder: Path, root: Path, real_root: Path | None, out: Path | None, workers: int
) -> int:
    """Rebuild the crops of a release FOLDER from your own copy of the source.

    Each crop is checked against its hash. A folder beside it gets all rows. Those whose videos are
    missing or others stay without pixels and are listed in missing.csv; the exit code is 3 then.
    """
    from flows.run import cores
    from release.rehydrate import rehydrate as rebuild

    place = out or folder.with_name(f"{folder.name}-pixels")
    processes = workers or cores()
    with progress_bar() as progress:
        rebuilt = rebuild(folder, place, root, real_root or root, progress, processes)
    click.echo(f"{rebuilt.rows} rows with pixels in {place}")
    for reason, count in rebuilt.missing.items():
        click.echo(f"{count} rows without: {reason}")
    return DONE_WITH_REJECTS if rebuilt.missing else DONE
