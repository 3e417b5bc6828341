"""FiFa-MLLM as others use it: pictures and questions in, text and masks out.

Answers are generated greedily with a key-value cache. The mask of a `[SEG]` comes from the state AT
it, which is there as soon as the token has been read: what is generated and what is forced upon the
model give the same mask.
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


@dataclass
class _Said:
    """One answer while it is generated."""

    ids: list[int] = field(default_factory=list)
    states: list[torch.Tensor] = field(default_factory=list)
    ended: bool = False


class FifaMLLM:
    """A network with its tokenizer and concepts; implements `model.answer.Answers`.

    Args:
        network: The network.
        vocabulary: Its tokenizer.
        categories: FICT as the shards' metadata holds it.
        config: What it was made and trained by.
    """

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
        pointed = _pointed(prompts, self.size).to(self.device)
        said = self._generate(prompts, pointed, features, len(frames))
        masks = self._masks(said, pointed, features, frames.shape[-2:])
        return [
            Answer(self.vocabulary.decode(one.ids), own, truncated=not one.ended)
            for one, own in zip(said, masks, strict=True)
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

    def _generate(
        self, prompts: Sequence[Prompt], pointed: Pointed, features: Features, frames: int
    ) -> list[_Said]:
        """Generates all answers together; prompts are padded in front."""
        embeds_QLD, attention_QK = self._read(prompts, pointed, features, frames)
        said = [_Said() for _ in prompts]
        cache, limit = DynamicCache(), self.config.network.max_new_tokens
        states_QLD = self.network.language(embeds_QLD, attention_QK, cache)
        for turn in range(limit + 1):
            next_Q = self.network.language.logits(states_QLD[:, -1]).argmax(dim=-1)
            if turn:
                self._keep_states(said, states_QLD[:, -1])
            if turn == limit or not self._keep_tokens(said, next_Q.tolist()):
                break
            attention_QK = functional.pad(attention_QK, (0, 1), value=1)
            states_QLD = self.network.language(
                self.network.language.embed(next_Q[:, None]), attention_QK, cache
            )
        return said

    def _keep_tokens(self, said: Sequence[_Said], tokens: Sequence[int]) -> bool:
        """Notes the next token of each answer; tells whether any goes on."""
        for one, token in zip(said, tokens, strict=True):
            one.ended = one.ended or token == self.vocabulary.end_id
            if not one.ended:
                one.ids.append(token)
        return not all(one.ended for one in said)

    def _keep_states(self, said: Sequence[_Said], states_QD: torch.Tensor) -> None:
        """Notes the state at a `[SEG]` that was just read."""
        seg = self.vocabulary.id_of[SEG]
        for one, state_D in zip(said, states_QD, strict=True):
            if not one.ended and one.ids[-1] == seg:
                one.states.append(state_D)

    def _read(
        self, prompts: Sequence[Prompt], pointed: Pointed, features: Features, frames: int
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
            pointed,
            features,
            torch.tensor([frames], device=self.device),
        )
        return embeds_QLD, attention_QL.to(self.device)

    def _masks(
        self, said: Sequence[_Said], pointed: Pointed, features: Features, shape: torch.Size
    ) -> list[torch.Tensor]:
        """Gives the masks of each answer, `(K, *shape) bool`."""
        counts = [len(one.states) for one in said]
        if not sum(counts):
            return [torch.zeros(0, *shape, dtype=torch.bool) for _ in said]
        question_M = torch.arange(len(said)).repeat_interleave(torch.tensor(counts))
        frame_Q = torch.zeros(len(said), dtype=torch.long, device=self.device)
        question_M = question_M.to(self.device)
        states = torch.stack([state for one in said for state in one.states])
        places_MHW = self.network.places(question_M, pointed, frame_Q, features)
        logits_MHW = self.network.decode(states, frame_Q[question_M], places_MHW, features)
        return list(mask_at(logits_MHW, shape).cpu().split(counts))


def mask_at(logits_MHW: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Gives `(M, *shape) bool` masks from logits of any size."""
    return _scaled(logits_MHW[:, None], shape)[:, 0] > 0


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
