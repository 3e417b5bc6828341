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
from pydantic import Field

from schemas.errors import OutputError
from schemas.records import Record
from schemas.shards import write_records

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
}
"""Distribution: its table, its category, its count, its rows."""


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


def write_drift(a: Path, b: Path, path: Path) -> list[Drift]:
    """Compares two datasets and writes the result as Parquet."""
    rows = drift(a, b)
    write_records(path, rows, Drift)
    return rows


def judged(psi: float) -> str:
    """Says what an index means."""
    return "stable" if psi < STABLE else "shifted" if psi < SHIFTED else "different"


def _counts(name: str, tables: Path) -> dict[str, int]:
    table, category, count, where = _COUNTED[name]
    path = str(tables / f"{table}.parquet")
    try:
        with duckdb.connect() as con:
            found = con.execute(
                f"SELECT ({category})::VARCHAR, sum({count})::BIGINT FROM read_parquet(?) "  # noqa: S608
                f"WHERE {where} GROUP BY 1",
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
