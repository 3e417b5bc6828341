"""How weights are changed: what learns how fast, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from model.config import TrainConfig


def rate(config: TrainConfig, step: int) -> float:
    """Gives the learning rate of a step: a linear warm-up, then half a cosine to a tenth.

    It begins again with the first questions: the language model learns nothing before them.
    """
    look = min(config.look, config.steps)
    first, end = (0, look) if step < look else (look, config.steps)
    since, steps = step - first, end - first
    done = max(0, since - config.warmup) / max(1, steps - config.warmup)
    warm = min(1.0, (since + 1) / max(1, config.warmup))
    return config.lr * warm * (0.55 + 0.45 * math.cos(math.pi * min(1.0, done)))


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Makes an optimizer; norms, biases and embeddings do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            slow = config.encoder_lr if name.startswith("encoder.vit.") else 1.0
            decay = config.weight_decay if parameter.ndim > 1 and "embed" not in name else 0.0
            groups.setdefault((slow, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": own, "share": slow, "weight_decay": decay, "lr": config.lr}
            for (slow, decay), own in groups.items()
        ],
        betas=(0.9, 0.98),
    )
