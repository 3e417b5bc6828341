"""What a captioning model that reads its prompt perfectly would say, and how it would lie."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from schemas.records import DIRECTIONS

MAX_CLAIMS = 20
TOKENS_PER_IMAGE = 300
LETTERS_PER_TOKEN = 4
REGIONS = "The regions, by number:\n"

_REGION = re.compile(r"\d+\. (.+)")
_MEASURED = re.compile(r"- (.+?): (\w+) (.+?), \S+ .+ \(significant\)")
# No verb that agrees with the region: names are singular and plural.
_SENTENCES = (
    "The forgery left the <p>{0}</p> {1}.",
    "I can see the <p>{0}</p> {1} in the second picture.",
    "Beside the real face, the <p>{0}</p> ended up {1}.",
)
_SEAMS = (
    "I can see a {1} along the <p>{0}</p>.",
    "There is a {1} at the <p>{0}</p>.",
    "The forgery left a {1} around the <p>{0}</p>.",
)

Option = TypeVar("Option")


class Stated(NamedTuple):
    """A change of a region, as measured or as claimed."""

    region: str
    kind: str
    direction: str


@dataclass(frozen=True)
class Dice:
    """Throws that depend on a text only: the same text and question give the same throw."""

    text: str

    def share(self, question: object) -> float:
        """Gives a number in [0, 1)."""
        digest = hashlib.sha256(f"{self.text}/{question}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48

    def pick(self, question: object, options: Sequence[Option]) -> Option:
        """Gives one of the options, each as likely as the others."""
        return options[int(self.share(question) * len(options))]


@dataclass(frozen=True)
class Asked:
    """One captioning request, and how truthfully it is to be answered.

    Attributes:
        key: The Authorization header, as it came.
        max_tokens: What the request allows; None: any number.
        dice: Decide the wording and the lies.
        lies: Share of the claims that are turned into false ones.
    """

    model: str
    messages: list[dict[str, Any]]
    key: str
    max_tokens: int | None
    dice: Dice
    lies: float = 0.0

    @cached_property
    def text(self) -> str:
        """The text of all user messages; a re-ask adds to it and takes nothing away."""
        return "\n\n".join(_texts(m for m in self.messages if m["role"] == "user"))

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """The names that an answer may use, in their order."""
        listed = self.text.partition(REGIONS)[2].split("\n\n")[0].splitlines()
        return tuple(found[1] for found in map(_REGION.fullmatch, listed) if found)

    @cached_property
    def measured(self) -> tuple[Stated, ...]:
        """The significant measurements, each once."""
        lines = map(_MEASURED.fullmatch, self.text.splitlines())
        return tuple(dict.fromkeys(Stated(*found.groups()) for found in lines if found))

    @property
    def claims(self) -> list[Stated]:
        """One claim for each measurement, the share `lies` of them false."""
        return [
            self.reversed(one) if self.dice.share(f"lie {n}") < self.lies else one
            for n, one in enumerate(self.measured[:MAX_CLAIMS])
        ]

    def reversed(self, one: Stated) -> Stated:
        """Gives the claim with the opposite direction, or else put at another region.

        Gives it as it is where that is true of every allowed region.
        """
        words = DIRECTIONS.get(one.kind, ())  # type: ignore[call-overload]  # keys are strings
        if one.direction in words and len(words) > 1:
            # the opposites stand side by side
            other = one._replace(direction=words[words.index(one.direction) ^ 1])
            if other not in self.measured:
                return other
        places = [one._replace(region=region) for region in self.regions]
        false = [other for other in places if other not in self.measured]
        return self.dice.pick(one, false) if false else one

    @property
    def prompt_tokens(self) -> int:
        """What a server would count, about: the text by its length, each image the same."""
        contents = [message["content"] for message in self.messages]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        images = [part for part in parts if part["type"] == "image_url"]
        letters = sum(map(len, _texts(self.messages)))
        return letters // LETTERS_PER_TOKEN + TOKENS_PER_IMAGE * len(images)

    def answer(self, claims: Sequence[Stated] | None = None) -> str:
        """Writes the JSON of an answer; without claims, that of a perfect reader."""
        stated = self.claims if claims is None else claims
        written = [{**one._asdict(), "sentence": self.sentence(one)} for one in stated]
        return json.dumps({"cannot_tell": not written, "claims": written})

    def sentence(self, one: Stated) -> str:
        """Words a claim; the wording varies."""
        forms = _SEAMS if one.kind == "seam" else _SENTENCES
        return self.dice.pick(one, forms).format(one.region, one.direction)


def body_hash(messages: object, model: str) -> str:
    """Identifies what is asked, whatever the other settings of the request are."""
    asked = json.dumps({"messages": messages, "model": model}, sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _texts(messages: Iterable[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in content or () if part["type"] == "text")
