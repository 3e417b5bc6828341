"""Region prompts: a box, a mask or a FICT node becomes one token of the question.

Each is a soft mask first. What it covers is pooled by area, so that a region smaller than a cell
still counts; its shape and place come from the mask itself, its meaning from the FICT node.
R is the number of prompts, C and D channels of the pixels and of the language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

SHAPE = 16
"""Side of the small mask that tells shape and place."""


def ancestry(categories: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """Gives `(N, N) float32`, N the last id + 1: 1 where node j is node i or an ancestor of it.

    Args:
        categories: FICT as the shards' metadata holds it: `id`, `name`, `supercategory`.
    """
    parents = {each["name"]: each["supercategory"] for each in categories}
    ids = {each["name"]: each["id"] for each in categories}
    table = torch.zeros(max(ids.values()) + 1, max(ids.values()) + 1)
    for name, number in ids.items():
        above = name
        while above:
            table[number, ids[above]] = 1
            above = parents[above]
    return table


class RegionPrompt(nn.Module):
    """Makes a token of a soft mask, its type and its FICT node.

    Args:
        channels: C.
        width: D.
        above: `ancestry` of the shards' categories; a node's embedding is the sum over its
            ancestors', so that a rare one starts from what is known of its parents.
    """

    above: torch.Tensor

    def __init__(self, channels: int, width: int, above: torch.Tensor) -> None:
        super().__init__()
        self.pooled = nn.Linear(channels, width)
        self.shape = nn.Sequential(
            nn.Linear(SHAPE * SHAPE + 1, width), nn.GELU(), nn.Linear(width, width)
        )
        self.kind = nn.Embedding(2, width)
        self.concept = nn.Embedding(len(above), width)
        nn.init.normal_(self.concept.weight, std=0.02)
        self.register_buffer("above", above, persistent=False)

    def forward(
        self,
        pixels_RCHW: torch.Tensor,
        mask_RSS: torch.Tensor,
        is_box_R: torch.Tensor,
        category_R: torch.Tensor,
    ) -> torch.Tensor:
        """Gives `(R, D)` tokens.

        Args:
            pixels_RCHW: Pixel map of the image that each prompt points into.
            mask_RSS: Where it points, 0..1, at any size.
            is_box_R: 1 for a box.
            category_R: FICT node; 0 where it is not known.
        """
        height, width = pixels_RCHW.shape[-2:]
        mask_RHW = functional.adaptive_avg_pool2d(mask_RSS, (height, width))
        pooled_RC = weighted_mean(pixels_RCHW, mask_RHW)
        concept_RD = self.above[category_R] @ self.concept.weight
        token_RD: torch.Tensor = (
            self.pooled(pooled_RC) + self.shape(_shape(mask_RSS)) + self.kind(is_box_R) + concept_RD
        )
        return token_RD


def weighted_mean(pixels_RCHW: torch.Tensor, mask_RHW: torch.Tensor) -> torch.Tensor:
    """Gives `(R, C)`, the mean of the pixels weighted by the mask; zeros for an empty mask."""
    total_R1 = mask_RHW.sum(dim=(1, 2))[:, None]
    return torch.einsum("rchw,rhw->rc", pixels_RCHW, mask_RHW) / total_R1.clamp(min=1e-6)


def _shape(mask_RSS: torch.Tensor) -> torch.Tensor:
    """Gives the small mask, scaled to reach 1 however small the region is, and its log area."""
    small_RN = functional.adaptive_avg_pool2d(mask_RSS, SHAPE).flatten(1)
    most_R1 = small_RN.amax(dim=1, keepdim=True)
    area_R1 = mask_RSS.mean(dim=(1, 2))[:, None]
    return torch.cat([small_RN / most_R1.clamp(min=1e-6), (area_R1 + 1e-4).log() / 4], dim=1)
