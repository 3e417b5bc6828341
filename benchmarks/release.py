"""How fast a dataset is released and whether memory grows with it: `python -m benchmarks.release`.

The rows are those of an annotated dataset, again and again under new ids, so that each costs what a
real one does. Each size is released by a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.release import source_of
from flows.run import make_run
from release.formats import FORMATS
from release.make import Order, make_release
from release.source import Source
from schemas.records import Pair
from schemas.shards import ROWS_PER_GROUP

ROWS_PER_SHARD = 1000
KEPT = ("dataset", "method", "compression", "split", "real_path", "fake_path")


def multiply(table: pa.Table, rows: int, folder: Path) -> None:
    """Writes shards with so many rows: those of a table under new pairs and ids."""
    folder.mkdir(parents=True)
    written = 0
    for shard in range(-(-rows // ROWS_PER_SHARD)):
        size = min(ROWS_PER_SHARD, rows - written)
        parts: list[pa.Table] = []
        while (left := size - sum(part.num_rows for part in parts)) > 0:
            parts.append(_renamed(table, len(parts), shard).slice(0, left))
        whole = pa.concat_tables(parts)
        path = folder / f"{shard:05d}.parquet"
        pq.write_table(whole, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
        written += size


def _renamed(table: pa.Table, part: int, shard: int) -> pa.Table:
    """Gives a table's rows as those of other pairs."""
    mark = f"{shard:05d}-{part}"
    pairs = [f"{pair}-{mark}" for pair in table["pair"].to_pylist()]
    ids = [
        f"{head}-{mark}/{frame}"
        for head, _, frame in (one.rpartition("/") for one in table["id"].to_pylist())
    ]
    for name, values in (("pair", pairs), ("id", ids)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values))
    return table


def many_of(source: Source, folder: Path) -> Source:
    """Gives a source whose shards are those of a folder, with the plan that fits them."""
    shards = sorted(folder.glob("*.parquet"))
    frames, pairs = Counter[tuple[str, str]](), dict[str, Pair]()
    for row in _facts(shards):
        frames[row["method"], row["compression"]] += 1
        pair = Pair(pair=row["pair"], **{name: row[name] for name in KEPT})
        pairs[pair.key] = pair
    counted = {**source.counted, "frames": [[*key, n] for key, n in frames.items()]}
    return replace(source, shards=shards, pairs=list(pairs.values()), counted=counted)


def _facts(shards: list[Path]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        yield from pq.read_table(shard, columns=["pair", *KEPT]).to_pylist()


def measure(source: Source, order: Order) -> dict[str, Any]:
    """Makes a release; gives rows, seconds, rows per second and the peaks of memory in MB."""
    start = time.perf_counter()
    outcome = make_release(source, order, lambda *_: None)
    seconds = time.perf_counter() - start
    if not outcome.passed:
        raise RuntimeError(f"the gate stopped it: {[one for one in outcome.results if one.failed]}")
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usages)
    rows = outcome.rows.total()
    return {
        "rows": rows, "seconds": round(seconds, 1), "rows_per_second": round(rows / seconds, 1),
        "cpu_ms_per_row": round(1000 * cpu / rows, 2),
        "peak_mb": round(usages[0].ru_maxrss / 1024),
        "worker_peak_mb": round(usages[1].ru_maxrss / 1024), "workers": order.workers,
        "pixels": order.with_pixels, "formats": len(order.formats),
    }  # fmt: skip


def main() -> None:
    """Releases the wanted sizes and prints a JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--dataset", default="toy")
    parser.add_argument("--manifest", type=Path, default=Path("data_manifest.yaml"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--with-pixels", action="store_true")
    parser.add_argument("--exports", action="store_true", help="in all formats, too")
    parser.add_argument("--folder", type=Path, help="of a size that is there: release it")
    told = parser.parse_args()
    run = make_run(told.dataset, told.manifest)
    source = source_of(run)
    if told.folder:
        many = many_of(source, told.folder / "shards")
        formats = tuple(FORMATS) if told.exports else ()
        order = Order("1.0.0", told.folder / "1.0.0", told.with_pixels, formats, told.workers)
        print(json.dumps(measure(many, order)), flush=True)
        return
    table = pa.concat_tables([pq.read_table(path) for path in source.shards])
    for rows in told.rows:
        with tempfile.TemporaryDirectory(dir=run.output) as folder:
            multiply(table, rows, Path(folder) / "shards")
            subprocess.run(
                [sys.executable, "-m", "benchmarks.release", *sys.argv[1:], "--folder", folder],
                check=True,
            )


if __name__ == "__main__":
    main()
