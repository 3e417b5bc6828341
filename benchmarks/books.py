"""Everything that may be said of a frame, judged beforehand.

Truth is heavy and lives in the process that filmed the case; a book of verdicts is small, and any
recipe's claims can be looked up in it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from annotators.mllm.recipes import RECIPES
from benchmarks.claims import published_one
from benchmarks.facts import Facts
from benchmarks.scores import FrameScore, Judged
from benchmarks.stated import Stated
from schemas import rle
from schemas.records import DIRECTIONS, Claim, MeasuredFrame

EVIDENCE = "evidence"
"""Name of the baseline beside the recipes: what the measurements say by themselves."""


@dataclass(frozen=True)
class Book:
    """The verdicts on one frame.

    Attributes:
        verdicts: Of each statement about a region of the frame.
        aims: What the forge aimed at, as missed, and the concepts by which it can be stated.
    """

    verdicts: Mapping[Stated, Judged]
    aims: Sequence[tuple[Judged, frozenset[int]]]

    def judge(self, claims: Iterable[Claim]) -> list[Judged]:
        """Looks up claims about regions of the frame, and which aims they state."""
        said = [Stated(one.category_id, one.kind, one.direction) for one in claims]
        told = {(one.concept, one.kind.value, one.direction) for one in said}
        aims = [
            replace(aim, outcome="stated")
            if any((concept, aim.kind, aim.direction) in told for concept in concepts)
            else aim
            for aim, concepts in self.aims
        ]
        return [*(self.verdicts[one] for one in said), *aims]


@dataclass
class Studied:
    """One frame of a case.

    Attributes:
        score: What was found in it by the measurements.
        row: The measured frame; None where it was rejected.
        books: Verdicts on what recipes may say of it; empty where none were asked for.
    """

    score: FrameScore
    row: MeasuredFrame | None = None
    books: dict[str, Book] = field(default_factory=dict)


class RegionFacts(Facts):
    """The truth of regions that a recipe cut anew: by their pixels, not by the tree.

    Args:
        facts: The truth of the frame.
        row: The frame with the regions.
    """

    def __init__(self, facts: Facts, row: MeasuredFrame) -> None:
        super().__init__(
            facts.gauge, facts.known, facts.labels, facts.aims, facts.tree, facts.settings
        )
        self._pixels = {
            one.category_id: rle.decode(one.concept_segmentation) for one in row.regions
        }
        for concept, pixels in self._pixels.items():
            self.touched[concept] = np.count_nonzero(pixels & self.gauge.changed)

    def related(self, concept: int, aimed: int) -> bool:
        """Compares the labels of their pixels: the rest of a face does not hold its mouth."""
        if concept not in self._pixels:
            return super().related(concept, aimed)
        held = set(np.unique(self.labels[self._pixels[concept]]).tolist())
        below = self.tree.descendants_of(self.tree.by_id[aimed])
        seen = {aimed, *(node.id for node in below)} & set(np.unique(self.labels).tolist())
        both = held & seen
        return bool(both) and both in (held, seen)

    def _concept(self, concept: int) -> NDArray[np.bool_]:
        pixels = self._pixels.get(concept)
        return super()._concept(concept) if pixels is None else pixels


def books_of(facts: Facts, row: MeasuredFrame, recipes: Iterable[str]) -> dict[str, Book]:
    """Judges all that may be said of a frame by the measurements and by some recipes.

    Args:
        facts: The truth.
        row: The frame as it was measured.
        recipes: Names of `RECIPES`.

    Returns:
        A book for each recipe and one for `EVIDENCE`; recipes of one level share theirs.
    """
    measured = _book(facts, row)
    made: dict[Callable[[MeasuredFrame], MeasuredFrame], Book] = {}
    books = {EVIDENCE: measured}
    for name in recipes:
        level = RECIPES[name].level
        if level not in made:
            lifted = level(row)
            own = RegionFacts(facts, lifted) if lifted.regions != row.regions else facts
            made[level] = measured if lifted == row else _book(own, lifted)
        books[name] = made[level]
    return books


def _book(facts: Facts, row: MeasuredFrame) -> Book:
    concepts = [one.category_id for one in row.regions]
    every = [
        Stated(concept, kind, way)
        for concept in concepts
        for kind, ways in DIRECTIONS.items()
        for way in ways
    ]
    return Book(
        {said: published_one(facts, row, said) for said in every},
        [
            (_missed(facts, aim), frozenset(c for c in concepts if facts.related(c, aim.concept)))
            for aim in facts.aims
        ],
    )


def _missed(facts: Facts, aim: Stated) -> Judged:
    name = facts.tree.by_id[aim.concept].name
    return Judged("aim", name, aim.kind.value, aim.direction, "missed", facts.towards(aim))
