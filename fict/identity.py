"""Do two pictures show the same person? The cosine of their ArcFace vectors.

Source: Deng et al., ArcFace (2019); network and weights of facexlib (`recognition_arcface_ir_se50`,
IR-SE50 of InsightFace_Pytorch, MIT), input and five-point alignment as InsightFace publishes them.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.facexlib_parsing import import_facexlib
from fict.weights import WEIGHTS, fill
from schemas.errors import BackendUnavailable

if TYPE_CHECKING:
    import torch

SIDE = 112
FIVE_POINTS = (468, 473, 4, 61, 291)
"""Centres of the right and left iris, tip of the nose, right and left corner of the mouth."""
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip
"""Where they lie in the network's input, pixels."""


def likeness(
    one: NDArray[np.uint8], other: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> float:
    """Gives how alike two faces are that lie on each other: 1 the same, about 0 other people.

    Args:
        one: (S, S, 3) uint8 RGB crop.
        other: The same of the other side.
        landmarks: (478, 3) float32 in crop pixels, of both.

    Raises:
        BackendUnavailable: The network or its weights are not here.
    """
    import torch

    inputs = np.stack([aligned(each, landmarks) for each in (one, other)])
    batch = torch.from_numpy(inputs.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0)
    with torch.inference_mode():
        first, second = load_network()(batch).numpy().astype(np.float64)
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def aligned(crop: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Gives the (112, 112, 3) uint8 input: the nearest similarity of the five points (Umeyama)."""
    seen = landmarks[list(FIVE_POINTS), :2].astype(np.float64) @ [1, 1j]
    wanted = TEMPLATE @ [1, 1j]
    from_middle = seen - seen.mean()
    turn = (from_middle.conj() @ wanted) / (np.abs(from_middle) ** 2).sum()
    shift = wanted.mean() - turn * seen.mean()
    matrix = np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    )  # fmt: skip
    return np.asarray(cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.uint8)


@functools.cache
def load_network() -> torch.nn.Module:
    """Gives the network with its weights, on the CPU; read once.

    Raises:
        BackendUnavailable: facexlib or the weight file is absent, or the file is not right.
    """
    return fill(build(), "arcface")


def build() -> torch.nn.Module:
    """Gives the network with random weights.

    Raises:
        BackendUnavailable: facexlib is not installed, or cannot be imported.
    """
    import_facexlib()
    try:
        module = importlib.import_module("facexlib.recognition.arcface_arch")
    except ImportError as error:
        raise BackendUnavailable(
            f"{WEIGHTS['arcface'].purpose} needs the package facexlib ({error}): run `make setup`; "
            f"meanwhile use `gates: {{min_identity: null}}`"
        ) from error
    network: torch.nn.Module = module.Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se")
    return network
