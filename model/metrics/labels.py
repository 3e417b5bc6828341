"""Is the face real or fake, and what class of forgery is it: accuracy, F1, AUC."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from model.answer import Answer, Seen
from model.metrics.case import Case, Figures, f1, mean, share
from schemas.phrasebook import plain
from schemas.records import Side

_LABEL = re.compile(r"\b(real|fake)\b", re.IGNORECASE)


def said_label(text: str) -> str:
    """Gives the first of the words `real` and `fake` in an answer; empty where it has neither."""
    found = _LABEL.search(text)
    return found[1].lower() if found else ""


def auc(scores: Sequence[float], is_positive: Sequence[bool]) -> float | None:
    """Gives the area under the ROC curve: how often a positive is scored above a negative.

    Ties count half (Mann-Whitney U over the number of pairs). None where a class is missing.
    """
    positive = np.asarray(is_positive, dtype=bool)
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return None
    ranks = rankdata(scores)[positive]
    return float((ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs)


class Detection:
    """Accuracy over both sides, F1 of `fake`; an answer with neither word is wrong."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""
        self._pairs.append((said_label(case.references[0]), said_label(answer.text)))

    def figures(self) -> Figures:
        """Gives `accuracy` and `f1`."""
        both = sum(right == said == "fake" for right, said in self._pairs)
        false = sum(right == "real" and said == "fake" for right, said in self._pairs)
        missed = sum(right == "fake" and said != "fake" for right, said in self._pairs)
        return {
            "accuracy": share(sum(right == said for right, said in self._pairs), len(self._pairs)),
            "f1": f1(both, false, missed),
        }


class Classes:
    """Accuracy, and the mean F1 of the classes that occur; the answer must be the class's name."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up."""
        self._pairs[_name(case.references[0]), _name(answer.text)] += 1

    def figures(self) -> Figures:
        """Gives `accuracy` and `macro_f1`."""
        classes = {right for right, _ in self._pairs}
        each = [self._f1(name) for name in classes]
        right = sum(n for (one, other), n in self._pairs.items() if one == other)
        return {
            "accuracy": share(right, self._pairs.total()),
            "macro_f1": mean([value or 0.0 for value in each]),
        }

    def _f1(self, name: str) -> float | None:
        hits = self._pairs[name, name]
        told = sum(n for (_, said), n in self._pairs.items() if said == name)
        there = sum(n for (right, _), n in self._pairs.items() if right == name)
        return f1(hits, told - hits, there - hits)


def _name(text: str) -> str:
    return plain(text).lower().strip(" .")


class Sight:
    """What the vision side says without being asked: AUC, artifact map, concept map."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._is_fake: list[bool] = []
        self._artifact: list[float] = []
        self._concepts: list[float] = []

    def add(
        self, side: Side, artifact: NDArray[np.bool_], labels: NDArray[np.uint8], seen: Seen
    ) -> None:
        """Takes one image up.

        Args:
            side: Which side it is.
            artifact: `(H, W) bool`, what the forgery changed.
            labels: `(H, W) uint8` FICT node of each pixel.
            seen: What the model saw.
        """
        self._scores.append(seen.fake_probability)
        self._is_fake.append(side == "fake")
        if seen.artifact is not None and side == "fake":
            found = seen.artifact.numpy() > 0.5
            union = int((found | artifact).sum())
            self._artifact.append(int((found & artifact).sum()) / union if union else 0.0)
        if seen.concepts is not None:
            self._concepts.append(float((seen.concepts.numpy() == labels).mean()))

    def figures(self) -> Figures:
        """Gives `auc`; `artifact_iou` of the fake sides at 0.5; `concept_accuracy` of pixels."""
        return {
            "auc": auc(self._scores, self._is_fake),
            "artifact_iou": mean(self._artifact),
            "concept_accuracy": mean(self._concepts),
        }
