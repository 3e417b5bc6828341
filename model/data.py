"""Shards as a torch data set: one item is one frame pair with its questions and masks.

Rows are found by index, a row group at a time, so that any order can be read and nothing but the
group at hand lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from schemas import rle
from schemas.arrow import from_table
from schemas.errors import UsageError
from schemas.records import SEG, AnnotatedFrame, Picture, Question, Segmentation, Side


@dataclass(frozen=True)
class Asked:
    """One question of an item.

    Attributes:
        task: FiFa-11 task code.
        image: Side that it is asked about.
        question: Text; `<region>` or `<box>` stands for the query.
        answer: Text with one `[SEG]` for each mask.
        masks: `(N, S, S) bool`, the masks of the answer in order.
        query: `(S, S) bool` of a region or box query; None where the whole image is asked about.
    """

    task: str
    image: Side
    question: str
    answer: str
    masks: torch.Tensor
    query: torch.Tensor | None


@dataclass(frozen=True)
class Item:
    """One frame pair.

    Attributes:
        id: The row's id.
        real: `(3, S, S) uint8` RGB.
        fake: `(3, S, S) uint8` RGB.
        artifact: `(S, S) bool`, what the forgery changed.
        label_map: `(S, S) uint8` FICT node of each pixel.
        questions: The row's questions.
    """

    id: str
    real: torch.Tensor
    fake: torch.Tensor
    artifact: torch.Tensor
    label_map: torch.Tensor
    questions: tuple[Asked, ...]


class FramePairs(Dataset[Item]):
    """The frame pairs of a folder of shards, by index.

    Args:
        folder: Folder with `*.parquet` shards, or one split of a release, `data/<split>`; they
            are taken in the order of their names.

    Raises:
        UsageError: The folder holds no shard.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.parquet"))
        if not self.paths:
            raise UsageError(f"no shards (*.parquet) in {folder}")
        self._groups = [
            (path, group, pq.read_metadata(path).row_group(group).num_rows)
            for path in self.paths
            for group in range(pq.read_metadata(path).num_row_groups)
        ]
        self._ends = np.cumsum([rows for *_, rows in self._groups])
        self._held: tuple[int, Sequence[AnnotatedFrame]] = (-1, ())

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Item:
        """Gives the item at an index.

        Raises:
            IndexError: There is no such row.
            ValueError: The row holds no pixels, or an answer has not one mask for each `[SEG]`.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        group = int(np.searchsorted(self._ends, index, side="right"))
        if self._held[0] != group:
            path, number, _ = self._groups[group]
            columns = list(AnnotatedFrame.model_fields)  # a release has more
            table = pq.ParquetFile(path).read_row_group(number, columns=columns)
            self._held = (group, from_table(table, AnnotatedFrame))
        start = int(self._ends[group - 1]) if group else 0
        return to_item(self._held[1][index - start])


def to_item(row: AnnotatedFrame) -> Item:
    """Decodes a row's pictures and masks to tensors; see `FramePairs.__getitem__`."""
    return Item(
        id=row.id,
        real=_picture(row.real, row.id),
        fake=_picture(row.fake, row.id),
        artifact=_mask(row.artifact.segmentation),
        label_map=torch.from_numpy(_decode(row.label_map, cv2.IMREAD_GRAYSCALE, row.id)),
        questions=tuple(_asked(question, row) for question in row.questions),
    )


def _decode(picture: Picture, mode: int, row: str) -> np.ndarray:
    if picture.bytes is None:
        raise ValueError(f"row {row} holds no pixels; rebuild its crops from the source first")
    return np.asarray(cv2.imdecode(np.frombuffer(picture.bytes, np.uint8), mode))


def _picture(picture: Picture, row: str) -> torch.Tensor:
    image = _decode(picture, cv2.IMREAD_COLOR_RGB, row)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def _mask(segmentation: Segmentation) -> torch.Tensor:
    return torch.from_numpy(rle.decode(segmentation))


def _asked(question: Question, row: AnnotatedFrame) -> Asked:
    if question.answer.count(SEG) != len(question.masks):
        raise ValueError(
            f"row {row.id}: {question.answer.count(SEG)} {SEG} but {len(question.masks)} masks "
            f"in the answer to {question.question!r}"
        )
    size = row.artifact.segmentation.size
    masks = [_mask(mask) for mask in question.masks]
    return Asked(
        task=question.task,
        image=question.image,
        question=question.question,
        answer=question.answer,
        masks=torch.stack(masks) if masks else torch.zeros((0, *size), dtype=torch.bool),
        query=_query(question, size),
    )


def _query(question: Question, size: tuple[int, int]) -> torch.Tensor | None:
    if question.query_segmentation:
        return _mask(question.query_segmentation)
    if question.query_bbox:
        x, y, width, height = (int(value) for value in question.query_bbox)
        box = torch.zeros(size, dtype=torch.bool)
        box[y : y + height, x : x + width] = True
        return box
    return None
