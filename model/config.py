"""What a model is made of and how it is trained: one YAML file, the same beside each checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from schemas.errors import UsageError, nearest
from schemas.records import Task
from schemas.settings import Settings

PRESETS = Path(__file__).parent / "presets"


class EncoderConfig(Settings):
    """The vision encoder; `path` or `architecture` says which."""

    kind: str = Field("clip", description="key of `model.encoder.ENCODERS`")
    path: str = Field("", description="folder of a CLIP model, or a FaRL/OpenAI-CLIP `.pth`")
    architecture: dict[str, Any] = Field({}, description="of a random one: CLIPVisionConfig")
    layers: tuple[int, ...] = Field((3, 6, 9, 12), description="whose states are used, from 1")
    detail: int = Field(0, ge=0, description="channels of the convolutions beside the ViT; 0: none")
    frozen: bool = Field(False, description="the transformer; what stands beside it learns")


class LoraConfig(Settings):
    """Low-rank adapters of the language model, by peft."""

    rank: int = Field(8, ge=1)
    alpha: int = Field(16, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")


class LanguageConfig(Settings):
    """The language model; `path` or `architecture` says which."""

    path: str = Field("", description="folder of a Hugging Face causal language model")
    architecture: dict[str, Any] = Field({}, description="of a random one: `model_type` and more")
    words: int = Field(2048, ge=300, description="vocabulary that a random one learns from shards")
    prompt: str = Field("<image>{question}\n", description="what stands before the answer")
    lora: LoraConfig | None = None
    frozen: bool = False


class NetworkConfig(Settings):
    """The whole network."""

    image_size: int = Field(448, ge=32, le=2048, description="side of the square image")
    encoder: EncoderConfig = EncoderConfig()
    language: LanguageConfig = LanguageConfig()
    shuffle: int = Field(2, ge=1, description="n x n grid cells become one token")
    masks: Literal["sam", "query"] = Field("sam", description="mask decoder")
    mask_width: int = Field(256, ge=16, description="channels of the mask decoder")
    most_frames: int = Field(8, ge=1, le=64, description="frames of a clip, at most")
    max_new_tokens: int = Field(512, ge=1, description="length limit of a generated answer")


class DataConfig(Settings):
    """What is drawn from the shards."""

    questions: int = Field(4, ge=1, description="of each image, at most")
    weights: dict[Task, float] = Field({}, description="how often a task is drawn; default 1")
    max_tokens: int = Field(1024, ge=16, description="samples longer than this are dropped")
    window: int = Field(4, ge=1, description="row groups among which rows are shuffled")
    erase: float = Field(0, ge=0, le=1, description="share of samples with rectangles laid over")
    frames: int = Field(1, ge=1, description="above 1: clips of a pair, asked Det, Cls, I-TOE")
    val_share: float = Field(0.1, ge=0, lt=1, description="of pairs, where shards have no `val`")
    workers: int = Field(0, ge=0, description="processes that read and decode")


class LossConfig(Settings):
    """Weights of the losses; each is divided by its global count."""

    text: float = Field(1.0, ge=0)
    mask_bce: float = Field(2.0, ge=0)
    mask_dice: float = Field(0.5, ge=0)
    det: float = Field(0.5, ge=0, description="auxiliary: real or fake")
    concepts: float = Field(0.5, ge=0, description="auxiliary: FICT node of each pixel")
    artifact: float = Field(1.0, ge=0, description="auxiliary: what was changed")
    shift: float = Field(15.0, ge=0, description="auxiliary: how colours were changed")


class TrainConfig(Settings):
    """The loop."""

    steps: int = Field(1000, ge=1)
    look: int = Field(0, ge=0, description="of them the first, in which nothing is asked")
    batch: int = Field(16, ge=1, description="images of a step, over all ranks")
    micro_batch: int = Field(16, ge=1, description="images in memory at once, on each rank")
    lr: float = Field(3e-4, gt=0)
    encoder_lr: float = Field(1.0, ge=0, description="the transformer's, as a share of `lr`")
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(100, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    parallel: Literal["ddp", "fsdp2"] = "ddp"
    recompute: bool = Field(False, description="gradient checkpointing: less memory, more time")
    save_every: int = Field(500, ge=1)
    validate_every: int = Field(500, ge=1)
    validate_rows: int = Field(200, ge=1, description="at most")
    best: Literal["loss", "mask_iou", "det_auc"] = Field("loss", description="keeps the best by it")
    keep: int = Field(2, ge=1, description="latest checkpoints that stay, beside the best")
    loss: LossConfig = LossConfig()


class ModelConfig(Settings):
    """Everything."""

    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _frames_fit(self) -> ModelConfig:
        if self.data.frames > self.network.most_frames:
            raise ValueError(f"data.frames {self.data.frames} exceeds network.most_frames")
        return self


def load_config(name: str | Path, changes: dict[str, Any] | None = None) -> ModelConfig:
    """Reads a configuration.

    Args:
        name: A preset (`tiny`, `base`, `paper`) or a YAML file.
        changes: New values by dotted key, such as `train.steps`.

    Raises:
        UsageError: There is none of that name, or a key or value is wrong.
    """
    path = PRESETS / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = sorted(each.stem for each in PRESETS.glob("*.yaml"))
        raise UsageError(
            f"no preset or file '{name}'{nearest(str(name), known)}; presets: {', '.join(known)}"
        )
    content = _read(path)
    for key, value in (changes or {}).items():
        _set(content, key, value)
    try:
        return ModelConfig.model_validate(content)
    except ValidationError as error:
        raise UsageError(_wrong(error, path, list(changes or {}))) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content or {}, dict):
        raise UsageError(f"{path} must hold keys with values, not a {type(content).__name__}")
    return content or {}


def _set(content: dict[str, Any], key: str, value: object) -> None:
    *above, last = key.split(".")
    for number, each in enumerate(above, 1):
        inside = content.setdefault(each, {})
        if not isinstance(inside, dict):
            raise UsageError(f"--set {key}: {'.'.join(above[:number])} is a value, not a block")
        content = inside
    content[last] = value


def _wrong(error: ValidationError, path: Path, changed: list[str]) -> str:
    """Says what is wrong, and where: in a change from outside, or in the file."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    own = [each for each in changed if f"{where}.".startswith(f"{each}.") or
           f"{each}.".startswith(f"{where}.")]  # fmt: skip
    key = own[-1] if own else where or "the whole"
    near = ""
    if first["type"] == "extra_forbidden":
        near = nearest(key, _flat(ModelConfig().model_dump(mode="json")))
    return f"{'--set' if own else f'{path}:'} {key}: {first['msg']}{near}"


def differences(one: ModelConfig, other: ModelConfig) -> list[str]:
    """Gives the keys of two configurations that differ, with both values, for a person."""
    ours, theirs = _flat(one.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
    return [
        f"{key}: {ours.get(key)} -> {theirs.get(key)}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
