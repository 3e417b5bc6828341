"""Compaction: finished units become shards, in plan order: same units, same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fict.tree import load_tree
from flows.run import PlannedPair, Run, Summary
from flows.stages import explain_hash, read_plan
from flows.units import code_version, unit_id, write_text
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records, write_records

ROWS_PER_SHARD = 1000


def compact(run: Run) -> Summary:
    """Joins the units into shards and rejects; does nothing where they are up to date.

    Raises:
        OutputError: Two rows have one id; nothing is published then.
    """
    planned = read_plan(run)
    metadata = _metadata(run)
    digest = unit_id({"units": [pair.explain_unit for pair in planned], "metadata": metadata})
    stamp = run.output / "annotations.json"
    found = _read_stamp(stamp)
    retried = any(not run.explained.is_done(pair.explain_unit) for pair in planned)
    if found and found["digest"] == digest and not retried:
        return _summary(found, len(planned))
    stamp.unlink(missing_ok=True)
    rejects = read_records(run.output / "plan.rejects.parquet", Reject)
    rejects += run.measured.rejects(pair.measure_unit for pair in planned)
    rejects += run.explained.rejects(pair.explain_unit for pair in planned)
    write_records(run.rejects_path, rejects, Reject, metadata)
    frames, fallbacks = _write_shards(run, planned, metadata)
    facts = {
        "digest": digest,
        "frames": [[*key, count] for key, count in frames.items()],
        "rejects": Counter(one.reason for one in rejects),
        "fallbacks": fallbacks,
    }
    write_text(stamp, json.dumps(facts, sort_keys=True, indent=1))
    return _summary(facts, len(planned))


def _metadata(run: Run) -> dict[str, Any]:
    tree = load_tree()
    return {
        "dataset": run.name,
        "licence": run.manifest.dataset(run.name).licence.model_dump(mode="json"),
        "fict": {"version": tree.version, "categories": categories()},
        "code_version": code_version(),
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


def _read_stamp(stamp: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return facts


def _summary(facts: dict[str, Any], pairs: int) -> Summary:
    return Summary(
        pairs=pairs,
        frames=Counter({(method, level): count for method, level, count in facts["frames"]}),
        rejects=Counter(facts["rejects"]),
        fallbacks=Counter(facts["fallbacks"]),
    )
