"""Figures of held-out samples with the true text forced upon the model: cheap, to choose by."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from torch import nn

from model.batch import Collate
from model.fifa import FifaMLLM
from model.losses import NAMES, counts, total
from model.metrics.labels import auc
from model.samples import Samples


@torch.no_grad()
def validate(
    network: nn.Module, samples: Samples, model: FifaMLLM, accelerator: Accelerator
) -> dict[str, float]:
    """Measures a network; every rank looks at a part.

    Args:
        network: As it is trained.
        samples: What to look at; always the same questions are drawn.
        model: Whose configuration counts.
        accelerator: Ranks and precision.

    Returns:
        The losses, `mask_iou` at the image's size, `token_accuracy`, and `det_auc` of the
        real/fake head; NaN where one of the two is missing.
    """
    config = model.config.train
    network.eval()
    rows = min(len(samples) // 2, config.validate_rows)
    chosen_rows = [k * (len(samples) // 2) // rows for k in range(rows)]
    numbers = [2 * row + side for row in chosen_rows for side in (0, 1)]
    own = numbers[accelerator.process_index :: accelerator.num_processes]
    turns = -(-len(numbers) // (accelerator.num_processes * config.micro_batch))
    sums = torch.zeros(2 * len(NAMES) + 2, dtype=torch.float64, device=accelerator.device)
    scores = torch.full((2, len(numbers)), torch.nan, device=accelerator.device)
    collate = Collate(model.vocabulary)
    for turn in range(turns):  # each rank takes part in every turn, as FSDP wants it
        chosen = own[turn * config.micro_batch :][: config.micro_batch]
        batch = collate([samples[(0, number)] for number in chosen or numbers[:1]])
        found = network(batch.to(accelerator.device))
        if chosen:
            told = torch.stack([found.iou, found.right.float()])
            sums += torch.cat([found.losses, counts(batch).to(sums), told]).double()
            at = [numbers.index(number) for number in chosen]
            scores[0, at], scores[1, at] = found.fake_B, batch.fake_B.to(scores)
    sums = accelerator.reduce(sums, reduction="sum").cpu()
    scores = accelerator.reduce(scores.nan_to_num(), reduction="sum").cpu()
    losses, counted = sums[: len(NAMES)], sums[len(NAMES) : 2 * len(NAMES)]
    area = auc(scores[0].tolist(), scores[1].tolist())
    return {
        "loss": float(total(losses, counted, config.loss)),
        **dict(zip(NAMES, (losses / counted.clamp(min=1)).tolist(), strict=True)),
        "mask_iou": float(sums[-2] / counted[1].clamp(min=1)),
        "token_accuracy": float(sums[-1] / counted[0].clamp(min=1)),
        "det_auc": math.nan if area is None else area,
    }
