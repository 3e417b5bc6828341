"""The files that statistics and dashboard are of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flows.run import Run, make_run
from qa.tables import FRAMES, Source
from schemas.errors import UsageError
from schemas.manifest import load_manifest
from schemas.shards import read_metadata


def source_of(run: Run) -> Source:
    """Gives the files of a dataset that was annotated."""
    shards = tuple(sorted(run.shards.glob("*.parquet")))
    return Source(run.name, shards, run.rejects_path, run.costs_path)


def other_source(run: Run, manifest: Path, other: str) -> tuple[Source, Path]:
    """Gives what a dataset is compared with; what is made of it is kept beside the dataset."""
    return any_source(manifest, other, run.output / "qa" / "against")


def any_source(manifest: Path, named: str, kept: Path) -> tuple[Source, Path]:
    """Gives the files of a dataset of the manifest, or of a folder of shards, and its folder `qa/`.

    A folder is a release, what another run put out for a dataset, or one that holds shards itself.
    Its name ends in a hash of its path: folders of equal names are different datasets.

    Args:
        manifest: Path of the manifest.
        named: A dataset or a folder.
        kept: Where to keep what is made of folders, so that a release stays as it is.

    Raises:
        UsageError: It is neither.
        OutputError: A file is damaged.
    """
    if named in load_manifest(manifest).datasets:
        found = make_run(named, manifest)
        return source_of(found), found.output / "qa"
    folder = Path(named).resolve()
    shards = _shards_in(folder)
    if not shards:
        raise UsageError(f"'{named}' is no dataset of the manifest and no folder of shards")
    rejects = next(folder.glob("rejects/*.parquet"), folder / "rejects.parquet")
    name = f"{folder.name}-{hashlib.sha256(bytes(folder)).hexdigest()[:6]}"
    source = Source(name, shards, rejects, folder / "costs.parquet")
    return source, kept / name


def _shards_in(folder: Path) -> tuple[Path, ...]:
    """Gives the files of annotated frames in a folder; units of a run hold its rows once more."""
    of_run = sorted(folder.glob("annotations/*.parquet"))
    found = of_run or sorted([*folder.glob("*.parquet"), *folder.glob("data/*/*.parquet")])
    return tuple(path for path in found if read_metadata(path).get("record") in FRAMES)
