"""Gives pairs their splits: from official lists, from the dataset's own entries, or drawn.

Lists are JSON (`[["000", "003"], ...]`, ids of pairs in either order, as in FaceForensics++) or
text (one file a line, with or without a label before it, as in Celeb-DF and DeeperForensics).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from schemas.datasets import REST
from schemas.errors import SourceMissing, UsageError
from schemas.records import Pair
from sources.layouts.place import Candidate, Place
from sources.layouts.table import read_list
from sources.splits import Member, assign, find_leak

SPLITS = ("train", "val", "test")


def with_splits(place: Place, found: Sequence[Candidate]) -> list[Pair]:
    """Gives the pairs of candidates, each with its split.

    Where no official list knows any of them, those without a split are drawn one.

    Raises:
        SourceMissing: Only some of the split files are there.
        UsageError: A split file is not what it must be, puts a pair into two splits, or lists
            fakes as real; a split has another name than `SPLITS`; or people are shared between
            splits.
    """
    lists = _read_lists(place)
    listed = [lists.split_of(one) for one in found]
    splits = [one.pair.split or split for one, split in zip(found, listed, strict=True)]
    lists.check_labels(found)
    _check_names(place, found, splits)
    members = [_member(one, split) for one, split in zip(found, splits, strict=True)]
    dataset = place.dataset
    if not dataset.splits_may_leak and (chain := find_leak(members)):
        raise UsageError(
            f"the splits of dataset '{place.name}' leak: {chain}. Correct its lists; or, if they "
            f"are official and cannot be changed, set datasets.{place.name}.splits_may_leak: true"
        )
    if dataset.split_shares and not any(listed):
        splits = assign(members, dataset.split_shares)
    pairs = zip(found, splits, strict=True)
    return [one.pair.model_copy(update={"split": split}) for one, split in pairs]


def _check_names(place: Place, found: Sequence[Candidate], splits: Sequence[str]) -> None:
    for one, split in zip(found, splits, strict=True):
        if split not in ("", *SPLITS):
            raise UsageError(
                f"the split of {one.pair.key} is '{split}': splits are {', '.join(SPLITS)}, since "
                "training and release look for these names. Another name of one is told by, e.g., "
                f"datasets.{place.name}.aliases: {{train: [{split}]}}"
            )


def _member(one: Candidate, split: str) -> Member:
    return Member(one.pair.pair, split, one.pair.identities, one.recording)


@dataclass
class _Lists:
    """Official lists: what they know a pair by, and where that belongs."""

    rest: str = ""
    ids: dict[frozenset[str], str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def split_of(self, one: Candidate) -> str:
        """Gives a pair's split; empty where no list names it."""
        if one.ids in self.ids:
            return self.ids[one.ids]
        for name in _names(one.pair.fake_path):
            if name in self.files:
                return self.files[name]
        return self.rest

    def check_labels(self, found: Sequence[Candidate]) -> None:
        """Checks that a label means one thing, whatever number stands for real.

        Raises:
            UsageError: Fakes have two labels, or a label of theirs is a real side's, too.
        """
        sides = defaultdict[str, dict[str, str]](dict)
        for one in found:
            for side, path in (("fake", one.pair.fake_path), ("real", one.pair.real_path)):
                for name in _names(path):
                    if name in self.labels:
                        sides[side].setdefault(self.labels[name], path)
        for label, path in sides["fake"].items():
            other = next((one for one in sides["fake"] if one != label), "")
            if other or label in sides["real"]:
                real = sides["real"].get(label, sides["fake"].get(other, ""))
                raise UsageError(
                    f"the split list labels the fake {path} with {label}, and {real} with "
                    f"{other or label}: one of them is wrong, or the patterns are"
                )


def _names(path: str) -> tuple[str, str, str]:
    """Gives how a list may name a file: by its path, its name, its stem."""
    pure = PurePosixPath(path)
    return path, pure.name, pure.stem


def _read_lists(place: Place) -> _Lists:
    """Reads the lists of a dataset; none where it has none of the files."""
    files = {split: path for split, path in place.dataset.splits.items() if path != REST}
    absent = [path for path in files.values() if not (place.root / path).is_file()]
    if len(absent) == len(files):
        return _Lists()
    if absent:
        raise SourceMissing(
            f"{place.root} has some of its split files, but not {', '.join(absent)}"
        )
    others = [split for split, path in place.dataset.splits.items() if path == REST]
    lists = _Lists(rest=others[0] if others else "")
    for split, name in files.items():
        path = place.root / name
        if path.suffix == ".json":
            _enter_ids(lists, split, path)
        else:
            _enter_files(lists, split, path)
    return lists


def _enter_ids(lists: _Lists, split: str, path: Path) -> None:
    try:
        entries = json.loads(read_list(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the split file {path} cannot be read: {error}") from error
    shape = isinstance(entries, list) and all(isinstance(entry, list) for entry in entries)
    if not shape or not all(isinstance(one, str) for entry in entries for one in entry):
        raise UsageError(f'the split file {path} must be a list of id lists: [["000", "003"], ...]')
    for entry in entries:
        if (other := lists.ids.setdefault(frozenset(entry), split)) != split:
            raise UsageError(f"{sorted(entry)} is in the splits {other} and {split}")


def _enter_files(lists: _Lists, split: str, path: Path) -> None:
    for number, line in enumerate(read_list(path).splitlines(), start=1):
        words = line.split(maxsplit=1)
        if not words:
            continue
        labelled = len(words) == 2 and words[0].isdigit()
        name = words[1].strip() if labelled else line.strip()
        if "\0" in name:
            raise UsageError(f"the split file {path} is no text: line {number}")
        if (other := lists.files.setdefault(name, split)) != split:
            raise UsageError(
                f"{name} is in the splits {other} and {split} (line {number} of {path})"
            )
        if labelled:
            lists.labels[name] = words[0]
