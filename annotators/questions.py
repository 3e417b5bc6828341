"""FiFa-11: the eleven questions about each side of a frame, with the masks of their answers.

Det, Cls, and {image, region, box} x {TOE text, Loc masks, AGE text with masks}; paper. The
fake side is asked about a forged and about an untouched region; the real side is asked the same
questions, so that the wording of a question never gives the answer away.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import yaml
from numpy.typing import NDArray

from annotators.explain import PROMPTS, compose, plain, verbs
from fict.tree import Tree
from schemas import rle
from schemas.records import Claim, MeasuredFrame, Question, Segmentation, Side, Task

Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]

BOX_MARGIN = 0.15
"""A box query is a region's box grown by up to this share of its sides."""
LEAST_UNTOUCHED = 0.0005
"""An untouched region worth asking about covers at least this share of the crop."""


@functools.cache
def wording() -> dict[Task, dict[str, str | list[str]]]:
    """Gives the wordings of each task, from `prompts/questions.yaml`."""
    text = (PROMPTS / "questions.yaml").read_text(encoding="utf-8")
    return cast("dict[Task, dict[str, str | list[str]]]", yaml.safe_load(text))


@dataclass(frozen=True)
class Query:
    """What a region or box question points at."""

    category_id: int | None = None
    name: str = ""
    segmentation: Segmentation | None = None
    bbox: Box | None = None


@dataclass(frozen=True)
class Answer:
    """The facts that an answer may need."""

    claims: Sequence[Claim] = ()
    masks: dict[int, Segmentation] | None = None
    whole: Segmentation | None = None

    @property
    def clean(self) -> bool:
        """True where there is nothing to tell or to segment."""
        return self.whole is None


def ask(
    frame: MeasuredFrame, claims: Sequence[Claim], labels: NDArray[np.uint8], tree: Tree
) -> list[Question]:
    """Asks all eleven tasks about both sides of a frame.

    Args:
        frame: The measured frame.
        claims: Its published claims, at least one.
        labels: `(S, S) uint8` FICT node of each crop pixel.
        tree: The concept tree.

    Returns:
        The questions; each answer holds as many `[SEG]` as it has masks.
    """
    masks = {region.category_id: region.segmentation for region in frame.regions}
    told = [region for region in frame.regions if _about(claims, region.category_id)]
    region = told[_pick(frame.id, "region", len(told))]
    of_region = Query(region.category_id, region.name, region.concept_segmentation)
    of_box = Query(bbox=_box(frame, region.bbox))
    changed = rle.decode(frame.artifact.segmentation)
    whole = Answer(claims, masks, frame.artifact.segmentation)
    in_region = Answer(_about(claims, region.category_id), masks, region.segmentation)
    in_box = _inside(of_box, claims, masks, changed)
    nothing = Answer()
    writer = _Writer(frame)
    questions = [writer.write(task, "fake", Query(), whole) for task in _tasks("D", "C", "I")]
    questions += [writer.write(task, "fake", of_region, in_region) for task in _tasks("R")]
    questions += [writer.write(task, "fake", of_box, in_box) for task in _tasks("B")]
    untouched = _untouched(frame, labels, changed, tree)
    if untouched:
        questions += [writer.write(task, "fake", untouched, nothing) for task in _tasks("R")]
    questions += [writer.write(task, "real", Query(), nothing) for task in _tasks("D", "C", "I")]
    questions += [writer.write(task, "real", of_region, nothing) for task in _tasks("R")]
    questions += [writer.write(task, "real", of_box, nothing) for task in _tasks("B")]
    if untouched:
        questions += [writer.write(task, "real", untouched, nothing) for task in _tasks("R")]
    return questions


def _tasks(*initials: str) -> list[Task]:
    return [task for task in wording() if task[0] in initials]


def _about(claims: Sequence[Claim], concept: int) -> list[Claim]:
    return [claim for claim in claims if claim.category_id == concept]


def _pick(row: str, salt: str, choices: int) -> int:
    """Chooses by the row's id: the same row always asks the same way."""
    return int.from_bytes(hashlib.sha256(f"{row}|{salt}".encode()).digest()[:4], "big") % choices


@dataclass(frozen=True)
class _Writer:
    frame: MeasuredFrame

    def write(self, task: Task, image: Side, query: Query, answer: Answer) -> Question:
        words = wording()[task]
        ask = words["ask"]
        age, masks = compose(answer.claims, answer.masks or {})
        key = "fake" if not answer.clean else "clean" if "clean" in words else "real"
        template = str(words[key])
        if "{age}" not in template:
            masks = (answer.whole,) if answer.whole and "[SEG]" in template else ()
        facts = {
            "region": query.name,
            "forgery": self.frame.forgery,
            "text": " ".join(plain(claim.sentence) for claim in answer.claims),
            "age": age,
            **verbs(query.name),
        }
        chosen = ask[_pick(self.frame.id, f"{task}{image}{query.name}", len(ask))]
        return Question(
            task=task,
            image=image,
            question=chosen.format(**facts),
            answer=template.format(**facts),
            masks=masks,
            query_category_id=query.category_id,
            query_segmentation=query.segmentation,
            query_bbox=query.bbox,
        )


def _box(frame: MeasuredFrame, bbox: Box) -> Box:
    """Grows a region's box by a little, another little on each side, within the crop."""
    height, width = frame.artifact.segmentation.size
    grow = [BOX_MARGIN * _pick(frame.id, side, 100) / 100 for side in "ltrb"]
    x, y, w, h = bbox
    left, top = max(0.0, x - grow[0] * w), max(0.0, y - grow[1] * h)
    right, bottom = min(width, x + (1 + grow[2]) * w), min(height, y + (1 + grow[3]) * h)
    return (np.floor(left), np.floor(top), np.ceil(right - left), np.ceil(bottom - top))


def _inside(
    query: Query, claims: Sequence[Claim], masks: dict[int, Segmentation], changed: Mask
) -> Answer:
    """Keeps what lies in a box: regions with at least half of their changed pixels there."""
    x, y, w, h = (int(value) for value in query.bbox or (0, 0, 0, 0))
    box = np.zeros_like(changed)
    box[y : y + h, x : x + w] = True
    kept = {}
    for concept, segmentation in masks.items():
        mask = rle.decode(segmentation)
        if np.count_nonzero(mask & box) * 2 >= np.count_nonzero(mask):
            kept[concept] = rle.encode(mask & box)
    return Answer([c for c in claims if c.category_id in kept], kept, rle.encode(changed & box))


def _untouched(
    frame: MeasuredFrame, labels: NDArray[np.uint8], changed: Mask, tree: Tree
) -> Query | None:
    """Chooses an atomic concept of the face that the forgery did not touch at all."""
    area = np.bincount(labels.ravel(), minlength=256)
    hit = np.bincount(labels[changed], minlength=256)
    clean = [
        concept
        for concept in tree.atomic
        if area[concept.id] >= LEAST_UNTOUCHED * labels.size and hit[concept.id] == 0
    ]
    if not clean:
        return None
    concept = clean[_pick(frame.id, "untouched", len(clean))]
    return Query(concept.id, concept.name, rle.encode(labels == concept.id))
