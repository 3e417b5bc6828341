"""One question as it is scored: what was asked, what is right, and where that is known from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.answer import Answer, Prompt
from schemas.phrasebook import Stated

Figures = dict[str, float | None]
"""Figures by name; None where nothing could be measured, such as an AUC of one class."""


@dataclass(frozen=True)
class Truth:
    """What was changed.

    Attributes:
        regions: Names of the changed regions.
        claims: How they changed; None where that is not known (a swapped face).
        is_exact: Regions must be named as they are, not by a part or the whole.
    """

    regions: frozenset[str] = frozenset()
    claims: frozenset[Stated] | None = frozenset()
    is_exact: bool = True


@dataclass(frozen=True, eq=False)
class Case:
    """One question.

    Attributes:
        task: FiFa-11 task code, or another name of a kind of question.
        prompt: What the model gets.
        references: Right answers, marks included; the first is the row's own.
        masks: `(N, H, W) bool`, one for each `[SEG]` of the first right answer.
        phrases: The phrase before each `[SEG]`; empty where it has none.
        labels: `(H, W) uint8` FICT node of each pixel.
        truth: What was changed.
        is_clean: The right answer is that nothing was changed.
    """

    task: str
    prompt: Prompt
    references: tuple[str, ...]
    masks: NDArray[np.bool_]
    phrases: tuple[str, ...]
    labels: NDArray[np.uint8]
    truth: Truth
    is_clean: bool


class Metric(Protocol):
    """Gathers the answers to one task and gives figures."""

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""

    def figures(self) -> Figures:
        """Gives the figures of all answers so far."""


def mean(values: list[float]) -> float | None:
    """Gives the mean; None of nothing."""
    return float(np.mean(values)) if values else None


def share(part: float, whole: float) -> float | None:
    """Gives a quotient; None of nothing."""
    return part / whole if whole else None


def f1(hits: int, false: int, missed: int) -> float | None:
    """Gives `2 hits / (2 hits + false + missed)`; None where there was nothing to find or say."""
    return share(2 * hits, 2 * hits + false + missed)
