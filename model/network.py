"""FiFa-MLLM: one encoder, any language model, masks and text together.

    image ──> encoder ──> neck ──> pixels ──┬─> heads: real/fake; maps: FICT, artifact, colour
                           │                ├─> region prompts <── box, mask or FICT node
                           └─> grid ──> projector, summary ──> language model ──> text with [SEG]
                                 └──> mask decoder <── state at each [SEG];  x artifact map = mask

Names tell dimensions: B samples, F frames, Q questions, L tokens, R region prompts, M masks, S the
image's side, N tokens of a frame, C channels of pixels, D width of the language, H and W the pixel
map's sides, h and w the grid's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from model.batch import Batch, Pointed
from model.config import NetworkConfig
from model.encoder import ENCODERS
from model.heads import Heads, Looked
from model.language import Language
from model.losses import Sums, losses
from model.masks import DECODERS, Neck, both
from model.regions import RegionPrompt, ancestry
from model.vocabulary import BOX, IGNORED, IMAGE, REGION, Vocabulary
from schemas.errors import UsageError, nearest
from schemas.records import SEG

PASSES = 4
"""Texts of a batch are read in so many groups of like length; always so many, since ranks of FSDP2
gather each layer together, once a group."""


@dataclass(frozen=True, eq=False)
class Features:
    """What the vision side makes of frames.

    Attributes:
        grid_FChw: Coarse map.
        pixels_FCHW: Finer map.
        fine_FEHW: Finest map.
        tokens_FND: What the language model reads.
        looked: What the auxiliary heads say.
    """

    grid_FChw: torch.Tensor
    pixels_FCHW: torch.Tensor
    fine_FEHW: torch.Tensor
    tokens_FND: torch.Tensor
    looked: Looked


def cells_of(config: NetworkConfig, stride: int) -> int:
    """Gives the tokens on a side of a frame.

    Raises:
        UsageError: The grid cannot be divided by `shuffle`.
    """
    cells = config.image_size // stride
    if cells % config.shuffle:
        raise UsageError(f"network.shuffle {config.shuffle} does not divide the {cells} grid cells")
    return cells // config.shuffle


class FifaNetwork(nn.Module):
    """The network, without reading pictures or writing text.

    Args:
        config: Its sizes and parts.
        vocabulary: Tokenizer with the marks.
        categories: FICT as the shards' metadata holds it.
    """

    def __init__(
        self,
        config: NetworkConfig,
        vocabulary: Vocabulary,
        categories: Sequence[Mapping[str, Any]],
    ) -> None:
        super().__init__()
        if config.encoder.kind not in ENCODERS:
            kind = config.encoder.kind
            raise UsageError(f"encoder.kind: no '{kind}'{nearest(kind, ENCODERS)}")
        self.config = config
        self.id_of = vocabulary.id_of
        self.encoder: Any = ENCODERS[config.encoder.kind](config.encoder, config.image_size)
        width, channels = config.mask_width, self.encoder.channels
        self.neck = Neck(channels, self.encoder.strides, width)
        self.language = Language(config.language, vocabulary)
        self.cells = cells_of(config, self.encoder.strides[-1])
        inside = channels[-1] * config.shuffle**2 + width
        state = self.language.width
        self.projector = nn.Sequential(
            nn.LayerNorm(inside), nn.Linear(inside, state), nn.GELU(), nn.Linear(state, state)
        )
        above = ancestry(categories)
        self.summary = nn.Sequential(
            nn.Linear(2 * len(above) + 1, state), nn.GELU(), nn.Linear(state, state)
        )
        self.frame = nn.Embedding(config.most_frames, state)
        nn.init.zeros_(self.frame.weight)
        self.regions = RegionPrompt(width, state, above)
        self.heads = Heads(width, above)
        self.masks = DECODERS[config.masks](width, state)
        self.trust = nn.Parameter(torch.tensor([4.0]))  # how much a pointing question counts

    @property
    def layer_classes(self) -> list[str]:
        """Gives the names of the transformers' layer classes, the bulk of the weights."""
        parts = (self.language.bare, getattr(self.encoder, "vit", None))
        known = {name for part in parts for name in getattr(part, "_no_split_modules", None) or ()}
        return sorted(known & {type(module).__name__ for module in self.modules()})

    @property
    def image_tokens(self) -> int:
        """Gives N: one for each cell, and one for what the heads say."""
        return int(self.cells**2) + 1

    def look(self, images_F3SS: torch.Tensor) -> Features:
        """Looks at frames of `uint8` RGB."""
        pixels_F3SS = (images_F3SS.float() / 255).contiguous(memory_format=torch.channels_last)
        maps = self.encoder(pixels_F3SS)  # with channels last convolutions are faster
        grid_FChw, pixels_FCHW, fine_FEHW = self.neck(maps)
        looked = self.heads(pixels_FCHW, fine_FEHW)
        shuffled = functional.pixel_unshuffle(maps[-1], self.config.shuffle)
        near = functional.adaptive_avg_pool2d(pixels_FCHW, self.cells)
        cells_FNC = torch.cat([shuffled, near], dim=1).flatten(2).transpose(1, 2)
        summary_F1D = self.summary(looked.changed_FN)[:, None]
        tokens_FND = torch.cat([summary_F1D, self.projector(cells_FNC)], dim=1)
        return Features(grid_FChw, pixels_FCHW, fine_FEHW, tokens_FND, looked)

    def embed(
        self,
        ids_QL: torch.Tensor,
        sample_Q: torch.Tensor,
        pointed: Pointed,
        features: Features,
        frames_B: torch.Tensor,
    ) -> torch.Tensor:
        """Gives `(Q, L, D)`: tokens, images and region prompts in their places."""
        embeds_QLD = self.language.embed(ids_QL).clone()
        starts_B = frames_B.cumsum(0) - frames_B
        is_image_QL = ids_QL == self.id_of[IMAGE]
        images = [
            self._clip(features.tokens_FND[starts_B[n] : starts_B[n] + frames_B[n]])
            for n in sample_Q.tolist()
        ]
        read = [
            image for image, has in zip(images, is_image_QL.any(1).tolist(), strict=True) if has
        ]
        if read:
            embeds_QLD[is_image_QL] = torch.cat(read).to(embeds_QLD.dtype)
        is_place_QL = (ids_QL == self.id_of[REGION]) | (ids_QL == self.id_of[BOX])
        tokens_RD = self._point(pointed, starts_B[sample_Q], features)
        where_R = pointed.question_R
        if int(is_place_QL.sum()) != len(where_R):
            raise ValueError("region prompts and their places in the questions differ in number")
        column_R = is_place_QL[where_R].int().argmax(dim=1)
        embeds_QLD[where_R, column_R] = tokens_RD[: len(where_R)].to(embeds_QLD.dtype)
        return embeds_QLD + 0.0 * (tokens_RD.sum() + features.tokens_FND.sum())

    def _clip(self, tokens_TND: torch.Tensor) -> torch.Tensor:
        frames = torch.arange(len(tokens_TND), device=tokens_TND.device)
        placed_TND: torch.Tensor = tokens_TND + self.frame(frames)[:, None]
        return placed_TND.flatten(0, 1)

    def _point(self, pointed: Pointed, frame_Q: torch.Tensor, features: Features) -> torch.Tensor:
        """Makes the tokens of region prompts; one of nothing where there are none."""
        pixels_FCHW, where_R = features.pixels_FCHW, pointed.question_R
        if not len(where_R):
            one = torch.zeros(1, dtype=torch.long, device=frame_Q.device)
            blank = pixels_FCHW.new_zeros(1, *pixels_FCHW.shape[-2:])
            nothing: torch.Tensor = self.regions(pixels_FCHW[:1], blank, one, one)
            return nothing
        mask_RSS = self._aim(pointed, frame_Q, features)
        tokens_RD: torch.Tensor = self.regions(
            pixels_FCHW[frame_Q[where_R]], mask_RSS, pointed.is_box_R, pointed.category_R
        )
        return tokens_RD

    def _aim(self, pointed: Pointed, frame_Q: torch.Tensor, features: Features) -> torch.Tensor:
        """Gives the masks of region prompts; of a FICT node alone, what the heads see of it."""
        mask_RSS = pointed.mask_RSS.to(features.pixels_FCHW.dtype)
        found = pointed.unpointed_R.nonzero()[:, 0]
        if not len(found):
            return mask_RSS
        frame_R = frame_Q[pointed.question_R[found]]
        own = features.looked.concept(frame_R, pointed.category_R[found]).detach()
        size = mask_RSS.shape[-2:]
        own = functional.interpolate(own[:, None].float(), size, mode="bilinear")[:, 0]
        return mask_RSS.index_copy(0, found, own.to(mask_RSS.dtype))

    def places(
        self,
        question_M: torch.Tensor,
        pointed: Pointed,
        frame_Q: torch.Tensor,
        features: Features,
    ) -> torch.Tensor:
        """Gives `(M, H, W)`: 1 where the question of a mask points, -1 elsewhere.

        It is 0 where the question is about the whole image.

        Args:
            question_M: Question of each mask.
            pointed: Region prompts of the questions.
            frame_Q: Frame that each question is about.
            features: Of these frames.
        """
        height, width = features.fine_FEHW.shape[-2:]
        places_MHW = features.fine_FEHW.new_zeros(len(question_M), height, width)
        rows = torch.arange(len(pointed.question_R), device=frame_Q.device)
        row_M = torch.full_like(frame_Q, -1).index_copy(0, pointed.question_R, rows)[question_M]
        if bool((row_M >= 0).any()):
            aims_RHW = functional.adaptive_avg_pool2d(
                self._aim(pointed, frame_Q, features), (height, width)
            )
            places_MHW[row_M >= 0] = 2 * aims_RHW[row_M[row_M >= 0]] - 1
        return places_MHW

    def _read(self, embeds_QLD: torch.Tensor, lengths_Q: torch.Tensor) -> torch.Tensor:
        """Gives the states of texts of like length together: padding costs as much as words.

        It is behind the texts, where no token sees it.
        """
        states_QLD = torch.zeros_like(embeds_QLD)
        order_Q = lengths_Q.argsort()
        for some in order_Q.tensor_split(PASSES):
            at = some if len(some) else order_Q[:1]  # read twice; only one of the two is kept
            longest = int(lengths_Q[at].max())
            found = self.language(embeds_QLD[at, :longest])
            states_QLD = states_QLD.index_put(
                (at[:, None], torch.arange(longest, device=at.device)), found
            )
        return states_QLD

    def decode(
        self,
        state_MD: torch.Tensor,
        frame_M: torch.Tensor,
        places_MHW: torch.Tensor,
        features: Features,
    ) -> torch.Tensor:
        """Gives `(M, H, W) float32` logits of the masks of some states.

        Args:
            state_MD: States at `[SEG]`.
            frame_M: Frame that each is about.
            places_MHW: Where its question points; see `places`.
            features: Of these frames.
        """
        with torch.autocast(state_MD.device.type, enabled=False):
            where_MHW = self.masks(
                state_MD.float(),
                frame_M,
                features.grid_FChw.float(),
                features.pixels_FCHW.float(),
                features.fine_FEHW.float(),
            )
            where_MHW = where_MHW + self.trust * places_MHW.float()
            return both(where_MHW, features.looked.artifact_FHW[frame_M].float())

    def forward(self, batch: Batch) -> Sums:
        """Gives the sums of all losses, to be divided by their global counts."""
        features = self.look(batch.images_F3SS)
        embeds_QLD = self.embed(
            batch.ids_QL, batch.sample_Q, batch.pointed, features, batch.frames_B
        )
        states_QLD = self._read(embeds_QLD, batch.lengths_Q)
        told_QL = batch.labels_QL[:, 1:] != IGNORED
        logits_NV = self.language.logits(states_QLD[:, :-1][told_QL])
        is_seg_QL = batch.labels_QL == self.id_of[SEG]
        frame_B = batch.frames_B.cumsum(0) - batch.frames_B
        frame_Q, question_M = frame_B[batch.sample_Q], is_seg_QL.nonzero()[:, 0]
        state_MD = states_QLD[is_seg_QL]
        dummy = not len(state_MD)
        if dummy:  # one query, times 0: every rank uses every part in every step
            state_MD, question_M = states_QLD[0, :1], torch.zeros_like(batch.sample_Q[:1])
        places_MHW = self.places(question_M, batch.pointed, frame_Q, features)
        masks_MHW = self.decode(state_MD, frame_Q[question_M], places_MHW, features)
        return losses(
            batch, logits_NV, batch.labels_QL[:, 1:][told_QL], masks_MHW,
            features.looked.of(frame_B), dummy=dummy,
        )  # fmt: skip
