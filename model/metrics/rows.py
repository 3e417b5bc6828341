"""Rows of the shards as cases to score, a row group at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from model.answer import Prompt
from model.metrics.case import Case, Truth
from model.metrics.concepts import Concepts
from model.metrics.grounding import phrases
from model.metrics.statements import statements
from schemas import rle
from schemas.arrow import arrow_schema, from_table
from schemas.errors import OutputError, SourceMissing, UsageError
from schemas.phrasebook import Phrasebook
from schemas.records import AnnotatedFrame, EvidenceKind, Picture, Question, Side
from schemas.shards import read_metadata

SIDES: tuple[Side, Side] = ("real", "fake")

Known = Callable[[AnnotatedFrame], Truth | None]
"""Gives what a forge knows of a row's fake side; None where it is not one of its rows."""


def unknown(row: AnnotatedFrame) -> Truth | None:
    """Knows nothing but the row."""
    return None


@dataclass(frozen=True, eq=False)
class View:
    """One side of a row.

    Attributes:
        id: The row's id.
        side: Which side.
        image: `(3, H, W) uint8` RGB.
        artifact: `(H, W) bool`, what the forgery changed; nothing on the real side.
        labels: `(H, W) uint8` FICT node of each pixel.
        cases: Its questions.
    """

    id: str
    side: Side
    image: torch.Tensor
    artifact: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    cases: tuple[Case, ...]


class EvaluationSet:
    """The rows of a folder of shards that are evaluated.

    Args:
        folder: Folder of shards, or of a dataset that has them in `annotations/`.
        split: Only rows of this split; empty takes all.
        limit: At most so many rows, evenly spaced; 0 takes all.
        known: What a forge knows of the rows.

    Raises:
        UsageError: There is no shard, or no row of that split.
        OutputError: A shard is damaged or of another format.
    """

    def __init__(
        self, folder: Path, split: str = "", limit: int = 0, known: Known = unknown
    ) -> None:
        self.paths = _shards(folder)
        self.concepts = Concepts(read_metadata(self.paths[0])["fict"]["categories"])
        self.book = _phrasebook(self.paths, self.concepts)
        self._known = known
        self._chosen = _chosen(self.paths, split, limit, folder)
        self.knows_truth = False

    def __len__(self) -> int:
        return sum(len(rows) for _, _, rows in self._chosen)

    def rows(self) -> Iterator[AnnotatedFrame]:
        """Gives the rows, in the order of the shards."""
        for path, group, rows in self._chosen:
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(group)
            for row in rows:  # one at a time: decoded rows are large
                yield from from_table(table.slice(row, 1), AnnotatedFrame)

    def views(self) -> Iterator[View]:
        """Gives both sides of each row.

        Raises:
            SourceMissing: A row holds no pixels.
        """
        for row in self.rows():
            labels = _decode(row.label_map, cv2.IMREAD_GRAYSCALE, row.id)
            for side in SIDES:
                yield self._view(row, side, labels)

    def _view(self, row: AnnotatedFrame, side: Side, labels: NDArray[np.uint8]) -> View:
        image = _decode(row.fake if side == "fake" else row.real, cv2.IMREAD_COLOR_RGB, row.id)
        changed = rle.decode(row.artifact.segmentation)
        own = [question for question in row.questions if question.image == side]
        return View(
            id=row.id,
            side=side,
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            artifact=changed if side == "fake" else np.zeros_like(changed),
            labels=labels,
            cases=tuple(self._case(row, question, labels) for question in own),
        )

    def _case(self, row: AnnotatedFrame, question: Question, labels: NDArray[np.uint8]) -> Case:
        masks = [rle.decode(each) for each in question.masks]
        truth = self._truth(row, question)
        return Case(
            task=question.task,
            side=question.image,
            prompt=prompt_of(question, labels.shape),
            references=(question.answer,),
            masks=np.stack(masks) if masks else np.zeros((0, *labels.shape), np.bool_),
            phrases=phrases(question.answer),
            labels=labels,
            truth=truth,
            is_clean=not question.masks and not truth.regions,
        )

    def _truth(self, row: AnnotatedFrame, question: Question) -> Truth:
        """Gives a forge's truth of questions about the whole image, else what the row says."""
        if question.image == "real":
            return Truth()
        known = self._known(row) if question.task.startswith("I-") else None
        if known:
            self.knows_truth = True
            return known
        regions, claims = statements(question.answer, self.book)
        return Truth(frozenset(regions), frozenset(claims))


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
        x, y, width, height = (round(value) for value in question.query_bbox)
        query = np.zeros(shape, np.bool_)
        query[max(y, 0) : y + height, max(x, 0) : x + width] = True
    pointed = None if query is None else torch.from_numpy(query)
    return Prompt(question.question, pointed, question.query_category_id)


def _shards(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.parquet"))
    if (folder / "annotations").is_dir():
        paths = sorted((folder / "annotations").glob("*.parquet"))
    if not paths:
        raise UsageError(f"no shards (*.parquet) in {folder}; `facext annotate` makes them")
    for path in paths:
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
        if not schema.equals(arrow_schema(AnnotatedFrame)):
            found = read_metadata(path).get("format_version", "unknown")
            raise OutputError(f"{path} is of shard format {found}: annotate it again")
    return paths


def _chosen(
    paths: list[Path], split: str, limit: int, folder: Path
) -> list[tuple[Path, int, list[int]]]:
    """Gives shard, row group and rows within it."""
    every: list[tuple[Path, int, int]] = []
    splits: set[str] = set()
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                column = file.read_row_group(group, columns=["split"])["split"]
                splits |= set(pc.unique(column).to_pylist())
                names = column.to_pylist()
                every += [(path, group, n) for n, one in enumerate(names) if split in ("", one)]
    if not every:
        known = ", ".join(sorted(one or "(none)" for one in splits)) or "no rows"
        raise UsageError(f"{folder} has no row of the split '{split}'; it has: {known}")
    if limit and limit < len(every):
        every = [every[round(at)] for at in np.linspace(0, len(every) - 1, limit)]
    groups: dict[tuple[Path, int], list[int]] = {}
    for path, group, row in every:
        groups.setdefault((path, group), []).append(row)
    return [(*key, rows) for key, rows in groups.items()]


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


def _decode(picture: Picture, mode: int, row: str) -> NDArray[np.uint8]:
    if picture.bytes is None:
        raise SourceMissing(
            f"row {row} holds no pixels: a release without crops must be rehydrated from the "
            "videos first"
        )
    image = cv2.imdecode(np.frombuffer(picture.bytes, np.uint8), mode)
    if image is None:
        raise OutputError(f"row {row}: {picture.path} is no picture")
    return np.asarray(image, dtype=np.uint8)
