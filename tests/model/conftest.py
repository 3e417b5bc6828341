"""Parts of the model's tests: a network that is small enough for seconds, and its shards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import ModelConfig, load_config
from model.data import Shards
from model.fifa import FifaMLLM
from model.samples import Samples
from model.start import make_model
from schemas.records import AnnotatedFrame
from schemas.shards import read_metadata, read_records, write_records

torch.set_num_threads(1)

SMALL: dict[str, Any] = {
    "network.image_size": 48,
    "network.encoder.architecture": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "patch_size": 8,
    },
    "network.encoder.layers": [1, 2],
    "network.encoder.detail": 8,
    "network.language.architecture": {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 1024,
    },
    "network.language.words": 500,
    "network.mask_width": 16,
    "network.max_new_tokens": 24,
    "data.questions": 3,
    "train.steps": 4, "train.batch": 4, "train.micro_batch": 4, "train.warmup": 2,
    "train.save_every": 100, "train.validate_every": 100, "train.validate_rows": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def rows(annotated: Any) -> list[AnnotatedFrame]:
    run, _ = annotated
    return read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)


@pytest.fixture(scope="session")
def folder(annotated: Any) -> Path:
    """A folder of real shards."""
    return Path(annotated[0].shards)


@pytest.fixture(scope="session")
def shards(folder: Path) -> Shards:
    return Shards(folder)


@pytest.fixture(scope="session")
def write_shard(folder: Path) -> Callable[..., Path]:
    """Writes rows as a shard with the metadata of the real ones."""

    def write(path: Path, rows: list[AnnotatedFrame], **metadata: object) -> Path:
        known = read_metadata(next(folder.glob("*.parquet"))) | metadata
        return write_records(path, rows, AnnotatedFrame, known).parent

    return write


@pytest.fixture(scope="session")
def small() -> Callable[..., ModelConfig]:
    """Gives a small configuration, with changes by dotted key."""
    return lambda **changes: load_config(
        "tiny", SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    )


@pytest.fixture
def model(small: Callable[..., ModelConfig], shards: Shards, tmp_path: Path) -> FifaMLLM:
    """An untrained small model."""
    return make_model(small(), shards, tmp_path / "none")


@pytest.fixture
def samples(model: FifaMLLM, shards: Shards) -> Samples:
    return Samples(
        shards, range(len(shards)), model.vocabulary, model.config.data, model.size,
        model.network.image_tokens, 0,
    )  # fmt: skip


def of(samples: Samples, shards: Shards | None = None, **changes: Any) -> Samples:
    """Gives the same samples with other settings, or of other shards."""
    config = samples.config.model_copy(update=changes)
    shards = shards or samples.shards
    return Samples(
        shards, range(len(shards)), samples.vocabulary, config, samples.size,
        samples.image_tokens, samples.seed,
    )  # fmt: skip
