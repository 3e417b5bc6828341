"""The losses as sums and counts: a mean over all ranks and pieces is the sum over the global count.

Means of means would weigh a rank that happens to have few masks more, and one rank and two would
not train alike. Masks are compared in fp32 and at the image's size: at half of it, the best mask of
an eyelid has an IoU of 0.6 with the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from model.batch import Batch
from model.heads import Looked
from model.vocabulary import IGNORED

NAMES = ("text", "mask_bce", "mask_dice", "det", "concepts", "artifact", "shift")
"""Of the losses, and of their weights in `LossConfig`."""
MANY = 4.0
"""Weight of cross-entropy against Dice in the artifact map: changed pixels are few."""
SHIFT = 20.0
"""A twentieth of the range of a colour counts as 1: more than that is plain to see."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a forward pass gives.

    Attributes:
        losses: `(7,)`, the sum of each of `NAMES` over its tokens, masks or samples.
        iou: Sum of the masks' IoU with the truth, at the image's size; no gradient.
        fake_B: Logit of being fake; no gradient.
        right: Tokens of the answers that were the likeliest; no gradient.
    """

    losses: torch.Tensor
    iou: torch.Tensor
    fake_B: torch.Tensor
    right: torch.Tensor


def counts(batch: Batch) -> torch.Tensor:
    """Gives `(7,)`, what each loss of a batch is summed over."""
    tokens = int((batch.labels_QL[:, 1:] != IGNORED).sum())
    masks, samples = len(batch.masks_MSS), len(batch.frames_B)
    return torch.tensor([tokens, masks, masks, *4 * [samples]], dtype=torch.float64)


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
        truth_MSS = batch.masks_MSS
        masks_MSS = functional.interpolate(
            masks_MHW[:, None], truth_MSS.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]
        bce, dice = bce_sum(masks_MSS, truth_MSS), dice_sum(masks_MSS, truth_MSS)
        iou = iou_sum(masks_MSS.detach(), truth_MSS)
    artifact_BHW = looked.artifact_FHW.float()
    changed_BHW = shrink(batch.artifact_BSS, artifact_BHW)
    has_B = batch.fake_B > 0
    artifact = MANY * bce_sum(artifact_BHW, changed_BHW)
    artifact = artifact + dice_sum(artifact_BHW[has_B], changed_BHW[has_B])
    shift_B3xy = looked.shift_F3xy.float()
    shift = functional.smooth_l1_loss(
        shift_B3xy, SHIFT * shrink(batch.shift_B3SS, shift_B3xy), reduction="sum"
    ) / shift_B3xy[0].numel()  # fmt: skip
    det = functional.binary_cross_entropy_with_logits(
        looked.fake_F.float(), batch.fake_B, reduction="sum"
    )
    likely_BHWK = looked.concepts_FhwK.float()
    concepts_BHW = _nearest(batch.concepts_BSS, likely_BHWK.shape[1:3])
    concepts = functional.cross_entropy(
        likely_BHWK.flatten(0, 2), concepts_BHW.flatten(), reduction="sum"
    ) / concepts_BHW[0].numel()  # fmt: skip
    return Sums(
        losses=torch.stack([text, bce, dice, det, concepts, artifact, shift]),
        iou=iou,
        fake_B=looked.fake_F.detach().float(),
        right=(logits_NV.detach().argmax(dim=-1) == labels_N).sum(),
    )


def shrink(truth: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Gives maps at the sides of others, by area."""
    return functional.adaptive_avg_pool2d(truth.float(), (like.shape[-2], like.shape[-1]))


def _nearest(concepts_BSS: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    found = functional.interpolate(
        concepts_BSS[:, None].float(), tuple(shape), mode="nearest-exact"
    )
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
    """Gives the sum over masks of the IoU of what is likelier in than not; 1 if both are empty."""
    found, truth = logits_MHW > 0, truth_MHW > 0.5
    both = (found & truth).sum(dim=(1, 2)).float()
    either = (found | truth).sum(dim=(1, 2)).float()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both)).sum()


def total(sums: torch.Tensor, counted: torch.Tensor, weights: Any) -> torch.Tensor:
    """Gives the weighted loss of sums over (global) counts.

    Args:
        sums: `(7,)`.
        counted: `(7,)`; a loss without anything to count is 0.
        weights: `LossConfig`.
    """
    scale = torch.tensor([getattr(weights, name) for name in NAMES], dtype=torch.float64)
    factor = (scale / counted.cpu().clamp(min=1)).to(sums.device, sums.dtype)
    return (sums * factor).sum()
