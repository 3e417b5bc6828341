"""The stages of a run as plain functions: plan, measure, explain.

Each takes a `Run` and the pairs of the plan and leaves files; the next one reads them. The Prefect
flow and the command line call the same functions. `plan.parquet` is for people and tools to read: a
run works on the plan it made, whatever another run writes meanwhile.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import shutil
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from annotators.explain import Explainer
from annotators.pipeline import CONTROL, Measurer, PairJob, backends, explain_frame, reject
from fict.tree import load_tree
from flows.pool import Workers
from flows.run import PlannedPair, Progress, Run
from flows.sides import Hashed, contradicting
from flows.units import code_version, unit_id, write_text
from schemas.errors import FacextError, OutputError, Rejected, RejectReason, UsageError, nearest
from schemas.provenance import file_hash
from schemas.records import AnnotatedFrame, Pair, Reject
from schemas.shards import write_records
from sources.pairs import find_pairs

if TYPE_CHECKING:
    from annotators.mllm import MllmExplainer

LEAST_FREE_BYTES = 64 * 2**20
EXPLAINERS = ("evidence", "mllm")


# ---- plan ---------------------------------------------------------------------------------------


def plan(run: Run) -> list[PlannedPair]:
    """Finds the pairs, hashes their files, leaves out contradictions, and freezes the plan.

    Raises:
        SourceMissing: The dataset's folder is not there.
        UsageError: An unknown dataset, explainer or backend.
        OutputError: The output folder cannot be written or the disk is full.
    """
    dataset = run.manifest.dataset(run.name)
    explainer = run.manifest.explain.explainer
    if explainer not in EXPLAINERS:
        raise UsageError(
            f"no explainer '{explainer}'{nearest(explainer, EXPLAINERS)}; "
            f"known: {', '.join(EXPLAINERS)}"
        )
    backends(run.manifest.measure)
    root = dataset.folder(run.name)
    check_output(run.output)
    pairs, missing = find_pairs(run.name, dataset, root)
    hashes = functools.cache(lambda path: file_hash(root / path))
    hashed = [Hashed(pair, hashes(pair.real_path), hashes(pair.fake_path)) for pair in pairs]
    wrong = contradicting([one for one in hashed if dataset.methods[one.pair.method] != CONTROL])
    shared = {
        "config": run.manifest.measure.digest(),
        "code": code_version(),
        "fict": load_tree().version,
    }
    explaining = explain_hash(run)
    planned = [
        _planned(one, shared | {"forgery": dataset.methods[one.pair.method]}, explaining)
        for one in hashed
        if one.pair.key not in wrong
    ]
    missing += [reject(pair, None, "plan", wrong[pair.key]) for pair in pairs if pair.key in wrong]
    write_records(run.plan_path, planned, PlannedPair)
    write_records(run.unplanned_path, missing, Reject)
    return planned


def _planned(one: Hashed, measuring: dict[str, str], explaining: str) -> PlannedPair:
    facts = one.pair.model_dump()
    inputs = {"stage": "measure", "pair": facts, "inputs": [one.real, one.fake]}
    measure_unit = unit_id(inputs | measuring)
    explain_facts = {"stage": "explain", "parent": measure_unit, "config": explaining}
    return PlannedPair(
        **facts,
        real_sha256=one.real,
        fake_sha256=one.fake,
        measure_unit=measure_unit,
        explain_unit=unit_id(explain_facts),
    )


def explain_hash(run: Run) -> str:
    """Gives the hash of everything that an explanation depends on beside the measurements."""
    parts = [run.manifest.explain.explainer]
    if run.manifest.explain.explainer == "mllm":
        explainer = _captioner(run)
        parts += [explainer.prompt_hash, explainer.settings.digest()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


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
    """Gives the pairs to work on: not annotated yet, at most as many as the run's limit."""
    found = [pair for pair in planned if not is_annotated(run, pair)]
    return found[: run.limit] if run.limit else found


def is_annotated(run: Run, pair: PlannedPair) -> bool:
    """Tells whether both stages of a pair are done, the second from the first's last result."""
    measured = run.measured.content(pair.measure_unit)
    return run.measured.is_done(pair.measure_unit) and run.explained.is_done(
        pair.explain_unit, measured
    )


# ---- measure ------------------------------------------------------------------------------------


def measure(run: Run, pairs: Sequence[PlannedPair], progress: Progress) -> int:
    """Measures those of some pairs that are not measured yet, in worker processes.

    Returns:
        Number of units that were done now.
    """
    open_pairs = [pair for pair in pairs if not run.measured.is_done(pair.measure_unit)]
    progress("measure", 0, len(open_pairs))
    finished = itertools.count(1)

    def done(_: PlannedPair) -> None:
        progress("measure", next(finished), len(open_pairs))

    def died(planned: PlannedPair) -> None:
        death = Rejected(RejectReason.INTERNAL_ERROR, "the worker died over this pair")
        failed = reject(planned.pair_only(), None, "measure", death)
        run.measured.commit(planned.measure_unit, [], [failed])

    Workers(_measure_unit, _start_worker, run, run.processes).run(open_pairs, done, died)
    return len(open_pairs)


class _Worker:
    """What a worker process keeps between units."""

    run: Run
    measurer: Measurer


def _start_worker(run: Run) -> None:
    _Worker.run = run
    _Worker.measurer = Measurer(run.manifest.measure)


def _measure_unit(planned: PlannedPair) -> None:
    run = _Worker.run
    dataset = run.manifest.dataset(run.name)
    pair = planned.pair_only()
    job = PairJob(
        root=dataset.folder(run.name),
        pair=pair,
        forgery=dataset.methods[pair.method],
        real_sha256=planned.real_sha256,
        fake_sha256=planned.fake_sha256,
        code_version=code_version(),
    )
    try:
        rows, rejects = _Worker.measurer.measure_pair(job)
    except FacextError:
        raise  # not about this pair: the run stops with its message
    except Exception:
        rows, rejects = [], [_internal_error(pair, None, "measure")]
    run.measured.commit(planned.measure_unit, rows, rejects)


def _internal_error(pair: Pair, index: int | None, stage: str) -> Reject:
    """Keeps a pair that met a bug, with the bug's place; the next run tries it again."""
    last = traceback.format_exc().strip().splitlines()
    detail = f"a bug of this program: {last[-1]} ({last[-3].strip()})"
    return reject(pair, index, stage, Rejected(RejectReason.INTERNAL_ERROR, detail))


# ---- explain ------------------------------------------------------------------------------------


def explain(run: Run, pairs: Sequence[PlannedPair], progress: Progress) -> int:
    """Explains those of some measured pairs that are not explained yet.

    Returns:
        Number of units that were done now.
    """
    open_pairs = [pair for pair in pairs if not is_annotated(run, pair)]
    progress("explain", 0, len(open_pairs))
    work = functools.partial(
        _explain_unit, run, explainer=make_explainer(run), digest=explain_hash(run)
    )
    with ThreadPoolExecutor(max_workers=run.processes) as pool:
        futures = [pool.submit(work, pair) for pair in open_pairs]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                progress("explain", done, len(open_pairs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(open_pairs)


def make_explainer(run: Run) -> Explainer | None:
    """Gives the captioning explainer of the manifest, or None for `evidence`."""
    return _captioner(run) if run.manifest.explain.explainer == "mllm" else None


def _captioner(run: Run) -> MllmExplainer:
    from annotators.mllm import MllmExplainer  # openai takes a second to import

    return MllmExplainer(run.manifest.mllm(run.manifest.explain.mllm))


def _explain_unit(
    run: Run, planned: PlannedPair, *, explainer: Explainer | None, digest: str
) -> None:
    rows: list[AnnotatedFrame] = []
    rejects: list[Reject] = []
    for frame in run.measured.rows([planned.measure_unit]):
        try:
            rows.append(explain_frame(frame, explainer, run.manifest.measure.evidence, digest))
        except Rejected as rejection:
            rejects.append(reject(planned, frame.frame_index, "explain", rejection))
        except FacextError:
            raise
        except Exception:
            rejects.append(_internal_error(planned, frame.frame_index, "explain"))
    parent = run.measured.content(planned.measure_unit)
    unreached = any((row.fallback_reason or "").startswith("server_error") for row in rows)
    run.explained.commit(planned.explain_unit, rows, rejects, parent=parent, retry=unreached)
