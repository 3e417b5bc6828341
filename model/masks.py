"""From the state at a `[SEG]` to a mask: what was changed, and where the text points.

All that the eleven tasks segment was changed by the forgery. So a mask is the product of two
likelihoods: that a pixel was changed, which the artifact head says of the image once, and that it
is where this state points, which the decoder says. Two decoders of one form, chosen by name.

M is the number of masks, F of frames, D the width of the language, C and E the channels of pixels
and of fine pixels, H and W the fine map's sides, x and y the pixels', h and w the grid's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder

FINEST = 4
"""Masks are found at this stride, or finer where the encoder gives a finer map."""


class Neck(nn.Module):
    """Puts an encoder's maps together to maps that are finer than the coarsest of them.

    Args:
        channels: Channels of the maps, finest first.
        strides: Pixels of a cell's side in each.
        width: C.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int) -> None:
        super().__init__()
        self.strides = list(strides)
        self.stride = min(FINEST, *strides)
        self.lateral = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 2, stride=2)
            for _ in range(round(math.log2(strides[-1] / self.stride)))
        )
        self.out = nn.Sequential(
            nn.GroupNorm(8, width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU()
        )
        self.fine = nn.Sequential(nn.ConvTranspose2d(width, width // 2, 2, stride=2), nn.ReLU())

    def forward(
        self, maps: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gives the grid `(B, C, h, w)`, the pixels `(B, C, H / 2, W / 2)`, the fine ones."""
        grid_BChw: torch.Tensor = self.lateral[-1](maps[-1])
        pixels, stride = grid_BChw, self.strides[-1]
        for up in self.up:
            pixels, stride = up(pixels), stride // 2
            for each, lateral, own in zip(maps[:-1], self.lateral[:-1], self.strides, strict=False):
                if own == stride:
                    pixels = functional.gelu(pixels + lateral(each))
        pixels = self.out(pixels)
        return grid_BChw, pixels, self.fine(pixels)


class QueryDecoder(nn.Module):
    """A light decoder: the query reads the grid, and its product with each pixel tells where.

    The pixels are made once for all masks of an image (as in Faceptor and Mask2Former). Those that
    the FICT map is read from take part: a region of the face is then one direction of the query.

    Args:
        width: C.
        state: D.
        layers: How often the query reads.
    """

    def __init__(self, width: int, state: int, layers: int = 2) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Linear(state, width), nn.GELU(), nn.Linear(width, width))
        self.reads = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.end = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width + width // 2 + 1))

    def forward(
        self,
        state_MD: torch.Tensor,
        frame_M: torch.Tensor,
        grid_FChw: torch.Tensor,
        pixels_FCxy: torch.Tensor,
        fine_FEHW: torch.Tensor,
    ) -> torch.Tensor:
        """Gives `(M, H, W)` logits of where each state points.

        Args:
            state_MD: States at `[SEG]`.
            frame_M: Frame that each is about.
            grid_FChw: Coarse maps.
            pixels_FCxy: Finer maps, half as large as the fine ones.
            fine_FEHW: Fine maps.
        """
        query_M1C = self.query(state_MD)[:, None]
        cells_FNC = grid_FChw.flatten(2).transpose(1, 2) + sines(grid_FChw)
        for read in self.reads:
            query_M1C = read(query_M1C, cells_FNC[frame_M])
        end_MC: torch.Tensor = self.end(query_M1C[:, 0])
        own = [(frame_M == frame).nonzero()[:, 0] for frame in range(len(fine_FEHW))]
        width, back = pixels_FCxy.shape[1], torch.cat(own).argsort()
        products = [  # image by image: a copy of the pixels for each mask would fill the memory
            (
                _product(end_MC[at, :width], pixels_Cxy),
                _product(end_MC[at, width:-1], fine_EHW),
            )
            for at, pixels_Cxy, fine_EHW in zip(own, pixels_FCxy, fine_FEHW, strict=True)
        ]
        coarse_Mxy, fine_MHW = (torch.cat(each)[back] for each in zip(*products, strict=True))
        larger_MHW = functional.interpolate(
            coarse_Mxy[:, None], fine_MHW.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]
        return larger_MHW + fine_MHW + end_MC[:, -1, None, None]


class SamDecoder(nn.Module):
    """Segment Anything's mask decoder, prompted by the state as by a point.

    Args:
        width: C; a multiple of 32.
        state: D.
    """

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Linear(state, width), nn.GELU(), nn.Linear(width, width))
        self.sam = SamMaskDecoder(
            SamMaskDecoderConfig(
                hidden_size=width, mlp_dim=4 * width, num_attention_heads=8,
                iou_head_hidden_dim=width,
            )
        )  # fmt: skip
        for unused in (self.sam.iou_prediction_head, *self.sam.output_hypernetworks_mlps[1:]):
            unused.requires_grad_(False)
        self.dense = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(
        self,
        state_MD: torch.Tensor,
        frame_M: torch.Tensor,
        grid_FChw: torch.Tensor,
        pixels_FCxy: torch.Tensor,
        fine_FEHW: torch.Tensor,
    ) -> torch.Tensor:
        """Gives `(M, H, W)` logits; see `QueryDecoder`. Of finer maps only the size counts."""
        grid_MChw = grid_FChw[frame_M]
        places_1Chw = sines(grid_MChw).transpose(1, 2).reshape(1, *grid_MChw.shape[1:])
        masks_M11HW, _ = self.sam(
            image_embeddings=grid_MChw,
            image_positional_embeddings=places_1Chw.expand(len(grid_MChw), -1, -1, -1),
            sparse_prompt_embeddings=self.query(state_MD)[:, None, None],
            dense_prompt_embeddings=self.dense.expand_as(grid_MChw),
            multimask_output=False,
        )
        return functional.interpolate(
            masks_M11HW[:, 0], fine_FEHW.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]


def _product(queries_MC: torch.Tensor, pixels_CHW: torch.Tensor) -> torch.Tensor:
    """Gives `(M, H, W)` with channels last: as convolutions have them, gradients need no copy."""
    return (pixels_CHW.permute(1, 2, 0) @ queries_MC.T).permute(2, 0, 1)


def both(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Gives the logit of two things being true at once, from the logits of each."""
    return -torch.logsumexp(torch.stack([-one, -other, -one - other]), dim=0)


DECODERS: dict[str, type[QueryDecoder] | type[SamDecoder]] = {
    "query": QueryDecoder,
    "sam": SamDecoder,
}


def sines(grid_BChw: torch.Tensor) -> torch.Tensor:
    """Gives `(1, h w, C)` of sines that tell each cell of a map its place."""
    _, channels, height, width = grid_BChw.shape
    count = channels // 4
    rates = torch.pi * 2 ** torch.linspace(0, 5, count, device=grid_BChw.device)
    found = []
    for cells, across in ((height, False), (width, True)):
        at = (torch.arange(cells, device=grid_BChw.device) + 0.5) / cells
        waves = torch.cat([(at[:, None] * rates).sin(), (at[:, None] * rates).cos()], dim=1)
        found.append(waves[None, :].expand(height, -1, -1) if across
                     else waves[:, None].expand(-1, width, -1))  # fmt: skip
    places = torch.cat(found, dim=-1).flatten(0, 1)
    return functional.pad(places, (0, channels - places.shape[1]))[None].to(grid_BChw.dtype)
