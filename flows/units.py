"""Units of work: what is done once stays done, over crashes, restarts and two runs at once.

A unit's id is the hash of everything that its result depends on. Its rows are written under a
temporary name and moved into place; the sidecar comes last and is the commit point: a unit without
a sidecar was never done. Prefect's database has no say in what is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic

from schemas.arrow import R
from schemas.atomic import write_text
from schemas.errors import RejectReason
from schemas.provenance import file_hash, source_hash
from schemas.records import Reject
from schemas.shards import read_records, read_table, write_records
from schemas.stopwatch import CLOCK

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
class Stored:
    """What the sidecar of a committed unit says.

    Attributes:
        content: Hash of what the unit holds.
        parent: Content of the unit that it was made from; empty for the first stage.
        retry: A later run may do better.
        sampled: Frames that were chosen before the work; None where that was not noted.
    """

    content: str
    parent: str
    retry: bool
    sampled: int | None


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

    def state(self, unit: str) -> Stored | None:
        """Gives what is known of a unit; none for one that was not committed or is not whole."""
        facts = read_json(self._sidecar(unit))
        if not facts or facts.get("bytes") != self._sizes(unit):
            return None
        return Stored(
            content=str(facts.get("content", "")),
            parent=str(facts.get("parent", "")),
            retry=bool(facts.get("retry")),
            sampled=facts.get("sampled"),
        )

    def is_done(self, unit: str, parent: str = "") -> bool:
        """Tells whether a unit was finished from this parent and needs no second try."""
        state = self.state(unit)
        return state is not None and not state.retry and state.parent == parent

    def is_stored(self, unit: str) -> bool:
        """Tells whether a unit was committed and its files are whole."""
        return self.state(unit) is not None

    def content(self, unit: str) -> str:
        """Gives a hash of what a unit holds; empty for one that is not stored."""
        state = self.state(unit)
        return state.content if state else ""

    def is_intact(self, unit: str) -> bool:
        """Tells whether a unit's files still hold what was committed, byte by byte."""
        return self.content(unit) == _content(self._rows(unit), self._rejects(unit))

    def forget(self, unit: str) -> None:
        """Takes a unit's commit back, so that the next run does it again."""
        self._sidecar(unit).unlink(missing_ok=True)

    def is_empty(self) -> bool:
        """Tells whether no unit was ever committed here."""
        return next(self.folder.glob("*.json"), None) is None

    def effort(self, unit: str) -> Effort:
        """Gives what a finished unit cost, for estimates; all 0 where that was not noted."""
        facts = read_json(self._sidecar(unit))
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
        sampled: int | None = None,
    ) -> None:
        """Stores a unit's rows and rejects, then its sidecar.

        Args:
            unit: The unit's id.
            rows: Its rows.
            rejects: What it could not do, with reasons.
            parent: Content of the unit that this one was made from.
            retry: True where a later run may do better (a server was down, a bug was met).
            seconds: Time that it took, for estimates.
            sampled: Frames that were chosen before the work, each of which owes a row or a reject.
        """
        retry = retry or any(one.reason == RejectReason.INTERNAL_ERROR for one in rejects)
        with CLOCK.step("writing"):
            paths = (
                write_records(self._rows(unit), rows, self.record),
                write_records(self._rejects(unit), rejects, Reject),
            )
            facts = {
                "bytes": self._sizes(unit),
                "content": _content(*paths),
                "parent": parent,
                "retry": retry,
                "seconds": seconds,
                "sampled": sampled,
                "frames": len(rows) + sum(one.frame_index is not None for one in rejects),
            }
            write_text(self._sidecar(unit), json.dumps(facts, sort_keys=True))

    def rows(self, units: Iterable[str]) -> list[R]:
        """Gives the rows of finished units, in the order given."""
        return read_records([self._rows(unit) for unit in units], self.record)

    def ids(self, unit: str) -> list[str]:
        """Gives the ids of a finished unit's rows, without reading the rest."""
        path = self._rows(unit)
        found: list[str] = read_table(path, self.record, columns=["id"])["id"].to_pylist()
        return found

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
        return [_size(path) for path in (self._rows(unit), self._rejects(unit))]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _content(*paths: Path) -> str:
    return unit_id({"files": [file_hash(path) for path in paths]})


def read_json(path: Path) -> dict[str, Any]:
    """Reads a small JSON object; one that is absent or damaged is empty."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
