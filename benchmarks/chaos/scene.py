"""A small forged dataset, and `facext annotate` on it in processes of its own."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.run import Run, make_run
from schemas.atomic import TEMPORARY
from schemas.records import AnnotatedFrame, Reject
from schemas.shards import read_records
from sources.forge import forge

PROJECT = Path(__file__).resolve().parents[2]
NAME = "chaos"
METHODS = {"LipRecolour": "attribute edit", "SkinSmoothing": "attribute edit", "Unforged": "none"}
STAGES = ("start", "measure", "explain", "compaction", "report", "end")
FINISHED = (0, 3)
"""Exit codes of a run that came to its end."""
PATIENCE_S = 300.0
SMALL = (240, 320)


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    errors: str

    @property
    def is_clean(self) -> bool:
        """Tells whether it said what happened, and not where in the code."""
        return "Traceback" not in self.errors


@dataclass(frozen=True)
class Scene:
    """A dataset, and a folder in which runs of it leave their results, each in its own.

    Attributes:
        folder: Where results go.
        source: The dataset.
        layout: Replaces keys of the dataset's block in the manifest.
        measure: Settings of the measure stage; small, since only files matter here.
    """

    folder: Path
    source: Path
    layout: dict[str, Any] = field(default_factory=dict)
    measure: dict[str, Any] = field(
        default_factory=lambda: {"frames": 2, "context": 1, "crop_size": 128}
    )

    @classmethod
    def forged(cls, folder: Path) -> Scene:
        """Makes the dataset: six pairs of real encodes."""
        source = folder / "source"
        forge(source, methods=tuple(METHODS), frames=6, compressions=("c23",), size=SMALL)
        return cls(folder, source)

    def manifest(self, name: str, output: Path | None = None) -> Path:
        """Writes the manifest of a run with results of its own."""
        block = {
            "title": "chaos",
            "root": str(self.source),
            "real": "original_sequences/youtube/{compression}/videos/{target}.mp4",
            "fake": "manipulated_sequences/{method}/{compression}/videos/{target}_{source}.mp4",
            "methods": METHODS,
            "compressions": ["c23"],
            "licence": {"name": "public domain"},
        } | self.layout
        content = {
            "output": str(output or self.folder / name),
            "measure": self.measure,
            "datasets": {NAME: block},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def run(self, name: str) -> Run:
        """Gives the run of a name, to look at its files."""
        return make_run(NAME, self.folder / f"{name}.yaml")

    def start(
        self,
        name: str,
        *,
        program: Sequence[str] = ("-m", "flows.cli"),
        before: Callable[[], object] | None = None,
        output: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Starts `facext annotate` in a process group of its own.

        Args:
            name: Which results.
            program: Arguments of Python that start the command line.
            before: Called in the child before it starts.
            output: Folder of the results, where it is another one.
        """
        arguments = ["annotate", NAME, "--manifest", str(self.manifest(name, output))]

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it
            if before:
                before()

        return subprocess.Popen(
            [sys.executable, *program, *arguments, "--workers", "2"],
            cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "120"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=prepare,
        )  # fmt: skip

    def finish(self, name: str, **how: Any) -> Ended:
        """Runs to the end."""
        return ended(self.start(name, **how))

    def stage(self, name: str) -> str:
        """Tells from the files alone where a run is."""
        run = self.run_of_files(name)
        if not (run / "plan.parquet").exists():
            return "start"
        pairs = 2 * len(METHODS)
        for stage in ("measure", "explain"):
            if len(list((run / "units" / stage).glob("*.json"))) < pairs:
                return stage
        if not (run / "annotations.json").exists():
            return "compaction"
        return "end" if (run / "qa" / "report.json").exists() else "report"

    def run_of_files(self, name: str) -> Path:
        """Gives the folder of a run's results."""
        return self.folder / name / NAME

    def results(self, name: str) -> Results:
        """Reads what a finished run published."""
        run = self.run(name)
        paths = sorted(run.shards.glob("*.parquet"))
        rows, rejects = read_records(paths, AnnotatedFrame), read_records(run.rejects_path, Reject)
        return Results(
            ids=[*(row.id for row in rows), *(one.id for one in rejects)],
            files={path.name: path.read_bytes() for path in [*paths, run.rejects_path]},
            temporaries=len(list(run.output.rglob(TEMPORARY))),
        )


@dataclass(frozen=True)
class Results:
    """What a run published: ids of rows and rejects, files, and temporary files that stayed."""

    ids: list[str]
    files: dict[str, bytes]
    temporaries: int


@dataclass
class Compared:
    """Sums of comparisons with an uninterrupted run."""

    runs: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    temporaries: int = 0

    def add(self, found: Results, whole: Results) -> bool:
        """Compares results; gives whether they are the same, byte by byte."""
        self.runs += 1
        self.lost += len(set(whole.ids) - set(found.ids))
        self.doubled += len(found.ids) - len(set(found.ids))
        self.temporaries += found.temporaries
        self.different += found.files != whole.files
        return found.files == whole.files


def ended(process: subprocess.Popen[str]) -> Ended:
    """Waits for a process; one that hangs is killed and has the code of that."""
    try:
        out, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
    return Ended(process.returncode, out, errors)


def reached(scene: Scene, name: str, stage: str, process: subprocess.Popen[str]) -> bool:
    """Waits until a run is in a stage or beyond; false where it ended before."""
    while process.poll() is None:
        if STAGES.index(scene.stage(name)) >= STAGES.index(stage):
            return True
        time.sleep(0.001)
    return False


WIDTH_S = {"start": 2.5, "measure": 2.5, "explain": 0.1, "compaction": 0.12, "report": 0.6}
"""About how long a stage takes here: a moment in it is chosen within this."""


def strike(
    scene: Scene, name: str, stage: str, process: subprocess.Popen[str], rng: random.Random
) -> str:
    """Waits for a random moment in a stage; gives the stage it fell into, empty if it ended."""
    if not reached(scene, name, stage, process):
        return ""
    time.sleep(rng.uniform(0, WIDTH_S[stage]))
    return "" if process.poll() is not None else scene.stage(name)
