"""What is asked of a model and what it answers: the one thing that evaluation and serving see.

Anything with these two methods can be scored and served: a trained model, a constant answer, a
model that is shown a blank image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True, eq=False)
class Prompt:
    """One question about an image.

    Attributes:
        question: Text; at most one `<region>` or `<box>`, which stands for the query.
        query: `(H, W)` bool, or float from 0 to 1, in pixels of the image: where the query is. None
            where nothing is pointed at, or where only `query_category_id` tells what.
        query_category_id: FICT node of a region query, from the categories of the shards; None
            where it is not known. Without `query` the model looks for the concept by itself.
    """

    question: str
    query: torch.Tensor | None = None
    query_category_id: int | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to one question.

    Attributes:
        text: Text with `<p>phrase</p> [SEG]` where something is grounded.
        masks: `(K, H, W) bool` at the size of the image; the k-th is of the k-th `[SEG]`.
        truncated: The length limit cut the answer off.
    """

    text: str
    masks: torch.Tensor
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Seen:
    """What the vision side alone says of an image.

    Attributes:
        fake_probability: 0..1.
        concepts: `(H, W) uint8` FICT node of each pixel; None where a model has no such head.
        artifact: `(H, W) float32`, 0..1: how likely each pixel was changed; None likewise.
    """

    fake_probability: float
    concepts: torch.Tensor | None = None
    artifact: torch.Tensor | None = None


class Answers(Protocol):
    """A model that can be asked."""

    def answer(self, image: torch.Tensor, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers questions about one image.

        Args:
            image: `(3, H, W) uint8` RGB, of any size.
            prompts: The questions; each is answered on its own.

        Raises:
            UsageError: A query does not fit the image, or the question does not hold its place.
        """
        ...

    def see(self, image: torch.Tensor) -> Seen:
        """Looks at one image without being asked; `image` as in `answer`."""
        ...
