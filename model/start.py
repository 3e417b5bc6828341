"""From shards and a configuration to a run: which rows are held out, which words are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch

from model import checkpoint
from model.config import ModelConfig
from model.data import Shards
from model.fifa import FifaMLLM
from model.network import FifaNetwork
from model.samples import Samples, pair_of
from model.train import Outcome, Progress, Trainer
from model.vocabulary import Vocabulary, learn_tokenizer, load_tokenizer


def train(config: ModelConfig, data: Path, run: Path, progress: Progress | None = None) -> Outcome:
    """Trains a model on a folder of shards, or goes on where a run in that folder stopped.

    Args:
        config: What and how.
        data: Folder of shards, or of a dataset with `annotations/` in it.
        run: Folder of the run.
        progress: Called after each step.

    Raises:
        UsageError: There are no rows, or the configuration does not fit the data or the run.
        FacextError: See `Trainer.train`.
    """
    shards = open_shards(data, config.data.window)
    model = make_model(config, shards, run)
    learnt, held_out = split(shards, config)

    def samples(rows: list[int]) -> Samples:
        size, tokens = config.network.image_size, model.network.image_tokens
        seed = config.train.seed
        return Samples(shards, rows, model.vocabulary, config.data, size, tokens, seed)

    unseen = samples(held_out) if held_out else None
    return Trainer(model, samples(learnt), unseen, run).train(progress)


def open_shards(data: Path, window: int = 4) -> Shards:
    """Opens a folder of shards, or a dataset's folder with `annotations/` in it."""
    inside = data / "annotations"
    return Shards(inside if inside.is_dir() else data, held=window)


def make_model(config: ModelConfig, shards: Shards, run: Path) -> FifaMLLM:
    """Makes a model before its first step; a run that was begun keeps its tokenizer."""
    torch.manual_seed(config.train.seed)
    language, before = config.network.language, checkpoint.latest(run)
    if before:
        tokenizer = load_tokenizer(before / "tokenizer")
    elif language.path:
        tokenizer = load_tokenizer(language.path)
    else:
        tokenizer = learn_tokenizer(_texts(shards), language.words)
    vocabulary = Vocabulary(tokenizer, language.prompt)
    network = FifaNetwork(config.network, vocabulary, shards.categories)
    return FifaMLLM(network, vocabulary, shards.categories, config)


def _texts(shards: Shards) -> Iterator[str]:
    for index in range(len(shards)):
        for question in shards.row(index)["questions"]:
            yield question["question"]
            yield question["answer"]


def split(shards: Shards, config: ModelConfig) -> tuple[list[int], list[int]]:
    """Gives the rows to learn from and those to validate on.

    Rows of the split `val` are validated on and those of `test` are left alone. Where there is no
    `val`, a share of the pairs is held out, chosen by their names; at least one row is learnt.
    """
    facts = shards.facts.to_pylist()
    learnt = [k for k, fact in enumerate(facts) if fact["split"] in ("train", "", None)]
    held_out = [k for k, fact in enumerate(facts) if fact["split"] == "val"]
    if not held_out:
        held_out = [k for k in learnt if _chance(*pair_of(facts[k])) < config.data.val_share]
    kept = [k for k in learnt if k not in set(held_out)]
    return (kept, held_out) if kept else (learnt, [])


def _chance(*words: str) -> float:
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
