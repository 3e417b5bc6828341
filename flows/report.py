"""The report as a stage: written once for the same shards, by one run at a time."""

from __future__ import annotations

import json
from pathlib import Path

from flows.run import Run
from flows.source import source_of
from flows.units import read_json, unit_id
from qa.report import write_report
from schemas.atomic import write_text
from schemas.errors import OutputError
from schemas.provenance import file_hash, source_hash
from schemas.stopwatch import CLOCK


def report(run: Run, *, anew: bool = False) -> Path:
    """Writes a dataset's report where its shards, figures or code are others than the last time.

    Args:
        run: The dataset.
        anew: Write it in any case.

    Returns:
        Path of the page.

    Raises:
        OutputError: There is nothing annotated, or the folder cannot be written.
    """
    folder = run.output / "qa"
    if not any(run.shards.glob("*.parquet")):
        raise OutputError(f"nothing is annotated in {run.shards}; run: facext annotate {run.name}")
    page, stamp = folder / "index.html", folder / "report.json"
    with run.turn(), CLOCK.step("report"):
        facts = {"digest": _digest(run)}
        if anew or not page.is_file() or read_json(stamp) != facts | {"page": file_hash(page)}:
            stamp.unlink(missing_ok=True)
            write_report(source_of(run), folder)
            write_text(stamp, json.dumps(facts | {"page": file_hash(page)}))
    return page


def _digest(run: Run) -> str:
    made_from = (
        run.stamp_path,
        run.costs_path,
        run.output / "qa" / "parroting.parquet",
    )
    hashes = [file_hash(path) for path in made_from]
    return unit_id({"from": hashes, "code": source_hash("schemas", "qa")})
