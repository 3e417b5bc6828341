"""The vision encoder: one for language and masks, and a slot: what gives feature maps fits.

B is the number of images, S their side, C channels, h and w the cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional
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
    """Pixels of a cell's side in each map."""

    def __call__(self, images_B3SS: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Gives a `(B, C, h, w)` map for each of `channels`, from RGB of 0 to 1."""
        ...

    def parameters(self) -> Any:
        """As of any module."""
        ...


REACHES = (1, 2, 3)
"""How far convolutions look around a patch, one after the other: together over half of a face."""


class ClipEncoder(nn.Module):
    """A CLIP vision transformer, random or pretrained (OpenAI-CLIP, FaRL), at any image size.

    The states of several layers are put together: the early ones hold what was retouched, the late
    ones what it is (Faceptor's finding). Convolutions may run beside it: they give finer maps, and
    add to the patches, which teaches a small transformer in minutes what it would need days for.

    Args:
        config: Which one; see `EncoderConfig`.
        image_size: Side of the images.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: EncoderConfig, image_size: int) -> None:
        super().__init__()
        self.vit: Any = _load(config, image_size)
        known = self.vit.config
        width, patch = int(known.hidden_size), int(known.patch_size)
        if not config.layers or max(config.layers) > known.num_hidden_layers:
            raise UsageError(
                f"encoder.layers {list(config.layers)}: the encoder has {known.num_hidden_layers}"
            )
        if image_size % patch:
            raise UsageError(f"image_size {image_size} is no multiple of the patch size {patch}")
        if config.detail and patch & (patch - 1):
            raise UsageError(f"encoder.detail needs patches of 2, 4, 8, ... pixels, not {patch}")
        self.layers = config.layers
        self.vit.encoder.layers = self.vit.encoder.layers[: max(config.layers)]
        self.vit.post_layernorm = nn.Identity()  # what no loss reaches would make DDP wait
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.layers)
        self.vit.requires_grad_(not config.frozen)
        self.detail = Detail(config.detail, width, patch) if config.detail else None
        if self.detail and config.path:
            self.detail.silence()
        fine = self.detail.channels if self.detail else ()
        self.channels: tuple[int, ...] = (*fine, width * len(self.layers))
        self.strides: tuple[int, ...] = (*(2 ** (k + 1) for k in range(len(fine))), patch)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images_B3SS: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Gives the maps; see `Encoder`."""
        pixels_B3SS = (images_B3SS - self.mean) / self.std
        fine: tuple[torch.Tensor, ...] = ()
        state_BLD = self.vit.embeddings(pixels_B3SS, interpolate_pos_encoding=True)
        if self.detail:
            *found, patches_BDhw = self.detail(pixels_B3SS)
            fine = tuple(found)
            added_BND = patches_BDhw.flatten(2).transpose(1, 2)
            state_BLD = state_BLD + functional.pad(added_BND, (0, 0, 1, 0))
        state_BLD = self.vit.pre_layrnorm(state_BLD)
        chosen = []
        for number, layer in enumerate(self.vit.encoder.layers, 1):
            state_BLD = layer(state_BLD, attention_mask=None)
            if number in self.layers:
                chosen.append(self.norms[self.layers.index(number)](state_BLD[:, 1:]))
        cells = images_B3SS.shape[-1] // self.strides[-1]
        states_BCN = torch.cat(chosen, dim=-1).transpose(1, 2)
        return (*fine, states_BCN.reshape(*states_BCN.shape[:2], cells, cells))


class Detail(nn.Module):
    """Convolutions that halve the image until a cell is a patch.

    Args:
        first: Channels at half the image's size; each further map has half as many more.
        width: Channels of the patches.
        patch: Pixels of a patch's side, a power of two.
    """

    def __init__(self, first: int, width: int, patch: int) -> None:
        super().__init__()
        levels = patch.bit_length() - 2
        self.channels = tuple(first + first // 2 * k for k in range(levels))
        self.levels = nn.ModuleList(
            _convolutions(before, after)
            for before, after in zip((3, *self.channels), self.channels, strict=False)
        )
        self.patches = nn.Sequential(
            nn.Conv2d(self.channels[-1], width, 3, stride=2, padding=1),
            *(Around(width, reach) for reach in REACHES),
        )

    def silence(self) -> None:
        """Lets it add nothing to the patches at first: a pretrained transformer knows no such."""
        for layer in self.patches.modules():
            if isinstance(layer, nn.Conv2d):
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def forward(self, pixels_B3SS: torch.Tensor) -> list[torch.Tensor]:
        """Gives the maps of `channels`, finest first, and what to add to the patches."""
        maps = [pixels_B3SS]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return [*maps[1:], self.patches(maps[-1])]


class Around(nn.Module):
    """Adds to each patch what is around it.

    Args:
        width: Channels of the patches.
        reach: Patches between those that are looked at.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.GroupNorm(4, width),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=reach, dilation=reach),
        )

    def forward(self, patches_BDhw: torch.Tensor) -> torch.Tensor:
        """Gives patches of the same form."""
        added_BDhw: torch.Tensor = self.look(patches_BDhw)
        return patches_BDhw + added_BDhw


def _convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1),
        nn.GroupNorm(4, after),
        nn.GELU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.GroupNorm(4, after),
        nn.GELU(),
    )


ENCODERS: dict[str, Callable[[EncoderConfig, int], Any]] = {"clip": ClipEncoder}
"""Makes an encoder (an `nn.Module` that is an `Encoder`) from its settings and the image's side."""


def _load(config: EncoderConfig, image_size: int) -> Any:
    if not (config.path or config.architecture):
        raise UsageError("network.encoder: set path to a model, or architecture for a random one")
    if not config.path:
        return CLIPVisionModel(CLIPVisionConfig(image_size=image_size, **config.architecture))
    path = Path(config.path)
    if path.is_dir():
        return CLIPVisionModel.from_pretrained(path, local_files_only=True)
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
