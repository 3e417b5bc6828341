"""Rows of the shards as cases to score, a row group at a time, at their full size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from model import splits
from model.answer import Prompt
from model.config import ModelConfig
from model.data import Row, Shards, box_mask, view
from model.metrics.case import Case, Truth
from model.metrics.concepts import Concepts
from model.metrics.grounding import phrases
from model.metrics.statements import statements
from schemas import rle
from schemas.errors import UsageError
from schemas.phrasebook import Phrasebook
from schemas.records import EvidenceKind, Question, Side

SIDES: tuple[Side, Side] = ("real", "fake")
ALL = "all"
"""Stands for every row where a split is asked for."""

Known = Callable[[Mapping[str, Any]], Truth | None]
"""Gives what a forge knows of a row's fake side, from `model.data.FACTS` of the row; None where it
is not one of its rows."""


def unknown(facts: Mapping[str, Any]) -> Truth | None:
    """Knows nothing but the row."""
    return None


@dataclass(frozen=True, eq=False)
class Shown:
    """One side of a row.

    Attributes:
        side: Which side.
        image: `(3, H, W) uint8` RGB.
        artifact: `(H, W) bool`, what the forgery changed; nothing on the real side.
        labels: `(H, W) uint8` FICT node of each pixel.
        cases: Its questions.
    """

    side: Side
    image: torch.Tensor
    artifact: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    cases: tuple[Case, ...]


class EvaluationSet:
    """The rows of a folder of shards that are evaluated.

    Args:
        folder: Folder of shards, or of a dataset that has them in `annotations/`.
        split: Only rows of this split, `all` or empty: all rows.
        limit: At most so many rows, evenly spaced; 0 takes all.
        known: What a forge knows of the rows.
        learner: Configuration of a model that may have learnt from this folder; an empty `split`
            then takes the rows of `model.splits.unseen`.
        pairs: Pairs that it learnt from; None: those that `model.splits.split` would let it.

    Attributes:
        chosen: Which rows these are, in words.
        learnt: How many of them are of pairs that the model learnt from.
        concepts: The concept tree of the shards.
        book: Reads sentences by the wordings of all claims of the shards.
        knows_truth: The forge knew a row that was given.

    Raises:
        UsageError: There is no shard, or no row of that split.
        OutputError: A shard is damaged or of another format.
    """

    def __init__(
        self,
        folder: Path,
        split: str = "",
        limit: int = 0,
        known: Known = unknown,
        learner: ModelConfig | None = None,
        pairs: Set[str] | None = None,
    ) -> None:
        below = folder / "annotations"
        self._shards = Shards(below if below.is_dir() else folder)
        self.concepts = Concepts(self._shards.categories)
        self.book = _phrasebook(self._shards.paths, self.concepts)
        self.knows_truth = False
        self._known, self._facts = known, self._shards.facts.to_pylist()
        learnt = self._learnt(learner, pairs) if learner else set()
        if learner and not split:
            rows, self.chosen = splits.unseen(self._shards, learnt)
        else:
            rows, self.chosen = self._of(split or ALL)
        self._rows = _evenly(rows, limit)
        self.learnt = len(set(self._rows) & learnt)

    def _learnt(self, learner: ModelConfig, pairs: Set[str] | None) -> set[int]:
        if pairs is None:
            return set(splits.split(self._shards, learner)[0])
        return {n for n, facts in enumerate(self._facts) if splits.pair_of(facts) in pairs}

    def _of(self, split: str) -> tuple[list[int], str]:
        if split == ALL:
            return list(range(len(self._facts))), ALL
        rows = [n for n, facts in enumerate(self._facts) if split == facts["split"]]
        if not rows:
            there = sorted({facts["split"] or "(none)" for facts in self._facts})
            raise UsageError(f"no row of the split '{split}'; there are: {', '.join(there)}")
        return rows, f"the split {split}"

    def __len__(self) -> int:
        return len(self._rows)

    def shown(self) -> Iterator[Shown]:
        """Gives both sides of each row, in the order of the shards.

        Raises:
            SourceMissing: A row holds no pixels.
        """
        for number in self._rows:
            row = self._shards.row(number)
            for side in SIDES:
                yield self._side(row, side, self._known(self._facts[number]))

    def _side(self, row: Row, side: Side, known: Truth | None) -> Shown:
        own = view(row, side, row["artifact"]["segmentation"]["size"][0])
        labels = own.labels.numpy().astype(np.uint8)
        self.knows_truth = self.knows_truth or known is not None
        questions = [Question.model_validate(one) for one in row["questions"]]
        cases = [self._case(one, labels, known) for one in questions if one.image == side]
        return Shown(side, own.image, own.artifact.numpy() > 0, labels, tuple(cases))

    def _case(self, question: Question, labels: NDArray[np.uint8], known: Truth | None) -> Case:
        masks = [rle.decode(each) for each in question.masks]
        regions, claims = statements(question.answer, self.book)
        own = Truth(frozenset(regions), frozenset(claims))
        is_clean = question.image == "real" or not (question.masks or own.regions)
        is_whole = question.task.startswith("I-") and not is_clean
        return Case(
            task=question.task,
            prompt=prompt_of(question, labels.shape),
            references=(question.answer,),
            masks=np.stack(masks) if masks else np.zeros((0, *labels.shape), np.bool_),
            phrases=phrases(question.answer),
            labels=labels,
            truth=known if known and is_whole else own,
            is_clean=is_clean,
        )


def _evenly(rows: list[int], limit: int) -> list[int]:
    if limit and limit < len(rows):
        return [rows[round(at)] for at in np.linspace(0, len(rows) - 1, limit)]
    return rows


def prompt_of(question: Question, shape: tuple[int, ...]) -> Prompt:
    """Gives what a model is asked.

    Args:
        question: A question of a row.
        shape: Height and width of the row's crops.
    """
    query: NDArray[np.bool_] | None = None
    if question.query_segmentation:
        query = rle.decode(question.query_segmentation)
    elif question.query_bbox:
        query = box_mask(question.query_bbox, shape) > 0
    pointed = None if query is None else torch.from_numpy(query)
    return Prompt(question.question, pointed, question.query_category_id)


def _phrasebook(paths: list[Path], concepts: Concepts) -> Phrasebook:
    """Learns the wordings of all claims that the shards publish, of every split."""
    book = Phrasebook(concepts.names)
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["claims"], batch_size=1000):
                for claims in batch.column(0).to_pylist():
                    for one in claims or ():
                        book.learn(one["sentence"], EvidenceKind(one["kind"]), one["direction"])
    return book
