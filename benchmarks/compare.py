"""Lets recipes explain the frames of the bench of truth by a captioning server, and judges them.

Of a recipe only its own published claims are judged. A frame that fell back to the measurements
counts as one of which the recipe says nothing: else a recipe that never answers would be perfect.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotators.mllm.client import Client, key_of
from annotators.mllm.explainer import MllmExplainer, recipe_of
from annotators.mllm.recipes import RECIPES
from annotators.mllm.reply import usage
from annotators.mllm.store import AnswerStore
from annotators.publish import Said, said_by_evidence
from benchmarks.books import EVIDENCE, Studied
from benchmarks.scores import FrameScore
from benchmarks.tallies import RecipeScore, tally
from schemas.explaining import Explain, Mllm
from schemas.manifest import Manifest, Measure
from schemas.records import MeasuredFrame

ALL = "all"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """What recipes are compared, and by what.

    Attributes:
        recipes: Names of `RECIPES`.
        server: The captioning server.
        explain: How it is asked; its recipe is not used.
        answers: Where answers are kept, so that a second run does not pay again.
    """

    recipes: tuple[str, ...]
    server: Mllm
    explain: Explain = field(default_factory=Explain)
    answers: Path = Path("out/bench/answers.sqlite")


def comparison_of(names: Sequence[str], mllm: str, manifest: Manifest) -> Comparison:
    """Prepares a comparison, and checks it before anything is measured.

    Args:
        names: Recipes, or `all` of those that any captioning model can answer.
        mllm: Which server of the manifest; empty for the first.
        manifest: The manifest.

    Raises:
        UsageError: There is no such recipe or server.
        BackendUnavailable: The server needs a key, and its environment variable is unset.
    """
    every = tuple(name for name, recipe in RECIPES.items() if recipe.holds_dialogue)
    recipes = every if ALL in names else tuple(dict.fromkeys(names))
    for name in recipes:
        recipe_of(_by(manifest.explain, name))
    server = manifest.mllm(mllm or manifest.explain.mllm)
    key_of(server)
    answers = Path(manifest.output) / "bench" / "answers.sqlite"
    return Comparison(recipes, server, manifest.explain, answers)


def compare(
    studied: Sequence[Studied], comparison: Comparison, progress: Progress | None = None
) -> dict[str, Any]:
    """Asks by each recipe and sums up what came of it.

    Returns:
        `recipes`, the figures by recipe and of `evidence`, and `captioning`, what they depend on.

    Raises:
        BackendUnavailable: Every further request would fail, too.
        BudgetReached: The next request could pass the budget.
    """
    with AnswerStore(comparison.answers) as store:
        said = asyncio.run(_ask(studied, comparison, store, progress))
        scores = {
            name: _scored(studied, name, of_recipe, store) for name, of_recipe in said.items()
        }
    return {
        "recipes": {name: tally(each) for name, each in scores.items()},
        "captioning": {
            "model": comparison.server.model,
            "server": comparison.server.digest(),
            "method": comparison.explain.method,
            "prompts": {name: RECIPES[name].prompt_hash for name in comparison.recipes},
        },
    }


async def _ask(
    studied: Sequence[Studied],
    comparison: Comparison,
    store: AnswerStore,
    progress: Progress | None,
) -> dict[str, list[Said | None]]:
    """Gives what is said of each frame, None where it has no row; by recipe."""
    settings = Measure().evidence
    said: dict[str, list[Said | None]] = {
        EVIDENCE: [said_by_evidence(one.row, settings) if one.row else None for one in studied]
    }
    explain = comparison.explain
    async with Client(comparison.server, store, explain.max_cost) as client:
        for done, name in enumerate(comparison.recipes, 1):
            explainer = MllmExplainer(client, _by(explain, name), settings, _methods(studied))
            said[name] = await _by_case(studied, explainer)
            if progress:
                progress("recipes", done, len(comparison.recipes))
    return said


async def _by_case(studied: Sequence[Studied], explainer: MllmExplainer) -> list[Said | None]:
    """Explains the frames of each case as those of one pair."""
    cases = [list(each) for _, each in itertools.groupby(studied, lambda one: one.score.case)]
    frames = [[_anonymous(one.row) for one in case if one.row] for case in cases]
    explained = await asyncio.gather(*(explainer.explain(each) for each in frames))
    told = itertools.chain.from_iterable(explained)
    return [next(told) if one.row else None for one in studied]


def _anonymous(row: MeasuredFrame) -> MeasuredFrame:
    """Gives a row without the case's name, which tells what was edited, as its method."""
    return row.model_copy(update={"method": row.forgery})


def _methods(studied: Sequence[Studied]) -> dict[str, str]:
    return {one.row.forgery: one.row.forgery for one in studied if one.row}


def _by(explain: Explain, recipe: str) -> Explain:
    return explain.model_copy(update={"recipe": recipe})


def _scored(
    studied: Sequence[Studied], name: str, said: Sequence[Said | None], store: AnswerStore
) -> list[RecipeScore]:
    """Judges what a recipe said; a request about several frames counts for the first."""
    scores, seen = [], set()
    for one, spoken in zip(studied, said, strict=True):
        score = _unsaid(one.score)
        if spoken is not None:
            own = spoken.claims if spoken.fallback_reason is None else ()
            score.judged = one.books[name].judge(own)
            score.enter(own, spoken)
            new = [each for each in dict.fromkeys(spoken.requests) if each not in seen]
            seen.update(new)
            score.pay([usage(store.answer(each) or b"") for each in new])
        scores.append(score)
    return scores


def _unsaid(score: FrameScore) -> RecipeScore:
    """Gives the score of a frame of which nothing was said: its aims are missed or rejected."""
    aims = [one for one in score.judged if one.sort == "aim"]
    return RecipeScore(score.case, score.compression, score.forged, index=score.index, judged=aims)
