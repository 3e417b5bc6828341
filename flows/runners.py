"""Where the measure stage runs; the manifest chooses by name, and results are the same bytes.

A runner takes a run, its open pairs, and a function that it calls with the seconds of each pair
that is done. It may repeat a pair, since a finished one is only looked up, but leaves none out.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import cv2

from flows.measure import Group, Seconds, bury, measure_group, start_worker
from flows.pool import Workers, begin, if_started
from flows.run import PlannedPair, Run
from schemas.errors import BackendUnavailable, UsageError

Done = Callable[[Seconds], None]
Runner = Callable[[Run, Sequence[PlannedPair], Done], None]

MOST_OF_ONE = 8
"""Pairs of one real side that are given to a worker at once: more would make the progress jump."""
GROUPS_EACH = 4
"""Groups that a worker gets at least, so that all are busy to the end."""


def in_processes(run: Run, pairs: Sequence[PlannedPair], done: Done, processes: int = 0) -> None:
    """Measures in processes of this machine: a pair that kills its worker costs that pair."""
    count = processes or run.processes

    def found(each: list[Seconds]) -> None:
        for one in each:
            done(one)

    Workers(measure_group, start_worker, run, count).run(
        groups(pairs, count),
        found,
        died=lambda group: [bury(run, group[0])],
        parts=lambda group: [(pair,) for pair in group],
    )


def in_threads(run: Run, pairs: Sequence[PlannedPair], done: Done) -> None:
    """Measures in threads of this process: quick to start, slower, and a crash ends the run."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(run.processes, initializer=begin, initargs=(start_worker, run))
    work = groups(pairs, run.processes)
    try:
        for finished in as_completed(
            [pool.submit(if_started, measure_group, group) for group in work]
        ):
            for seconds in finished.result():
                done(seconds)
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)


def groups(pairs: Sequence[PlannedPair], processes: int) -> list[Group]:
    """Puts pairs of one real side together, which a worker then decodes once.

    Args:
        pairs: The pairs.
        processes: Workers, each of which gets several groups.
    """
    most = min(MOST_OF_ONE, max(1, len(pairs) // (GROUPS_EACH * processes)))
    by_real: dict[str, list[PlannedPair]] = {}
    for pair in pairs:
        by_real.setdefault(pair.real_path, []).append(pair)
    return [
        tuple(same[start : start + most])
        for same in by_real.values()
        for start in range(0, len(same), most)
    ]


def on_dask(run: Run, pairs: Sequence[PlannedPair], done: Done) -> None:
    """Measures batches of pairs as Prefect tasks on a Dask cluster."""
    from flows.clusters import dask_runner, in_batches

    in_batches(dask_runner(run), run, pairs, done)


def on_ray(run: Run, pairs: Sequence[PlannedPair], done: Done) -> None:
    """Measures batches of pairs as Prefect tasks on a Ray cluster."""
    from flows.clusters import in_batches, ray_runner

    in_batches(ray_runner(run), run, pairs, done)


RUNNERS: dict[str, Runner] = {
    "processes": in_processes,
    "threads": in_threads,
    "dask": on_dask,
    "ray": on_ray,
}
CLUSTERS = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}
"""Runners of Prefect tasks, and the environment variables that name a cluster of theirs."""


def cluster_address(run: Run, name: str) -> str:
    """Gives the address of a runner's cluster, the manifest's first; empty where there is none."""
    variable = CLUSTERS.get(name)
    return (run.manifest.run.address or os.environ.get(variable, "")) if variable else ""


def check_installed(name: str) -> None:
    """Checks that a runner's package is here.

    Raises:
        BackendUnavailable: It is not; the message says how to install its extra.
    """
    if name in CLUSTERS and importlib.util.find_spec(f"prefect_{name}") is None:
        raise BackendUnavailable(
            f"the runner '{name}' is not installed: .venv/bin/pip install "
            f"--constraint constraints.txt -e '.[{name}]'"
        )


def check_runner(run: Run) -> None:
    """Checks that the manifest's runner can be had, before anything is read or written.

    Raises:
        BackendUnavailable: Its package is not installed.
        UsageError: It needs a Prefect run, and this is none.
    """
    name = run.manifest.run.runner
    if name not in CLUSTERS:
        return
    check_installed(name)
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        raise UsageError(
            f"the runner '{name}' runs Prefect tasks: start `make up`, then "
            f"prefect deployment run 'annotate/{run.name}' --watch. Without Prefect, set runner "
            "to processes or threads under run: in the manifest"
        )
