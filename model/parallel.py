"""Ranks and precision: what differs between one process, DDP and FSDP2 is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from model.config import TrainConfig
from model.network import FifaNetwork
from schemas.errors import BackendUnavailable

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Makes the accelerator that a configuration asks for.

    Raises:
        BackendUnavailable: This machine has no such precision.
    """
    try:
        return Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
    except (ValueError, RuntimeError) as error:
        raise BackendUnavailable(f"train.precision {config.precision}: {error}") from error


def spread(network: FifaNetwork, config: TrainConfig, accelerator: Accelerator) -> nn.Module:
    """Puts a network on the ranks, whole or in parts, which are gathered layer by layer.

    Parts are fp32, as the whole is, and bf16 is autocast's in both: the arithmetic is the same.
    Parameters are other objects afterwards where a network is in parts.
    """
    ranks, device = accelerator.num_processes, accelerator.device
    if config.parallel == "ddp" or ranks == 1:
        whole: nn.Module = accelerator.prepare_model(network)
        return whole
    network.to(device)
    mesh, layers = init_device_mesh(device.type, (ranks,)), network.layer_classes
    for module in list(network.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh)
    fully_shard(network, mesh=mesh)
    parts: nn.Module = accelerator.prepare_model(network, evaluation_mode=True)  # autocast alone
    return parts


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
