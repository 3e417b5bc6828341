"""Units of work: what is done once stays done, over crashes, restarts and two runs at once.

A unit's id is the hash of everything that its result depends on. Its rows are written under a
temporary name and moved into place; the sidecar comes last and is the commit point: a unit without
a sidecar was never done. Prefect's database has no say in what is done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic

from schemas.arrow import R
from schemas.errors import OutputError, RejectReason
from schemas.provenance import file_hash, source_hash
from schemas.records import Reject
from schemas.shards import read_records, write_records

CODE = ("schemas", "fict", "sources", "annotators")
"""Packages whose source decides what a unit holds."""
EXPLAINING = (
    "annotators/explain.py", "annotators/mllm", "annotators/prompts", "annotators/publish.py",
    "annotators/questions.py", "annotators/verify.py", "schemas/explaining.py",
)  # fmt: skip
"""The part of it that the explain stage alone needs: a new prompt repeats no measurement."""


def unit_id(facts: Mapping[str, Any]) -> str:
    """Gives the id of a unit: the hash of the canonical JSON of what it depends on."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def measuring_code() -> str:
    """Gives the package version and a hash of the measuring source, e.g. `0.1.0+1f3a9c02`."""
    try:
        release = version("fake-in-facext")
    except PackageNotFoundError:  # run from a checkout that was not installed
        release = "0"
    return f"{release}+{source_hash(*CODE, without=EXPLAINING)}"


@dataclass(frozen=True)
class Effort:
    """What a unit cost: frames that were worked on, seconds in one process, bytes on disk."""

    frames: int
    seconds: float
    stored: int


@dataclass(frozen=True)
class Store(Generic[R]):
    """The finished units of one stage, in one folder.

    Attributes:
        folder: Where the units lie.
        record: Class of their rows.
    """

    folder: Path
    record: type[R]

    def is_done(self, unit: str, parent: str = "") -> bool:
        """Tells whether a unit was finished from this parent and needs no second try."""
        facts = self._read_sidecar(unit)
        return self.is_stored(unit) and not facts.get("retry") and facts.get("parent") == parent

    def is_stored(self, unit: str) -> bool:
        """Tells whether a unit was committed and its files are whole."""
        return self._read_sidecar(unit).get("bytes") == self._sizes(unit)

    def content(self, unit: str) -> str:
        """Gives a hash of what a unit holds; empty for one that is not stored."""
        return str(self._read_sidecar(unit).get("content", "")) if self.is_stored(unit) else ""

    def effort(self, unit: str) -> Effort:
        """Gives what a finished unit cost, for estimates; all 0 where that was not noted."""
        facts = self._read_sidecar(unit)
        stored = sum(size for size in facts.get("bytes") or [] if size > 0)
        return Effort(int(facts.get("frames") or 0), float(facts.get("seconds") or 0), stored)

    def commit(
        self,
        unit: str,
        rows: Sequence[R],
        rejects: Sequence[Reject],
        *,
        parent: str = "",
        retry: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Stores a unit's rows and rejects, then its sidecar.

        Args:
            unit: The unit's id.
            rows: Its rows.
            rejects: What it could not do, with reasons.
            parent: Content of the unit that this one was made from.
            retry: True where a later run may do better (a server was down, a bug was met).
            seconds: Time that it took, for estimates.
        """
        paths = (
            write_records(self._rows(unit), rows, self.record),
            write_records(self._rejects(unit), rejects, Reject),
        )
        retry = retry or any(one.reason == RejectReason.INTERNAL_ERROR for one in rejects)
        facts = {
            "bytes": self._sizes(unit),
            "content": unit_id({"files": [file_hash(path) for path in paths]}),
            "parent": parent,
            "retry": retry,
            "seconds": seconds,
            "frames": len(rows) + sum(one.frame_index is not None for one in rejects),
        }
        write_text(self._sidecar(unit), json.dumps(facts, sort_keys=True))

    def rows(self, units: Iterable[str]) -> list[R]:
        """Gives the rows of finished units, in the order given."""
        return read_records([self._rows(unit) for unit in units], self.record)

    def rejects(self, units: Iterable[str]) -> list[Reject]:
        """Gives the rejects of finished units, in the order given."""
        return read_records([self._rejects(unit) for unit in units], Reject)

    def _rows(self, unit: str) -> Path:
        return self.folder / f"{unit}.parquet"

    def _rejects(self, unit: str) -> Path:
        return self.folder / f"{unit}.rejects.parquet"

    def _sidecar(self, unit: str) -> Path:
        return self.folder / f"{unit}.json"

    def _sizes(self, unit: str) -> list[int]:
        """Gives the sizes of a unit's files; -1 for one that is not there."""
        paths = (self._rows(unit), self._rejects(unit))
        return [path.stat().st_size if path.is_file() else -1 for path in paths]

    def _read_sidecar(self, unit: str) -> dict[str, Any]:
        return read_json(self._sidecar(unit))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a small JSON object; one that is absent or damaged is empty."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def write_text(path: Path, text: str) -> None:
    """Writes a small text file whole or not at all.

    Raises:
        OutputError: The folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
