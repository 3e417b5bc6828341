"""Ranks and precision: what differs between one process, DDP and FSDP2 is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from model.config import TrainConfig
from schemas.errors import BackendUnavailable

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def make_accelerator(config: TrainConfig, layers: Sequence[str]) -> Accelerator:
    """Makes the accelerator that a configuration asks for.

    Args:
        config: Precision and parallelism.
        layers: Classes of the layers that FSDP2 gathers one by one.

    Raises:
        BackendUnavailable: This machine cannot do that.
    """
    precision = "bf16" if config.precision == "bf16" else "no"
    plugin = None
    if config.parallel == "fsdp2":
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=list(layers), reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )  # fmt: skip
    try:
        return Accelerator(mixed_precision=precision, fsdp_plugin=plugin)
    except (ValueError, RuntimeError) as error:
        raise BackendUnavailable(
            f"train.precision {config.precision} with {config.parallel}: {error}"
        ) from error


def weights_of(network: nn.Module, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Gives whole weights by name, wherever their parts are; every rank must call it."""
    state = get_model_state_dict(network, options=WHOLE)
    tensors: Any = state
    return {name: tensors[name] for name in names if name in tensors}


def moments_of(network: nn.Module, optimizer: Any) -> dict[str, torch.Tensor]:
    """Gives an optimizer's state as `parameter|key`; every rank must call it."""
    whole: Any = get_optimizer_state_dict(network, optimizer.optimizer, options=WHOLE)
    return {
        f"{name}|{key}": torch.as_tensor(value)
        for name, own in whole.get("state", {}).items()  # nothing but on the first rank
        for key, value in own.items()
    }


def put_moments(network: nn.Module, optimizer: Any, moments: Mapping[str, torch.Tensor]) -> None:
    """Puts a state back that `moments_of` gave."""
    inner = optimizer.optimizer
    state: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        name, _, which = key.rpartition("|")
        state.setdefault(name, {})[which] = value
    everywhere = StateDictOptions(full_state_dict=True)
    groups = get_optimizer_state_dict(network, inner, options=everywhere)["param_groups"]
    whole: Any = {"state": state, "param_groups": groups}
    set_optimizer_state_dict(network, inner, whole, options=everywhere)
