"""Does a captioning model say what it sees, or what the method that it is told usually does?

Each frame is explained twice: told its true method, and told another. A model that looks says the
same twice; one that parrots follows what it is told. Source: ours, for the complaint that models
told the method describe that method's usual artifacts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from pydantic import Field

from schemas.records import Record

USUAL = 0.5
"""A statement is usual of a method that is made of at least this share of its frames."""

Statement = tuple[str, str, str]
"""Region, kind and direction of a statement."""


@dataclass(frozen=True)
class Told:
    """One frame, explained under one method.

    Attributes:
        frame: Id of the frame.
        method: The method that made it.
        told: The method that the model was told.
        statements: All that it said of the given regions, also what was not published.
        refuted: How many of them the pixels refute.
    """

    frame: str
    method: str
    told: str
    statements: frozenset[Statement]
    refuted: int


class Parroting(Record):
    """One row of the test: the frames of one method, or of all."""

    method: str = Field(description="Method that made the frames, or `all`.")
    frames: int = Field(description="Frames that were explained twice.")
    agreement: float = Field(
        description="Mean Jaccard index of what is said under the true and the other method; 1: "
        "the told method changes nothing."
    )
    followed: float = Field(
        description="Of the statements that are usual of the other method and were not made under "
        "the true one: share that was made once the other was told; 0: none. NaN: there is none."
    )
    refuted_true: float = Field(description="Refuted share of the statements, true method told.")
    refuted_other: float = Field(description="Refuted share of the statements, other method told.")


def compare(true: Sequence[Told], other: Sequence[Told]) -> list[Parroting]:
    """Compares what was said under the true and under another method.

    Args:
        true: Frames told their own method.
        other: The same frames, in the same order, told another.

    Returns:
        One row for each method, by name, and one for all, if there is any frame.
    """
    usual = _usual(true)
    by_method: dict[str, list[tuple[Told, Told]]] = defaultdict(list)
    for pair in zip(true, other, strict=True):
        by_method[pair[0].method].append(pair)
    rows = [_row(method, pairs, usual) for method, pairs in sorted(by_method.items())]
    every = [pair for pairs in by_method.values() for pair in pairs]
    return [*rows, _row("all", every, usual)] if every else []


def _usual(true: Iterable[Told]) -> dict[str, frozenset[Statement]]:
    """Gives what is usually said of each method's frames."""
    frames: dict[str, list[Told]] = defaultdict(list)
    for one in true:
        frames[one.method].append(one)
    return {method: _frequent(told) for method, told in frames.items()}


def _frequent(told: Sequence[Told]) -> frozenset[Statement]:
    said = pd.Series([one for each in told for one in each.statements], dtype=object).value_counts()
    return frozenset(said[said >= USUAL * len(told)].index)


def _row(
    method: str, pairs: Sequence[tuple[Told, Told]], usual: dict[str, frozenset[Statement]]
) -> Parroting:
    agreement = [_jaccard(a.statements, b.statements) for a, b in pairs]
    tempting = followed = 0
    for a, b in pairs:
        new = usual.get(b.told, frozenset()) - a.statements
        tempting += len(new)
        followed += len(new & b.statements)
    return Parroting(
        method=method,
        frames=len(pairs),
        agreement=sum(agreement) / len(agreement),
        followed=followed / tempting if tempting else float("nan"),
        refuted_true=_refuted(a for a, _ in pairs),
        refuted_other=_refuted(b for _, b in pairs),
    )


def _jaccard(one: frozenset[Statement], other: frozenset[Statement]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0


def _refuted(told: Iterable[Told]) -> float:
    refuted = made = 0
    for one in told:
        refuted += one.refuted
        made += len(one.statements)
    return refuted / made if made else 0.0
