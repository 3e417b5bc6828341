"""Text against right answers: ROUGE-L, CIDEr, METEOR by exact words and stems.

Only forged answers are compared: that nothing was changed is one sentence, which any constant
knows. Words are split by our own rule, since pycocoevalcap's needs Java.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import meteor_score
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from model.answer import Answer
from model.metrics.case import Case, Figures, mean
from schemas.phrasebook import plain

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’-][^\W\d_]+)*")
LEAST_FOR_CIDER = 2
"""Of a single answer every word is in all documents, and weighs nothing."""


class _NoSynonyms:
    """Stands where nltk wants WordNet, whose data is no part of it."""

    def synsets(self, word: str) -> list[object]:
        return []


class Words:
    """Gathers texts; see `text_figures`."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._right: list[tuple[str, ...]] = []

    def add(self, case: Case, answer: Answer) -> None:
        """Takes one answer up, where the right one tells of a change."""
        if not case.is_clean:
            self._said.append(answer.text)
            self._right.append(case.references)

    def figures(self) -> Figures:
        """Gives the figures of `text_figures`."""
        return text_figures(self._said, self._right)


def words(text: str) -> list[str]:
    """Gives the words and numbers of a text in lower case, without marks and punctuation."""
    return _WORD.findall(plain(text).lower())


def text_figures(said: Sequence[str], right: Sequence[Sequence[str]]) -> Figures:
    """Compares texts with right ones.

    Args:
        said: One text for each question.
        right: The right texts of each question.

    Returns:
        `rouge_l` (0..1, beta 1.2), `cider` (0..10; pycocoevalcap's, which is CIDEr-D) and
        `meteor_exact_stem` (0..1; nltk's formula with exact words and Porter stems, no synonyms:
        neither the 1.5 jar's METEOR nor nltk's usual one).
    """
    ours = {n: [" ".join(words(text))] for n, text in enumerate(said)}
    theirs = {n: [" ".join(words(text)) for text in texts] for n, texts in enumerate(right)}
    if not ours:
        return {"rouge_l": None, "cider": None, "meteor_exact_stem": None}
    rouge, _ = Rouge().compute_score(theirs, ours)
    enough = len(ours) >= LEAST_FOR_CIDER
    return {
        "rouge_l": float(rouge),
        "cider": float(Cider().compute_score(theirs, ours)[0]) if enough else None,
        "meteor_exact_stem": mean([_meteor(a, b) for a, b in zip(said, right, strict=True)]),
    }


def _meteor(said: str, right: Sequence[str]) -> float:
    known = [words(text) for text in right]
    stemmer, none = PorterStemmer(), _NoSynonyms()
    return float(meteor_score(known, words(said), stemmer=stemmer, wordnet=none))
