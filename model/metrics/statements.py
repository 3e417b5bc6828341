"""Is what an answer says true: regions and claims against what was changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

from model.answer import Answer
from model.metrics.case import Case, Figures, Truth, mean, share
from model.metrics.concepts import Concepts
from schemas.phrasebook import Phrasebook, Stated, plain, sentences

_PHRASE = re.compile(r"<p>\s*([^<]*?)\s*</p>")


@dataclass
class _Tally:
    true: int = 0
    said: int = 0
    found: int = 0
    there: int = 0

    def figures(self, name: str) -> Figures:
        precision, recall = share(self.true, self.said), share(self.found, self.there)
        both = (precision or 0.0) + (recall or 0.0)
        harmonic = 2 * (precision or 0.0) * (recall or 0.0) / both if both else 0.0
        return {
            f"{name}_precision": precision,
            f"{name}_recall": recall,
            f"{name}_f1": harmonic if self.there else None,
        }


class Statements:
    """Gathers what answers say of regions.

    A region is said by a phrase in `<p>` tags or by a sentence that is understood; a claim only by
    the latter. Sentences that are not understood are counted.

    Args:
        concepts: The concept tree.
        book: Reads sentences.
    """

    def __init__(self, concepts: Concepts, book: Phrasebook) -> None:
        self._concepts, self._book = concepts, book
        self._regions, self._claims = _Tally(), _Tally()
        self._sentences = self._unread = 0

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""
        regions, claims = statements(answer.text, self._book)
        if not case.is_clean:
            right = {plain(one) for one in sentences(case.references[0])}
            told = [one for one in sentences(answer.text) if plain(one) not in right]
            self._sentences += len(told)
            self._unread += sum(self._book.read(one) is None for one in told)
        truth = case.truth
        self._tally(self._regions, regions, truth.regions, truth)
        if truth.claims is not None:
            self._tally(self._claims, claims, truth.claims, truth)

    def _tally(
        self, tally: _Tally, said: Set[str] | Set[Stated], right: Iterable[object], truth: Truth
    ) -> None:
        there = list(right)
        tally.said += len(said)
        tally.there += len(there)
        tally.true += sum(any(self._same(one, other, truth) for other in there) for one in said)
        tally.found += sum(any(self._same(one, other, truth) for one in said) for other in there)

    def _same(self, one: object, other: object, truth: Truth) -> bool:
        if truth.is_exact:
            return one == other
        if isinstance(one, Stated) and isinstance(other, Stated):
            same = (one.kind, one.direction) == (other.kind, other.direction)
            return same and self._concepts.related(one.region, other.region)
        return self._concepts.related(str(one), str(other))

    def figures(self) -> Figures:
        """Gives precision, recall and F1 of regions and claims, and `unread_sentences`.

        The latter is the share of the sentences about changed faces that are not in the right
        answer and whose wording is not known.
        """
        unread = {"unread_sentences": share(self._unread, self._sentences)}
        return self._regions.figures("region") | self._claims.figures("claim") | unread


def statements(text: str, book: Phrasebook) -> tuple[set[str], set[Stated]]:
    """Gives the regions and the claims of an answer."""
    claims = {stated for one in sentences(text) if (stated := book.read(one))}
    tagged = {one.lower() for one in _PHRASE.findall(text)}
    return {claim.region for claim in claims} | tagged, claims


class Change:
    """Does an answer tell a changed place from an unchanged one?

    Args:
        book: Reads sentences.
    """

    def __init__(self, book: Phrasebook) -> None:
        self._book = book
        self._right: dict[bool, list[float]] = {True: [], False: []}

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""
        regions, _ = statements(answer.text, self._book)
        tells = bool(regions) or bool(answer.masks.any())
        self._right[case.is_clean].append(float(tells != case.is_clean))

    def figures(self) -> Figures:
        """Gives `change_accuracy`: the mean of how often it is right on changed and unchanged ones.

        An answer tells of a change by a claim, a grounded phrase, or a mask that is not empty.
        A constant answer gets 0.5.
        """
        both = [mean(each) for each in self._right.values()]
        if None in both:
            return {"change_accuracy": None}
        return {"change_accuracy": mean([value for value in both if value is not None])}
