"""What the static report shows: the tables of `qa.tables`, laid out for a reader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from qa.index import made_from, state
from qa.tables import POSES, SIZES, Source
from qa.text import Text, measure, read
from schemas.atomic import write_text
from schemas.shards import write_table

MEANS = {
    "mask_share": "mask, % of the crop",
    "mask_px": "mask, px",
    "confidence": "confidence",
    "stability": "stability",
}
"""Columns of the table `frames` that are means, and how a reader is told of them."""
FATES = ["supported", "contradicted", "untestable", "refused"]


@dataclass(frozen=True)
class Statistics:
    """What a report tells of a dataset.

    Attributes:
        frames: One row per method: frames at each compression, mean mask and quality.
        views: Frames, masks and quality by turn of the head, then by size of the face.
        splits: The same by split.
        regions: Frames with each region, by method; most frequent first.
        evidence: Significant changes by kind and method.
        verdicts: Statements by writer and by what became of them.
        rejects: Rejects by method and reason.
        text: Figures of the text and its fallbacks, by writer.
    """

    frames: pd.DataFrame
    views: pd.DataFrame
    splits: pd.DataFrame
    regions: pd.DataFrame
    evidence: pd.DataFrame
    verdicts: pd.DataFrame
    rejects: pd.DataFrame
    text: Text


def write_text_tables(shards: Sequence[Path], folder: Path) -> None:
    """Measures the text and writes `text.parquet` and `fallbacks.parquet` beside the tables."""
    text = measure(read(shards))
    for name, table in (("text", text.quality), ("fallbacks", text.fallbacks)):
        arrow = pa.Table.from_pandas(table.reset_index(), preserve_index=False)
        write_table(folder / f"{name}.parquet", arrow.replace_schema_metadata())


def prepare_text(source: Source, folder: Path) -> None:
    """Writes the tables of the text where the shards are others than the last time.

    Half a millisecond of a core a row: it is apart from `prepare`, on which a visitor waits.

    Args:
        source: The dataset.
        folder: Its folder `qa/`.

    Raises:
        OutputError: A file is damaged.
    """
    tables, stamp = folder / "tables", folder / "text.json"
    if (tables / "text.parquet").is_file() and made_from(stamp) == state(source):
        return
    facts = state(source)
    stamp.unlink(missing_ok=True)
    write_text_tables(source.shards, tables)
    write_text(stamp, json.dumps(facts))


def collect(tables: Path) -> Statistics:
    """Reads a dataset's tables.

    Args:
        tables: Their folder, as `qa.tables.write_tables` and `write_text_tables` fill it.
    """
    frames = _read(tables, "frames")
    rejects = _read(tables, "rejects")
    evidence = _of(_read(tables, "evidence"), "method")
    evidence = evidence[evidence["significant"] > 0]
    kind = evidence["kind"] + ": " + evidence["direction"]
    return Statistics(
        frames=_by_method(frames),
        views=_views(frames),
        splits=_means(_of(frames, "split"), "split"),
        regions=_cross(_of(_read(tables, "regions"), "method"), "region", "frames"),
        evidence=_cross(evidence.assign(kind=kind), "kind", "significant"),
        verdicts=_read(tables, "verdicts").groupby("writer")[FATES].sum(),
        rejects=rejects.pivot_table(
            "rejects", "reason", "method", aggfunc="sum", fill_value=0
        ).rename_axis(index="reason", columns=None),
        text=Text(
            _read(tables, "text").set_index("writer"),
            _read(tables, "fallbacks").set_index("writer asked"),
        ),
    )


def _read(tables: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(tables / f"{name}.parquet")


def _of(table: pd.DataFrame, by: str) -> pd.DataFrame:
    return table[table["by"] == by]


def _by_method(frames: pd.DataFrame) -> pd.DataFrame:
    cells = _of(frames, "method, compression")
    counts = cells.pivot_table("frames", "method", "compression", aggfunc="sum", fill_value=0)
    means = _means(_of(frames, "method"), "method").drop(columns="frames")
    return counts.join(means).rename_axis(index="method", columns=None)


def _means(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    table = rows.set_index(key)[["frames", *MEANS]]
    table = table.assign(mask_share=100 * table["mask_share"])
    return table.round(2).rename(columns=MEANS).rename_axis(index=key)


def _views(frames: pd.DataFrame) -> pd.DataFrame:
    """Gives a row for each band of |yaw| and of face size, also for an empty one."""
    parts = [
        _means(_of(frames, key), key).reindex(names)
        for key, names in (("pose", POSES), ("size", SIZES))
    ]
    views = pd.concat(parts).rename_axis(index="view of the real face")
    return views.assign(frames=views["frames"].fillna(0).astype(int))


def _cross(rows: pd.DataFrame, key: str, count: str) -> pd.DataFrame:
    table = rows.pivot_table(count, key, "method", aggfunc="sum", fill_value=0)
    table.insert(0, "all", table.sum(axis=1).astype(int))
    return table.sort_values("all", ascending=False, kind="stable").rename_axis(
        index=None, columns=None
    )
