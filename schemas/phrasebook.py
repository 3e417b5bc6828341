"""What a sentence claims: region, kind and direction, read back by sentences that are known.

Two sentences of one wording differ in region, numbers, degree and the number of the verb; all that
is taken out, and what is left is looked up. A wording that is not known is not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.records import SEG, EvidenceKind

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z<])")
_PHRASE = re.compile(r"<p>\s*([^<]*?)\s*</p>")
_NUMBER = re.compile(r"\d+(?:\.\d+)?%?")
_DEGREE = re.compile(r"\b(?:slightly|clearly|much) ")
_VERBS = {"are": "is", "have": "has", "sit": "sits", "show": "shows"}
_VERB = re.compile(rf"\b(?:{'|'.join(_VERBS)})\b")
_QUANTITY = re.compile(r"[,:][^,:]*\d[^,:]*?(?=[.!?]?$)")


@dataclass(frozen=True)
class Stated:
    """What one sentence claims.

    Attributes:
        region: Name of the region, in lower case.
        kind: What is said to have changed.
        direction: How.
    """

    region: str
    kind: EvidenceKind
    direction: str


class Phrasebook:
    """Reads sentences by the wordings of known ones.

    Args:
        names: Names of FICT nodes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        longest = sorted((name.lower() for name in names), key=len, reverse=True)
        self._names = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b")
        self._meanings: dict[str, tuple[EvidenceKind, str]] = {}

    def __len__(self) -> int:
        """Counts the wordings."""
        return len(self._meanings)

    def learn(self, sentence: str, kind: EvidenceKind, direction: str) -> None:
        """Takes the wording of a sentence up; the first meaning of a wording stands."""
        self._meanings.setdefault(self._wording(sentence), (kind, direction))

    def read(self, sentence: str) -> Stated | None:
        """Tells what a sentence claims; None where its wording is not known."""
        meaning = self._meanings.get(self._wording(sentence))
        region = self.region(sentence)
        return Stated(region, *meaning) if meaning and region else None

    def region(self, sentence: str) -> str:
        """Gives what is inside `<p>` tags, else the first FICT name; empty where there is none."""
        tagged = _PHRASE.search(sentence)
        if tagged:
            return tagged[1].lower()
        named = self._names.search(sentence.lower())
        return named[0] if named else ""

    def _wording(self, sentence: str) -> str:
        text = plain(sentence).lower()
        region = self.region(sentence)
        if region:
            text = text.replace(region, "@", 1)
        text = _DEGREE.sub("", _NUMBER.sub("#", text))
        return _VERB.sub(lambda found: _VERBS[found[0]], text).strip(" .!")


def sentences(text: str) -> list[str]:
    """Splits a text into its sentences, marks included."""
    return [part for part in _SENTENCE.split(text.strip()) if part]


def plain(text: str) -> str:
    """Takes the grounding marks out of a text."""
    bare = text.replace(SEG, " ").replace("<p>", " ").replace("</p>", " ")
    return re.sub(r" ([.,:;!?])", r"\1", " ".join(bare.split()))


def unquantified(sentence: str) -> str:
    """Leaves out the number at the end of a sentence, as in `..., by 8 of 100 lightness steps`."""
    return _QUANTITY.sub("", sentence)
