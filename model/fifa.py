"""FiFa-MLLM as others use it: pictures and questions in, text and masks out.

Answers are generated greedily with a key-value cache. A finished answer with `[SEG]` is then read
once as a whole, as in training, and its masks come from the states at `[SEG]`: a cache adds up in
another order, and in bf16 that would move borders. What is generated and what is forced upon the
model give the same masks, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import DynamicCache

from model.answer import Answer, Prompt, Seen
from model.batch import Pointed
from model.config import ModelConfig
from model.data import fit, soft
from model.network import Features, FifaNetwork
from model.vocabulary import BOX, REGION, Vocabulary, check_question
from schemas.errors import UsageError
from schemas.records import SEG

MOST_MASKS = 32
"""Of an answer; it is cut behind the last. A picture of 4096 x 4096 pixels has 16 MB a mask."""


@dataclass
class _Said:
    """One answer while it is generated: it ends by its end token, or is cut."""

    ids: list[int] = field(default_factory=list)
    ended: bool = False
    cut: bool = False


class FifaMLLM:
    """A network with its tokenizer and concepts; implements `model.answer.Answers`.

    Args:
        network: The network.
        vocabulary: Its tokenizer.
        categories: FICT as the shards' metadata holds it.
        config: What it was made and trained by.

    Attributes:
        learnt: Pairs that it learnt from, `dataset/pair`; None: not known.
    """

    learnt: frozenset[str] | None = None

    def __init__(
        self,
        network: FifaNetwork,
        vocabulary: Vocabulary,
        categories: Sequence[Mapping[str, Any]],
        config: ModelConfig,
    ) -> None:
        self.network, self.vocabulary = network, vocabulary
        self.categories, self.config = list(categories), config
        self.size = config.network.image_size

    @property
    def device(self) -> torch.device:
        """Gives where the network is."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def answer(self, image: torch.Tensor, prompts: Sequence[Prompt]) -> list[Answer]:
        """Answers questions about one image; see `model.answer.Answers`.

        Args:
            image: `(3, H, W) uint8` RGB, or `(T, 3, H, W)`: a clip, whose first frame the masks
                and queries are of.
            prompts: The questions.

        Raises:
            UsageError: A query does not fit the image, or the question does not hold its place.
        """
        frames = image if image.ndim == 4 else image[None]
        for prompt in prompts:
            _check(prompt, frames.shape[-2:], self.network.regions.above.shape[0])
        if not prompts:
            return []
        self.network.eval()
        features = self.network.look(self._pixels(frames))
        said = self._generate(prompts, features, len(frames))
        return [
            Answer(
                self.vocabulary.decode(one.ids),
                self._masks(one, prompt, features, len(frames), frames.shape[-2:]),
                truncated=not one.ended,
            )
            for one, prompt in zip(said, prompts, strict=True)
        ]

    @torch.inference_mode()
    def see(self, image: torch.Tensor) -> Seen:
        """Looks at one image without being asked; see `model.answer.Answers`."""
        self.network.eval()
        looked = self.network.look(self._pixels(image[None])).looked
        likely = looked.concepts_FhwK.permute(0, 3, 1, 2)
        concepts = _scaled(likely, image.shape[-2:])[0].argmax(dim=0)
        artifact = _scaled(looked.artifact_FHW[:, None], image.shape[-2:])[0, 0].sigmoid()
        return Seen(
            fake_probability=float(looked.fake_F.sigmoid()),
            concepts=concepts.to(torch.uint8).cpu(),
            artifact=artifact.cpu(),
        )

    def _pixels(self, frames: torch.Tensor) -> torch.Tensor:
        arrays = [fit(frame.permute(1, 2, 0).numpy(), self.size) for frame in frames.cpu()]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(self.device)

    def _generate(self, prompts: Sequence[Prompt], features: Features, frames: int) -> list[_Said]:
        """Generates all answers together; prompts are padded in front."""
        embeds_QLD, attention_QK = self._read(prompts, features, frames)
        said = [_Said() for _ in prompts]
        cache, limit = DynamicCache(), self.config.network.max_new_tokens
        states_QLD = self.network.language(embeds_QLD, attention_QK, cache)
        for _turn in range(limit):
            logits_QV = self.network.language.logits(states_QLD[:, -1])
            logits_QV[:, self.vocabulary.unsaid_ids] = -torch.inf  # they would be read as places
            next_Q = logits_QV.argmax(dim=-1)
            if not self._keep(said, next_Q.tolist()):
                break
            attention_QK = functional.pad(attention_QK, (0, 1), value=1)
            states_QLD = self.network.language(
                self.network.language.embed(next_Q[:, None]), attention_QK, cache
            )
        return said

    def _keep(self, said: Sequence[_Said], tokens: Sequence[int]) -> bool:
        """Notes the next token of each answer; tells whether any goes on."""
        for one, token in zip(said, tokens, strict=True):
            if one.ended or one.cut:
                continue
            one.ended = token == self.vocabulary.end_id
            if not one.ended:
                one.ids.append(token)
                one.cut = one.ids.count(self.vocabulary.id_of[SEG]) == MOST_MASKS
        return not all(one.ended or one.cut for one in said)

    def _read(
        self, prompts: Sequence[Prompt], features: Features, frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gives the prompts' embeddings and attention, padded in front."""
        tokens = frames * self.network.image_tokens
        texts = [self.vocabulary.encode(each.question, None, tokens).ids for each in prompts]
        longest = max(len(ids) for ids in texts)
        pads = [longest - len(ids) for ids in texts]
        ids_QL = torch.tensor(
            [[self.vocabulary.pad_id] * n + list(ids) for n, ids in zip(pads, texts, strict=True)]
        )
        attention_QL = torch.tensor([[0] * n + [1] * (longest - n) for n in pads])
        embeds_QLD = self.network.embed(
            ids_QL.to(self.device),
            torch.zeros(len(prompts), dtype=torch.long, device=self.device),
            _pointed(prompts, self.size).to(self.device),
            features,
            torch.tensor([frames], device=self.device),
        )
        return embeds_QLD, attention_QL.to(self.device)

    def _masks(
        self, said: _Said, prompt: Prompt, features: Features, frames: int, shape: torch.Size
    ) -> torch.Tensor:
        """Gives the masks of an answer, `(K, *shape) bool`, by reading it as a whole."""
        if self.vocabulary.id_of[SEG] not in said.ids:
            return torch.zeros(0, *shape, dtype=torch.bool)
        tokens = frames * self.network.image_tokens
        asked = self.vocabulary.encode(prompt.question, None, tokens).ids
        end = [self.vocabulary.end_id] if said.ended else []
        ids_1L = torch.tensor([[*asked, *said.ids, *end]], device=self.device)
        pointed = _pointed([prompt], self.size).to(self.device)
        first = torch.zeros(1, dtype=torch.long, device=self.device)
        clip = torch.tensor([frames], device=self.device)
        embeds_1LD = self.network.embed(ids_1L, first, pointed, features, clip)
        states_MD = self.network.language(embeds_1LD)[ids_1L == self.vocabulary.id_of[SEG]]
        question_M = first.expand(len(states_MD))
        places_MHW = self.network.places(question_M, pointed, first, features)
        logits_MHW = self.network.decode(states_MD, question_M, places_MHW, features)
        return mask_at(logits_MHW, shape).cpu()


def mask_at(logits_MHW: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Gives `(M, *shape) bool` masks from logits of any size, one by one: floats are large."""
    masks_M = torch.zeros(len(logits_MHW), *shape, dtype=torch.bool, device=logits_MHW.device)
    for mask, logits_HW in zip(masks_M, logits_MHW, strict=True):
        mask.copy_(_scaled(logits_HW[None, None], shape)[0, 0] > 0)
    return masks_M


def _scaled(logits: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return functional.interpolate(
        logits.float(), tuple(shape), mode="bilinear", align_corners=False
    )


def _check(prompt: Prompt, shape: torch.Size, nodes: int) -> None:
    check_question(prompt.question)
    pointed = prompt.query is not None or prompt.query_category_id is not None
    places = prompt.question.count(REGION) + prompt.question.count(BOX)
    if pointed != bool(places):
        raise UsageError(
            f"a question with a query holds one {REGION} or {BOX}, another none: "
            f"{prompt.question[:200]!r}"
        )
    if prompt.query is not None and prompt.query.shape != shape:
        raise UsageError(
            f"the query is {tuple(prompt.query.shape)} pixels, the image {tuple(shape)}"
        )
    if prompt.query is not None and not bool((prompt.query > 0).any()):
        raise UsageError("the query points at no pixel of the image")
    if prompt.query_category_id is not None and not 0 < prompt.query_category_id < nodes:
        raise UsageError(f"no FICT node {prompt.query_category_id}; known: 1 to {nodes - 1}")


def _pointed(prompts: Sequence[Prompt], size: int) -> Pointed:
    pointed = [
        (n, each)
        for n, each in enumerate(prompts)
        if each.query is not None or each.query_category_id is not None
    ]
    nothing = torch.zeros(size, size)
    masks = [
        nothing if one.query is None else soft(one.query.float().cpu().numpy(), size)
        for _, one in pointed
    ]
    return Pointed(
        question_R=torch.tensor([n for n, _ in pointed], dtype=torch.long),
        mask_RSS=torch.stack(masks) if masks else torch.zeros(0, size, size),
        is_box_R=torch.tensor([BOX in one.question for _, one in pointed], dtype=torch.long),
        category_R=torch.tensor(
            [one.query_category_id or 0 for _, one in pointed], dtype=torch.long
        ),
        unpointed_R=torch.tensor([one.query is None for _, one in pointed], dtype=torch.bool),
    )
