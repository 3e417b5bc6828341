"""Weight files of the optional face backends: where they may lie, and how they are read.

Nothing is downloaded. A file is looked for in the folder `FACEXT_WEIGHTS`, then in the libraries'
own places. It is read as tensors only: a file that would execute code is refused.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import BackendUnavailable

if TYPE_CHECKING:
    import torch

VARIABLE = "FACEXT_WEIGHTS"
"""Environment variable that names the folder of the user's weight files."""
_FAN = "https://www.adrianbulat.com/downloads/python-fan"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"


@dataclass(frozen=True)
class Weight:
    """One published weight file.

    Attributes:
        file: Its name.
        library: Package whose network reads it.
        url: Where its authors publish it.
        purpose: What needs it, for messages.
        meanwhile: What works without it, for messages.
    """

    file: str
    library: str
    url: str
    purpose: str
    meanwhile: str


def _weight(file: str, library: str, folder: str, purpose: str, meanwhile: str) -> Weight:
    return Weight(file, library, f"{folder}/{file}", purpose, meanwhile)


_MESH, _NO_PARSER = "landmarks: mesh", "parser: mesh"
WEIGHTS: dict[str, Weight] = {
    "fan_2d": _weight(
        "2DFAN4-11f355bf06.pth.tar", "face-alignment", _FAN, "landmarks: face_alignment_2d", _MESH
    ),
    "fan_3d": _weight(
        "3DFAN4-7835d9f11d.pth.tar", "face-alignment", _FAN, "landmarks: face_alignment_3d", _MESH
    ),
    "sfd": _weight(
        "s3fd-619a316812.pth", "face-alignment", _FAN, "face detection of face-alignment", _MESH
    ),
    "bisenet": _weight(
        "parsing_bisenet.pth", "facexlib", f"{_FACEXLIB}/v0.2.0", "parser: bisenet", _NO_PARSER
    ),
    "parsenet": _weight(
        "parsing_parsenet.pth", "facexlib", f"{_FACEXLIB}/v0.2.2", "parser: parsenet", _NO_PARSER
    ),
    "retinaface": _weight(
        "detection_Resnet50_Final.pth", "facexlib", f"{_FACEXLIB}/v0.1.0",
        "the RetinaFace detector", _MESH,
    ),
    "arcface": _weight(
        "recognition_arcface_ir_se50.pth", "facexlib", f"{_FACEXLIB}/v0.1.0",
        "the identity gate", "no identity gate",
    ),
}  # fmt: skip
"""By the name that the code uses."""


USED_BY: dict[str, tuple[str, ...]] = {
    "face_alignment_2d": ("fan_2d", "sfd"),
    "face_alignment_3d": ("fan_3d", "sfd"),
    "bisenet": ("bisenet",),
    "parsenet": ("parsenet",),
    "identity": ("arcface",),
}
"""Weights on which a backend depends; the detector of face-alignment is used where it is found."""


def weights_used(*backends: str) -> list[Path]:
    """Gives the weight files that backends of these names would read now."""
    found = [_find(WEIGHTS[name]) for one in backends for name in USED_BY.get(one, ())]
    return [path for path in found if path]


def _find(weight: Weight) -> Path | None:
    paths = (folder / weight.file for folder in places(weight))
    return next((path for path in paths if path.is_file()), None)


def places(weight: Weight) -> list[Path]:
    """Gives the folders in which a weight file is looked for, in this order."""
    found = []
    if os.environ.get(VARIABLE):
        found.append(Path(os.environ[VARIABLE]).expanduser())
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "torch"
    home = Path(os.environ.get("TORCH_HOME", cache)).expanduser()
    found.append(home / "hub" / "checkpoints")
    spec = importlib.util.find_spec("facexlib") if weight.library == "facexlib" else None
    for folder in (spec and spec.submodule_search_locations) or ():
        found.append(Path(folder) / "weights")
    return found


def find_weight(name: str) -> Path:
    """Gives the path of a weight file.

    Raises:
        BackendUnavailable: It is in none of the places; the message says where it comes from, where
            to put it, and what works meanwhile.
    """
    weight = WEIGHTS[name]
    if path := _find(weight):
        return path
    raise BackendUnavailable(
        f"{weight.purpose} needs the weight file {weight.file}: get it from {weight.url} and put "
        f"it into a folder that the environment variable {VARIABLE} names (or into "
        f"{places(weight)[-1]}); meanwhile use `{weight.meanwhile}`"
    )


def read_weight(name: str) -> dict[str, torch.Tensor]:
    """Reads a weight file as named tensors, on the CPU.

    Raises:
        BackendUnavailable: It is absent, damaged, no tensors, or would execute code.
    """
    import torch

    path = find_weight(name)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is no weight file
        kind = type(error).__name__
        raise BackendUnavailable(
            f"{path} cannot be read as a weight file ({kind}): get it again from "
            f"{WEIGHTS[name].url}; meanwhile use `{WEIGHTS[name].meanwhile}`"
        ) from error
    for wrapper in ("state_dict", "params", "params_ema"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BackendUnavailable(f"{path} holds something else than named tensors")
    return {key.removeprefix("module."): value for key, value in state.items()}


def fill(network: torch.nn.Module, name: str) -> torch.nn.Module:
    """Puts a weight file into its network and makes that ready to run.

    Raises:
        BackendUnavailable: The file cannot be read, or its tensors are not those of the network.
    """
    state = read_weight(name)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise BackendUnavailable(
            f"{find_weight(name)} does not fit its network: {first:.200}"
        ) from error
    return network.eval()
