"""Compaction: finished units become shards, in plan order: same units, same bytes."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from annotators.pipeline import CONTROL
from fict.tree import load_tree
from flows.explain import explain_hash
from flows.run import PlannedPair, Run, Summary
from flows.units import measuring_code, read_json, unit_id, write_text
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records, write_records

ROWS_PER_SHARD = 1000


def compact(run: Run, plan: Sequence[PlannedPair]) -> Summary:
    """Joins the finished units of a plan into shards and rejects.

    Does nothing where they are up to date. Two runs at once take turns.

    Raises:
        OutputError: Two rows have one id; nothing is published then.
    """
    with (run.output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _compact(run, plan)


def _compact(run: Run, plan: Sequence[PlannedPair]) -> Summary:
    planned = [pair for pair in plan if run.explained.is_stored(pair.explain_unit)]
    metadata = _metadata(run)
    unplanned = read_records(run.unplanned_path, Reject)
    digest = unit_id(
        {
            "units": [_content(run, pair) for pair in planned],
            "unplanned": [one.model_dump() for one in unplanned],
            "metadata": metadata,
        }
    )
    stamp = run.output / "annotations.json"
    counts = (len(plan), len(plan) - len(planned))
    found = read_json(stamp)
    if found.get("digest") == digest and found.get("files") == _sizes(run):
        return _summary(found, *counts)
    stamp.unlink(missing_ok=True)
    rejects = [*unplanned, *run.measured.rejects(pair.measure_unit for pair in planned)]
    rejects += run.explained.rejects(pair.explain_unit for pair in planned)
    write_records(run.rejects_path, rejects, Reject, metadata)
    frames, fallbacks = _write_shards(run, planned, metadata)
    facts = {
        "digest": digest,
        "files": _sizes(run),
        "frames": [[*key, count] for key, count in frames.items()],
        "rejects": Counter(one.reason for one in rejects),
        "fallbacks": fallbacks,
    }
    write_text(stamp, json.dumps(facts, sort_keys=True, indent=1))
    return _summary(facts, *counts)


def _content(run: Run, pair: PlannedPair) -> list[str]:
    """Gives what tells one result of a pair from another, also after a second try."""
    return [
        pair.explain_unit,
        run.measured.content(pair.measure_unit),
        run.explained.content(pair.explain_unit),
    ]


def _sizes(run: Run) -> dict[str, int]:
    """Gives the published files and their sizes."""
    files = [*sorted(run.shards.glob("*.parquet")), run.rejects_path]
    return {path.name: path.stat().st_size for path in files if path.is_file()}


def _metadata(run: Run) -> dict[str, Any]:
    tree, dataset = load_tree(), run.manifest.dataset(run.name)
    return {
        "dataset": run.name,
        "title": dataset.title,
        "controls": [m for m, forgery in dataset.methods.items() if forgery == CONTROL],
        "licence": dataset.licence.model_dump(mode="json"),
        "fict": {"version": tree.version, "categories": categories()},
        "code_version": measuring_code(),
        "measure": run.manifest.measure.model_dump(mode="json"),
        "explain": {"explainer": run.manifest.explain.explainer, "hash": explain_hash(run)},
    }


def categories() -> list[dict[str, Any]]:
    """Gives FICT as COCO categories; `atomic` tells the 112 concepts from their parents."""
    tree = load_tree()
    return [
        {
            "id": concept.id,
            "name": concept.name,
            "supercategory": concept.parent,
            "atomic": tree.is_atomic(concept),
        }
        for concept in tree.concepts
    ]


def _write_shards(
    run: Run, planned: Sequence[PlannedPair], metadata: dict[str, Any]
) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    frames: Counter[tuple[str, str]] = Counter()
    fallbacks: Counter[str] = Counter()
    seen: set[str] = set()
    shards: set[Path] = set()
    for rows in _shards_of(run, planned):
        for row in rows:
            if row.id in seen:
                raise OutputError(f"two rows have the id {row.id}: nothing was published")
            seen.add(row.id)
            frames[row.method, row.compression] += 1
            if row.fallback_reason:
                fallbacks[row.fallback_reason.split(":")[0]] += 1
        path = run.shards / f"{run.name}-{len(shards):05d}.parquet"
        shards.add(write_records(path, rows, AnnotatedFrame, metadata))
    for old in set(run.shards.glob("*.parquet")) - shards:
        old.unlink()
    return frames, fallbacks


def _shards_of(run: Run, planned: Sequence[PlannedPair]) -> Iterable[list[AnnotatedFrame]]:
    """Gives the rows of one shard after the other, at least one; memory holds one shard."""
    rows: list[AnnotatedFrame] = []
    full = 0
    for pair in planned:
        rows += run.explained.rows([pair.explain_unit])
        while len(rows) >= ROWS_PER_SHARD:
            yield rows[:ROWS_PER_SHARD]
            rows, full = rows[ROWS_PER_SHARD:], full + 1
    if rows or not full:
        yield rows


def _summary(facts: dict[str, Any], pairs: int, open_pairs: int) -> Summary:
    return Summary(
        pairs=pairs,
        open_pairs=open_pairs,
        frames=Counter({(method, level): count for method, level, count in facts["frames"]}),
        rejects=Counter(facts["rejects"]),
        fallbacks=Counter(facts["fallbacks"]),
    )
