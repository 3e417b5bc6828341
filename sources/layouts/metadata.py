"""The layout `metadata_json`: a JSON object beside the videos says what each was made from.

`{"<file>": {"label": "FAKE", "original": "<file>", "split": "train"}}`, as in the DeepFake
Detection Challenge: one object a folder. Names are looked for beside the list. Where entries give
no original (the preview of the challenge), the patterns `fake` and `real` name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.datasets import SHARED
from schemas.errors import UsageError
from schemas.records import Pair, Reject
from sources.layouts.patterns import candidate, natural, regex
from sources.layouts.place import Candidate, Place, bad_entry, flat_name, missing, trouble_with
from sources.layouts.table import lists_of, read_list

FAKE, REAL = "FAKE", "REAL"
Entry = dict[str, Any]


def by_metadata(place: Place) -> Iterator[Candidate | Reject]:
    """Gives the fakes of every list with their originals; an entry that names none is a reject.

    Raises:
        SourceMissing: There is no list.
        UsageError: A list is not the JSON object that it must be.
    """
    for path in lists_of(place):
        folder = path.parent.relative_to(place.root)
        entries = _read(path)
        for name in sorted(entries, key=natural):
            found = _entry(place, PurePosixPath(folder), name, entries)
            if found is not None:
                yield found


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(read_list(path), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the list {path} is not valid JSON: {error}") from error
    if not isinstance(entries, dict):
        raise UsageError(
            f'the list {path} must be an object: {{"a.mp4": {{"label": "FAKE", "original": '
            f'"b.mp4"}}, ...}}; it is a {type(entries).__name__}'
        )
    return entries


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object, but none with a key twice: which of the two would be meant?"""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is twice")
    return made


def _entry(
    place: Place, folder: PurePosixPath, name: str, entries: dict[str, Any]
) -> Candidate | Reject | None:
    """Reads one entry; `None` for a real video."""
    entry = entries[name]
    label = (folder / name).as_posix()
    if not isinstance(entry, dict) or str(entry.get("label", "")).upper() not in (FAKE, REAL):
        return bad_entry(place, label, f"the entry {label} has no label FAKE or REAL")
    if str(entry["label"]).upper() == REAL:
        return None
    if trouble := trouble_with(name):
        return bad_entry(place, label, f"the entry {label!r:.80} {trouble}")
    if not entry.get("original"):
        return _by_pattern(place, label, entry)
    return _with_original(place, folder, name, entry, entries)


def _with_original(
    place: Place, folder: PurePosixPath, name: str, entry: Entry, entries: dict[str, Any]
) -> Candidate | Reject:
    original, fake = str(entry["original"]), (folder / name).as_posix()
    pair = Pair(
        dataset=place.name,
        method=next(iter(place.dataset.methods)),
        compression=place.dataset.compressions[0],
        pair=flat_name(fake),
        split=_split(place, entry),
        real_path="",
        fake_path=fake,
        identities=_people(place, entry),
    )
    if trouble := trouble_with(original):
        return bad_entry(place, fake, f"the original of {fake} {trouble}: {original!r:.80}")
    partner = entries.get(original)
    if isinstance(partner, dict) and str(partner.get("label", "")).upper() == FAKE:
        return bad_entry(place, fake, f"the original of {fake} is itself a fake: {original}")
    real = (folder / original).as_posix()
    if not place.has_real(real):
        return missing(pair, f"{fake} has no real video {real}, which its list names as original")
    found = pair.model_copy(update={"real_path": real})
    return Candidate(found, frozenset(found.identities), real)


def _by_pattern(place: Place, label: str, entry: Entry) -> Candidate | Reject | None:
    """Finds the original of an entry that names none by the patterns of the manifest."""
    dataset = place.dataset
    if not (dataset.fake and dataset.real):
        return bad_entry(place, label, f"the fake {label} has no original in its list")
    keys = regex(dataset.fake).fullmatch(label)
    if not keys:
        return bad_entry(place, label, f"the name of {label} does not fit {dataset.fake}")
    values = keys.groupdict()
    method = dataset.plain(values.get(SHARED[0], next(iter(dataset.methods))))
    found = candidate(place, (method, dataset.compressions[0]), label, values)
    if found is None:
        return None
    people = found.pair.identities or _people(place, entry)
    pair = found.pair.model_copy(update={"split": _split(place, entry), "identities": people})
    return Candidate(pair, found.ids, found.recording)


def _split(place: Place, entry: Entry) -> str:
    return place.dataset.plain(str(entry.get("split") or entry.get("set") or ""))


def _people(place: Place, entry: Entry) -> tuple[str, ...]:
    """Gives the values of the entry's fields that name people."""
    return tuple(str(entry[key]) for key in place.dataset.identities if entry.get(key) is not None)
