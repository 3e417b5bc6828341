"""Where the measure stage runs; the manifest chooses by name, and results are the same bytes.

A runner takes a run, its open pairs, and a function that it calls with the seconds of each pair
that is done. It may repeat a pair, since a finished one is only looked up, but leaves none out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

import cv2

from flows.measure import Seconds, bury, measure_unit, start_worker
from flows.pool import Workers, begin, if_started
from flows.run import PlannedPair, Run
from schemas.errors import BackendUnavailable, UsageError

Done = Callable[[Seconds], None]
Runner = Callable[[Run, Sequence[PlannedPair], Done], None]


def in_processes(run: Run, pairs: Sequence[PlannedPair], done: Done, processes: int = 0) -> None:
    """Measures in processes of this machine: a pair that kills its worker costs that pair."""
    workers = Workers(measure_unit, start_worker, run, processes or run.processes)
    workers.run(pairs, done, partial(bury, run))


def in_threads(run: Run, pairs: Sequence[PlannedPair], done: Done) -> None:
    """Measures in threads of this process: quick to start, slower, and a crash ends the run."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(run.processes, initializer=begin, initargs=(start_worker, run))
    try:
        for finished in as_completed(
            [pool.submit(if_started, measure_unit, pair) for pair in pairs]
        ):
            done(finished.result())
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)


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
CLUSTERS = ("dask", "ray")
"""Runners of Prefect tasks."""


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
