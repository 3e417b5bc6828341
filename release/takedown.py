"""What a take-down list names: rows and rejects that no release may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from release.source import Source, ids_of
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records, read_table

_COMMENT = re.compile(r"(^|\s)#.*")
"""A name may hold a `#`: one that starts a comment stands at the start or after a space."""


@dataclass(frozen=True)
class TakenDown:
    """What is left out because somebody asked for it.

    Attributes:
        rows: Ids of rows.
        rejects: Ids of rejects.
        pairs: Keys of pairs, of which no row may be there.
        unmatched: Entries that name nothing of the dataset, in order.
    """

    rows: frozenset[str] = frozenset()
    rejects: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    unmatched: tuple[str, ...] = ()


def read_list(path: str) -> frozenset[str]:
    """Reads a take-down list: one entry a line; `#` starts a comment.

    Args:
        path: The file; empty: there is none.

    Raises:
        OutputError: It is named, but cannot be read.
    """
    if not path:
        return frozenset()
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"cannot read the take-down list {path}: {error}") from None
    entries = (_COMMENT.sub("", line).strip() for line in text.splitlines())
    return frozenset(filter(None, entries))


def taken_down(source: Source) -> TakenDown:
    """Finds the rows and rejects that the take-down list asks for.

    An entry is the id of a row, the key of a pair, the name of a person, the path of a video below
    its root, or the hash of a video.

    Raises:
        OutputError: The list, a shard or the rejects cannot be read.
    """
    entries = read_list(source.settings.take_down)
    if not entries:
        return TakenDown()
    hits = [(key, hit) for key, names in _names(source) if (hit := names & entries)]
    pairs = {key for key, _ in hits}
    rows = {row for row in ids_of(source.shards) if row in entries or _pair(row) in pairs}
    rejects = _rejects(source, entries, pairs)
    unmatched = entries.difference(rows, *rejects.values(), *(hit for _, hit in hits))
    return TakenDown(
        frozenset(rows), frozenset(rejects), frozenset(pairs), tuple(sorted(unmatched))
    )


def _names(source: Source) -> Iterator[tuple[str, set[str]]]:
    """Gives the key of each planned or annotated pair, and all that it may be called by."""
    for pair in source.pairs:
        hashes = source.hashes.get(pair.key, ())
        yield pair.key, {pair.key, *pair.identities, pair.real_path, pair.fake_path, *hashes}
    wanted = ["real_path", "fake_path", "real_sha256", "fake_sha256"]
    for shard in source.shards:
        columns = ["id", "identities", *wanted]
        for row in read_table(shard, AnnotatedFrame, columns=columns).to_pylist():
            key = _pair(row["id"])
            yield key, {key, *row["identities"], *(row[name] for name in wanted)}


def _pair(row: str) -> str:
    """Gives the key of a row's pair."""
    return row.rpartition("/")[0]


def _rejects(source: Source, entries: frozenset[str], pairs: set[str]) -> dict[str, frozenset[str]]:
    """Gives the ids of the rejects to leave out, with the entries that they themselves name."""
    planned = {pair.key for pair in source.pairs}
    found: dict[str, frozenset[str]] = {}
    for one in read_records(source.rejects, Reject):
        key = one.id if one.frame_index is None else _pair(one.id)
        named = entries & {one.id} if key in planned else _named(one, entries)
        if named or key in pairs:
            found[one.id] = named | found.get(one.id, frozenset())
    return found


def _named(reject: Reject, entries: frozenset[str]) -> frozenset[str]:
    """Finds entries as whole words in what a reject of a pair that was never planned says.

    No plan tells who is in it, only its name and the sentence do. One too many does no harm.
    """
    words = "|".join(map(re.escape, entries))
    found = re.findall(rf"(?<![^\W_])(?:{words})(?![^\W_])", f"{reject.id}\n{reject.detail}")
    return frozenset(found)
