"""Samples: an image, or the frames of a clip, with the questions that are drawn for it.

What is drawn depends on seed, epoch and sample only. A sample that is longer than the model reads
is dropped and counted, never cut: a cut answer would teach to stop in mid-sentence, and its masks
would no longer be those of its `[SEG]`.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from model.config import DataConfig
from model.data import Asked, Row, Shards, View, asked, soft_mask, view
from model.erase import erase
from model.order import Order, Place
from model.vocabulary import Encoded, Vocabulary
from schemas.errors import UsageError
from schemas.records import Side

SIDES: tuple[Side, Side] = ("real", "fake")
VIDEO_TASKS = ("Det", "Cls", "I-TOE")
"""What is asked of a clip as a whole."""
UNPOINTED = 0.15
"""Share of region questions whose region the model is to find by its FICT node alone."""
TOO_LONG, MASKS_DIFFER = "too_long", "masks_differ"


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, or the frames of one clip, with its questions.

    Attributes:
        views: The frames; questions and masks are about the first.
        questions: What is asked, each as tokens, too.
        dropped: Questions that were left out, by reason.
    """

    views: tuple[View, ...]
    questions: tuple[tuple[Asked, Encoded], ...]
    dropped: Counter[str]


class Samples(Dataset[Sample]):
    """The samples of some rows of the shards: both sides of each.

    Args:
        shards: The shards.
        rows: Indices of the rows.
        vocabulary: Encodes the questions.
        config: What is drawn.
        size: Side of the model's image.
        image_tokens: Tokens of one frame.
        seed: Decides what is drawn.
    """

    def __init__(
        self,
        shards: Shards,
        rows: Sequence[int],
        vocabulary: Vocabulary,
        config: DataConfig,
        size: int,
        image_tokens: int,
        seed: int,
    ) -> None:
        if not rows:
            raise UsageError("no row of the shards is left to be read")
        self.shards, self.vocabulary, self.config = shards, vocabulary, config
        self.size, self.image_tokens, self.seed = size, image_tokens, seed
        self.places = [(row, side) for row in rows for side in SIDES]
        self.questions = config.questions
        self._clips = _clips(shards, rows) if config.frames > 1 else {}

    def unasked(self) -> Samples:
        """Gives the same samples without a question: for the vision side alone."""
        silent = copy.copy(self)
        silent.questions = 0
        return silent

    def __len__(self) -> int:
        return len(self.places)

    def order(self) -> Order:
        """Gives the order in which to see them."""
        groups = tuple(self.shards.group_of(row) for row, _ in self.places[:: len(SIDES)])
        return Order(groups, self.seed, self.config.window)

    def fingerprint(self) -> str:
        """Gives what names the rows and their row groups: the same samples in the same order.

        What is in the rows has no part in it.
        """
        ids = self.shards.facts.column("id").to_pylist()
        digest = hashlib.sha256()
        for row, _ in self.places[:: len(SIDES)]:
            digest.update(f"{ids[row]}\t{self.shards.group_of(row)}\n".encode())
        return digest.hexdigest()

    def __getitem__(self, place: Place) -> Sample:
        """Gives a sample as it is drawn in an epoch.

        Raises:
            SourceMissing: Its row holds no pixels.
        """
        epoch, number = place
        index, side = self.places[number]
        rng = np.random.default_rng([self.seed, epoch, number])
        row = self.shards.row(index)
        others = [self.shards.row(each) for each in self._frames(index)]
        views = self._views([row, *others], side, (self.seed, epoch, index))
        dropped: Counter[str] = Counter()
        questions = self._draw(row, side, len(views), rng, dropped)
        return Sample(views, tuple(questions), dropped)

    def _views(self, rows: Sequence[Row], side: Side, drawn: tuple[int, ...]) -> tuple[View, ...]:
        """Gives the frames of one side; what is laid over them depends on `drawn` alone."""
        views = tuple(view(each, side, self.size) for each in rows)
        rng = np.random.default_rng(drawn)
        if rng.random() >= self.config.erase:
            return views
        masks = [soft_mask(each["artifact"]["segmentation"], self.size) for each in rows]
        return erase(views, torch.stack(masks).amax(dim=0), rng)

    def _draw(
        self, row: Row, side: Side, frames: int, rng: np.random.Generator, dropped: Counter[str]
    ) -> list[tuple[Asked, Encoded]]:
        """Draws questions without putting back, each by the weight of its task."""
        own = [
            each
            for each in row["questions"]
            if each["image"] == side and (self.config.frames == 1 or each["task"] in VIDEO_TASKS)
        ]
        weights = np.array([self.config.weights.get(each["task"], 1.0) for each in own])
        keys = rng.exponential(size=len(own)) / np.maximum(weights, 1e-9)
        drawn: list[tuple[Asked, Encoded]] = []
        for at in np.argsort(keys)[: np.count_nonzero(weights)]:
            if len(drawn) == self.questions:
                break
            chosen = self._encode(row, own[at], frames, dropped)
            if chosen:
                drawn.append(chosen)
        return [(_unpointed(one, rng), encoded) for one, encoded in drawn]

    def _encode(
        self, row: Row, question: Row, frames: int, dropped: Counter[str]
    ) -> tuple[Asked, Encoded] | None:
        encoded = self.vocabulary.encode(
            question["question"], question["answer"], frames * self.image_tokens
        )
        if len(encoded.ids) > self.config.max_tokens:
            dropped[TOO_LONG] += 1
            return None
        try:
            return asked(question, row["artifact"]["segmentation"]["size"], self.size), encoded
        except ValueError:
            dropped[MASKS_DIFFER] += 1
            return None

    def _frames(self, index: int) -> list[int]:
        """Gives the other frames of a row's clip, evenly spaced, in order of time."""
        clip = [each for each in self._clips.get(index, ()) if each != index]
        count = min(self.config.frames - 1, len(clip))
        return [clip[round(at)] for at in np.linspace(0, len(clip) - 1, count)] if count else []


def _unpointed(one: Asked, rng: np.random.Generator) -> Asked:
    hides = one.category_id is not None and rng.random() < UNPOINTED
    return Asked(**{**vars(one), "query": None}) if hides else one


def _clips(shards: Shards, rows: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Gives the rows of each row's pair, in order of time."""
    facts = shards.facts.to_pylist()
    clips: dict[tuple[str, ...], list[int]] = {}
    for row in sorted(rows, key=lambda each: facts[each]["frame_index"]):
        clips.setdefault(pair_of(facts[row]), []).append(row)
    return {row: tuple(clip) for clip in clips.values() for row in clip}


def pair_of(fact: Row) -> tuple[str, ...]:
    """Gives what names a row's pair."""
    return tuple(fact[key] for key in ("dataset", "method", "compression", "pair"))
