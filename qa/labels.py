"""The hashes of the labels of reviewed rows, kept over restarts: each takes half a millisecond."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from qa.index import Index, state
from qa.lookup import Lookup
from qa.tables import Source
from schemas.atomic import write_text


def hash_labels(source: Source, folder: Path, rows: Collection[str]) -> dict[str, str]:
    """Gives the hash of the labels of each of the rows that are there.

    Those that were found before are kept in `labels.json`, for as long as the shards are the same.

    Args:
        source: The dataset.
        folder: Its folder `qa/`, with a current index.
        rows: Ids.

    Raises:
        OutputError: A shard is damaged.
    """
    facts, path = state(source), folder / "labels.json"
    known = _known(path, facts)
    if lacking := set(rows) - known.keys():
        lookup = Lookup(Index(folder / "index.parquet"), source.shards)
        known |= lookup.labels(lacking)
        write_text(path, json.dumps({"made_from": facts, "labels": known}))
    return known


def _known(path: Path, facts: object) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
        labels: dict[str, str] = content["labels"] if content["made_from"] == facts else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return labels
