"""What asking the captioning model would cost, before anything is asked.

Frames that are measured are put into the real requests, a sample of them for large datasets; the
rest is counted as more of the same. Nothing is sent.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc
import pyarrow.parquet as pq

from annotators.mllm.explainer import MllmExplainer
from annotators.mllm.request import Request
from flows import stages
from flows.run import PlannedPair, Progress, Run, unseen
from schemas.errors import UsageError
from schemas.explaining import Mllm

SAMPLE = 64
"""Pairs whose requests are written for an estimate."""
ANSWER_TOKENS = 300
"""Tokens of an answer, where no earlier request tells."""
UNMEASURED_TOKENS = 1000
"""Tokens of a prompt's text, where nothing is measured yet."""


@dataclass
class Tally:
    """Stands in for the client: counts requests, and answers that nothing can be told.

    Attributes:
        settings: The server.
        prompt: Probable prompt tokens of each request.
        highest: Highest cost of each request.
    """

    settings: Mllm
    prompt: list[int] = field(default_factory=list)
    highest: list[float] = field(default_factory=list)

    async def ask(self, request: Request) -> bytes:
        """Counts a request."""
        prompt, answer = request.highest_tokens
        self.prompt.append(request.expected_tokens - self.settings.max_tokens)
        self.highest.append(self.settings.price(prompt, answer))
        return _NOTHING


_NOTHING = json.dumps(
    {"choices": [{"message": {"content": '{"cannot_tell": true, "claims": []}'}}]}
).encode()


@dataclass(frozen=True)
class Estimate:
    """What is left to ask for a dataset.

    Attributes:
        pairs: Pairs that are not annotated yet.
        measured: Those of them that are measured.
        requests: Requests, without questions again.
        prompt_tokens: Of all of them, probably.
        answer_tokens: The same.
        cost: Of both, in the unit of the prices.
        highest: The most that the first question of each can cost.
        answered: True where the length of answers is known from earlier requests.
        latency: Mean seconds of earlier requests, waits included; None where there is none.
        at_once: Requests that are asked at a time.
    """

    pairs: int
    measured: int
    requests: int
    prompt_tokens: int
    answer_tokens: int
    cost: float
    highest: float
    answered: bool
    latency: float | None
    at_once: int

    @property
    def hours(self) -> float | None:
        """Gives the time of all requests, where earlier ones tell."""
        if self.latency is None:
            return None
        return self.requests * self.latency / self.at_once / 3600

    def lines(self) -> list[str]:
        """Words the estimate."""
        if not self.pairs:
            return ["nothing is left to ask"]
        known = "mean of earlier answers" if self.answered else f"{ANSWER_TOKENS} an answer"
        lines = [
            f"{self.pairs:,} pairs to explain, {self.measured:,} of them measured",
            f"{self.requests:,} requests, questions again not counted",
            f"{self.prompt_tokens:,} prompt tokens, {self.answer_tokens:,} answer tokens ({known})",
            f"{self.cost:.2f} probable cost, {self.highest:.2f} at most"
            if self.highest
            else "the server has no price_in and price_out in the manifest: cost unknown",
        ]
        if self.measured < self.pairs:
            lines.append("pairs that are not measured yet are counted as if every frame had a row")
        return lines


def estimate(
    run: Run, plan: Sequence[PlannedPair] | None = None, progress: Progress = unseen
) -> Estimate:
    """Estimates what asking the model for the rest of a dataset would cost; sends nothing.

    Args:
        run: The run.
        plan: The pairs of its plan, where that was made already.
        progress: Called after each file that was read.

    Raises:
        UsageError: The run's explainer asks no model.
    """
    if run.manifest.explain.explainer != "mllm":
        raise UsageError(
            "an estimate is of a captioning model: the explainer is "
            f"'{run.manifest.explain.explainer}'; add --explainer mllm"
        )
    server = run.manifest.mllm(run.manifest.explain.mllm)
    planned = stages.plan(run, progress).pairs if plan is None else plan
    pairs = stages.waiting(run, planned)
    measured = [pair for pair in pairs if run.measured.is_done(pair.measure_unit)]
    sample = measured[:: max(1, len(measured) // SAMPLE)]
    tally = Tally(server)
    frames = asyncio.run(_tell(run, sample, tally))
    a_pair = len(tally.prompt) / len(sample) if sample else run.manifest.measure.frames
    if not tally.prompt:  # nothing is measured, or it has no frame: a usual question instead
        tokens = UNMEASURED_TOKENS + 3 * server.image_tokens
        tally.prompt.append(tokens)
        tally.highest.append(server.price(4 * tokens, server.max_tokens))
    per_frame = len(tally.prompt) / frames if frames else 1.0
    open_frames = (len(pairs) - len(measured)) * run.manifest.measure.frames
    requests = math.ceil(a_pair * len(measured) + per_frame * open_frames)
    prompt = requests * sum(tally.prompt) // len(tally.prompt)
    known = _mean(run, "completion_tokens")
    answers = requests * (math.ceil(known) if known else ANSWER_TOKENS)
    return Estimate(
        pairs=len(pairs),
        measured=len(measured),
        requests=requests,
        prompt_tokens=prompt,
        answer_tokens=answers,
        cost=server.price(prompt, answers),
        highest=requests * sum(tally.highest) / len(tally.highest),
        answered=known is not None,
        latency=None if server.batch else _mean(run, "latency_s"),
        at_once=server.in_flight,
    )


async def _tell(run: Run, pairs: Sequence[PlannedPair], tally: Tally) -> int:
    """Puts measured pairs into requests that are only counted; gives their frames."""
    explainer = MllmExplainer(
        tally,
        run.manifest.explain,
        run.manifest.measure.evidence,
        run.manifest.dataset(run.name).methods,
    )
    frames = 0
    for pair in pairs:
        rows = run.measured.rows([pair.measure_unit])
        await explainer.explain(rows)
        frames += len(rows)
    return frames


def _mean(run: Run, column: str) -> float | None:
    """Gives the mean of a column over answered requests; None where there is none."""
    if not run.costs_path.is_file():
        return None
    asked = pq.read_table(run.costs_path, columns=[column, "outcome"])
    mean = pc.mean(asked.filter(pc.field("outcome") == "answered")[column]).as_py()
    return float(mean) if mean else None
