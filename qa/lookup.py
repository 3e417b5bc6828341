"""Reads single frames out of the shards: only the row group that holds one, only what is asked.

Pictures are read apart from the rest. The last ones stay in memory, since a viewer looks at both
sides and their difference in turn.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qa.index import Index
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Picture, Side

PICTURES = ("real", "fake", "label_map")
KEPT = 64
"""Pictures that are kept."""
_NONE = Picture(bytes=None, path="")


class Lookup:
    """Gives frames and their pictures by id.

    Args:
        index: Where each id is.
        shards: The dataset's files.
    """

    def __init__(self, index: Index, shards: Sequence[Path]) -> None:
        self._index = index
        self._paths = {path.name: path for path in shards}
        self._pictures: OrderedDict[tuple[str, Side], bytes] = OrderedDict()
        self._lock = Lock()

    def frame(self, row: str) -> AnnotatedFrame | None:
        """Gives a frame without its pictures; None for an unknown id.

        Raises:
            OutputError: The shards are not those of the index any more, or damaged.
        """
        names = [name for name in AnnotatedFrame.model_fields if name not in PICTURES]
        found = self._read(row, names)
        if found is None:
            return None
        return AnnotatedFrame(**found, **dict.fromkeys(PICTURES, _NONE))

    def picture(self, row: str, side: Side) -> bytes | None:
        """Gives the encoded crop of one side; None where there is none.

        Raises:
            OutputError: As `frame`.
        """
        with self._lock:
            if (row, side) in self._pictures:
                self._pictures.move_to_end((row, side))
                return self._pictures[row, side]
        found = self._read(row, ["id", f"{side}.bytes"])
        encoded: bytes | None = found[side]["bytes"] if found else None
        if encoded:
            with self._lock:
                self._pictures[row, side] = encoded
                while len(self._pictures) > KEPT:
                    self._pictures.popitem(last=False)
        return encoded

    def _read(self, row: str, columns: Sequence[str]) -> dict[str, Any] | None:
        place = self._index.place(row)
        if place is None:
            return None
        name, number = place
        path = self._paths.get(name)
        try:
            if path is None:
                raise OutputError(f"{name} is no shard of the dataset any more")
            with pq.ParquetFile(path) as file:
                group, within = _row_group(file.metadata, number)
                table = file.read_row_group(group, columns=columns).slice(within, 1)
        except (pa.ArrowInvalid, OSError, IndexError) as error:
            raise OutputError(f"{path} changed or is damaged: {error}; start again") from error
        found: dict[str, Any] = table.to_pylist()[0]
        if found["id"] != row:
            raise OutputError(f"{path} changed since the index was made; start again")
        return found


def _row_group(metadata: pq.FileMetaData, number: int) -> tuple[int, int]:
    """Gives the row group that holds a row, and the row's place in it."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if number < rows:
            return group, number
        number -= rows
    raise IndexError(f"there is no row {number}")
