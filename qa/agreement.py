"""How far reviewers agree beyond chance: Cohen's kappa of two, Fleiss' kappa of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from schemas.reviews import Decision

Votes = Mapping[str, Mapping[str, Decision]]
"""Row, reviewer, newest decision."""


@dataclass(frozen=True)
class Pairwise:
    """Two reviewers over the rows that both decided.

    Attributes:
        one: First reviewer.
        other: Second reviewer.
        rows: Rows that both decided.
        agreed: Share of them with the same decision.
        kappa: Cohen's kappa (1960); None where it is undefined: chance alone would always agree.
    """

    one: str
    other: str
    rows: int
    agreed: float
    kappa: float | None


def cohen(votes: Votes) -> list[Pairwise]:
    """Compares every two reviewers who share a row, those with most shared rows first."""
    reviewers = sorted({who for row in votes.values() for who in row})
    found = []
    for one, other in combinations(reviewers, 2):
        both = [(row[one], row[other]) for row in votes.values() if one in row and other in row]
        if both:
            found.append(_pairwise(one, other, both))
    return sorted(found, key=lambda pair: -pair.rows)


def _pairwise(one: str, other: str, both: list[tuple[Decision, Decision]]) -> Pairwise:
    agreed = sum(a == b for a, b in both) / len(both)
    first, second = Counter(a for a, _ in both), Counter(b for _, b in both)
    chance = sum(first[word] * second[word] for word in first) / len(both) ** 2
    return Pairwise(one, other, len(both), agreed, _beyond(agreed, chance))


def fleiss(votes: Votes) -> float | None:
    """Gives Fleiss' kappa (1971) over all rows that two or more people decided.

    Rows may have different numbers of votes: each row's agreement is that of its own pairs, and the
    chance is taken from all votes. None where it is undefined.
    """
    counts = [Counter(row.values()) for row in votes.values() if len(row) > 1]
    if not counts:
        return None
    agreed = sum(_agreeing_pairs(row) for row in counts) / len(counts)
    total = sum(counts, Counter[Decision]())
    chance = sum((n / total.total()) ** 2 for n in total.values())
    return _beyond(agreed, chance)


def _agreeing_pairs(row: Counter[Decision]) -> float:
    n = row.total()
    return sum(count * (count - 1) for count in row.values()) / (n * (n - 1))


def _beyond(agreed: float, chance: float) -> float | None:
    return None if chance == 1 else (agreed - chance) / (1 - chance)
