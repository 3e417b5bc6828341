"""How fast are shards read for training? Rows a second of one core.

A row is both of its sides at the model's size, with masks and with the questions that are drawn for
them, as tensors of a batch. Seconds are of the processor; each row is read once, in the order of
training.

    python -m benchmarks.reader out/bench/model/train
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import torch

from model.batch import Collate
from model.config import ModelConfig, load_config
from model.network import cells_of
from model.samples import SIDES, Samples
from model.start import open_shards
from model.vocabulary import Vocabulary, learn_tokenizer


def rows_per_second(folder: Path, config: ModelConfig) -> float:
    """Reads a folder of shards once, as a loader without workers does.

    Args:
        folder: The shards.
        config: What is drawn, and at which size.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shards, network = open_shards(folder, config.data.window), config.network
    texts = (one[key] for one in shards.questions(range(100)) for key in ("question", "answer"))
    vocabulary = Vocabulary(learn_tokenizer(texts, network.language.words), network.language.prompt)
    patch = network.encoder.architecture["patch_size"]
    tokens = cells_of(network, patch) ** 2 + 1
    rows = range(len(shards))
    samples = Samples(
        shards, rows, vocabulary, config.data, network.image_size, tokens, config.train.seed
    )
    order, collate, size = samples.order(), Collate(vocabulary), config.train.batch
    steps = len(SIDES) * len(rows) // size
    began = time.process_time()
    for step in range(steps):
        collate([samples[place] for place in order.batch(step, size)])
    return steps * size / len(SIDES) / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="shards")
    parser.add_argument("--preset", default="tiny", help="whose size and questions")
    arguments = parser.parse_args()
    found = rows_per_second(arguments.folder, load_config(arguments.preset))
    print(f"{found:.0f} rows a second of one core")


if __name__ == "__main__":
    main()
