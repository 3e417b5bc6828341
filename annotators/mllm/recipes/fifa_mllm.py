"""`fifa_mllm`: a trained FiFa-MLLM is asked its own question about the forged frame.

It writes what it was trained to write: an explanation with grounded phrases, in the wordings of
`prompts/sentences.yaml`. Each sentence is read back as a claim and tested as any model's. Nothing
is told: no pair, region or measurement. Source: ours; it closes the loop from shards to captions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from annotators.explain import verbs, wordings
from annotators.mllm.answer import Answered, ClaimsForm, Refused, printable
from annotators.mllm.recipes.recipe import Recipe, Scene
from annotators.mllm.reply import Reply
from annotators.mllm.talk import Talk
from annotators.questions import wording
from fict.tree import load_tree
from schemas.phrasebook import Phrasebook, plain, sentences, unquantified
from schemas.records import EvidenceKind, MeasuredFrame, Side, Task

TASK: Task = "I-AGE"
UNREAD = "its wording is none of those that say something measurable"
EXAMPLES = ("nose", "lips")
"""A region of each number, to word the templates."""


async def ask(scene: Scene, talk: Talk) -> Answered:
    """Asks once."""
    return await talk.ask("ask", question(), AgeForm(), (scene.pictures()[0].fake,))


def question() -> str:
    """Gives the question."""
    return str(wording()[TASK]["ask"][0])


class AgeForm:
    """An explanation in sentences of our wordings, about any region of FICT.

    Numbers at the end of a sentence are left out: no measurement of the model's stands behind them.
    """

    schema: dict[str, Any] | None = None

    def read(self, reply: Reply) -> Answered:
        """Reads the claims; sentences of other wordings are refused."""
        said = reply.text.removeprefix(_verdict("fake"))
        if said.strip() == wording()[TASK]["real"]:
            return Answered()
        readable: list[dict[str, str]] = []
        refused: list[Refused] = []
        for sentence in sentences(printable(said)):
            stated = book().read(sentence)
            bare = plain(sentence)
            if stated is None:
                refused.append(Refused(book().region(sentence), "", "", bare[:400], UNREAD))
                continue
            readable.append(
                {
                    "region": stated.region,
                    "kind": stated.kind,
                    "direction": stated.direction,
                    "sentence": unquantified(bare),
                }
            )
        judged = any_region(()).judge(readable)
        return Answered(judged.statements, (*judged.refused, *refused))


@functools.cache
def book() -> Phrasebook:
    """Gives the book of our own wordings."""
    found = Phrasebook(concept.name for concept in load_tree().concepts)
    numbers = {"effect": "2", "percent": "2%", "times": "2.0", "left": "40%", "degree": "clearly"}
    for kind, ways in wordings().items():
        for direction, template in ways.items():
            for region in EXAMPLES:
                sentence = template.format(region=region, **numbers, **verbs(region))
                found.learn(sentence, EvidenceKind(kind), direction)
    return found


def _verdict(side: Side) -> str:
    return str(wording()[TASK][side]).partition("{age}")[0]


def any_region(frames: Sequence[MeasuredFrame]) -> ClaimsForm:
    """Gives the form of claims about any region, changed or not."""
    return ClaimsForm({concept.name: concept.id for concept in load_tree().concepts})


FIFA_MLLM = Recipe(
    "fifa_mllm", ("questions.yaml", "sentences.yaml"), ask, form=any_region, holds_dialogue=False
)
