"""The form of an answer: statements about given regions, in the words that can be measured.

An answer is data. It is searched for its JSON object, validated claim by claim, and bounded; what
is not about a given region, not measurable, or says two things at once, is refused and kept with
its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from annotators.explain import Statement
from annotators.mllm.agreement import disagreement
from annotators.mllm.reply import Invalid, Reply
from schemas.records import DIRECTIONS, EvidenceKind

MOST_CLAIMS = 24
MOST_LETTERS = 400
MOST_TEXT = 200_000
"""Letters of an answer that are searched for its JSON."""
_FOREIGN = re.compile(r"[{}<>\[\]|`\\]|https?:|www\.")
_NEXT = re.compile(r"(?<=[.!?])\s+(?=\S)")
_MARK = re.compile(r"</?p>|\[SEG\]", re.IGNORECASE)


class _Claim(BaseModel):
    """One statement as the model must write it."""

    model_config = ConfigDict(extra="ignore")

    region: str | int
    kind: EvidenceKind
    direction: str
    sentence: str = Field(min_length=1, max_length=MOST_LETTERS)


@dataclass(frozen=True)
class Refused:
    """A statement that cannot be a claim.

    Attributes:
        region: What it calls its region.
        kind: What it says has changed.
        direction: How.
        sentence: Its sentence.
        why: Why it is refused, in our own words.
    """

    region: str
    kind: str
    direction: str
    sentence: str
    why: str


@dataclass(frozen=True)
class Answered:
    """What an answer holds."""

    statements: tuple[Statement, ...] = ()
    refused: tuple[Refused, ...] = ()


class ClaimsForm:
    """The form of an answer about some regions.

    Args:
        regions: FICT node id of each region that may be spoken of, by name.
    """

    def __init__(self, regions: Mapping[str, int]) -> None:
        self.regions = {name.lower(): concept for name, concept in regions.items()}
        self.names = tuple(regions)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema, for servers that hold a model to it."""
        directions = [direction for ways in DIRECTIONS.values() for direction in ways]
        claim = {
            "region": {"type": "string", "enum": list(self.names)},
            "kind": {"type": "string", "enum": [kind.value for kind in DIRECTIONS]},
            "direction": {"type": "string", "enum": directions},
            "sentence": {"type": "string"},
        }
        return _object(
            {
                "cannot_tell": {"type": "boolean"},
                "claims": {"type": "array", "items": _object(claim)},
            }
        )

    def read(self, reply: Reply) -> Answered:
        """Reads an answer.

        Raises:
            Invalid: There is no statement in it that can be used, and it does not say so either.
        """
        answer = _json_object(reply)
        claims = answer.get("claims", [])
        if not isinstance(claims, list):
            raise Invalid("invalid_answer", '"claims" must be a list')
        judged = self.judge(claims)
        if claims and not judged.statements:
            problems = dict.fromkeys(one.why for one in judged.refused)
            raise Invalid(_reason(judged.refused), "; ".join(list(problems)[:5]))
        if not claims and "cannot_tell" not in answer and "claims" not in answer:
            raise Invalid("invalid_answer", 'the keys "cannot_tell" and "claims" are missing')
        return judged

    def judge(self, claims: Sequence[Any]) -> Answered:
        """Tells what can be a statement from what cannot; at most `MOST_CLAIMS` are read."""
        read = [self._claim(claim) for claim in claims[:MOST_CLAIMS]]
        return Answered(
            tuple(one for one in read if isinstance(one, Statement)),
            tuple(one for one in read if isinstance(one, Refused)),
        )

    def _claim(self, raw: Any) -> Statement | Refused:
        try:
            claim = _Claim.model_validate(raw)
        except ValidationError as error:
            return _refused(raw, f"a claim is not in the form asked for: {_first(error)}")
        concept = self._concept(claim.region)
        if concept is None:
            return _refused(raw, "the region is none of the list")
        direction = claim.direction.strip().lower()
        if direction not in DIRECTIONS[claim.kind]:
            return _refused(raw, f"{claim.kind} knows no such direction")
        name = next(name for name in self.names if self.regions[name.lower()] == concept)
        sentence = bind(claim.sentence, name)
        if _FOREIGN.search(sentence.replace("<p>", "").replace("</p>", "")):
            return _refused(raw, "the sentence holds markup, code or an address")
        wrong = disagreement(sentence, concept, claim.kind, direction)
        if wrong:
            return _refused(raw, wrong)
        return Statement(concept, claim.kind, direction, sentence)

    def _concept(self, region: str | int) -> int | None:
        """Finds a region by its name, or by its number in the list."""
        told = str(region).strip().lower()
        if told in self.regions:
            return self.regions[told]
        number = re.fullmatch(r"(\d{1,3})(?:[.):]\s*(.*))?", told)
        if number is None:
            return None
        if number[2]:
            return self.regions.get(number[2])
        place = int(number[1]) - 1
        return self.regions[self.names[place].lower()] if 0 <= place < len(self.names) else None


class FreeText:
    """A turn of a dialogue that may answer in any words."""

    schema: dict[str, Any] | None = None

    def read(self, reply: Reply) -> str:
        """Gives the text, printable and bounded."""
        return printable(reply.text)[: 10 * MOST_LETTERS]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _json_object(reply: Reply) -> dict[str, Any]:
    """Finds the JSON object in a text, also in a code fence, within prose, or cut off.

    Raises:
        Invalid: There is none.
    """
    text = reply.text[:MOST_TEXT]
    start = text.find("{")
    if start < 0:
        raise Invalid("invalid_answer", "there is no JSON object in it")
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        found = _cut_object(text[start:]) if reply.was_cut else None
    if isinstance(found, dict):
        return found
    if reply.was_cut:
        raise Invalid("cut_answer", "it was cut off at the limit of tokens; write fewer claims")
    raise Invalid("invalid_answer", "its JSON cannot be read")


def _cut_object(text: str) -> Any:
    """Reads the whole parts of a JSON object that was cut off: they are paid for."""
    try:
        return pydantic_core.from_json(text, allow_partial=True)
    except ValueError:
        return None


def _reason(refused: Sequence[Refused]) -> str:
    """Names what is wrong with an answer of which nothing can be used."""
    places = all("region is none" in one.why for one in refused)
    return "unknown_regions" if places else "invalid_answer"


def _refused(raw: Any, why: str) -> Refused:
    facts = raw if isinstance(raw, dict) else {}

    def told(key: str, letters: int) -> str:
        return printable(str(facts.get(key, ""))[: 2 * letters])[:letters]

    return Refused(
        told("region", 80), told("kind", 40), told("direction", 40),
        told("sentence", MOST_LETTERS), why,
    )  # fmt: skip


def _first(error: ValidationError) -> str:
    """Tells the first finding of pydantic, without the value that it found."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "claim"
    return f"{where}: {first['msg']}"


def printable(text: str) -> str:
    """Gives a text without control, bidi and other unprintable characters, on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def bind(sentence: str, region: str) -> str:
    """Puts the region's name, and nothing else, inside `<p>` tags: text and mask then agree.

    Only the first sentence is kept: a claim is one, and what follows it was never checked.
    """
    bare = " ".join(_MARK.sub(" ", printable(sentence)).split())
    bare = _NEXT.split(re.sub(r" ([.,;:!?])", r"\1", bare))[0]
    found = re.search(rf"\b{re.escape(region)}\b", bare, re.IGNORECASE)
    if found is None:
        return f"About the <p>{region}</p>: {bare}"
    return f"{bare[: found.start()]}<p>{found[0]}</p>{bare[found.end() :]}"
