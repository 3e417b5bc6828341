"""From shards and a configuration to a run: which rows are held out, which words are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from model import checkpoint
from model.config import DataConfig, ModelConfig
from model.data import Shards
from model.fifa import FifaMLLM
from model.network import FifaNetwork
from model.samples import Samples
from model.splits import split
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

    def samples(rows: list[int], drawn: DataConfig) -> Samples:
        size, tokens = config.network.image_size, model.network.image_tokens
        seed = config.train.seed
        return Samples(shards, rows, model.vocabulary, drawn, size, tokens, seed)

    bare = config.data.model_copy(update={"erase": 0.0})
    unseen = samples(held_out, bare) if held_out else None
    return Trainer(model, samples(learnt, config.data), unseen, run).train(progress)


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
        tokenizer = learn_tokenizer(_texts(shards, split(shards, config)[0]), language.words)
    vocabulary = Vocabulary(tokenizer, language.prompt)
    network = FifaNetwork(config.network, vocabulary, shards.categories)
    return FifaMLLM(network, vocabulary, shards.categories, config)


def _texts(shards: Shards, rows: list[int]) -> Iterator[str]:
    for question in shards.questions(rows):
        yield question["question"]
        yield question["answer"]
