"""A large dataset for the bench of the dashboard: the toy set's rows again and again, new ids."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from schemas.reviews import LABELS, Review, labels_hash
from schemas.shards import write_records, write_table

ROWS_PER_SHARD = 1000
PICTURED = 10
"""Every tenth shard keeps its pictures: all would need 20 GB. Counting never reads them."""


def make_rows(toy: Path, folder: Path, rows: int, pictured: int = PICTURED) -> Path:
    """Writes a dataset in the layout of `out/`, and a manifest for it.

    Args:
        toy: Results of the toy set, `out/toy`.
        folder: Where to.
        rows: Frames.
        pictured: Every so many shards, one keeps its pictures.

    Returns:
        The manifest.
    """
    source = _annotated(toy)
    bare = _without_pictures(source)
    target = folder / "out" / "toy"
    for shard, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        number = np.arange(first, min(rows, first + ROWS_PER_SHARD))
        table = (bare if shard % pictured else source).take(pa.array(number % source.num_rows))
        ids = [f"{row}-{n:07d}" for row, n in zip(table["id"].to_pylist(), number, strict=True)]
        table = table.set_column(0, source.schema.field("id"), pa.array(ids))
        write_table(target / "annotations" / f"toy-{shard:05d}.parquet", table)
    (target / "rejects").mkdir(parents=True)
    shutil.copy(toy / "rejects" / "toy.parquet", target / "rejects")
    manifest = yaml.safe_load(Path("data_manifest.yaml").read_text())
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest | {"output": str(folder / "out")}))
    return path


def make_reviews(toy: Path, folder: Path, rows: int, reviews: int) -> Path:
    """Writes reviews of a dataset that `make_rows` made, of its labels as they are.

    Args:
        toy: As there.
        folder: As there.
        rows: Frames of the dataset; every so many are reviewed, by three people in turn.
        reviews: How many.

    Returns:
        The exported file, from which the dashboard makes its own.
    """
    source = _annotated(toy)
    labels = [labels_hash(row) for row in source.select(LABELS).to_pylist()]
    ids = source["id"].to_pylist()
    made = (
        Review(
            id=f"{ids[n % len(ids)]}-{n:07d}", reviewer=f"reviewer {k % 3}", decision="accept",
            note="seen", labels_hash=labels[n % len(ids)], at=float(k),
        )
        for k, n in enumerate(int(step * rows / reviews) for step in range(reviews))
    )  # fmt: skip
    return write_records(folder / "out" / "toy" / "reviews.parquet", made, Review)


def _annotated(toy: Path) -> pa.Table:
    shards = sorted(toy.glob("annotations/*.parquet"))
    if not shards:
        raise SystemExit(f"no shards in {toy}/annotations: run `make demo` first")
    return pa.concat_tables([pq.read_table(path) for path in shards])


def _without_pictures(table: pa.Table) -> pa.Table:
    for side in ("real", "fake"):
        field = table.schema.field(side)
        none = pa.array([{"bytes": None, "path": ""}] * table.num_rows, field.type)
        table = table.set_column(table.schema.get_field_index(side), field, none)
    return table
