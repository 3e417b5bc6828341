"""Do text and masks agree: is a mask where its phrase says, and would another phrase do as well?"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from model.answer import Answer
from model.metrics.case import Case, Figures, mean
from model.metrics.concepts import Concepts
from schemas.records import SEG

_GROUNDED = re.compile(rf"(?:<p>\s*([^<]*?)\s*</p>\s*)?{re.escape(SEG)}")


def phrases(text: str) -> tuple[str, ...]:
    """Gives the phrase before each `[SEG]`, in lower case; empty where there is none."""
    return tuple((found[1] or "").lower() for found in _GROUNDED.finditer(text))


def inside(mask: NDArray[np.bool_], region: NDArray[np.bool_]) -> float:
    """Gives the share of a mask inside a region; 0 of an empty mask."""
    area = int(mask.sum())
    return int((mask & region).sum()) / area if area else 0.0


class Grounding:
    """Gathers grounded phrases.

    Args:
        concepts: The concept tree; a phrase that names none of it has no region, and its mask
            counts 0.
    """

    def __init__(self, concepts: Concepts) -> None:
        self._concepts = concepts
        self._own: list[float] = []
        self._gap: list[float] = []

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""
        named = phrases(answer.text)
        masks = answer.masks.numpy()
        regions = [self._concepts.pixels(case.labels, name) for name in named]
        own = [inside(mask, region) for mask, region in zip(masks, regions, strict=True)]
        self._own += own
        if len(set(named)) > 1:
            turned = regions[1:] + regions[:1]
            other = [inside(mask, region) for mask, region in zip(masks, turned, strict=True)]
            self._gap += [a - b for a, b in zip(own, other, strict=True)]

    def figures(self) -> Figures:
        """Gives `consistency` and `swap_gap`.

        `consistency`: mean share of a mask inside the region that its phrase names. `swap_gap`: how
        much of it is lost when each mask gets the next phrase of the same answer; near 0 where
        masks do not depend on what is said.
        """
        return {"consistency": mean(self._own), "swap_gap": mean(self._gap)}
