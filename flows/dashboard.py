"""Starts the dashboard of a dataset, and compares it with others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from flows.report import source_of
from flows.run import Run, make_run
from qa.drift import judged, write_drift
from qa.index import prepare
from qa.tables import Source
from schemas.errors import OutputError, UsageError
from schemas.manifest import load_manifest

LISTED = 3
"""Categories of a distribution that the terminal shows."""


def serve_dashboard(
    run: Run, manifest: Path, against: Sequence[str], host: str, port: int, token: str
) -> None:
    """Serves the dashboard until it is interrupted.

    Args:
        run: The dataset that is reviewed.
        manifest: Path of the manifest.
        against: Other datasets of the manifest, or folders of shards.
        host: Address to bind.
        port: Port to bind; 0 for a free one.
        token: What a visitor must know.

    Raises:
        UsageError: The address needs a token or cannot be bound, or another dataset is unknown.
        OutputError: There is nothing annotated, or a file is damaged or of another format.
    """
    from qa.dashboard.guard import check_address
    from qa.dashboard.opened import open_dataset
    from qa.dashboard.serve import serve

    check_address(host, token)
    first = open_dataset(source_of(run), run.output / "qa", run.reviews_path)
    datasets = {run.name: first}
    for other in against:
        source, folder = other_source(run, manifest, other)
        datasets[source.name] = open_dataset(source, folder, folder / "reviews.parquet")
    serve(
        datasets, host, port, token, lambda address: click.echo(f"dashboard    {address}", err=True)
    )


def compare_with(run: Run, manifest: Path, other: str) -> list[str]:
    """Compares a dataset with another one; the whole table goes to `qa/drift-OTHER.parquet`.

    Returns:
        Lines for a terminal.

    Raises:
        OutputError: One of them is not annotated or damaged.
    """
    source, folder = other_source(run, manifest, other)
    prepare(source, folder)
    path = run.output / "qa" / f"drift-{source.name}.parquet"
    rows = write_drift(run.output / "qa" / "tables", folder / "tables", path)
    lines = [f"{run.name} and {source.name}: population stability index, largest differences"]
    for name in dict.fromkeys(row.distribution for row in rows):
        of = [row for row in rows if row.distribution == name]
        lines.append(f"  {name:<14} {of[0].psi:.3f} {judged(of[0].psi)}")
        lines += [
            f"    {row.category:<28} {row.share_a:6.1%} {row.share_b:6.1%}  p {row.p:.2g}"
            for row in of[:LISTED]
            if row.share_a != row.share_b
        ]
    return [*lines, f"{path}"]


def other_source(run: Run, manifest: Path, other: str) -> tuple[Source, Path]:
    """Gives the files of a dataset of the manifest, or of a folder of shards, and its folder `qa/`.

    What is made of a folder is kept beside the first dataset, so that a release stays as it is.

    Raises:
        UsageError: It is neither.
    """
    if other in load_manifest(manifest).datasets:
        found = make_run(other, manifest)
        return source_of(found), found.output / "qa"
    folder = Path(other)
    shards = tuple(sorted(folder.rglob("*.parquet"))) if folder.is_dir() else ()
    shards = tuple(path for path in shards if is_shard(path))
    if not shards:
        raise UsageError(f"'{other}' is no dataset of the manifest and no folder of shards")
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name)
    source = Source(name, shards, folder / "rejects.parquet", folder / "costs.parquet")
    return source, run.output / "qa" / "against" / name


def is_shard(path: Path) -> bool:
    """Tells whether a file holds annotated frames, by its metadata; a damaged one counts."""
    from schemas.shards import read_metadata

    try:
        return read_metadata(path).get("record") == "AnnotatedFrame"
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
