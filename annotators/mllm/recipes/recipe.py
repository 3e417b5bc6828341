"""What every recipe is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from annotators.explain import PROMPTS, template
from annotators.mllm.answer import Answered, ClaimsForm
from annotators.mllm.pictures import Pictures
from annotators.mllm.talk import Talk
from schemas.records import DIRECTIONS, MeasuredFrame

SHARED = ("invalid.txt", "refuted.txt", "lexicon.yaml")
"""Files that every recipe asks with."""
CLAIMS = "claims.txt"
"""Rules and form of the answers of several recipes."""


@dataclass(frozen=True)
class Method:
    """What a model may be told of how a forgery was made.

    Attributes:
        name: The method as the source spells it.
        forgery: Its class.
    """

    name: str
    forgery: str


@dataclass(frozen=True)
class Scene:
    """What a recipe may show and tell.

    Attributes:
        frames: The frame; of a recipe for videos all frames of the pair, in order.
        method: What is told of the method; `None` where it is hidden.
        size: Side of the pictures, in pixels.
    """

    frames: tuple[MeasuredFrame, ...]
    method: Method | None
    size: int

    @property
    def frame(self) -> MeasuredFrame:
        """The frame, or the first."""
        return self.frames[0]

    def pictures(self) -> list[Pictures]:
        """Gives the pictures of each frame."""
        return [Pictures(frame, self.size) for frame in self.frames]


Ask = Callable[[Scene, Talk], Awaitable[Answered]]


def same(frame: MeasuredFrame) -> MeasuredFrame:
    """Leaves a frame as it is: the recipe speaks of the regions that were localised."""
    return frame


def form_of(frames: Sequence[MeasuredFrame]) -> ClaimsForm:
    """Gives the form of an answer about the regions of some frames."""
    regions = (region for frame in frames for region in frame.regions)
    return ClaimsForm({region.name: region.category_id for region in regions})


@dataclass(frozen=True)
class Recipe:
    """One way to let a captioning model explain.

    Attributes:
        name: Its name in the manifest.
        prompts: Its files below `annotators/prompts`; their hash is the recipe's version.
        ask: Holds the conversation.
        level: Gives the frame with the regions that the recipe speaks of.
        form: Gives the form of an answer about the frames of a conversation.
        is_told: It always tells the method, as its original does.
        is_for_videos: One conversation for all frames of a pair.
        asks_model: False for one that only fills templates.
        holds_dialogue: False for one whose model answers single questions: it is asked once, and
            told neither what is refuted nor what is wrong with its answer.
    """

    name: str
    prompts: tuple[str, ...]
    ask: Ask
    level: Callable[[MeasuredFrame], MeasuredFrame] = same
    form: Callable[[Sequence[MeasuredFrame]], ClaimsForm] = form_of
    is_told: bool = False
    is_for_videos: bool = False
    asks_model: bool = True
    holds_dialogue: bool = True

    @property
    def prompt_hash(self) -> str:
        """Names the version of its prompts."""
        digest = hashlib.sha256()
        for name in (*self.prompts, *SHARED):
            digest.update((PROMPTS / name).read_bytes())
        return digest.hexdigest()[:16]


def lines(every: Iterable[str]) -> str:
    """Joins the lines of a list in a prompt."""
    return "\n".join(every)


def regions_of(frame: MeasuredFrame) -> str:
    """Lists the regions by the numbers of their outlines."""
    return numbered(region.name for region in frame.regions)


def numbered(names: Iterable[str]) -> str:
    """Lists names by number from 1, as an answer may call them."""
    return lines(f"{n}. {name}" for n, name in enumerate(names, 1))


def evidence_of(frame: MeasuredFrame) -> str:
    """Lists the measurements of the regions."""
    names = {region.category_id: region.name for region in frame.regions}
    return lines(
        f"- {names[one.category_id]}: {one.kind} {one.direction}, {one.effect:.2f} {one.unit}"
        f" ({'significant' if one.significant else 'not significant'})"
        for one in frame.evidence
        if one.category_id in names
    )


def vocabulary() -> str:
    """Lists the kinds and their directions."""
    return lines(f"- {kind}: {', '.join(words)}" for kind, words in DIRECTIONS.items())


def claims_wanted() -> str:
    """Words the rules and the form of an answer, as the recipes but `fifa` share them."""
    return template(CLAIMS).format(vocabulary=vocabulary())


def told(method: Method | None) -> str:
    """Words what is told of the method; empty where it is hidden."""
    if method is None:
        return ""
    return f"The forgery was made by the method {method.name} ({method.forgery}).\n"
