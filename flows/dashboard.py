"""Starts the dashboard of a dataset, and compares it with others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from flows.run import Run
from flows.source import any_source, other_source, source_of
from qa.drift import judged, write_drift
from qa.index import prepare
from qa.tables import Source
from schemas.errors import UsageError
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
        UsageError: The address needs a token or cannot be bound, or another dataset is unknown or
            given twice.
        OutputError: There is nothing annotated, or a file is damaged or of another format.
    """
    from qa.dashboard.guard import check_address
    from qa.dashboard.opened import open_dataset
    from qa.dashboard.serve import serve

    check_address(host, token)
    sources = {run.name: (source_of(run), run.output / "qa", run.reviews_path)}
    for other in against:
        source, folder = other_source(run, manifest, other)
        if source.name in sources:
            raise UsageError(f"--against {other}: '{source.name}' is shown already")
        sources[source.name] = source, folder, folder / "reviews.parquet"
    datasets = {
        name: open_dataset(*files, text=name != run.name) for name, files in sources.items()
    }
    serve(
        datasets, host, port, token, lambda address: click.echo(f"dashboard    {address}", err=True)
    )


def compare_with(run: Run, manifest: Path, other: str) -> list[str]:
    """Compares a dataset with another one; the whole tables go to its folder `qa/`.

    Returns:
        Lines for a terminal.

    Raises:
        OutputError: One of them is not annotated or damaged.
    """
    here = source_of(run), run.output / "qa"
    return _compare(here, other_source(run, manifest, other))


def compare_folders(manifest: Path, one: str, against: Sequence[str]) -> list[str]:
    """Compares a folder of shards, such as a release, with datasets or folders.

    What is made of folders is kept in `against/` of the manifest's output folder, tables included.

    Returns:
        Lines for a terminal.

    Raises:
        UsageError: There is no such dataset or folder.
        OutputError: One of them is damaged.
    """
    kept = Path(load_manifest(manifest).output) / "against"
    first = any_source(manifest, one, kept)
    return [
        line for other in against for line in _compare(first, any_source(manifest, other, kept))
    ]


def _compare(a: tuple[Source, Path], b: tuple[Source, Path]) -> list[str]:
    """Compares two datasets, each given with its folder `qa/`; the tables go to the first one's."""
    from qa.statistics import prepare_text  # it takes 120 MB, which a server does not need

    for source, folder in (a, b):
        prepare(source, folder)
        prepare_text(source, folder)
    names = a[0].name, b[0].name
    rows, text = write_drift(a[1] / "tables", b[1] / "tables", a[1], names[1])
    lines = [f"{names[0]} and {names[1]}: population stability index, largest differences"]
    for name in dict.fromkeys(row.distribution for row in rows):
        of = [row for row in rows if row.distribution == name]
        lines.append(f"  {name:<14} {of[0].psi:.3f} {judged(of[0].psi)}")
        lines += [
            f"    {row.category:<28} {row.share_a:6.1%} {row.share_b:6.1%}  p {row.p:.2g}"
            for row in of[:LISTED]
            if row.share_a != row.share_b
        ]
    lines += [
        f"  {row.writer}: {row.figure:<28} {row.a:.4g} {row.b:.4g}"
        for row in text
        if row.a != row.b
    ]
    return [*lines, f"{a[1] / f'drift-{names[1]}.parquet'}"]
