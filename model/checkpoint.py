"""Checkpoints: a folder with everything that is needed to answer, and to go on training.

    run/
    ├── step-00000500/
    │   ├── model.safetensors     what was trained, and what no path of the configuration gives
    │   ├── config.yaml           the configuration
    │   ├── categories.json       FICT, as in the shards' metadata
    │   ├── pairs.json            names of the pairs that were learnt from
    │   ├── tokenizer/            Hugging Face files
    │   ├── optimizer.safetensors moments of each parameter
    │   └── state.json            step, best figure, fingerprint of the data
    └── best.json                 which step is the best, and by what

A folder appears whole or not at all; order and schedule are functions of the step, so no more
state is needed to go on bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model.config import ModelConfig, load_config
from model.fifa import FifaMLLM
from model.network import FifaNetwork
from model.vocabulary import Vocabulary, load_tokenizer
from schemas.atomic import sync_folder, write_text
from schemas.errors import OutputError, UsageError

BEST, PAIRS = "best.json", "pairs.json"
WEIGHTS, MOMENTS, CONFIG, STATE = (
    "model.safetensors", "optimizer.safetensors", "config.yaml", "state.json",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """How far a run has come.

    Attributes:
        step: Steps done.
        best: Best figure so far; None where none was measured.
        data: Fingerprint of what it learns from; see `Samples.fingerprint`.
        dropped: Questions that were left out so far, over all ranks, by reason.
    """

    step: int = 0
    best: float | None = None
    data: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)


def load_model(folder: Path, device: str = "cpu") -> FifaMLLM:
    """Reads a trained model.

    Args:
        folder: A checkpoint, or a run: then its best checkpoint, or the latest where there is no
            best.
        device: Where to put it.

    Raises:
        UsageError: There is no checkpoint, or its weights are of another configuration.
    """
    folder = _chosen(Path(folder))
    config = load_config(folder / CONFIG)
    vocabulary = Vocabulary(load_tokenizer(folder / "tokenizer"), config.network.language.prompt)
    categories = json.loads((folder / "categories.json").read_text(encoding="utf-8"))
    network = FifaNetwork(config.network, vocabulary, categories)
    load_weights(network, folder)
    network.to(device).eval()
    model = FifaMLLM(network, vocabulary, categories, config)
    if (folder / PAIRS).is_file():
        model.learnt = frozenset(json.loads((folder / PAIRS).read_text(encoding="utf-8")))
    return model


def latest(run: Path) -> Path | None:
    """Gives the latest checkpoint of a run."""
    found = sorted(run.glob("step-*"))
    return found[-1] if found else None


def _chosen(folder: Path) -> Path:
    if (folder / CONFIG).is_file():
        return folder
    if (folder / BEST).is_file():
        best = json.loads((folder / BEST).read_text(encoding="utf-8"))
        return folder / str(best["checkpoint"])
    found = latest(folder)
    if found is None:
        raise UsageError(f"no checkpoint in {folder}; `facext train` makes one")
    return found


def saved_names(network: FifaNetwork) -> list[str]:
    """Gives what a checkpoint holds of a network: all that no path of the configuration gives.

    These are parameters, and buffers such as the running means of a BatchNorm.
    """
    config = network.config
    given = [
        f"{part}."
        for part, path in (("encoder.vit", config.encoder.path), ("language", config.language.path))
        if path
    ]
    stored = network.state_dict()
    buffers = [(name, value) for name, value in network.named_buffers() if name in stored]
    return [
        name
        for name, value in [*network.named_parameters(), *buffers]
        if value.requires_grad or not name.startswith(tuple(given))
    ]


def load_weights(network: FifaNetwork, folder: Path) -> None:
    """Puts a checkpoint's weights into a network.

    Raises:
        UsageError: They are of another configuration; the message names one that differs.
    """
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    buffers = dict(network.named_buffers())
    known = dict(network.named_parameters()) | buffers
    if "trust" in state:
        state["trust"] = state["trust"].reshape(1)  # it was a bare number once
    older = set(buffers) - set(state)  # checkpoints without buffers
    strange = sorted((set(saved_names(network)) ^ set(state)) - older)
    strange += [n for n in state if n in known and known[n].shape != state[n].shape]
    if strange:
        raise UsageError(
            f"{folder} holds weights of another configuration: {strange[0]} and "
            f"{len(strange) - 1} more differ"
        )
    with torch.no_grad():
        for name, value in state.items():
            known[name].copy_(value)


def save(
    run: Path,
    model: FifaMLLM,
    weights: Mapping[str, torch.Tensor],
    moments: Mapping[str, torch.Tensor],
    trained: Trained,
) -> Path:
    """Writes a checkpoint whole or not at all.

    Args:
        run: Folder of the run.
        model: What is trained; its weights are taken from `weights`.
        weights: Full value of each of `saved_names`.
        moments: State of the optimizer, as `parameter|key`.
        trained: How far it has come.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = run / f"step-{trained.step:08d}"
    made = run / f".{folder.name}.tmp"
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, made / WEIGHTS)
        save_file({k: v.detach().cpu().contiguous() for k, v in moments.items()}, made / MOMENTS)
        content = yaml.safe_dump(model.config.model_dump(mode="json"), sort_keys=False)
        (made / CONFIG).write_text(content, encoding="utf-8")
        (made / "categories.json").write_text(json.dumps(model.categories), encoding="utf-8")
        (made / PAIRS).write_text(json.dumps(sorted(model.learnt or ())), encoding="utf-8")
        model.vocabulary.save(made / "tokenizer")
        (made / STATE).write_text(json.dumps(vars(trained)), encoding="utf-8")
        _sync(made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
        sync_folder(run)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the checkpoint {folder}: {error}") from error
    return folder


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def mark_best(run: Path, folder: Path, name: str, value: float) -> None:
    """Notes which checkpoint is the best."""
    facts = {"checkpoint": folder.name, name: value}
    write_text(run / BEST, json.dumps(facts))


def prune(run: Path, keep: int) -> None:
    """Removes all checkpoints but the latest ones and the best."""
    best = json.loads((run / BEST).read_text())["checkpoint"] if (run / BEST).is_file() else ""
    for folder in sorted(run.glob("step-*"))[:-keep]:
        if folder.name != best:
            shutil.rmtree(folder)


def read_state(folder: Path, data: str) -> tuple[Trained, dict[str, torch.Tensor]]:
    """Gives how far a checkpoint has come, and the optimizer's state.

    Args:
        folder: The checkpoint.
        data: Fingerprint of what the run is to go on with.

    Raises:
        UsageError: It learnt from other rows.
    """
    facts: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    trained = Trained(**facts)
    if trained.data != data:
        raise UsageError(
            f"{folder.parent} holds a run on other data (rows were added, left out, or written in "
            "another order): go on with the shards that it began with, or choose another folder"
        )
    return trained, load_file(folder / MOMENTS)


def check_same(config: ModelConfig, differing: Sequence[str], run: Path) -> None:
    """Sees that a run goes on as it began.

    Raises:
        UsageError: Its configuration was another one.
    """
    if differing:
        raise UsageError(
            f"{run} holds a run of another configuration ({'; '.join(differing[:5])}): "
            "set it back, or choose another folder"
        )
