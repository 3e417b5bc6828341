"""The measure stage on a Dask or Ray cluster: batches of pairs as Prefect tasks.

A task gets paths and rows of the plan, measures in a process of its own on its worker, and leaves
units in the output folder, which all machines share. A worker that is lost loses nothing that was
finished: Dask and Ray give its batch to another one, which finds those units done.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.task_runners import TaskRunner

from flows.measure import Seconds
from flows.resume import Facts, changes, measuring_facts
from flows.run import PlannedPair, Run
from flows.runners import Done, cluster_address, groups, in_processes
from schemas.errors import BackendUnavailable, FacextError, UsageError

Runner: TypeAlias = TaskRunner[Any]
RAY_STORE_BYTES = 100 * 2**20
"""Memory of Ray's object store: only rows of the plan pass through it."""
RAY_ON_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where this is 0, Ray listens on loopback alone, on Linux too; an address of it is replaced."""


def dask_runner(run: Run) -> Runner:
    """Gives Prefect's runner on the Dask cluster of the manifest or `DASK_SCHEDULER_ADDRESS`.

    Without an address: on a cluster of this machine's loopback, for as long as the run.
    """
    import dask
    from prefect_dask.task_runners import DaskTaskRunner

    address = cluster_address(run, "dask")
    if address:
        return cast(Runner, DaskTaskRunner(address=address))
    dask.config.set({"distributed.worker.daemon": False})  # pairs are measured in child processes
    local = {
        "n_workers": run.processes,
        "threads_per_worker": 1,
        "memory_limit": 0,  # it would count what the worker itself uses, which is nothing
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    }
    return cast(Runner, DaskTaskRunner(cluster_kwargs=local))


def ray_runner(run: Run) -> Runner:
    """Gives Prefect's runner on the Ray cluster of the manifest or `RAY_ADDRESS`.

    Without an address: on a cluster of this machine's loopback, for as long as the run.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # all of these are read on import
    address = cluster_address(run, "ray")
    if not address:
        os.environ[RAY_ON_LOOPBACK] = "0"
    from prefect_ray.task_runners import RayTaskRunner

    if address:
        return cast(Runner, RayTaskRunner(address=address))
    local = {
        "num_cpus": run.processes,
        "include_dashboard": False,
        "object_store_memory": RAY_STORE_BYTES,
    }
    return cast(Runner, RayTaskRunner(address="local", init_kwargs=local))


def in_batches(runner: Runner, run: Run, pairs: Sequence[PlannedPair], done: Done) -> None:
    """Measures pairs as Prefect tasks of a runner.

    Raises:
        FacextError: A task could not go on, or its workers died over and over.
    """
    size = run.manifest.run.batch
    near = [pair for group in groups(pairs, 1) for pair in group]
    batches = [near[start : start + size] for start in range(0, len(near), size)]
    shared = {"run": run.anywhere(), "facts": measuring_facts(run)}
    with runner:
        sent = [runner.submit(measure_batch, {**shared, "pairs": batch}) for batch in batches]
        for future in as_completed(sent):
            for seconds in _result(future):
                done(seconds)


def _result(future: Any) -> list[Seconds]:
    try:
        found: list[Seconds] = future.result()
    except FacextError:
        raise
    except Exception as error:
        raise FacextError(
            f"a batch of pairs failed with its worker: {type(error).__name__}: {error}\n"
            "What was finished is kept; the same command goes on."
        ) from error
    return found


@task(name="measure-batch", cache_policy=NO_CACHE)
def measure_batch(run: Run, facts: Facts, pairs: list[PlannedPair]) -> list[Seconds]:
    """Measures those of some pairs that are not measured yet, on the machine where it is called.

    Args:
        run: The run, with paths that hold on every machine.
        facts: What the flow would measure with; see `flows.resume`.
        pairs: The batch.

    Returns:
        Where the time went, of each pair.

    Raises:
        FacextError: This worker cannot see the output folder, would measure otherwise or may not
            start processes; or as of the measure stage.
    """
    _check_worker(run, facts)
    open_pairs = [pair for pair in pairs if not run.measured.is_done(pair.measure_unit)]
    seconds: list[Seconds] = [{}] * (len(pairs) - len(open_pairs))
    in_processes(run, open_pairs, seconds.append, processes=1)
    return seconds


def _check_worker(run: Run, facts: Facts) -> None:
    here = f"the worker on {platform.node()}"
    if not run.plan_path.is_file():
        raise UsageError(
            f"{here} does not see {run.plan_path}: all machines must share the "
            "output folder, under the same path"
        )
    if changed := changes(facts, measuring_facts(run)):
        told = "; ".join(f"{name} {flow} here {worker}" for name, flow, worker in changed)
        raise UsageError(f"{here} would measure otherwise than this run: {told}")
    if multiprocessing.current_process().daemon:
        raise BackendUnavailable(
            f"{here} may not start processes; start Dask workers with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False in the environment"
        )
