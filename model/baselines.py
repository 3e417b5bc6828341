"""Answers that need no understanding; a figure says something only above theirs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from model.answer import Answer, Answers, Prompt, Seen
from model.metrics.case import Case
from model.metrics.grounding import phrases

GREY = 127
GRID = 64
"""Side at which masks are averaged."""


class Blank:
    """A model that is shown a grey image of the same size: what its figures owe to the question.

    Args:
        model: The model.
    """

    def __init__(self, model: Answers) -> None:
        self._model = model

    def answer(self, image: torch.Tensor, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers questions about a grey image; see `Answers`."""
        return self._model.answer(torch.full_like(image, GREY), prompts)

    def see(self, image: torch.Tensor) -> Seen:
        """Looks at a grey image; see `Answers`."""
        return self._model.see(torch.full_like(image, GREY))


class Constant:
    """Answers each task the same, chosen with the right answers that it is scored on.

    Of each task it takes the most frequent answer, of tasks that explain or segment the most
    frequent one that tells of a change. A mask is where the task's masks of that phrase mostly are:
    the pixels of at least half the frequency of the most frequent one.

    Args:
        cases: All questions that will be asked.
    """

    def __init__(self, cases: Iterable[Case]) -> None:
        answers: dict[str, Counter[str]] = defaultdict(Counter)
        self._tasks: dict[str, str] = {}
        self._sums: dict[tuple[str, str], NDArray[np.float32]] = {}
        for case in cases:
            self._tasks[case.prompt.question] = case.task
            if "-" not in case.task or not case.is_clean:
                answers[case.task][case.references[0]] += 1
            for phrase, mask in zip(case.phrases, case.masks, strict=True):
                self._add((case.task, phrase), mask)
        self._texts = {task: counted.most_common(1)[0][0] for task, counted in answers.items()}

    def _add(self, key: tuple[str, str], mask: NDArray[np.bool_]) -> None:
        small = cv2.resize(mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        self._sums[key] = self._sums.get(key, np.zeros((GRID, GRID), np.float32)) + small

    def answer(self, image: torch.Tensor, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers by the question's task alone; see `Answers`."""
        return [self._one(prompt.question, image.shape[1:]) for prompt in prompts]

    def _one(self, question: str, shape: torch.Size) -> Answer:
        task = self._tasks.get(question, "")
        text = self._texts.get(task, "")
        masks = [self._mask((task, phrase), shape) for phrase in phrases(text)]
        return Answer(text, torch.stack(masks) if masks else torch.zeros(0, *shape).bool())

    def _mask(self, key: tuple[str, str], shape: torch.Size) -> torch.Tensor:
        often = cv2.resize(self._sums[key], (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(often >= often.max() / 2)

    def see(self, image: torch.Tensor) -> Seen:
        """Sees nothing; see `Answers`."""
        return Seen(fake_probability=0.5)
