"""Samples put together: every tensor that one forward pass takes.

Names tell dimensions: B samples, F frames of all samples together, Q questions, L tokens, R region
prompts, M masks, S the side of an image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch.nn.utils.rnn import pad_sequence

from model.data import Asked
from model.samples import Sample
from model.vocabulary import BOX, IGNORED, Encoded, Vocabulary


@dataclass(frozen=True, eq=False)
class Pointed:
    """The region prompts of some questions.

    Attributes:
        question_R: Which question each stands in.
        mask_RSS: Share of each pixel that it points at; zeros where `unpointed_R`.
        is_box_R: A box, not a region.
        category_R: FICT node; 0 where it is not known.
        unpointed_R: Only the FICT node is known: the model finds the place.
    """

    question_R: torch.Tensor
    mask_RSS: torch.Tensor
    is_box_R: torch.Tensor
    category_R: torch.Tensor
    unpointed_R: torch.Tensor

    def to(self, device: torch.device) -> Pointed:
        """Gives the same on a device."""
        return replace(self, **{each.name: getattr(self, each.name).to(device)
                                for each in fields(self)})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Batch:
    """What one forward pass takes.

    Attributes:
        images_F3SS: uint8 RGB; the frames of a sample lie together, its first is its key frame.
        frames_B: Frames of each sample.
        fake_B: 1 where the sample is fake.
        artifact_BSS: Share of each pixel of the key frame that was changed.
        concepts_BSS: FICT node of each pixel of the key frame.
        shift_B3SS: What the forgery added to the colours of the key frame.
        ids_QL: Token ids, padded on the right.
        labels_QL: What is to be said; `IGNORED` elsewhere.
        lengths_Q: Tokens of each text.
        sample_Q: Which sample each question is about.
        pointed: Region prompts.
        masks_MSS: Masks of all `[SEG]` that are to be said, question by question.
        names: Row and side of each sample.
        dropped: Questions that were left out, by reason.
    """

    images_F3SS: torch.Tensor
    frames_B: torch.Tensor
    fake_B: torch.Tensor
    artifact_BSS: torch.Tensor
    concepts_BSS: torch.Tensor
    shift_B3SS: torch.Tensor
    ids_QL: torch.Tensor
    labels_QL: torch.Tensor
    lengths_Q: torch.Tensor
    sample_Q: torch.Tensor
    pointed: Pointed
    masks_MSS: torch.Tensor
    names: tuple[str, ...]
    dropped: Counter[str]

    def to(self, device: torch.device) -> Batch:
        """Gives the same on a device."""
        moved = {
            each.name: getattr(self, each.name).to(device)
            for each in fields(self)
            if each.name not in ("names", "dropped")
        }
        return replace(self, **moved)


class Collate:
    """Puts samples together.

    Args:
        vocabulary: Whose ids the samples hold.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.pad, self.seg = vocabulary.pad_id, vocabulary.id_of["[SEG]"]
        self.empty = vocabulary.encode("", None, 0)

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Gives the batch of some samples.

        Raises:
            ValueError: An answer has not one mask for each `[SEG]` token.
        """
        asked = [(n, *each) for n, sample in enumerate(samples) for each in sample.questions]
        keys = [sample.views[0] for sample in samples]
        texts = [encoded for *_, encoded in asked] or [self.empty]
        ids_QL, labels_QL = pad(texts, self.pad)
        size = keys[0].image.shape[-1]
        masks = [one.masks for _, one, _ in asked]
        batch = Batch(
            images_F3SS=torch.stack([view.image for sample in samples for view in sample.views]),
            frames_B=torch.tensor([len(sample.views) for sample in samples]),
            fake_B=torch.tensor([float(key.side == "fake") for key in keys]),
            artifact_BSS=torch.stack([key.artifact for key in keys]),
            concepts_BSS=torch.stack([key.labels for key in keys]),
            shift_B3SS=torch.stack([key.shift for key in keys]),
            ids_QL=ids_QL,
            labels_QL=labels_QL,
            lengths_Q=torch.tensor([len(text.ids) for text in texts]),
            sample_Q=torch.tensor([n for n, *_ in asked] or [0]),
            pointed=point([one for _, one, _ in asked], size),
            masks_MSS=torch.cat([*masks, torch.zeros(0, size, size)]),
            names=tuple(f"{key.id}:{key.side}" for key in keys),
            dropped=sum((sample.dropped for sample in samples), Counter[str]()),
        )
        if int((labels_QL == self.seg).sum()) != len(batch.masks_MSS):
            raise ValueError(f"masks and [SEG] tokens differ in number in {batch.names}")
        return batch


def pad(encoded: Sequence[Encoded], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gives `(Q, L) int64` ids, padded on the right, and labels of the answers."""
    ids = [torch.tensor(each.ids, dtype=torch.long) for each in encoded]
    labels = [each.clone() for each in ids]
    for label, each in zip(labels, encoded, strict=True):
        label[: each.answer_from] = IGNORED
    return (
        pad_sequence(ids, batch_first=True, padding_value=pad_id),
        pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    )


def point(asked: Sequence[Asked], size: int) -> Pointed:
    """Gives the region prompts of questions; at most one of each."""
    pointed = [
        (number, one)
        for number, one in enumerate(asked)
        if one.query is not None or one.category_id is not None
    ]
    nothing = torch.zeros(size, size)
    masks = [nothing if one.query is None else one.query for _, one in pointed]
    return Pointed(
        question_R=torch.tensor([number for number, _ in pointed], dtype=torch.long),
        mask_RSS=torch.stack(masks) if masks else torch.zeros(0, size, size),
        is_box_R=torch.tensor([BOX in one.question for _, one in pointed], dtype=torch.long),
        category_R=torch.tensor([one.category_id or 0 for _, one in pointed], dtype=torch.long),
        unpointed_R=torch.tensor([one.query is None for _, one in pointed], dtype=torch.bool),
    )
