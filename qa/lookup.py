"""Reads single frames out of the shards: only the row group that holds one, only what is asked.

Pictures are read apart from the rest. The last ones stay in memory, since a viewer looks at both
sides and their difference in turn.
"""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qa.index import Index
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Picture, Side
from schemas.reviews import LABELS, labels_hash
from schemas.shards import DAMAGE

PICTURES = ("real", "fake", "label_map")
KEPT = 64
"""Pictures that are kept."""
_NONE = Picture(bytes=None, path="")


class Lookup:
    """Gives frames and their pictures by id.

    Args:
        index: Where each id is.
        shards: The dataset's files, in the order that the index was made in.
    """

    def __init__(self, index: Index, shards: Sequence[Path]) -> None:
        self._index = index
        self._paths = tuple(shards)
        self._pictures: OrderedDict[tuple[str, Side], bytes] = OrderedDict()
        self._last: dict[Side, tuple[tuple[Path, int], pa.Table]] = {}
        self._labels: dict[str, str] = {}
        self._lock = Lock()
        self._stamps = self._stat()

    @property
    def version(self) -> str:
        """Tells one state of the shards from another."""
        return f"{max((changed for _, changed in self._stamps), default=0):x}"

    def renew(self) -> None:
        """Forgets what was kept of shards that were written anew since; asks for their times."""
        stamps = self._stat()
        with self._lock:
            if stamps != self._stamps:
                self._pictures.clear()
                self._last.clear()
                self._labels = {}
                self._stamps = stamps

    def _stat(self) -> list[tuple[int, int]]:
        """Gives size and time of each shard that is there."""
        found = [path.stat() for path in self._paths if path.is_file()]
        return [(stat.st_size, stat.st_mtime_ns) for stat in found]

    def frame(self, row: str) -> AnnotatedFrame | None:
        """Gives a frame without its pictures; None for an unknown id.

        Raises:
            OutputError: The shards are not those of the index any more, or damaged.
        """
        names = [name for name in AnnotatedFrame.model_fields if name not in PICTURES]
        read = functools.partial(_read_group, columns=names)
        found = self._read(row, read)
        if found is None:
            return None
        return AnnotatedFrame(**found, **dict.fromkeys(PICTURES, _NONE))

    def labels(self, rows: Iterable[str]) -> dict[str, str]:
        """Gives the hash of the labels of each of the rows that are there.

        None is read twice, until `renew` finds other shards.

        Raises:
            OutputError: As `frame`.
        """
        wanted, known = set(rows), self._labels
        places = self._index.places(sorted(wanted - known.keys()))
        for shard, of_shard in itertools.groupby(places, key=lambda place: place[0]):
            path = self._paths[shard]
            try:
                for row in _labels(path, [number for _, number in of_shard]):
                    known[row["id"]] = labels_hash(row)
            except (*DAMAGE, IndexError) as error:
                raise OutputError(f"{path} changed or is damaged: {error}; start again") from error
        return {row: known[row] for row in wanted & known.keys()}

    def keep_labels(self, labels: Mapping[str, str]) -> None:
        """Takes hashes of labels that somebody else found in the same shards."""
        self._labels.update(labels)

    def picture(self, row: str, side: Side) -> bytes | None:
        """Gives the encoded crop of one side; None where there is none.

        Raises:
            OutputError: As `frame`.
        """
        with self._lock:  # one row group of pictures is read at a time: each takes several MB
            if (row, side) not in self._pictures:
                found = self._read(row, functools.partial(self._group, side))
                encoded: bytes | None = (found[side] or {}).get("bytes") if found else None
                if not encoded:
                    return None
                self._pictures[row, side] = encoded
            self._pictures.move_to_end((row, side))
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)
            return self._pictures[row, side]

    def _group(self, side: Side, path: Path, number: int) -> tuple[pa.Table, int]:
        """Gives the row group of a picture, and the row in it; neighbours share the last group."""
        with pq.ParquetFile(path) as file:
            group, within = _row_group(file.metadata, number)
        key = path, group
        if self._last.get(side, (None, None))[0] != key:
            self._last.pop(side, None)
            self._last[side] = key, _read_group(path, number, ["id", f"{side}.bytes"])[0]
        return self._last[side][1], within

    def _read(
        self, row: str, read: Callable[[Path, int], tuple[pa.Table, int]]
    ) -> dict[str, Any] | None:
        place = self._index.place(row)
        if place is None:
            return None
        shard, number = place
        path = self._paths[shard]
        try:
            table, within = read(path, number)
        except (*DAMAGE, IndexError) as error:
            raise OutputError(f"{path} changed or is damaged: {error}; start again") from error
        found: dict[str, Any] = table.slice(within, 1).to_pylist()[0]
        if found["id"] != row:
            raise OutputError(f"{path} changed since the index was made; start again")
        return found


def _read_group(path: Path, number: int, columns: Sequence[str]) -> tuple[pa.Table, int]:
    """Reads the row group that holds a row, and gives what decoding took back to the system."""
    try:
        # reading ahead saves nothing where one row group is read, and takes its size once more
        with pq.ParquetFile(path, pre_buffer=False) as file:
            group, within = _row_group(file.metadata, number)
            return file.read_row_group(group, columns=columns, use_threads=False), within
    finally:
        pa.default_memory_pool().release_unused()


def _labels(path: Path, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Gives the labels of some rows of a shard, which are in order; reads each row group once."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        places = [_row_group(file.metadata, number) for number in numbers]
        for group, of_group in itertools.groupby(places, key=lambda place: place[0]):
            table = file.read_row_group(group, columns=["id", *LABELS], use_threads=False)
            yield from table.take([within for _, within in of_group]).to_pylist()


def _row_group(metadata: pq.FileMetaData, number: int) -> tuple[int, int]:
    """Gives the row group that holds a row, and the row's place in it."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if number < rows:
            return group, number
        number -= rows
    raise IndexError(f"there is no row {number}")
