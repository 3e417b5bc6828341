"""The gate: checks of a dataset as a whole that a release must pass; `release.rows` checks rows.

A check gives what fails, each with the reason. One failure is enough to stop the release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from release.held import Held
from release.source import Figures, Source, ids_of
from schemas.errors import OutputError, RejectReason
from schemas.records import AnnotatedFrame
from schemas.shards import damage_in, read_metadata
from sources.splits import Member, find_leak

MOST_TOLD = 5
"""Failures of a check that are kept; the others are counted."""


@dataclass(frozen=True)
class Failure:
    """What fails, a row, a pair or a figure, and why."""

    subject: str
    reason: str


@dataclass
class Result:
    """What a check found.

    Attributes:
        name: The check.
        failed: How much fails.
        first: The first failures.
    """

    name: str
    failed: int = 0
    first: list[Failure] = field(default_factory=list)

    def add(self, failures: Iterable[Failure]) -> Result:
        """Counts failures and keeps the first ones."""
        for one in failures:
            self.failed += 1
            if len(self.first) < MOST_TOLD:
                self.first.append(one)
        return self

    def join(self, other: Result) -> None:
        """Adds what the same check found elsewhere."""
        self.failed += other.failed
        self.first = [*self.first, *other.first][:MOST_TOLD]


@dataclass(frozen=True)
class Scene:
    """What a check sees.

    Attributes:
        source: The dataset.
        tables: Its views `frames` and `rejects`.
        with_pixels: Whether crops are to be passed on.
        held: What is left out.
    """

    source: Source
    tables: duckdb.DuckDBPyConnection
    with_pixels: bool
    held: Held

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Gives the rows that a query finds."""
        found: list[tuple[object, ...]] = self.tables.execute(query, list(values)).fetchall()
        return found


def _one_origin(scene: Scene) -> Iterator[Failure]:
    """All shards were written together: the same settings, code and categories."""
    first, *others = scene.source.shards
    facts = read_metadata(first)
    for shard in others:
        theirs = read_metadata(shard)
        if theirs != facts:
            differ = sorted(key for key in facts | theirs if facts.get(key) != theirs.get(key))
            yield Failure(shard.name, f"its {', '.join(differ)} differ from those of {first.name}")


def _unique_ids(scene: Scene) -> Iterator[Failure]:
    twice = "SELECT id, count(*) FROM frames GROUP BY id HAVING count(*) > 1 ORDER BY id"
    for name, count in scene.ask(twice):
        yield Failure(str(name), f"{count} rows have this id")
    both = "SELECT DISTINCT id FROM frames SEMI JOIN rejects USING (id) ORDER BY id"
    for (name,) in scene.ask(both):
        yield Failure(str(name), "is a row and a reject")


def _counts(scene: Scene) -> Iterator[Failure]:
    """Rows and rejects are as many as were counted when they were written, of planned pairs."""
    counted = scene.source.counted
    found = scene.ask("SELECT method, compression, count(*) FROM frames GROUP BY ALL")
    yield from _differences(
        {f"{m}/{c}".rstrip("/"): int(n) for m, c, n in counted.get("frames", [])},
        {f"{m}/{c}".rstrip("/"): int(str(n)) for m, c, n in found},
        "rows",
    )
    rejects = scene.ask("SELECT reason, count(*) FROM rejects GROUP BY reason")
    there = {str(reason): int(str(count)) for reason, count in rejects}
    yield from _differences(dict(counted.get("rejects", {})), there, "rejects")
    planned = {pair.key for pair in scene.source.pairs}
    for key in sorted(_keys(scene, "frames") - planned):
        yield Failure(key, "has rows, but is not in the plan")


def _differences(told: dict[str, int], there: dict[str, int], what: str) -> Iterator[Failure]:
    for key in sorted(told.keys() | there.keys()):
        if told.get(key, 0) != there.get(key, 0):
            yield Failure(
                key, f"{there.get(key, 0)} {what}, {told.get(key, 0)} were counted at compaction"
            )


def _keys(scene: Scene, table: str) -> set[str]:
    """Gives the keys of the pairs in a table."""
    parts = f"SELECT DISTINCT dataset, method, compression, pair FROM {table}"  # noqa: S608 - ours
    return {"/".join(filter(None, map(str, row))) for row in scene.ask(parts)}


def _nothing_open(scene: Scene) -> Iterator[Failure]:
    """Every planned pair was annotated or rejected, none by an error of ours.

    What was taken down may be both.
    """
    down = scene.held.down
    done = _keys(scene, "frames") | _keys(scene, "rejects") | down.pairs
    for pair in scene.source.pairs:
        if pair.key not in done:
            yield Failure(pair.key, "is not annotated yet: run facext annotate")
    failed = "SELECT id, detail FROM rejects WHERE reason = ? ORDER BY id"
    for name, detail in scene.ask(failed, RejectReason.INTERNAL_ERROR.value):
        if str(name) in down.rejects:
            continue
        yield Failure(str(name), f"{RejectReason.INTERNAL_ERROR}: {detail}")


def _no_leak(scene: Scene) -> Iterator[Failure]:
    """No person and no real recording is in two splits, of the rows that are not left out."""
    if scene.source.dataset.splits_may_leak:
        return
    scene.tables.register("held", pa.table({"id": pa.array(scene.held.reasons, pa.string())}))
    query = "SELECT DISTINCT method, pair, split, identities, real_path "
    query += "FROM frames ANTI JOIN held USING (id)"
    members = [
        Member(f"{method}/{pair}", str(split), tuple(people), str(recording))
        for method, pair, split, people, recording in scene.ask(f"{query} ORDER BY ALL")
        if isinstance(people, list)
    ]
    if chain := find_leak(members):
        yield Failure(chain, "splits share a person or a real recording")


def _licence(scene: Scene) -> Iterator[Failure]:
    """Pixels go only where the source lets them, and shards tell the manifest's licence."""
    licence = scene.source.dataset.licence
    if scene.with_pixels and not licence.redistribute_pixels:
        yield Failure(licence.name, "does not let pixels be passed on: leave --with-pixels out")
    if scene.source.facts().get("licence") != licence.model_dump(mode="json"):
        yield Failure(licence.name, "is not the licence in the shards: run facext annotate")


def _reviews(scene: Scene) -> Iterator[Failure]:
    """Enough rows were reviewed as they are now, where the manifest asks for it.

    Of those that were taken down nobody needs to.
    """
    most = scene.source.settings.max_unreviewed
    if most is None:
        return
    ids = set(ids_of(scene.source.shards)) - scene.held.down.rows
    unseen = len(ids - scene.held.judged.decisions.keys())
    if unseen > most * len(ids):
        told = f"{unseen} of {len(ids)} rows are not reviewed, {most:.0%} may be"
        yield Failure("max_unreviewed", told)


def _truth(scene: Scene) -> Iterator[Failure]:
    """Figures of `facext bench truth` keep to the manifest's bounds."""
    for name, bound in scene.source.settings.truth.items():
        if name not in scene.source.truth:
            yield Failure(name, "is no figure of the truth bench's JSON")
        elif complaint := bound.complaint(scene.source.truth[name]):
            yield Failure(name, complaint)


CHECKS: Mapping[str, Callable[[Scene], Iterator[Failure]]] = {
    "one origin": _one_origin,
    "unique ids": _unique_ids,
    "counts": _counts,
    "nothing open or failed": _nothing_open,
    "no split leaks": _no_leak,
    "licence": _licence,
    "reviews": _reviews,
    "truth figures": _truth,
}


def check_dataset(scene: Scene) -> list[Result]:
    """Runs all checks of a dataset as a whole.

    Raises:
        OutputError: A file is damaged inside; the message names it.
    """
    try:
        return [Result(name).add(check(scene)) for name, check in CHECKS.items()]
    except duckdb.Error as error:
        found = damage_in(scene.source.shards, AnnotatedFrame, error)
        raise OutputError(f"{found}; {scene.source.remedy}") from error


def check_text(source: Source, figures: Figures) -> Result:
    """Checks the figures of the released text against the manifest's bounds."""
    result = Result("text figures")
    for name, bound in source.settings.text.items():
        if figures and not any(name in of_writer for of_writer in figures.values()):
            result.add([Failure(name, "is no figure of the text")])
        for writer, of_writer in figures.items():
            value = of_writer.get(name)
            if value is not None and (complaint := bound.complaint(value)):
                result.add([Failure(f"{name}, written by {writer}", complaint)])
    return result
