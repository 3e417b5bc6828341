"""The files that statistics and dashboard are of."""

from __future__ import annotations

import re
from pathlib import Path

from flows.run import Run, make_run
from qa.tables import Source
from schemas.errors import OutputError, UsageError
from schemas.manifest import load_manifest
from schemas.shards import read_metadata


def source_of(run: Run) -> Source:
    """Gives the files of a dataset that was annotated."""
    shards = tuple(sorted(run.shards.glob("*.parquet")))
    return Source(run.name, shards, run.rejects_path, run.costs_path)


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
    shards = tuple(path for path in shards if _is_shard(path))
    if not shards:
        raise UsageError(f"'{other}' is no dataset of the manifest and no folder of shards")
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name)
    source = Source(name, shards, folder / "rejects.parquet", folder / "costs.parquet")
    return source, run.output / "qa" / "against" / name


def _is_shard(path: Path) -> bool:
    """Tells whether a file holds annotated frames, by its metadata; a damaged one counts."""
    try:
        return read_metadata(path).get("record") == "AnnotatedFrame"
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
