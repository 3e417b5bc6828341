"""LLaVA conversations: `id`, `image`, and turns of `human` and `gpt`.

One conversation a picture, with the questions that are answered in words; what is asked for masks
is no task of LLaVA. A box is told as LLaVA does, by its corners as shares of the picture.
Source: https://github.com/haotian-liu/LLaVA, docs/Finetune_Custom_Data.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from release.formats.stream import write_array
from release.parts import SIDES
from release.released import Released
from release.rows import Row
from schemas.records import Side
from schemas.releasing import file_name

ASKED = (
    "id", "artifact.segmentation.size",
    *(f"questions.list.element.{name}" for name in ("task", "image", "question", "answer",
                                                    "query_bbox")),
)  # fmt: skip
"""Columns that hold what was asked in words."""
IN_WORDS = ("Det", "Cls", "I-TOE", "R-TOE", "B-TOE")


def write(released: Released, split: str, folder: Path) -> None:
    """Writes one split."""
    write_array(folder / f"{split}.json", _conversations(released, split))


def _conversations(released: Released, split: str) -> Iterator[dict[str, Any]]:
    for row in released.rows(split, ASKED):
        for side in SIDES:
            turns = list(_turns(row, side))
            if turns:
                turns[0]["value"] = f"<image>\n{turns[0]['value']}"
                name = file_name(row["id"], side)
                yield {"id": f"{row['id']}-{side}", "image": name, "conversations": turns}


def _turns(row: Row, side: Side) -> Iterator[dict[str, str]]:
    for one in row["questions"]:
        if one["image"] == side and one["task"] in IN_WORDS:
            yield {"from": "human", "value": in_words(one, row["artifact"]["segmentation"]["size"])}
            yield {"from": "gpt", "value": one["answer"]}


def in_words(question: Row, size: Sequence[int]) -> str:
    """Gives a question with its box as numbers; a region is named in the question anyway."""
    text: str = question["question"].replace(" <region>", "").replace("<region>", "")
    if question["query_bbox"] is None:
        return text
    x, y, width, height = question["query_bbox"]
    corners = (x / size[1], y / size[0], (x + width) / size[1], (y + height) / size[0])
    return text.replace("<box>", f"[{', '.join(f'{one:.3f}' for one in corners)}]")
