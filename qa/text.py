"""How good the text of a dataset is: one row of figures per writer, and the fallbacks.

A writer is `evidence`, a recipe of the captioning model (`mllm` where a row names none), or
`evidence (fallback)` for rows that another writer was asked for. Only `qa.sums.COLUMNS` are read,
a batch at a time; of a sentence two hashes of 8 bytes are kept, so memory stays flat.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from qa.explanation import FALLBACK
from qa.sums import COLUMNS, COUNTS, KEYS, Hashes, hash_sentences, sum_rows
from schemas.arrow import arrow_schema
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame
from schemas.shards import DAMAGE

FREQUENT = 50
"""The most frequent templates whose share is told."""
ROWS_PER_BATCH = 1000
DIGITS = 12
"""Of a figure, behind the point: more differ by the order of summing, fewer would hide a row."""


@dataclass(frozen=True)
class Text:
    """The figures of a dataset's text.

    Attributes:
        quality: One row per writer, the figures of `measure`.
        fallbacks: One row per writer that is not `evidence`: rows asked for, the share that fell
            back, and the share of each reason, which is what stands before its colon.
    """

    quality: pd.DataFrame
    fallbacks: pd.DataFrame


def read(shards: Sequence[Path]) -> Iterator[pa.Table]:
    """Reads the columns that the figures need, some rows at a time.

    Raises:
        OutputError: A shard is damaged; the message names it.
    """
    for shard in shards:
        try:
            with pq.ParquetFile(shard) as file:
                for batch in file.iter_batches(ROWS_PER_BATCH, columns=list(COLUMNS)):
                    batch.validate(full=True)
                    yield pa.Table.from_batches([batch])
        except DAMAGE as error:
            raise OutputError(f"the shard {shard} is damaged: {error}") from error


def measure(tables: Iterable[pa.Table]) -> Text:
    """Measures text; neither the order of the rows nor how they are cut into tables matters.

    Shares are 0..1; a figure without anything to count is NaN. By writer:

    - `distinct sentences`, `distinct templates`: different ones among all published sentences, as
      written and as `template`; after distinct-n (Li et al., NAACL 2016), whole sentences for
      n-grams. They fall with the size of a set.
    - `top 50 share`: sentences of the 50 most frequent templates (ours, for DD-VQA's text).
    - `label named`, `real side named`, `method named`: explanations that give something away
      (ours; see `qa.leaks`).
    - `verdict equals label`: answers of task Det that name the side asked about. It is 1 by
      construction where answers are made from the label, as ours are, and exists to be compared
      with other data sets, where a lower figure would show an independent opinion (ours).
    - `region coverage`: mean over rows of the share of changed regions that a published claim is
      about; `area coverage`: the same with regions weighted by their changed pixels (ours).
    - `refuted`, `untestable`, `refused`: shares of all statements made, those that are not
      published included; refuted ones are to statements what CHAIR_i (Rohrbach et al., EMNLP
      2018) is to objects. What a writer said in rows that then fell back counts as its own.
    """
    return figures([add_up(tables)])


@dataclass(frozen=True)
class Sums:
    """What the figures of some rows are made from.

    Attributes:
        rows: Sums by `KEYS`, some lines for each table.
        hashes: `(N, 2) uint64` for each table, by writer: sentences as written, and as templates.
    """

    rows: pd.DataFrame
    hashes: dict[str, list[Hashes]]


def add_up_file(shard: Path) -> Sums:
    """Adds up a whole file."""
    return add_up(read([shard]))


def add_up(tables: Iterable[pa.Table]) -> Sums:
    """Adds up what `figures` needs, table by table."""
    sums: list[pd.DataFrame] = []
    hashes: dict[str, list[Hashes]] = defaultdict(list)
    for table in itertools.chain([arrow_schema(AnnotatedFrame).empty_table()], tables):
        rows, said = sum_rows(table), hash_sentences(table)
        words = said.groupby("row")["words"]
        rows["words"] = words.sum().reindex(rows.index, fill_value=0)
        rows["sentences"] = words.size().reindex(rows.index, fill_value=0)
        sums.append(rows.groupby(KEYS).sum())
        for writer, of_writer in said.groupby(rows["writer"].loc[said["row"]].to_numpy()):
            hashes[str(writer)].append(of_writer[["written", "template"]].to_numpy(np.uint64))
    return Sums(pd.concat(sums), dict(hashes))


def figures(parts: Iterable[Sums]) -> Text:
    """Gives the figures of all rows that were added up; see `measure`."""
    sums: list[pd.DataFrame] = []
    hashes: dict[str, list[Hashes]] = defaultdict(list)
    for part in parts:
        sums.append(part.rows)
        for writer, of_writer in part.hashes.items():
            hashes[writer] += of_writer
    total = pd.concat(sums).groupby(level=KEYS).sum().reset_index()
    return Text(_quality(total, hashes), _fallbacks(total))


def _quality(total: pd.DataFrame, hashes: dict[str, list[Hashes]]) -> pd.DataFrame:
    by_writer = total.groupby("writer").sum(numeric_only=True)
    lost = total[total["writer"] == FALLBACK].groupby("asked").sum(numeric_only=True)
    n = by_writer.reindex(by_writer.index.union(lost.index), fill_value=0)
    made = n[[*COUNTS]] + lost[[f"lost {fate}" for fate in COUNTS]].set_axis(
        [*COUNTS], axis=1
    ).reindex(n.index, fill_value=0)
    every = made.sum(axis=1)
    found = [_distinct(hashes[writer]) for writer in n.index]
    distinct = pd.DataFrame(np.array(found, dtype=int).reshape(-1, 3), n.index)
    table = {
        "rows": n["rows"],
        "sentences": n["sentences"],
        "distinct sentences": distinct[0] / n["sentences"],
        "distinct templates": distinct[1] / n["sentences"],
        "top 50 share": distinct[2] / n["sentences"],
        "words per sentence": n["words"] / n["sentences"],
        "claims per row": n["claims"] / n["rows"],
        "label named": n["label"] / n["rows"],
        "real side named": n["real side"] / n["rows"],
        "method named": n["method"] / n["rows"],
        "verdict equals label": n["equal"] / n["det"],
        "region coverage": n["covered"] / n["regions"],
        "area coverage": n["area"] / n["regions"],
        "refuted": made["contradicted"] / every,
        "untestable": made["untestable"] / every,
        "refused": made["refused"] / every,
    }
    return pd.DataFrame(table).round(DIGITS).rename_axis(index="writer")


def _distinct(hashes: Sequence[Hashes]) -> tuple[int, int, int]:
    """Counts different sentences, different templates, and sentences of frequent templates."""
    both = np.concatenate([np.empty((0, 2), np.uint64), *hashes])
    _, counts = np.unique(both[:, 1], return_counts=True)
    frequent = int(np.sort(counts)[::-1][:FREQUENT].sum())
    return len(np.unique(both[:, 0])), len(counts), frequent


def _fallbacks(total: pd.DataFrame) -> pd.DataFrame:
    asked = total[total["asked"] != "evidence"]
    rows = asked.groupby("asked")[["rows", "fallbacks"]].sum()
    back = asked[asked["fallbacks"] > 0]
    reasons = back.pivot_table("fallbacks", "asked", "reason", aggfunc="sum", fill_value=0)
    shares = reasons.reindex(rows.index, fill_value=0).div(rows["rows"], axis=0)
    table = {"rows asked": rows["rows"], "fallbacks": rows["fallbacks"] / rows["rows"]}
    joined = pd.DataFrame(table).join(shares)
    return joined.round(DIGITS).rename_axis(index="writer asked", columns=None)
