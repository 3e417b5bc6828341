"""Shards by index: one view is one side of one frame pair, at the model's size, with its questions.

Rows are found by index, a row group at a time; only the columns that a model reads are read, and
only the masks of the questions that were chosen are decoded. S is the side of the model's image.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from schemas import rle
from schemas.arrow import FORMAT_VERSION, arrow_schema
from schemas.errors import OutputError, SourceMissing, UsageError
from schemas.records import SEG, AnnotatedFrame, Segmentation, Side
from schemas.shards import read_metadata

COLUMNS = ("id", "real", "fake", "label_map", "artifact", "questions")
FACTS = ("id", "dataset", "method", "compression", "pair", "split", "frame_index")
"""Small columns, which are read of all rows."""
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
           8: cv2.IMREAD_REDUCED_COLOR_8}  # fmt: skip
"""JPEG decodes to a half, quarter or eighth of its side at a fraction of the time."""

RECENT = 8
"""Rows that stay decoded: both sides of a row follow each other, and share its FICT map."""

Row = dict[str, Any]
"""One row as Arrow gives it: the `COLUMNS`."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One question of a view.

    Attributes:
        task: FiFa-11 task code.
        question: Text; `<region>` or `<box>` stands for the query.
        answer: Text with one `[SEG]` for each mask.
        masks: `(N, S, S) float32`, share of each pixel in the masks of the answer, in order.
        query: `(S, S) float32`, the same of a region or box query; None: the whole image.
        category_id: FICT node of a region query.
    """

    task: str
    question: str
    answer: str
    masks: torch.Tensor
    query: torch.Tensor | None
    category_id: int | None


@dataclass(frozen=True, eq=False)
class View:
    """One side of one frame pair.

    Attributes:
        id: The row's id.
        side: Which side.
        image: `(3, S, S) uint8` RGB.
        artifact: `(S, S) float32`, share of each pixel that the forgery changed; zeros where real.
        labels: `(S, S) int64` FICT node of each pixel.
        shift: `(3, S, S) float32`, what the forgery added to red, green and blue of 0 to 1; zeros
            where real.
    """

    id: str
    side: Side
    image: torch.Tensor
    artifact: torch.Tensor
    labels: torch.Tensor
    shift: torch.Tensor


class Shards:
    """The rows of a folder of shards, by index.

    Args:
        folder: Folder with `*.parquet` shards, or one split of a release, `data/<split>`; they
            are taken in the order of their names.
        held: Row groups that stay in memory.

    Raises:
        UsageError: The folder holds no shard, or shards without a row.
        OutputError: A shard is damaged or of another format.
    """

    def __init__(self, folder: Path, held: int = 4) -> None:
        self.paths = sorted(folder.glob("*.parquet"))
        if not self.paths:
            raise UsageError(f"no shards (*.parquet) in {folder}; `facext annotate` makes them")
        for path in self.paths:
            _check(path)
        sizes = [(path, group, rows) for path in self.paths for group, rows in _groups(path)]
        self.groups = [(path, group) for path, group, _ in sizes]
        self.ends = np.cumsum([rows for *_, rows in sizes])
        if not len(self):
            raise UsageError(f"the shards in {folder} hold no row")
        self.facts = pa.concat_tables(
            pq.read_table(path, columns=list(FACTS)) for path in self.paths
        )
        self.categories: list[Row] = read_metadata(self.paths[0])["fict"]["categories"]
        self.held = held
        self._remember()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def group_of(self, index: int) -> int:
        """Gives the number of a row's group."""
        return int(np.searchsorted(self.ends, index, side="right"))

    def row(self, index: int) -> Row:
        """Gives one row, which is not to be changed: its second side is read from it, too.

        Raises:
            IndexError: There is none of that index.
        """
        return self._row(index)

    def _find(self, index: int) -> Row:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        group = self.group_of(index)
        start = int(self.ends[group - 1]) if group else 0
        row: Row = self._group(group).slice(index - start, 1).to_pylist()[0]
        return row

    def questions(self, rows: Iterable[int]) -> Iterator[Row]:
        """Gives the questions of some rows in the order of the shards; no picture is read."""
        wanted = np.zeros(len(self), np.bool_)
        wanted[list(rows)] = True
        starts = [0, *self.ends[:-1].tolist()]
        for (path, number), start, end in zip(self.groups, starts, self.ends, strict=True):
            if not wanted[start:end].any():
                continue
            with pq.ParquetFile(path) as file:
                column = file.read_row_group(number, columns=["questions"]).column(0)
            for asked in column.filter(pa.array(wanted[start:end])).to_pylist():
                yield from asked

    def _read(self, group: int) -> pa.Table:
        path, number = self.groups[group]
        with pq.ParquetFile(path) as file:
            return file.read_row_group(number, columns=list(COLUMNS))

    def __getstate__(self) -> dict[str, Any]:
        """Leaves what is held behind, for workers of a loader."""
        return {key: value for key, value in vars(self).items() if key not in ("_group", "_row")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    def _remember(self) -> None:
        self._group = functools.lru_cache(maxsize=self.held)(self._read)
        self._row = functools.lru_cache(maxsize=RECENT)(self._find)


def _check(path: Path) -> None:
    try:
        found, schema = read_metadata(path).get("format_version", ""), pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise OutputError(f"{path} cannot be read as Parquet: {error}") from error
    if str(found).split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise OutputError(
            f"{path} is of shard format {found or 'unknown'}, and this code reads "
            f"{FORMAT_VERSION}: annotate it again, or train with the code that wrote it"
        )
    expected = arrow_schema(AnnotatedFrame)
    strange = [
        name
        for name in dict.fromkeys((*COLUMNS, *FACTS))
        if name not in schema.names or schema.field(name).type != expected.field(name).type
    ]
    if strange:
        raise OutputError(f"{path}: columns are missing or of another type: {', '.join(strange)}")


def _groups(path: Path) -> list[tuple[int, int]]:
    metadata = pq.read_metadata(path)
    return [(k, metadata.row_group(k).num_rows) for k in range(metadata.num_row_groups)]


def view(row: Row, side: Side, size: int) -> View:
    """Decodes one side of a row.

    Raises:
        SourceMissing: The row holds no pixels.
    """
    mask = row["artifact"]["segmentation"]
    native = min(mask["size"])
    factor = max((f for f in REDUCED if native >= f * size), default=1)
    mode = REDUCED.get(factor, cv2.IMREAD_COLOR)
    real, image = (
        _picture(_content(row, each), f"row {row['id']}: {each}", mode, size)
        for each in ("real", side)
    )
    artifact, shift = torch.zeros(size, size), torch.zeros(3, size, size)
    if side == "fake":
        artifact, shift = soft_mask(mask, size), image / 255 - real / 255
    return View(
        id=row["id"],
        side=side,
        image=image,
        artifact=artifact,
        labels=_labels(_content(row, "label_map"), row["id"], size),
        shift=shift,
    )


@functools.lru_cache(maxsize=RECENT)
def _picture(content: bytes, name: str, mode: int, size: int) -> torch.Tensor:
    rgb = cv2.cvtColor(fit(_decode(content, name, mode), size), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


@functools.lru_cache(maxsize=RECENT)
def _labels(content: bytes, name: str, size: int) -> torch.Tensor:
    labels = _decode(content, f"row {name}: label_map", cv2.IMREAD_GRAYSCALE)
    labels = cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(labels.astype(np.int64))


def fit(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scales an `(H, W, 3)` image to the model's size."""
    if image.shape[:2] == (size, size):
        return image
    shrinks = min(image.shape[:2]) >= size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method))


def soft_mask(mask: Row, size: int) -> torch.Tensor:
    """Gives the share of each pixel of the model's image that lies in a stored mask.

    Never `mask > 0` after shrinking: small regions would grow.
    """
    pixels = rle.decode(Segmentation(size=tuple(mask["size"]), counts=mask["counts"]))
    return soft(pixels.astype(np.float32), size)


def soft(pixels: NDArray[np.float32], size: int) -> torch.Tensor:
    """Scales an `(H, W)` mask to `(size, size)` by area."""
    return torch.from_numpy(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def asked(question: Row, native: Sequence[int], size: int) -> Asked:
    """Decodes one question of a row.

    Args:
        question: The question as Arrow gives it.
        native: Height and width of the row's crops.
        size: Side of the model's image.

    Raises:
        ValueError: The answer has not one mask for each `[SEG]`.
    """
    told, masks = question["answer"].count(SEG), question["masks"]
    if told != len(masks):
        raise ValueError(
            f"{told} {SEG} but {len(masks)} masks in the answer to {question['question']!r}"
        )
    return Asked(
        task=question["task"],
        question=question["question"],
        answer=question["answer"],
        masks=torch.stack([soft_mask(mask, size) for mask in masks])
        if masks
        else torch.zeros(0, size, size),
        query=_query(question, native, size),
        category_id=question["query_category_id"],
    )


def _query(question: Row, native: Sequence[int], size: int) -> torch.Tensor | None:
    if question["query_segmentation"]:
        return soft_mask(question["query_segmentation"], size)
    if question["query_bbox"]:
        return soft(box_mask(question["query_bbox"], native), size)
    return None


def box_mask(box: Sequence[float], shape: Sequence[int]) -> NDArray[np.float32]:
    """Gives the pixels of a COCO box as `(H, W) float32`."""
    x, y, width, height = (round(value) for value in box)
    mask = np.zeros(tuple(shape), np.float32)
    mask[max(y, 0) : y + height, max(x, 0) : x + width] = 1
    return mask


def _content(row: Row, column: str) -> bytes:
    # a release without pixels leaves out all of it
    content: bytes | None = row[column] and row[column]["bytes"]
    if content is None:
        raise SourceMissing(
            f"row {row['id']} holds no pixels: `facext rehydrate` puts them back into a release "
            "from your own copy of the videos"
        )
    return content


def _decode(content: bytes, name: str, mode: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    if image is None:
        raise OutputError(f"{name} is no picture")
    return np.asarray(image)
