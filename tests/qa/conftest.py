"""Shared by the tests of `qa/`: the annotated rows, and datasets made of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flows.run import Run, Summary
from qa.tables import Source
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_metadata, read_records, write_records


@pytest.fixture(scope="session")
def rows(annotated: tuple[Run, Summary]) -> list[AnnotatedFrame]:
    run, _ = annotated
    return read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)


@pytest.fixture(scope="session")
def write_source(annotated: tuple[Run, Summary]) -> Callable[..., Source]:
    """Writes rows, and rejects, as a dataset's files."""
    run, _ = annotated
    facts = read_metadata(sorted(run.shards.glob("*.parquet"))[0])

    def write(
        folder: Path, rows: Sequence[AnnotatedFrame], rejects: Sequence[Reject] = ()
    ) -> Source:
        shard = write_records(folder / "annotations" / "a.parquet", rows, AnnotatedFrame, facts)
        source = Source("toy", (shard,), folder / "rejects.parquet", folder / "costs.parquet")
        if rejects:
            write_records(source.rejects, rejects, Reject, facts)
        return source

    return write
