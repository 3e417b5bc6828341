"""The vision encoder: one for language and masks, and a slot: what gives feature maps fits.

B is the number of images, S their side, C channels, h and w the cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from model.config import EncoderConfig
from schemas.errors import UsageError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP and FaRL were trained on, RGB from 0 to 1."""


class Encoder(Protocol):
    """What a vision encoder must be, beside an `nn.Module`."""

    channels: tuple[int, ...]
    """Channels of each map, finest first; the last map's cells become the language's tokens."""
    strides: tuple[int, ...]
    """Pixels of a cell's side in each map, powers of two."""

    def __call__(self, images_B3SS: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Gives a `(B, C, h, w)` map for each of `channels`, from RGB of 0 to 1."""
        ...

    def parameters(self) -> Any:
        """As of any module."""
        ...


class ClipEncoder(nn.Module):
    """A CLIP vision transformer, random or pretrained (OpenAI-CLIP, FaRL), at any image size.

    The states of several layers are put together: the early ones hold what was retouched, the late
    ones what it is (Faceptor's finding). Small convolutions may run beside it, for detail that is
    finer than a patch.

    Args:
        config: Which one; see `EncoderConfig`.
        image_size: Side of the images.
    """

    def __init__(self, config: EncoderConfig, image_size: int) -> None:
        super().__init__()
        self.vit = _load(config, image_size)
        width, patch = self.vit.config.hidden_size, self.vit.config.patch_size
        self.layers = config.layers
        if not config.layers or max(config.layers) > self.vit.config.num_hidden_layers:
            raise UsageError(
                f"encoder.layers {list(config.layers)}: the encoder has "
                f"{self.vit.config.num_hidden_layers}"
            )
        if image_size % patch:
            raise UsageError(f"image_size {image_size} is no multiple of the patch size {patch}")
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.layers)
        self.channels: tuple[int, ...] = (width * len(self.layers),)
        self.strides: tuple[int, ...] = (patch,)
        self.detail = Detail(config.detail) if config.detail else None
        if self.detail:
            self.channels, self.strides = (config.detail, *self.channels), (2, patch)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images_B3SS: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Gives the maps; see `Encoder`."""
        pixels_B3SS = (images_B3SS - self.mean) / self.std
        states = self.vit(pixels_B3SS, output_hidden_states=True, interpolate_pos_encoding=True)
        chosen = [
            norm(states.hidden_states[layer][:, 1:])
            for norm, layer in zip(self.norms, self.layers, strict=True)
        ]
        cells = images_B3SS.shape[-1] // self.strides[-1]
        grid_BChw = torch.cat(chosen, dim=-1).transpose(1, 2).unflatten(2, (cells, cells))
        return (self.detail(pixels_B3SS), grid_BChw) if self.detail else (grid_BChw,)


class Detail(nn.Module):
    """Convolutions at half the image's size.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1),
            nn.GroupNorm(4, channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
            nn.GELU(),
        )

    def forward(self, pixels_B3SS: torch.Tensor) -> torch.Tensor:
        """Gives a `(B, C, S / 2, S / 2)` map."""
        found: torch.Tensor = self.layers(pixels_B3SS)
        return found


ENCODERS: dict[str, Callable[[EncoderConfig, int], nn.Module]] = {"clip": ClipEncoder}
"""Makes an encoder (an `nn.Module` that is an `Encoder`) from its settings and the image's side."""


def _load(config: EncoderConfig, image_size: int) -> CLIPVisionModel:
    if not config.path:
        return CLIPVisionModel(CLIPVisionConfig(image_size=image_size, **config.architecture))
    path = Path(config.path)
    if path.is_dir():
        model: CLIPVisionModel = CLIPVisionModel.from_pretrained(path, local_files_only=True)
        return model
    if not path.is_file():
        raise UsageError(f"encoder.path: there is no {path}; name a folder or a .pth file")
    return read_openai(path)


def read_openai(path: Path) -> CLIPVisionModel:
    """Reads the vision side of a checkpoint with OpenAI-CLIP names, such as FaRL's.

    Raises:
        UsageError: The file is none, or is an archive of code, which is not run.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(f"{path} is no plain checkpoint of weights: {error}") from error
    state = content.get("state_dict", content)
    visual = {k.split("visual.", 1)[1]: v for k, v in state.items() if "visual." in k}
    if "class_embedding" not in visual:
        raise UsageError(f"{path} holds no vision transformer with OpenAI-CLIP names")
    return convert_openai(visual)


def convert_openai(visual: dict[str, torch.Tensor]) -> CLIPVisionModel:
    """Gives the same transformer from weights named as OpenAI-CLIP's `visual` (prefix cut off)."""
    width, _, patch, _ = visual["conv1.weight"].shape
    layers = 1 + max(int(k.split(".")[2]) for k in visual if k.startswith("transformer."))
    cells = round((len(visual["positional_embedding"]) - 1) ** 0.5)
    model = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=len(visual["transformer.resblocks.0.mlp.c_fc.weight"]),
            num_hidden_layers=layers,
            num_attention_heads=max(1, width // 64),  # OpenAI-CLIP's rule
            image_size=cells * patch,
            patch_size=patch,
        )
    )
    model.load_state_dict(dict(_renamed(visual)))
    return model


_TOP = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    **{
        f"{old}.{part}": f"{new}.{part}"
        for old, new in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm"))
        for part in ("weight", "bias")
    },
}
_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def _renamed(visual: dict[str, torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """Gives each weight with the name that transformers has for it; `proj` is not used."""
    made: list[tuple[str, torch.Tensor]] = []
    for name, value in visual.items():
        if name in _TOP:
            made.append((_TOP[name], value.float()))
        elif name.startswith("transformer."):
            _, _, number, rest = name.split(".", 3)
            block, part = f"encoder.layers.{number}.", rest.rsplit(".", 1)[-1]
            if rest.startswith("attn.in_proj"):
                kind = part.removeprefix("in_proj_")
                for which, third in zip("qkv", value.float().chunk(3), strict=True):
                    made.append((f"{block}self_attn.{which}_proj.{kind}", third))
            else:
                made.append((f"{block}{_BLOCK[rest.rsplit('.', 1)[0]]}.{part}", value.float()))
    return made
