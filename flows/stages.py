"""The first stages of a run as plain functions: plan and measure. `flows.explain` is the last.

Each takes a `Run` and the pairs of the plan and leaves files; the next one reads them. The Prefect
flow and the command line call the same functions. `plan.parquet` is for people and tools to read: a
run works on the plan it made, whatever another run writes meanwhile.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from annotators.backends import backend_names, check_backends
from annotators.pipeline import CONTROL, reject
from fict.tree import load_tree
from fict.weights import weights_used
from flows.explain import check_explainer, explain_hash, is_annotated
from flows.hashes import Hashes
from flows.measure import Seconds
from flows.run import Plan, PlannedPair, Progress, Run, unseen
from flows.runners import RUNNERS
from flows.sides import Hashed, contradicting
from flows.units import measuring_code, unit_id
from schemas.atomic import write_text
from schemas.errors import OutputError
from schemas.records import Reject
from schemas.shards import write_records
from schemas.stopwatch import CLOCK
from sources.layouts import find_pairs

LEAST_FREE_BYTES = 64 * 2**20


# ---- plan ---------------------------------------------------------------------------------------


def plan(run: Run, progress: Progress = unseen) -> Plan:
    """Checks that a run can be done, and plans it.

    Args:
        run: The run.
        progress: Called after each file that was read.

    Raises:
        SourceMissing: The dataset's folder is not there.
        UsageError: An unknown dataset, explainer, recipe, server or backend.
        BackendUnavailable: The captioning server needs a key that is not there, or a backend
            cannot run here.
        OutputError: The output folder cannot be written or the disk is full.
    """
    run.manifest.dataset(run.name)
    check_run(run)
    return freeze_plan(run, progress)


def check_run(run: Run) -> None:
    """Loads what the run's explainer and backends need, so that what they lack is told at once.

    Raises:
        UsageError: An unknown explainer, recipe, server or backend.
        BackendUnavailable: As of `plan`.
    """
    check_explainer(run)
    check_backends(run.manifest.measure)


def freeze_plan(run: Run, progress: Progress = unseen) -> Plan:
    """Finds the pairs, hashes their files, leaves out contradictions, and freezes the plan.

    For a run that was checked (`check_run`, `flows.resume.settle`): networks take seconds to load.

    Args:
        run: The run.
        progress: Called after each file that was read.

    Raises:
        SourceMissing: The dataset's folder is not there.
        UsageError: An unknown dataset.
        OutputError: The output folder cannot be written or the disk is full.
    """
    dataset = run.manifest.dataset(run.name)
    root, real_root = dataset.folder(run.name), dataset.real_folder(run.name)
    check_output(run.output)
    pairs, missing = find_pairs(run.name, dataset, root, real_root)
    measure = run.manifest.measure
    files = [(real_root / pair.real_path, root / pair.fake_path) for pair in pairs]
    with Hashes(run.hashes_path) as hashes:
        weights = [hashes(path) for path in weights_used(*backend_names(measure))]
        hashes.learn((path for sides in files for path in sides), progress)
        hashed = [Hashed(p, *map(hashes, sides)) for p, sides in zip(pairs, files, strict=True)]
    wrong = contradicting([one for one in hashed if dataset.methods[one.pair.method] != CONTROL])
    shared: dict[str, Any] = {
        "config": measure.digest(),
        "code": measuring_code(),
        "fict": load_tree().version,
        "weights": weights,
        "fps": dataset.fps if dataset.frames != "video" else None,
    }
    if run.generation:
        shared["generation"] = str(run.generation)
    explaining = explain_hash(run)
    planned = [
        _planned(one, shared | {"forgery": dataset.methods[one.pair.method]}, explaining)
        for one in hashed
        if one.pair.key not in wrong
    ]
    missing += [reject(pair, None, "plan", wrong[pair.key]) for pair in pairs if pair.key in wrong]
    write_records(run.plan_path, planned, PlannedPair)
    write_records(run.unplanned_path, missing, Reject)
    return Plan(planned, missing)


def _planned(one: Hashed, measuring: dict[str, Any], explaining: str) -> PlannedPair:
    pair = PlannedPair(**one.pair.model_dump(), real_sha256=one.real, fake_sha256=one.fake)
    seen = {"stage": "measure", "pair": pair.untold().model_dump(), "inputs": [one.real, one.fake]}
    measure_unit = unit_id(seen | measuring)
    explain_facts = {"stage": "explain", "parent": measure_unit, "config": explaining}
    units = {"measure_unit": measure_unit, "explain_unit": unit_id(explain_facts)}
    return pair.model_copy(update=units)


def check_output(folder: Path) -> None:
    """Makes the output folder and checks that something can be written into it.

    Raises:
        OutputError: It cannot, with the reason.
    """
    write_text(folder / ".writable", "")
    (folder / ".writable").unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise OutputError(f"only {free / 2**20:.0f} MiB are free at {folder}: nothing was started")


def waiting(run: Run, planned: Sequence[PlannedPair]) -> list[PlannedPair]:
    """Gives the pairs to work on: not annotated yet, at most as many as the run's limit.

    Under a limit, pairs on which measuring failed come last, or they would use it up every time.
    """
    found = [pair for pair in planned if not is_annotated(run, pair)]
    return sorted(found, key=partial(_has_failed, run))[: run.limit] if run.limit else found


def _has_failed(run: Run, pair: PlannedPair) -> bool:
    state = run.measured.state(pair.measure_unit)
    return state is not None and state.retry


# ---- measure ------------------------------------------------------------------------------------


def measure(run: Run, pairs: Sequence[PlannedPair], progress: Progress) -> int:
    """Measures those of some pairs that are not measured yet, where the manifest says.

    Returns:
        Number of units that were done now.

    Raises:
        FacextError: The stage cannot go on; finished units are kept.
    """
    open_pairs = [pair for pair in pairs if not run.measured.is_done(pair.measure_unit)]
    progress("measure", 0, len(open_pairs))
    finished = itertools.count(1)

    def done(seconds: Seconds) -> None:
        CLOCK.add(seconds)
        progress("measure", next(finished), len(open_pairs))

    if open_pairs:
        RUNNERS[run.manifest.run.runner](run, open_pairs, done)
    return len(open_pairs)
