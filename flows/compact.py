"""Compaction: finished units become shards, in plan order: same units, same bytes."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from annotators.pipeline import CONTROL
from fict.tree import load_tree
from flows.completeness import Tally, finished
from flows.explain import explain_hash
from flows.run import Plan, PlannedPair, Run, Summary
from flows.units import measuring_code, read_json, unit_id
from schemas.atomic import sync_folder, write_text
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import write_records
from schemas.stopwatch import CLOCK

ROWS_PER_SHARD = 1000


def compact(run: Run, plan: Plan) -> Summary:
    """Joins the finished units of a plan into shards and rejects.

    Does nothing where they are up to date, and leaves them as they are while a pair of theirs that
    is still planned is open: half of a dataset is no better than the old one. Two runs at once
    take turns.

    Raises:
        OutputError: A frame is lost or two have one id; nothing is published then.
    """
    with run.turn(), CLOCK.step("compaction"):
        return _compact(run, plan)


def _compact(run: Run, plan: Plan) -> Summary:
    contents = {pair: _content(run, pair) for pair in plan.pairs}
    planned = [pair for pair in plan.pairs if contents[pair]]
    metadata = _metadata(run)
    digest = unit_id(
        {
            "units": [[*contents[pair], pair.told()] for pair in planned],
            "unplanned": [one.model_dump() for one in plan.rejects],
            "metadata": metadata,
            "generation": run.generation,
        }
    )
    stamp = run.stamp_path
    open_pairs = {pair.key for pair in plan.pairs if not contents[pair]}
    counts = (len(plan.pairs), len(open_pairs))
    found = read_json(stamp)
    if found.get("digest") == digest and found.get("files") == _sizes(run):
        return _summary(found, *counts)
    if found and not open_pairs.isdisjoint(found.get("pairs", open_pairs)):
        return _summary(found, *counts, outdated=True)
    tally = Tally(rejects=list(plan.rejects), promised=len(plan.rejects))
    written = _write_shards(run, planned, metadata, tally)
    tally.check()
    stamp.unlink(missing_ok=True)
    _publish(run, written)
    write_records(run.rejects_path, tally.rejects, Reject, metadata)
    facts = {
        "digest": digest,
        "generation": run.generation,
        "pairs": [pair.key for pair in planned],
        "files": _sizes(run),
        "frames": [[*key, count] for key, count in tally.frames.items()],
        "rejects": Counter(one.reason for one in tally.rejects),
        "fallbacks": tally.fallbacks,
    }
    write_text(stamp, json.dumps(facts, sort_keys=True, indent=1))
    return _summary(facts, *counts)


def _content(run: Run, pair: PlannedPair) -> list[str]:
    """Gives what tells one result of a pair from another, also after a second try.

    Empty where the pair is not annotated, or was measured again since it was explained.
    """
    explained = run.explained.state(pair.explain_unit)
    measured = run.measured.state(pair.measure_unit)
    if not explained or not measured or explained.parent != measured.content:
        return []
    return [pair.explain_unit, measured.content, explained.content]


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
    run: Run, planned: Sequence[PlannedPair], metadata: dict[str, Any], tally: Tally
) -> list[Path]:
    """Writes the rows of finished pairs beside the shards, before any is replaced.

    There is at least one shard; memory holds one row group and one pair.
    """
    beside = run.output / "annotations.new"
    shutil.rmtree(beside, ignore_errors=True)
    rows, written = _rows(run, planned, tally), list[Path]()
    first = next(rows, None)
    while first or not written:
        shard = itertools.islice(rows, ROWS_PER_SHARD - 1) if first else ()
        path = beside / f"{run.name}-{len(written):05d}.parquet"
        whole = itertools.chain([first] if first else [], shard)
        written.append(write_records(path, whole, AnnotatedFrame, metadata))
        first = next(rows, None)
    return written


def _publish(run: Run, written: Sequence[Path]) -> None:
    """Moves new shards into place; those that are no longer needed go."""
    try:
        run.shards.mkdir(parents=True, exist_ok=True)
        for path in written:
            path.replace(run.shards / path.name)
        for old in run.shards.glob("*.parquet"):
            if old.name not in {path.name for path in written}:
                old.unlink()
        sync_folder(run.shards)
        written[0].parent.rmdir()
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"cannot publish into {run.shards}: {why}") from error


def _rows(run: Run, planned: Sequence[PlannedPair], tally: Tally) -> Iterator[AnnotatedFrame]:
    """Gives the rows of finished pairs in the order of the plan, with what it tells of them."""
    for pair in planned:
        found = finished(run, pair)
        tally.add(found)
        yield from (row.model_copy(update=pair.told()) for row in found.rows)


def _summary(
    facts: dict[str, Any], pairs: int, open_pairs: int, *, outdated: bool = False
) -> Summary:
    return Summary(
        pairs=pairs,
        open_pairs=open_pairs,
        frames=Counter({(method, level): count for method, level, count in facts["frames"]}),
        rejects=Counter(facts["rejects"]),
        fallbacks=Counter(facts["fallbacks"]),
        outdated=outdated,
    )
