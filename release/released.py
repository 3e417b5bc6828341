"""A release on disk: its facts, its splits, its rows one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from release.rows import Row
from release.values import strange_columns
from schemas.arrow import FORMAT_VERSION, arrow_schema
from schemas.errors import OutputError
from schemas.releasing import ReleasedFrame
from schemas.shards import DAMAGE

FACTS = "release.json"


@dataclass(frozen=True)
class Released:
    """A folder that `facext release` made.

    Attributes:
        folder: The folder.
        facts: What `release.json` says.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def splits(self) -> dict[str, list[Path]]:
        """Gives the files of each split, both in the order of their names."""
        folders = sorted(path for path in (self.folder / "data").iterdir() if path.is_dir())
        return {folder.name: sorted(folder.glob("*.parquet")) for folder in folders}

    @property
    def files(self) -> list[Path]:
        """Gives the files of all splits."""
        return [path for files in self.splits.values() for path in files]

    @property
    def categories(self) -> Sequence[Mapping[str, Any]]:
        """Gives FICT as COCO categories."""
        found: Sequence[Mapping[str, Any]] = self.facts["fict"]["categories"]
        return found

    @property
    def with_pixels(self) -> bool:
        """Tells whether the rows hold their crops."""
        return bool(self.facts["release"]["pixels"])

    def tables(self, split: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Gives the rows of a split, a row group at a time.

        Args:
            split: The split.
            columns: Paths of the Parquet columns to read, such as `regions.list.element.name`.

        Raises:
            OutputError: A file is damaged, or holds what no row of a release may hold.
        """
        for path in self.splits[split]:
            try:
                with pq.ParquetFile(path) as file:
                    for number in range(file.num_row_groups):
                        table = file.read_row_group(number, columns=list(columns))
                        if strange := strange_columns(table, ReleasedFrame):
                            raise OutputError(f"{path} is damaged: {', '.join(strange)}")
                        yield table
            except DAMAGE as error:
                raise OutputError(f"{path} is damaged: {error}") from error

    def pictured(self, split: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Gives the rows of a split whose pictures are there, or all where no pictures are.

        After a rehydration from half a copy of the source some rows are still without: those have
        no names of pictures.
        """
        for table in self.tables(split, [*columns, "fake.path"]):
            named = pc.not_equal(pc.struct_field(table["fake"], "path"), "")
            yield table.filter(named) if self.with_pixels else table

    def rows(self, split: str, columns: Sequence[str]) -> Iterator[Row]:
        """Gives the same as `pictured`, row by row, as plain dicts."""
        for table in self.pictured(split, columns):
            yield from table.to_pylist()


def open_release(folder: Path) -> Released:
    """Opens a release.

    Raises:
        OutputError: The folder is none, is of another format, or a file of it is damaged.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        version = facts["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder} is no release: its {FACTS} cannot be read ({error})") from None
    if version != FORMAT_VERSION:
        raise OutputError(
            f"{folder} has format {version}, this code reads {FORMAT_VERSION}; use the version of "
            "this project that made it"
        )
    found = Released(folder, facts)
    try:
        for path in found.files:
            if not pq.read_schema(path).equals(arrow_schema(ReleasedFrame)):
                raise OutputError(f"{path} does not have the schema of a release")
    except DAMAGE as error:
        raise OutputError(f"the release {folder} is damaged: {error}") from error
    return found
