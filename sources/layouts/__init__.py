"""Finds the real/fake pairs of a dataset, whatever its layout, and gives them their splits.

A layout is a function in `LAYOUTS` that lists candidates; all that holds for every layout (is the
partner there, is a pair listed twice, does the manifest list its method, in which split is it) is
decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from schemas.datasets import Dataset
from schemas.errors import ManifestError, RejectReason, SourceMissing
from schemas.records import Pair, Reject
from sources.layouts.metadata import by_metadata
from sources.layouts.patterns import by_patterns, check_keys
from sources.layouts.place import Candidate, Place, bad_entry, missing, no_videos
from sources.layouts.split_lists import with_splits
from sources.layouts.table import by_table

__all__ = ["LAYOUTS", "find_pairs"]

LAYOUTS: dict[str, Callable[[Place], Iterator[Candidate | Reject]]] = {
    "patterns": by_patterns,
    "metadata_json": by_metadata,
    "csv": by_table,
}
"""How the pairs of a dataset are listed, by the manifest's key `layout`."""


def find_pairs(
    name: str, dataset: Dataset, root: Path, real_root: Path | None = None
) -> tuple[list[Pair], list[Reject]]:
    """Finds every fake of the listed methods and compressions, with its real partner.

    A pair is named by its fake's file stem, with what keeps it apart before it: the values of keys
    in the folder part of the pattern, or the folders that the list names.

    Args:
        name: The dataset's name in the manifest.
        dataset: Its block.
        root: Its folder (`dataset.folder(name)`).
        real_root: Folder of the real sides (`dataset.real_folder(name)`); left out, the same.

    Returns:
        The pairs by method, compression (both as the manifest orders them) and natural order of
        names, and a reject for each fake without a real side or with a name that does not fit the
        pattern (`missing_partner`), for each entry of a list that names no pair (`bad_entry`), and
        for each method and compression without any file (`no_videos`).

    Raises:
        SourceMissing: No pair or no list at all, or only some of the split files are there.
        ManifestError: A pattern uses a key that `fake` does not give.
        UsageError: A list or split file is not what it must be, or the splits leak.
    """
    place = Place(name, dataset, root, real_root or root)
    if dataset.fake and (wrong := check_keys(name, dataset)):
        raise ManifestError(wrong)
    found, rejects = _sorted_out(place, LAYOUTS[dataset.layout](place))
    if not found:
        odd = [one.detail for one in rejects if one.reason != RejectReason.NO_VIDEOS]
        raise SourceMissing(_nothing(place, odd))
    return with_splits(place, found), rejects


def _sorted_out(
    place: Place, candidates: Iterable[Candidate | Reject]
) -> tuple[list[Candidate], list[Reject]]:
    """Keeps what is a pair, once each, in the order of the manifest."""
    found: dict[str, Candidate] = {}
    rejects: dict[str, Reject] = {}
    for one in candidates:
        wrong = one if isinstance(one, Reject) else _wrong(place, one, found)
        if wrong:
            rejects.setdefault(wrong.detail, wrong)
        elif isinstance(one, Candidate):
            found[one.pair.key] = one
    methods, levels = list(place.dataset.methods), list(place.dataset.compressions)
    ordered = sorted(
        found.values(),
        key=lambda one: (methods.index(one.pair.method), levels.index(one.pair.compression)),
    )
    if place.dataset.layout != "patterns":
        rejects |= _without_pairs(place, ordered)
    return ordered, list(rejects.values())


def _without_pairs(place: Place, found: list[Candidate]) -> dict[str, Reject]:
    """Gives the methods of which the lists of a dataset name no pair."""
    there = {one.pair.method for one in found}
    absent = [method for method in place.dataset.methods if method not in there]
    like = f"those of {{}} in {place.dataset.list_glob}"
    return {method: no_videos(place, method, "", like.format(method)) for method in absent}


def _wrong(place: Place, one: Candidate, found: dict[str, Candidate]) -> Reject | None:
    """Says what keeps a candidate from being a pair."""
    pair, dataset = one.pair, place.dataset
    if pair.method not in dataset.methods:
        detail = f"pairs of the method {pair.method!r:.80} are left out: methods does not list it"
        return bad_entry(place, "", detail, pair.method)
    if pair.compression not in dataset.compressions:
        detail = f"pairs of the compression {pair.compression!r:.80} are left out: not listed"
        return bad_entry(place, f"compression {pair.compression}", detail, pair.method)
    if not place.has_fake(pair.fake_path):
        return missing(pair, f"the fake {pair.fake_path} is listed, but it is not there")
    if not place.has_real(pair.real_path):
        return missing(pair, f"{pair.fake_path} has no real video {pair.real_path}")
    if pair.key in found:
        first = found[pair.key].pair
        listed = first.fake_path == pair.fake_path
        paths = [side.real_path if listed else side.fake_path for side in (first, pair)]
        detail = f"{pair.key} is {'listed' if listed else 'there'} twice: {' and '.join(paths)}"
        return bad_entry(place, f"{pair.pair} again with {paths[1]}", detail, pair.method)
    return None


def _nothing(place: Place, details: list[str]) -> str:
    dataset = place.dataset
    found = f"\n{len(details)} fakes cannot be paired; the first: {details[0]}" if details else ""
    levels = f" and compressions {', '.join(dataset.compressions)}" if dataset.compressions else ""
    return (
        f"dataset '{place.name}' has no pair of methods {', '.join(dataset.methods)}{levels} "
        f"(frames: {dataset.frames}); expected\n"
        f"{dataset.expected_layout(str(place.root))}{found}"
    )
