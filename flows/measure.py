"""The measure stage of one pair, as every runner calls it; see `flows.runners`."""

from __future__ import annotations

import threading
import time

from annotators.pipeline import Measured, Measurer, PairJob, reject
from flows.failures import internal_error
from flows.run import PlannedPair, Run
from flows.units import measuring_code
from schemas.errors import FacextError, Rejected, RejectReason
from schemas.heap import keep_heap
from schemas.stopwatch import CLOCK

Seconds = dict[str, float]
"""Seconds of each step, as a worker counted them."""
Group = tuple[PlannedPair, ...]
"""Pairs of one real side, measured one after the other by one worker."""


class _Worker(threading.local):
    """What a worker, a process or a thread, keeps between units: models are not thread-safe."""

    run: Run
    measurer: Measurer


_WORKER = _Worker()


def start_worker(run: Run) -> None:
    """Loads the models, once in each worker."""
    keep_heap()
    _WORKER.run = run
    _WORKER.measurer = Measurer(run.manifest.measure)


def measure_group(group: Group) -> list[Seconds]:
    """Measures pairs; gives for each where the time went.

    Raises:
        FacextError: As of `measure_unit`; the pairs before are committed.
    """
    return [measure_unit(planned) for planned in group]


def measure_unit(planned: PlannedPair) -> Seconds:
    """Measures a pair, unless a run beside this one did meanwhile; gives where the time went.

    Raises:
        FacextError: Not about this pair: the run stops with its message.
    """
    run = _WORKER.run
    if not run.measured.is_done(planned.measure_unit):
        _measure(run, planned)
    return CLOCK.take()


def bury(run: Run, planned: PlannedPair) -> Seconds:
    """Writes down that a pair killed its worker; the next run tries it again."""
    death = Rejected(RejectReason.INTERNAL_ERROR, "the worker died over this pair")
    failed = reject(planned.untold(), None, "measure", death)
    if not run.measured.is_done(planned.measure_unit):  # a run beside this one had more luck
        run.measured.commit(planned.measure_unit, [], [failed])
    return {}


def _measure(run: Run, planned: PlannedPair) -> None:
    dataset = run.manifest.dataset(run.name)
    pair = planned.untold()
    job = PairJob(
        root=dataset.folder(run.name),
        pair=pair,
        forgery=dataset.methods[pair.method],
        real_sha256=planned.real_sha256,
        fake_sha256=planned.fake_sha256,
        code_version=measuring_code(),
        real_root=dataset.real_folder(run.name),
        fps=dataset.fps,
    )
    started = time.perf_counter()
    try:
        found = _WORKER.measurer.measure_pair(job)
    except FacextError:
        raise
    except Exception:
        found = Measured([], [internal_error(pair, None, "measure")], 0)
    took = time.perf_counter() - started
    rows, rejects, sampled = found
    run.measured.commit(planned.measure_unit, rows, rejects, seconds=took, sampled=sampled)
