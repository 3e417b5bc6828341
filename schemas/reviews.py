"""What people decided of rows: written by the dashboard, honoured by a release."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from schemas.records import Record

Decision = Literal["accept", "reject", "fix"]
"""`fix`: right but for a label; such a row is held back until it is annotated again."""

LABELS = (
    "real_sha256", "fake_sha256", "frame_index", "artifact", "regions", "explanation",
    "explanation_masks", "claims", "questions",
)  # fmt: skip
"""Fields of an annotated frame that a review is about; with other values it is another matter."""
_GRAVEST: tuple[Decision, ...] = ("reject", "fix", "accept")


class Review(Record):
    """What one person decided of one row at one time; nothing is ever overwritten."""

    id: str = Field(description="Id of the row.")
    reviewer: str = Field(description="Who decided.")
    decision: Decision = Field(description="`accept`, `reject`, or `fix`: a label is wrong.")
    label: str = Field("", description="Of `fix`: which label is wrong and what it should be.")
    note: str = Field("", description="What the reviewer wrote.")
    labels_hash: str = Field(
        "",
        description="Hash of the labels that were seen; a release honours the review only while "
        "the row has the same. Empty: unknown.",
    )
    at: float = Field(description="Seconds since 1970, UTC.")


def labels_hash(row: Mapping[str, Any]) -> str:
    """Gives the hash of a row's `LABELS`, from the row as a dict."""
    labels = json.dumps({name: row[name] for name in LABELS}, sort_keys=True)
    return hashlib.sha256(labels.encode()).hexdigest()[:16]


def newest(reviews: Iterable[Review]) -> dict[str, dict[str, Decision]]:
    """Gives each reviewer's newest decision on each row: row, then reviewer, to decision."""
    latest: dict[tuple[str, str], Review] = {}
    for review in reviews:
        key = review.id, review.reviewer
        if key not in latest or review.at >= latest[key].at:
            latest[key] = review
    votes: dict[str, dict[str, Decision]] = {}
    for (row, reviewer), review in latest.items():
        votes.setdefault(row, {})[reviewer] = review.decision
    return votes


def decided(reviews: Iterable[Review]) -> dict[str, Decision]:
    """Gives the decision on each reviewed row.

    Of each reviewer the newest review of a row counts, of all reviewers the majority; on a tie the
    gravest decision.
    """
    counts = {row: Counter(votes.values()) for row, votes in newest(reviews).items()}
    return {row: max(_GRAVEST, key=lambda one: count[one]) for row, count in counts.items()}


@dataclass(frozen=True)
class Judged:
    """What people say of rows as they are now: a review is of the labels that were seen.

    Attributes:
        holding: Reviews of labels that the rows still have.
        decisions: The decision on each row with such a review.
        outdated: Rows that were reviewed only before their labels changed.
    """

    holding: Sequence[Review]
    decisions: Mapping[str, Decision]
    outdated: frozenset[str]


def weigh(reviews: Iterable[Review], now: Mapping[str, str]) -> Judged:
    """Tells the reviews that hold from those of labels that are no more.

    Args:
        reviews: Of any rows.
        now: Hash of the labels of each reviewed row that is there.
    """
    holding = [one for one in reviews if now.get(one.id) == one.labels_hash]
    decisions = decided(holding)
    return Judged(holding, decisions, frozenset(now.keys() - decisions.keys()))
