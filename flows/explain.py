"""The explain stage: measured units in, annotated units out.

One loop serves both explainers. Pairs are alive as many at a time as the explainer can use, so
memory does not grow with the dataset; rows are checked and written in threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from annotators.pipeline import reject
from annotators.publish import Said, publish, said_by_evidence
from flows.failures import internal_error
from flows.run import PlannedPair, Progress, Run
from flows.units import EXPLAINING
from schemas.errors import (
    BackendUnavailable,
    BudgetReached,
    FacextError,
    Rejected,
    UsageError,
    nearest,
)
from schemas.manifest import EvidenceSettings
from schemas.provenance import source_hash
from schemas.records import AnnotatedFrame, Cost, MeasuredFrame, Reject
from schemas.shards import file_metadata, write_table
from schemas.stopwatch import CLOCK

if TYPE_CHECKING:
    from annotators.mllm.store import AnswerStore

EXPLAINERS = ("evidence", "mllm")


@dataclass(frozen=True)
class Explained:
    """What an explain stage did.

    Attributes:
        done: Units that were done now.
        stopped: Why it ended before the last pair: the server or the budget; the run can go on.
    """

    done: int
    stopped: FacextError | None = None


class Explainer(Protocol):
    """Says of each frame of a pair what was forged."""

    async def explain(self, frames: Sequence[MeasuredFrame]) -> list[Said]:
        """Gives what is said of each frame, in their order."""


class ByEvidence:
    """Lets the measurements speak.

    Args:
        settings: Thresholds of the evidence.
    """

    def __init__(self, settings: EvidenceSettings) -> None:
        self._settings = settings

    async def explain(self, frames: Sequence[MeasuredFrame]) -> list[Said]:
        """Gives what was measured of each frame."""
        with CLOCK.step("explain"):
            return [said_by_evidence(frame, self._settings) for frame in frames]


def check_explainer(run: Run) -> None:
    """Checks that the manifest's explainer can be had, before hours are spent on measuring.

    Raises:
        UsageError: The manifest names an explainer, recipe or server that is none.
        BackendUnavailable: The server needs a key, and its environment variable is unset.
    """
    explain = run.manifest.explain
    if explain.explainer not in EXPLAINERS:
        raise UsageError(
            f"no explainer '{explain.explainer}'{nearest(explain.explainer, EXPLAINERS)}; "
            f"known: {', '.join(EXPLAINERS)}"
        )
    if explain.explainer == "mllm":
        from annotators.mllm.client import key_of
        from annotators.mllm.explainer import recipe_of

        recipe_of(explain)
        key_of(run.manifest.mllm(explain.mllm))


def explain_hash(run: Run) -> str:
    """Gives the hash of everything that an explanation depends on beside the measurements."""
    explain = run.manifest.explain
    parts = [explain.explainer, source_hash(*EXPLAINING)]
    if explain.explainer == "mllm":
        from annotators.mllm.explainer import recipe_of  # openai takes a second to import

        recipe = recipe_of(explain)
        parts += [explain.digest(), run.manifest.mllm(explain.mllm).digest(), recipe.prompt_hash]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def is_annotated(run: Run, pair: PlannedPair) -> bool:
    """Tells whether both stages of a pair are done, the second from the first's last result."""
    measured = run.measured.state(pair.measure_unit)
    if measured is None or measured.retry:
        return False
    return run.explained.is_done(pair.explain_unit, measured.content)


def explain(run: Run, pairs: Sequence[PlannedPair], progress: Progress) -> Explained:
    """Explains those of some measured pairs that are not explained yet.

    A server or budget that stops the run is no exception here: what was done before is published.
    """
    if run.manifest.explain.explainer == "mllm":
        return _explain_by_model(run, pairs, progress)
    explainer = ByEvidence(run.manifest.measure.evidence)
    return asyncio.run(_explain(run, pairs, progress, explainer, alive=run.processes))


def _explain_by_model(run: Run, pairs: Sequence[PlannedPair], progress: Progress) -> Explained:
    from annotators.mllm.client import Client
    from annotators.mllm.explainer import MllmExplainer
    from annotators.mllm.store import AnswerStore

    manifest, explain = run.manifest, run.manifest.explain
    server = manifest.mllm(explain.mllm)
    requests = server.batch_size if server.batch else server.in_flight
    alive = max(2, math.ceil(2 * requests / manifest.measure.frames))

    async def ask(store: AnswerStore) -> Explained:
        async with Client(server, store, explain.max_cost) as client:
            methods = manifest.dataset(run.name).methods
            explainer = MllmExplainer(client, explain, manifest.measure.evidence, methods)
            return await _explain(run, pairs, progress, explainer, alive)

    with AnswerStore(run.answers_path) as store:  # one run at a time asks
        try:
            return asyncio.run(ask(store))
        finally:
            write_costs(run, store)


def write_costs(run: Run, store: AnswerStore) -> None:
    """Writes `costs.parquet`: one row for each request of all runs."""
    table = store.costs().replace_schema_metadata(file_metadata(Cost, {"dataset": run.name}))
    write_table(run.costs_path, table)


async def _explain(
    run: Run,
    pairs: Sequence[PlannedPair],
    progress: Progress,
    explainer: Explainer,
    alive: int,
) -> Explained:
    """Explains pairs, so many at a time."""
    open_pairs = [pair for pair in pairs if not is_annotated(run, pair)]
    progress("explain", 0, len(open_pairs))
    left = iter(open_pairs)
    digest = explain_hash(run)
    done, stopped = 0, None

    async def work() -> None:
        nonlocal done, stopped
        for pair in left:
            try:
                await _explain_unit(run, pair, explainer, digest)
            except (BackendUnavailable, BudgetReached) as error:
                stopped = stopped or error
                return
            done += 1
            progress("explain", done, len(open_pairs))
            if stopped:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(alive, len(open_pairs))):
                group.create_task(work())
    except* FacextError as errors:
        raise errors.exceptions[0] from None
    return Explained(done, stopped)


async def _explain_unit(run: Run, planned: PlannedPair, explainer: Explainer, digest: str) -> None:
    frames = await asyncio.to_thread(run.measured.rows, [planned.measure_unit])
    try:
        said = await explainer.explain(frames)
    except FacextError:
        raise  # not about this pair
    except Exception:
        bugs = [internal_error(planned, frame.frame_index, "explain") for frame in frames]
        await asyncio.to_thread(_commit, run, planned, [], bugs)
    else:
        await asyncio.to_thread(_publish, run, planned, said, digest)


def _publish(run: Run, planned: PlannedPair, said: Sequence[Said], digest: str) -> None:
    """Writes the rows of one pair."""
    rows: list[AnnotatedFrame] = []
    rejects: list[Reject] = []
    for one in said:
        try:
            with CLOCK.step("explain"):
                rows.append(publish(one, digest))
        except Rejected as rejection:
            rejects.append(reject(planned, one.frame.frame_index, "explain", rejection))
        except Exception:
            rejects.append(internal_error(planned, one.frame.frame_index, "explain"))
    _commit(run, planned, rows, rejects)


def _commit(
    run: Run, planned: PlannedPair, rows: Sequence[AnnotatedFrame], rejects: Sequence[Reject]
) -> None:
    """Stores a unit; one that a server failed to explain is tried again by the next run."""
    failed = any((row.fallback_reason or "").startswith("server_error") for row in rows)
    parent = run.measured.content(planned.measure_unit)
    run.explained.commit(planned.explain_unit, rows, rejects, parent=parent, retry=failed)
