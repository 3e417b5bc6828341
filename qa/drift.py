"""How two datasets or releases differ: shares of what was counted in both, from their tables.

Two measures, well known and simple. The population stability index of a distribution sums
`(b - a) ln(b / a)` over its categories: below 0.1 it is called stable, above 0.25 another
population (rule of thumb of credit scoring; half a count is added to each category, so that an
empty one does not make it infinite). Of a single category, the two-proportion z-test: frames of one
video resemble each other, so its p-values are too small; they rank differences, and prove none.
"""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pydantic import Field

from schemas.errors import OutputError
from schemas.records import Record
from schemas.shards import DAMAGE, write_records

STABLE, SHIFTED = 0.1, 0.25
HALF = 0.5
_COUNTED = {
    "method": ("frames", "method", "frames", "\"by\" = 'method'"),
    "compression": ("frames", "compression", "frames", "\"by\" = 'compression'"),
    "split": ("frames", "split", "frames", "\"by\" = 'split'"),
    "pose": ("frames", "pose", "frames", "\"by\" = 'pose'"),
    "face size": ("frames", "size", "frames", "\"by\" = 'size'"),
    "confidence": ("histograms", "step / 10", "frames", "figure = 'confidence'"),
    "stability": ("histograms", "step / 10", "frames", "figure = 'stability'"),
    "mask share": ("histograms", "step / 20", "frames", "figure = 'mask share'"),
    "region": ("regions", "region", "frames", "\"by\" = 'all'"),
    "evidence": ("evidence", "kind || ': ' || direction", "significant", "\"by\" = 'all'"),
    "claim": ("claims", "kind || ': ' || direction", "claims", "\"by\" = 'all'"),
    "reject reason": ("rejects", "reason", "rejects", "true"),
    "writer": ("verdicts", "writer", "frames", "true"),
    "verdict": ("verdicts", "verdict", "statements", "true"),
}
"""Distribution: its table, its category, its count, its rows."""
_READ = {
    "verdict": "(SELECT * FROM read_parquet(?)) UNPIVOT "
    "(statements FOR verdict IN (supported, contradicted, untestable, refused))"
}
"""How a table is read whose counts stand in several columns."""


class Drift(Record):
    """One category of a distribution in two datasets."""

    distribution: str = Field(description="What was counted.")
    category: str = Field(description="One value of it.")
    count_a: int = Field(description="How often the first dataset has it.")
    count_b: int = Field(description="How often the second has it.")
    share_a: float = Field(description="The same as a share of the distribution.")
    share_b: float = Field(description="The same of the second.")
    z: float = Field(description="Two-proportion z; positive: more in the second.")
    p: float = Field(description="Two-sided p of z.")
    psi: float = Field(description="Population stability index of the whole distribution.")


def drift(a: Path, b: Path) -> list[Drift]:
    """Compares the tables of two datasets.

    Args:
        a: Folder of the first one's tables.
        b: Folder of the second one's.

    Returns:
        Distributions in turn, in each the largest difference first.

    Raises:
        OutputError: A table is absent or damaged.
    """
    rows: list[Drift] = []
    for name in _COUNTED:
        rows += compare_counts(name, _counts(name, a), _counts(name, b))
    return rows


def write_drift(a: Path, b: Path, folder: Path, other: str) -> tuple[list[Drift], list[TextDrift]]:
    """Compares two datasets; writes `drift-OTHER.parquet` and `drift-text-OTHER.parquet`.

    Args:
        a: Folder of the first one's tables.
        b: Folder of the second one's.
        folder: Where to.
        other: What the second one is called.
    """
    rows, text = drift(a, b), text_drift(a, b)
    write_records(folder / f"drift-{other}.parquet", rows, Drift)
    write_records(folder / f"drift-text-{other}.parquet", text, TextDrift)
    return rows, text


class TextDrift(Record):
    """One figure of what a writer wrote in two datasets."""

    writer: str = Field(description="Who wrote.")
    figure: str = Field(description="Name of the figure, as in the table of the text.")
    a: float = Field(description="Its value in the first dataset.")
    b: float = Field(description="The same in the second.")


def text_drift(a: Path, b: Path) -> list[TextDrift]:
    """Compares the figures of the text, of writers that both have; those without a value are not.

    Args:
        a: Folder of the first dataset's tables.
        b: Folder of the second one's.

    Raises:
        OutputError: A table is absent or damaged.
    """
    rows, others = (_text(folder) for folder in (a, b))
    return [
        TextDrift(writer=writer, figure=figure, a=value, b=others[writer][figure])
        for writer, figures in rows.items()
        for figure, value in figures.items()
        if figure in others.get(writer, {})
    ]


def _text(tables: Path) -> dict[str, dict[str, float]]:
    """Gives the figures that have a value, by writer."""
    path = tables / "text.parquet"
    try:
        found = pq.read_table(path).to_pylist()
    except DAMAGE as error:
        raise OutputError(f"{path} cannot be compared: {error}") from error
    return {
        row.pop("writer"): {
            name: float(value)
            for name, value in row.items()
            if value is not None and value == value
        }
        for row in found
    }


def judged(psi: float) -> str:
    """Says what an index means."""
    return "stable" if psi < STABLE else "shifted" if psi < SHIFTED else "different"


def _counts(name: str, tables: Path) -> dict[str, int]:
    table, category, count, where = _COUNTED[name]
    path = str(tables / f"{table}.parquet")
    try:
        with duckdb.connect() as con:
            found = con.execute(
                f"SELECT ({category})::VARCHAR, sum({count})::BIGINT "  # noqa: S608
                f"FROM {_READ.get(name, 'read_parquet(?)')} WHERE {where} GROUP BY 1",
                [path],
            ).fetchall()
    except duckdb.Error as error:
        raise OutputError(f"{path} cannot be compared: {error}") from error
    return {str(key): number for key, number in found if number}


def compare_counts(name: str, a: dict[str, int], b: dict[str, int]) -> list[Drift]:
    """Compares one distribution: a row for each category, the largest difference first."""
    every = sorted(set(a) | set(b))
    all_a, all_b = sum(a.values()), sum(b.values())
    psi = _psi([(a.get(key, 0), b.get(key, 0)) for key in every])
    rows = []
    for key in every:
        count_a, count_b = a.get(key, 0), b.get(key, 0)
        z = _z(count_a, all_a, count_b, all_b)
        rows.append(
            Drift(
                distribution=name,
                category=key,
                count_a=count_a,
                count_b=count_b,
                share_a=count_a / all_a if all_a else 0.0,
                share_b=count_b / all_b if all_b else 0.0,
                z=z,
                p=math.erfc(abs(z) / math.sqrt(2)),
                psi=psi,
            )
        )
    return sorted(rows, key=lambda row: -abs(row.share_b - row.share_a))


def _psi(counts: list[tuple[int, int]]) -> float:
    all_a = sum(a + HALF for a, _ in counts)
    all_b = sum(b + HALF for _, b in counts)
    shares = [((a + HALF) / all_a, (b + HALF) / all_b) for a, b in counts]
    return sum((b - a) * math.log(b / a) for a, b in shares)


def _z(count_a: int, all_a: int, count_b: int, all_b: int) -> float:
    """Gives 0 where either side is empty: nothing can be compared then."""
    if not all_a or not all_b:
        return 0.0
    pooled = (count_a + count_b) / (all_a + all_b)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / all_a + 1 / all_b))
    return (count_b / all_b - count_a / all_a) / spread if spread else 0.0
