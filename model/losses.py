"""The losses as sums and counts: a mean over all ranks and pieces is the sum over the global count.

Means of means would weigh a rank that happens to have few masks more, and one rank and two would
not train alike. Masks are compared in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from model.batch import Batch
from model.heads import Looked
from model.vocabulary import IGNORED

NAMES = ("text", "mask_bce", "mask_dice", "det", "concepts", "artifact")
"""Of the losses, and of their weights in `LossConfig`."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a forward pass gives.

    Attributes:
        losses: `(6,)`, the sum of each of `NAMES` over its tokens, masks or samples.
        iou: Sum of the masks' IoU with the truth, at the size of the pixel map; no gradient.
        fake_B: Logit of being fake; no gradient.
        right: Tokens of the answers that were the likeliest; no gradient.
    """

    losses: torch.Tensor
    iou: torch.Tensor
    fake_B: torch.Tensor
    right: torch.Tensor


def counts(batch: Batch) -> torch.Tensor:
    """Gives `(6,)`, what each loss of a batch is summed over."""
    tokens = int((batch.labels_QL[:, 1:] != IGNORED).sum())
    masks, samples = len(batch.masks_MSS), len(batch.frames_B)
    return torch.tensor([tokens, masks, masks, samples, samples, samples], dtype=torch.float64)


def losses(
    batch: Batch,
    logits_NV: torch.Tensor,
    labels_N: torch.Tensor,
    masks_MHW: torch.Tensor,
    looked: Looked,
    *,
    dummy: bool,
) -> Sums:
    """Gives the sums of a batch's losses.

    Args:
        batch: What is to be said and seen.
        logits_NV: Of the token that follows each token before one to be said.
        labels_N: The tokens to be said.
        masks_MHW: Logits of the masks.
        looked: What the heads say of the key frames.
        dummy: `masks_MHW` is of no mask, and counts nothing.
    """
    text = functional.cross_entropy(logits_NV.float(), labels_N, reduction="sum")
    if dummy:
        bce = dice = 0.0 * masks_MHW.sum()
        iou = masks_MHW.new_zeros(())
    else:
        truth_MHW = shrink(batch.masks_MSS, masks_MHW)
        bce, dice = bce_sum(masks_MHW, truth_MHW), dice_sum(masks_MHW, truth_MHW)
        iou = iou_sum(masks_MHW.detach(), truth_MHW)
    artifact_BHW = looked.artifact_FHW.float()
    changed_BHW = shrink(batch.artifact_BSS, artifact_BHW)
    artifact = bce_sum(artifact_BHW, changed_BHW) + dice_sum(artifact_BHW, changed_BHW)
    det = functional.binary_cross_entropy_with_logits(
        looked.fake_F.float(), batch.fake_B, reduction="sum"
    )
    concepts_BHW = _nearest(batch.concepts_BSS, artifact_BHW)
    concepts = functional.cross_entropy(
        looked.concepts_FKHW.float(), concepts_BHW, reduction="sum"
    ) / concepts_BHW[0].numel()  # fmt: skip
    return Sums(
        losses=torch.stack([text, bce, dice, det, concepts, artifact]),
        iou=iou,
        fake_B=looked.fake_F.detach().float(),
        right=(logits_NV.detach().argmax(dim=-1) == labels_N).sum(),
    )


def shrink(truth: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Gives `(M, H, W)` masks at the sides of others, by area."""
    return functional.adaptive_avg_pool2d(truth.float(), like.shape[-2:])


def _nearest(concepts_BSS: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    found = functional.interpolate(concepts_BSS[:, None].float(), like.shape[-2:], mode="nearest")
    return found[:, 0].long()


def bce_sum(logits_MHW: torch.Tensor, truth_MHW: torch.Tensor) -> torch.Tensor:
    """Gives the sum over masks of the mean binary cross-entropy of their pixels."""
    each = functional.binary_cross_entropy_with_logits(logits_MHW, truth_MHW, reduction="none")
    return each.mean(dim=(1, 2)).sum()


def dice_sum(logits_MHW: torch.Tensor, truth_MHW: torch.Tensor) -> torch.Tensor:
    """Gives the sum over masks of 1 - Dice; an empty mask wants an empty answer."""
    likely = logits_MHW.sigmoid()
    both = (likely * truth_MHW).sum(dim=(1, 2))
    total = likely.sum(dim=(1, 2)) + truth_MHW.sum(dim=(1, 2))
    return (1 - (2 * both + 1) / (total + 1)).sum()


def iou_sum(logits_MHW: torch.Tensor, truth_MHW: torch.Tensor) -> torch.Tensor:
    """Gives the sum over masks of the IoU of what is likelier in than out; 1 where both are empty."""
    found, truth = logits_MHW > 0, truth_MHW > 0.5
    both = (found & truth).sum(dim=(1, 2)).float()
    either = (found | truth).sum(dim=(1, 2)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).sum()


def total(sums: torch.Tensor, counted: torch.Tensor, weights: Any) -> torch.Tensor:
    """Gives the weighted loss of sums over (global) counts.

    Args:
        sums: `(6,)`.
        counted: `(6,)`; a loss without anything to count is 0.
        weights: `LossConfig`.
    """
    scale = torch.tensor([getattr(weights, name) for name in NAMES], dtype=torch.float64)
    factor = (scale / counted.cpu().clamp(min=1)).to(sums.device, sums.dtype)
    return (sums * factor).sum()
