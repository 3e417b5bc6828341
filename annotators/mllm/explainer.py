"""The `mllm` explainer: a pair's frames in, what is said of each out.

Statements are checked against the pixels; the model is told once which are refuted. Whatever goes
wrong with one frame ends as a fallback with its reason, never as a lost record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from annotators.explain import NoAnswer, template
from annotators.mllm.answer import Answered, Refused
from annotators.mllm.recipes import RECIPES
from annotators.mllm.recipes.recipe import Method, Recipe, Scene, lines
from annotators.mllm.talk import Asks, Talk
from annotators.publish import Ledger, Said, said_by_evidence
from fict.tree import load_tree
from schemas.errors import UsageError, nearest
from schemas.explaining import Explain
from schemas.manifest import EvidenceSettings
from schemas.records import Claim, DroppedClaim, MeasuredFrame


def recipe_of(explain: Explain) -> Recipe:
    """Gives the recipe that the manifest names.

    Raises:
        UsageError: There is none of that name; the message lists those there are.
    """
    if explain.recipe not in RECIPES:
        raise UsageError(
            f"no recipe '{explain.recipe}'{nearest(explain.recipe, RECIPES)}; "
            f"known: {', '.join(RECIPES)}"
        )
    return RECIPES[explain.recipe]


class MllmExplainer:
    """Explains frames by asking one captioning server.

    Args:
        client: Answers requests.
        explain: How it is asked.
        evidence: Thresholds of the evidence.
        methods: The dataset's methods and their class of forgery, for ablation.
    """

    def __init__(
        self,
        client: Asks,
        explain: Explain,
        evidence: EvidenceSettings,
        methods: Mapping[str, str],
    ) -> None:
        self.recipe = recipe_of(explain)
        self._client, self._explain, self._evidence = client, explain, evidence
        self._methods = methods
        self._server = server = client.settings
        self._talking = asyncio.Semaphore(server.batch_size if server.batch else server.in_flight)

    async def explain(self, frames: Sequence[MeasuredFrame]) -> list[Said]:
        """Explains the frames of one pair.

        Raises:
            BackendUnavailable: Every further request would fail, too.
            BudgetReached: The next request could pass the budget.
        """
        if not frames:
            return []
        if self.recipe.is_for_videos:
            return await self._converse(frames)
        talks = (self._converse([frame]) for frame in frames)
        ended = await asyncio.gather(*talks, return_exceptions=True)  # what is paid for ends first
        said: list[Said] = []
        for one in ended:
            if isinstance(one, BaseException):
                raise one
            said += one
        return said

    async def _converse(self, frames: Sequence[MeasuredFrame]) -> list[Said]:
        async with self._talking:
            spoken = [self.recipe.level(frame) for frame in frames]
            keeps = self._explain.untestable == "keep"
            ledgers = [Ledger(frame, self._evidence, keeps) for frame in spoken]
            subject = _pair_of(frames[0]) if self.recipe.is_for_videos else frames[0].id
            reasks = self._explain.reasks if self.recipe.holds_dialogue else 0
            talk = Talk(self._client, self.recipe.name, subject, reasks)
            reason = await self._talk(talk, spoken, ledgers)
        pairs = zip(frames, ledgers, strict=True)
        return [self._said(frame, ledger, talk, reason) for frame, ledger in pairs]

    async def _talk(
        self, talk: Talk, frames: Sequence[MeasuredFrame], ledgers: Sequence[Ledger]
    ) -> str:
        """Holds a conversation and enters what was said; tells why nothing stands, if so."""
        scene = Scene(tuple(frames), self._told(frames[0]), self._server.image_size)
        if not any(frame.regions for frame in frames):
            return "no_region: nothing changed where the recipe looks"
        try:
            answered = await self.recipe.ask(scene, talk)
            refuted = _enter(answered, ledgers, 0)
            if refuted and self.recipe.asks_model and self.recipe.holds_dialogue:
                asked = template("refuted.txt").format(refuted=_refutations(refuted))
                again = await talk.ask("refuted", asked, self.recipe.form(frames))
                _enter(again, ledgers, 1)
        except NoAnswer as failure:
            return str(failure)
        if not answered.statements:
            return "cannot_tell: the model saw nothing that it could name"
        return "nothing_stands: no claim is supported by the pixels"

    def _said(self, measured: MeasuredFrame, ledger: Ledger, talk: Talk, reason: str) -> Said:
        """Closes a frame's ledger.

        Where nothing of the model's stands, the measurements speak, of the regions as localised.
        """
        if not ledger.claims:
            spoken = said_by_evidence(measured, self._evidence)
            return Said(
                spoken.frame,
                spoken.claims,
                dropped=tuple(ledger.dropped),
                recipe=self.recipe.name,
                requests=tuple(talk.requests),
                fallback_reason=reason,
            )
        return Said(
            ledger.frame,
            tuple(ledger.claims),
            dropped=tuple(ledger.dropped),
            explainer="mllm",
            recipe=self.recipe.name,
            model=self._server.model if self.recipe.asks_model else None,
            prompt_hash=self.recipe.prompt_hash,
            requests=tuple(talk.requests),
        )

    def _told(self, frame: MeasuredFrame) -> Method | None:
        """Gives what the model is told of the method."""
        if self._explain.method == "swapped":
            return swapped(frame, self._methods)
        if self._explain.method == "told" or self.recipe.is_told:
            return Method(frame.method, frame.forgery)
        return None


def swapped(frame: MeasuredFrame, methods: Mapping[str, str]) -> Method:
    """Gives a method that did not make a frame: the next one of another class, if there is one."""
    names = [name for name, forgery in methods.items() if forgery != "none"]
    start = names.index(frame.method) if frame.method in names else 0
    others = [name for name in names[start:] + names[:start] if name != frame.method]
    foreign = [name for name in others if methods[name] != frame.forgery]
    chosen = (foreign or others or [frame.method])[0]
    return Method(chosen, methods.get(chosen, frame.forgery))


def _enter(answered: Answered, ledgers: Sequence[Ledger], number: int) -> list[Claim]:
    """Enters an answer; gives what is refuted in at least half of the frames."""
    refuted: list[Claim] = []
    for ledger in ledgers:
        refuted += ledger.enter(answered.statements, number)
        ledger.dropped += [_dropped(one, number) for one in answered.refused]
    times: dict[tuple[int, str, str], list[Claim]] = {}
    for claim in refuted:
        times.setdefault((claim.category_id, claim.kind, claim.direction), []).append(claim)
    return [same[0] for same in times.values() if 2 * len(same) >= len(ledgers)]


def _dropped(refused: Refused, number: int) -> DroppedClaim:
    return DroppedClaim(
        region=refused.region, category_id=None, kind=refused.kind, direction=refused.direction,
        sentence=refused.sentence, fate="refused", reason=refused.why, round=number,
    )  # fmt: skip


def _refutations(claims: Sequence[Claim]) -> str:
    """Lists refuted claims in our own words: the model's never become part of a question."""
    known = load_tree().by_id
    return lines(
        f"- {known[claim.category_id].name}: {claim.kind} {claim.direction} ({claim.reason})"
        for claim in claims
    )


def _pair_of(frame: MeasuredFrame) -> str:
    return frame.id.rsplit("/", 1)[0]
