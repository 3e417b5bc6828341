"""Face parsing by the two networks of facexlib: each pixel of a crop gets one of 19 classes.

The networks number their classes differently. Source: facexlib (MIT), `inference/
inference_parsing.py` (BiSeNet) and `inference/inference_parsing_parsenet.py` (ParseNet) name the
classes and the normalisation of each; `utils/face_restoration_helper.py` of the installed package
agrees (its MASK_COLORMAP drops hat 14, necklace 16, neck 17 and cloth 18 of ParseNet). The data are
CelebAMask-HQ (arXiv 1907.11922).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.parsing_parts import CLASSES
from fict.weights import WEIGHTS, fill
from schemas.errors import BackendUnavailable

if TYPE_CHECKING:
    import torch

INPUT_SIDE = 512
"""Both networks were trained on squares of this side, and facexlib scales to it."""


@dataclass(frozen=True)
class Network:
    """What differs between the networks.

    Attributes:
        module: Module of facexlib that has its class.
        kind: Name of the class.
        options: Arguments of the class, as `facexlib.parsing.init_parsing_model` gives them.
        mean: Taken from each RGB channel in [0, 1].
        deviation: What is left is divided by this.
        order: Its 19 classes, as names of `CLASSES`.
    """

    module: str
    kind: str
    options: dict[str, int]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    order: tuple[str, ...]


EARS = ("right ear", "left ear")
"""Which of the two is which is decided by the landmarks, not by the network."""
NETWORKS = {
    "bisenet": Network(
        "facexlib.parsing.bisenet", "BiSeNet", {"num_class": 19},
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
        ("background", "skin", "brow", "brow", "eye", "eye", "glasses", *EARS, "earring", "nose",
         "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat"),
    ),
    "parsenet": Network(
        "facexlib.parsing.parsenet", "ParseNet",
        {"in_size": INPUT_SIDE, "out_size": INPUT_SIDE, "parsing_ch": 19},
        (0.5, 0.5, 0.5), (0.5, 0.5, 0.5),
        ("background", "skin", "nose", "glasses", "eye", "eye", "brow", "brow", *EARS, "mouth",
         "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth"),
    ),
}  # fmt: skip
"""By the backend's name."""


def class_map(crop: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Gives the class of each pixel of a crop.

    Args:
        crop: (S, S, 3) uint8 RGB.
        name: `bisenet` or `parsenet`.

    Returns:
        (S, S) uint8 indices of `CLASSES`.

    Raises:
        BackendUnavailable: The network or its weights are not here.
    """
    raw = classify(load_network(name), crop, NETWORKS[name])
    return in_our_order(raw, name)


def in_our_order(raw: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Gives a network's class numbers, an array of 0..18, as indices of `CLASSES`."""
    order = [CLASSES.index(one) for one in NETWORKS[name].order]
    return np.array(order, np.uint8)[raw]


def classify(
    network: torch.nn.Module, crop: NDArray[np.uint8], about: Network
) -> NDArray[np.uint8]:
    """Runs a network on a crop.

    Args:
        network: The network, ready to run.
        crop: (S, S, 3) uint8 RGB.
        about: What is to be known of the network.

    Returns:
        (S, S) uint8 class numbers in the network's own order.
    """
    import torch

    side = (INPUT_SIDE, INPUT_SIDE)
    small = cv2.resize(crop, side, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    normal = (small - np.array(about.mean, np.float32)) / np.array(about.deviation, np.float32)
    batch = torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1))[None])
    with torch.inference_mode():
        best = network(batch)[0][0].argmax(0).to(torch.uint8).numpy()
    size = crop.shape[1], crop.shape[0]
    return np.asarray(cv2.resize(best, size, interpolation=cv2.INTER_NEAREST), np.uint8)


@functools.cache
def load_network(name: str) -> torch.nn.Module:
    """Gives a network with its weights, on the CPU; read once.

    Raises:
        BackendUnavailable: facexlib or the weight file is absent, or the file is not right.
    """
    return fill(build(name), name)


def build(name: str) -> torch.nn.Module:
    """Gives a network with random weights.

    Raises:
        BackendUnavailable: facexlib is not installed, or cannot be imported.
    """
    about = NETWORKS[name]
    import_facexlib()
    try:
        module = importlib.import_module(about.module)
    except ImportError as error:
        raise BackendUnavailable(
            f"{WEIGHTS[name].purpose} needs the package facexlib ({error}): run `make setup`; "
            f"meanwhile use `{WEIGHTS[name].meanwhile}`"
        ) from error
    network: torch.nn.Module = getattr(module, about.kind)(**about.options)
    return network


def import_facexlib() -> None:
    """Makes facexlib's submodules importable, where torchvision works and where it does not.

    The package imports its detectors, which need torchvision; the parsing networks do not. Without
    torchvision a bare package takes its place, so that submodules are found and nothing else runs.
    """
    if "facexlib" in sys.modules or (spec := importlib.util.find_spec("facexlib")) is None:
        return
    with contextlib.suppress(Exception):  # a torchvision that does not fit torch raises anything
        importlib.import_module("torchvision")
        importlib.import_module("facexlib")
        return
    package = types.ModuleType("facexlib")
    package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations or ())
    sys.modules["facexlib"] = package
