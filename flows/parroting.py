"""Asks the captioning model twice about a sample of frames: told their method, and told another."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from annotators.mllm.client import Client
from annotators.mllm.explainer import MllmExplainer, swapped
from annotators.mllm.store import AnswerStore
from annotators.publish import Said
from flows import stages
from flows.explain import check_explainer, write_costs
from flows.run import PlannedPair, Progress, Run
from qa.parroting import Parroting, Told, compare
from schemas.errors import UsageError
from schemas.records import MeasuredFrame
from schemas.shards import write_records


def parroting_path(run: Run) -> Path:
    """Gives the file of the test's last figures."""
    return run.output / "qa" / "parroting.parquet"


def run_parroting(run: Run, frames: int, progress: Progress) -> list[Parroting]:
    """Runs the test on measured frames, as many of each method; answers and costs are kept.

    Args:
        run: The dataset; its explainer is `mllm`.
        frames: How many frames are asked about, each twice.
        progress: Called after each file that was read, each frame and method.

    Raises:
        UsageError: No model is asked, nothing is measured, or there is one method only.
        BudgetReached: The next request could pass the budget.
        BackendUnavailable: The server is not there.
    """
    check_explainer(run)
    if run.manifest.explain.explainer != "mllm":
        raise UsageError("the parroting test is of a captioning model: add --explainer mllm")
    chosen = _sample(run, stages.plan(run, progress).pairs, frames)
    methods = run.manifest.dataset(run.name).methods
    if not chosen:
        raise UsageError(f"nothing is measured of '{run.name}'; run: facext annotate {run.name}")
    if len({frame.method for frame in chosen}) < 2:
        raise UsageError(f"'{run.name}' has frames of one method only: none can be swapped")
    with AnswerStore(run.answers_path) as store:
        try:
            true, other = (
                asyncio.run(_tell(run, chosen, how, store, progress)) for how in ("told", "swapped")
            )
        finally:
            write_costs(run, store)
    rows = compare(
        [_told(said, frame, frame.method) for said, frame in zip(true, chosen, strict=True)],
        [
            _told(said, frame, swapped(frame, methods).name)
            for said, frame in zip(other, chosen, strict=True)
        ],
    )
    write_records(parroting_path(run), rows, Parroting)
    return rows


def _sample(run: Run, plan: Sequence[PlannedPair], frames: int) -> list[MeasuredFrame]:
    """Takes measured frames, methods in turn, in the order of the plan."""
    queues: dict[str, list[PlannedPair]] = defaultdict(list)
    for pair in plan:
        if run.measured.is_done(pair.measure_unit):
            queues[pair.method].append(pair)
    chosen: list[MeasuredFrame] = []
    while any(queues.values()) and len(chosen) < frames:
        for queue in queues.values():
            if queue:
                chosen += run.measured.rows([queue.pop(0).measure_unit])[:1]
    return chosen[:frames]


async def _tell(
    run: Run, frames: Sequence[MeasuredFrame], how: str, store: AnswerStore, progress: Progress
) -> list[Said]:
    manifest = run.manifest
    explain = manifest.explain.model_copy(update={"method": how})
    done = 0

    async def one(frame: MeasuredFrame) -> Said:
        nonlocal done
        said = await explainer.explain([frame])
        done += 1
        progress(how, done, len(frames))
        return said[0]

    async with Client(manifest.mllm(explain.mllm), store, explain.max_cost) as client:
        explainer = MllmExplainer(
            client, explain, manifest.measure.evidence, manifest.dataset(run.name).methods
        )
        return list(await asyncio.gather(*(one(frame) for frame in frames)))


def _told(said: Said, frame: MeasuredFrame, told: str) -> Told:
    """Gives all that the model said, published or not, and nothing of a fallback."""
    dropped = [one for one in said.dropped if one.fate != "refused"]
    statements = {(one.region, one.kind, one.direction) for one in dropped}
    if said.fallback_reason is None:
        names = {region.category_id: region.name for region in said.frame.regions}
        statements |= {
            (names[one.category_id], one.kind.value, one.direction) for one in said.claims
        }
    refuted = sum(one.fate == "contradicted" for one in dropped)
    return Told(frame.id, frame.method, told, frozenset(statements), refuted)
