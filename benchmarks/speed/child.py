"""A whole run in a process of its own, to be weighed and timed; by hand:

    python -m benchmarks.speed.child plain FOLDER WORKERS             `facext annotate` itself
    python -m benchmarks.speed.child measure FOLDER WORKERS           its measure stage alone
    python -m benchmarks.speed.child prefect FOLDER WORKERS ROUNDS    without and with Prefect

FOLDER holds the manifest of a `benchmarks.speed.material.Scene`. The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.explain_material import MANIFEST
from flows import stages
from flows.local import annotate_dataset
from flows.run import Progress, Run
from schemas.manifest import load_manifest

WATCH_S = 0.05
PEAK = "VmHWM:"
ERRORS = 5
"""Last lines of what a process said that are told where it failed."""


def ask(
    how: str, run: Run, *more: object, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Runs this program; gives what it tells, and `wall`, its seconds from start to end.

    Args:
        how: What it is to do.
        run: A run of a scene.
        more: Further arguments.
        progress: Called with the units that are measured, now and then.

    Raises:
        RuntimeError: It failed.
    """
    place = Path(run.manifest.output)
    command = [sys.executable, "-m", "benchmarks.speed.child", how, str(place), str(run.workers)]
    begun = time.perf_counter()
    with (place / "told").open("w") as told, (place / "log").open("w") as log:
        child = subprocess.Popen([*command, *map(str, more)], stdout=told, stderr=log)
        while child.poll() is None:
            progress(sum(1 for _ in run.measured.folder.glob("*.json")))
            with_patience(child)
        wall = time.perf_counter() - begun
    lines, errors = ((place / name).read_text().splitlines() for name in ("told", "log"))
    if child.returncode:
        why = "\n".join(errors[-ERRORS:])
        raise RuntimeError(f"{' '.join(command)} ended with status {child.returncode}: {why}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found | {"wall": wall}


def with_patience(child: subprocess.Popen[bytes], seconds: float = 0.5) -> None:
    """Waits for a process, but not for long."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def silent(stage: str, done: int, total: int) -> None:
    """A progress display that shows nothing."""


def run_of(place: Path, workers: int) -> Run:
    """Reads the run of a scene back from its folder."""
    manifest = load_manifest(place / MANIFEST)
    return Run(next(iter(manifest.datasets)), manifest, workers)


def plain(run: Run) -> dict[str, Any]:
    """Runs the whole job; gives its seconds and the peaks of its processes, MiB."""
    with _weighed() as peaks:
        begun = time.perf_counter()
        outcome = annotate_dataset(run, silent)
        took = time.perf_counter() - begun
    return {
        "seconds": took,
        "frames": outcome.frames,
        "units": outcome.done,
        "rows": outcome.summary.frames.total(),
        "rejects": outcome.summary.rejects.total(),
        "peak_mb": {"parent": peaks.pop(os.getpid()), "worker": max(peaks.values(), default=0.0)},
    }


def measure(run: Run) -> dict[str, Any]:
    """Runs the measure stage; gives its seconds, from before its workers start."""
    pairs = stages.plan(run).pairs
    begun = time.perf_counter()
    first: list[float] = []
    progress: Progress = lambda _, done, total: first.append(time.perf_counter())  # noqa: E731
    stages.measure(run, pairs, progress)
    return {"seconds": time.perf_counter() - begun, "first_unit": first[1] - begun}


def prefect(run: Run, rounds: int) -> dict[str, Any]:
    """Runs the same job without and with Prefect, each time anew; gives the seconds of both.

    Prefect's server is a real one, on loopback, with a database of its own; its start and the
    import of Prefect are not counted.
    """
    place = Path(run.manifest.output)
    found: dict[str, list[float]] = {"local": [], "prefect": []}
    with _server(place):
        from flows.annotate import annotate

        for number in range(rounds):
            begun = time.perf_counter()
            annotate_dataset(_elsewhere(run, place / f"local-{number}"), silent)
            found["local"].append(time.perf_counter() - begun)
            other = _elsewhere(run, place / f"prefect-{number}")
            path = Path(other.manifest.output) / MANIFEST
            begun = time.perf_counter()
            annotate(run.name, manifest=str(path), workers=run.workers)
            found["prefect"].append(time.perf_counter() - begun)
    return {**found, "units": len(stages.plan(run).pairs)}


@contextmanager
def _server(place: Path) -> Iterator[None]:
    """Starts Prefect's server for this process, which must not have imported Prefect before."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    os.environ["PREFECT_API_URL"] = url
    os.environ["PREFECT_HOME"] = str(place / "home")
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    from flows.deployments import start_server

    server = start_server(url)
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def _elsewhere(run: Run, output: Path) -> Run:
    """Gives the same run with another folder of results, and writes its manifest there."""
    manifest = run.manifest.model_copy(update={"output": str(output)})
    output.mkdir()
    content = manifest.model_dump(mode="json", exclude_unset=True)
    (output / MANIFEST).write_text(yaml.safe_dump(content), encoding="utf-8")
    return replace(run, manifest=manifest)


@contextmanager
def _weighed() -> Iterator[dict[int, float]]:
    """Follows the peak memory of this process and its children, MiB by process id."""
    peaks: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_S):
            peaks.update(_peaks())  # a peak never falls

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()
        peaks.update(_peaks())


def _peaks() -> dict[int, float]:
    """Gives the most memory that this process and its children ever held, MiB."""
    own = os.getpid()
    tasks = Path(f"/proc/{own}/task").glob("*/children")
    children = [int(one) for task in tasks for one in task.read_text().split()]
    found = {}
    for pid in (own, *children):
        try:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            continue  # it ended meanwhile
        for line in lines:  # one that has just ended tells none
            if line.startswith(PEAK):
                found[pid] = int(line.split()[1]) / 1024
    return found


def main() -> None:
    how, place, workers, *more = sys.argv[1:]
    run = run_of(Path(place), int(workers))
    ways: dict[str, Callable[..., dict[str, Any]]] = {
        "plain": plain, "measure": measure, "prefect": prefect
    }  # fmt: skip
    print("\n" + json.dumps(ways[how](run, *map(int, more))), flush=True)


if __name__ == "__main__":
    main()
