"""A release on disk: its facts, its splits, its rows one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import FORMAT_VERSION, arrow_schema, from_table
from schemas.errors import OutputError
from schemas.releasing import ReleasedFrame

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

    def rows(self, split: str) -> Iterator[ReleasedFrame]:
        """Gives the rows of a split; memory holds a row group."""
        for path in self.splits[split]:
            with pq.ParquetFile(path) as file:
                for number in range(file.num_row_groups):
                    yield from from_table(file.read_row_group(number), ReleasedFrame)

    def pictured(self, split: str) -> Iterator[ReleasedFrame]:
        """Gives the rows of a split whose pictures are there, or all where no pictures are.

        After a rehydration from half a copy of the source some rows are still without.
        """
        for row in self.rows(split):
            if not self.with_pixels or row.fake.bytes is not None:
                yield row


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
    except (pa.ArrowInvalid, OSError) as error:
        raise OutputError(f"the release {folder} is damaged: {error}") from error
    return found
