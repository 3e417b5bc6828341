"""One annotation run: what is to be done, where its files lie, what it left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from flows.units import Store, read_json
from schemas.atomic import sweep
from schemas.errors import OutputError
from schemas.manifest import Manifest, load_manifest
from schemas.records import AnnotatedFrame, MeasuredFrame, Pair, Reject

Resume = Literal["same", "if-possible", "never"]
"""What a run may go on from: results of the same configuration only (else it stops), whatever of
the results fits, or nothing."""

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""`quota period` in microseconds, or `max period`."""

TOLD = ("split", "mask_path", "identities", "edited")
"""What a dataset tells of a pair beside its files: no stage reads it, and no unit depends on it."""

Progress = Callable[[str, int, int], None]
"""Called as `(stage, done, total)`."""


def unseen(stage: str, done: int, total: int) -> None:
    """The progress of what nobody watches."""


class PlannedPair(Pair):
    """One row of `plan.parquet`: a pair and the units that it needs."""

    real_sha256: str = ""
    fake_sha256: str = ""
    measure_unit: str = ""
    explain_unit: str = ""

    def pair_only(self) -> Pair:
        """Gives the pair without its units."""
        return Pair(**{name: getattr(self, name) for name in Pair.model_fields})

    def told(self) -> dict[str, Any]:
        """Gives what the dataset tells of the pair, which rows get when they become shards."""
        return {name: getattr(self, name) for name in TOLD}

    def untold(self) -> Pair:
        """Gives the pair as the stages see it, without what the dataset tells of it."""
        return Pair(split="", **self.model_dump(include={*Pair.model_fields} - {*TOLD}))


@dataclass(frozen=True)
class Plan:
    """What a run works on, whatever another run writes into the files of the plan meanwhile.

    Attributes:
        pairs: The pairs, in order.
        rejects: Files without a partner or with a strange name, swapped sides.
    """

    pairs: list[PlannedPair]
    rejects: list[Reject]


@dataclass(frozen=True)
class Run:
    """One annotation run of one dataset.

    Attributes:
        name: The dataset's name in the manifest.
        manifest: The manifest, with the run's overrides already applied.
        workers: Processes of the measure stage, requests in flight of the explain stage.
        limit: At most so many pairs of new work; 0 for all.
        resume: What the run may go on from.
    """

    name: str
    manifest: Manifest
    workers: int = 0
    limit: int = 0
    resume: Resume = "same"

    @property
    def output(self) -> Path:
        """The dataset's results."""
        return Path(self.manifest.output) / self.name

    @property
    def configuration_path(self) -> Path:
        """What the results were made with (`flows.resume`)."""
        return self.output / "configuration.json"

    @property
    def hashes_path(self) -> Path:
        """Remembered hashes of input files (`flows.hashes`)."""
        return self.output / "hashes.json"

    @property
    def generation(self) -> int:
        """How often the dataset was started anew."""
        return int(read_json(self.configuration_path).get("generation", 0))

    @property
    def plan_path(self) -> Path:
        """The frozen plan."""
        return self.output / "plan.parquet"

    @property
    def unplanned_path(self) -> Path:
        """Rejects of the frozen plan."""
        return self.output / "plan.rejects.parquet"

    @property
    def shards(self) -> Path:
        """Folder of the annotations."""
        return self.output / "annotations"

    @property
    def stamp_path(self) -> Path:
        """What the shards were last made from (`flows.compact`)."""
        return self.output / "annotations.json"

    @property
    def rejects_path(self) -> Path:
        """What could not be annotated, with reasons."""
        return self.output / "rejects" / f"{self.name}.parquet"

    @property
    def answers_path(self) -> Path:
        """Answers and costs of the captioning requests."""
        return self.output / "answers.sqlite"

    @property
    def costs_path(self) -> Path:
        """The costs as a table."""
        return self.output / "costs.parquet"

    @property
    def reviews_path(self) -> Path:
        """What people decided of the rows, as the dashboard exports it."""
        return self.output / "reviews.parquet"

    @property
    def measured(self) -> Store[MeasuredFrame]:
        """Units of the measure stage."""
        return Store(self.output / "units" / "measure", MeasuredFrame)

    @property
    def explained(self) -> Store[AnnotatedFrame]:
        """Units of the explain stage."""
        return Store(self.output / "units" / "explain", AnnotatedFrame)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Lets one run at a time publish; others wait.

        Raises:
            OutputError: Something in the output folder cannot be written.
        """
        try:
            with (self.output / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            why = error.strerror or error
            raise OutputError(f"cannot write into {self.output}: {why}") from error

    def sweep(self) -> None:
        """Removes what processes that died left half written."""
        qa = self.output / "qa"
        folders = (self.output, self.shards, self.rejects_path.parent, qa, qa / "tables")
        sweep(*folders, self.measured.folder, self.explained.folder)

    def anywhere(self) -> Run:
        """Gives the same run with paths that hold in any folder and on any machine that has them.

        Raises:
            SourceMissing: The dataset's folder is not there.
        """
        dataset = self.manifest.dataset(self.name)
        roots = {"root": str(dataset.folder(self.name).absolute())}
        if dataset.real_root:
            roots["real_root"] = str(dataset.real_folder(self.name).absolute())
        placed = {
            "output": str(Path(self.manifest.output).absolute()),
            "datasets": {self.name: dataset.model_copy(update=roots)},
        }
        return replace(self, manifest=self.manifest.model_copy(update=placed))

    @property
    def processes(self) -> int:
        """Worker processes: as told, else one for each core."""
        return self.workers or cores()


def cores() -> int:
    """Gives the cores that this process may use: fewer in a container with a quota."""
    allowed = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    return allowed


@dataclass(frozen=True)
class Summary:
    """What a run left behind.

    Attributes:
        pairs: Pairs of the plan.
        open_pairs: Pairs of the plan that are not annotated yet.
        frames: Annotated frames by (method, compression).
        rejects: Rejects by reason.
        fallbacks: Frames that another explainer than the wanted one explained, by reason.
        outdated: The shards are those of before, kept until none of their pairs is open.
    """

    pairs: int
    open_pairs: int
    frames: Counter[tuple[str, str]]
    rejects: Counter[str]
    fallbacks: Counter[str]
    outdated: bool = False


def make_run(
    name: str,
    manifest: Path,
    *,
    explain: Mapping[str, Any] | None = None,
    limit: int = 0,
    workers: int = 0,
    resume: Resume = "same",
) -> Run:
    """Reads the manifest and applies a run's overrides.

    Args:
        name: The dataset.
        manifest: Path of the manifest.
        explain: Replaces keys of the manifest's block `explain`; empty values replace nothing.
        limit: At most so many pairs of new work; 0 for all.
        workers: Worker processes; 0 for one each core.
        resume: What the run may go on from.

    Raises:
        UsageError: The manifest is wrong or has no such dataset.
    """
    content = load_manifest(manifest)
    content.dataset(name)
    replaced = {key: value for key, value in (explain or {}).items() if value}
    if replaced:
        block = content.explain.model_copy(update=replaced)
        content = content.model_copy(update={"explain": block})
    return Run(name, content, workers, limit, resume)
