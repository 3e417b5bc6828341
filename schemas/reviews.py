"""What people decided of rows: written by the dashboard, honoured by a release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from schemas.records import Record

Decision = Literal["accept", "reject", "fix"]
"""`fix`: right but for a label; such a row is held back until it is annotated again."""

_GRAVEST: tuple[Decision, ...] = ("reject", "fix", "accept")


class Review(Record):
    """What one person decided of one row at one time; nothing is ever overwritten."""

    id: str = Field(description="Id of the row.")
    reviewer: str = Field(description="Who decided.")
    decision: Decision = Field(description="`accept`, `reject`, or `fix`: a label is wrong.")
    label: str = Field("", description="Of `fix`: which label is wrong and what it should be.")
    note: str = Field("", description="What the reviewer wrote.")
    at: float = Field(description="Seconds since 1970, UTC.")


def decided(reviews: Iterable[Review]) -> dict[str, Decision]:
    """Gives the decision on each reviewed row.

    Of each reviewer the newest review of a row counts, of all reviewers the majority; on a tie the
    gravest decision.
    """
    newest: dict[tuple[str, str], Review] = {}
    for review in reviews:
        key = review.id, review.reviewer
        if key not in newest or review.at >= newest[key].at:
            newest[key] = review
    votes: dict[str, Counter[Decision]] = {}
    for review in newest.values():
        votes.setdefault(review.id, Counter())[review.decision] += 1
    return {row: max(_GRAVEST, key=lambda one: count[one]) for row, count in votes.items()}
