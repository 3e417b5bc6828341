"""Controls: two real clips of the same face, which differ as real copies of one video may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from sources.encode import CRF, write_video
from sources.forge.face import Frame
from sources.video import read_frames

LATEST = 10
"""Most frames that the second side starts later."""

Control = Callable[[Sequence[Frame], int, int], tuple[list[Frame], list[Frame]]]
"""Gives both sides of a clip of `count` frames from a film with `LATEST` more, and a seed."""


def reencoded(film: Sequence[Frame], count: int, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Encodes the second side once more, at a level that the seed chooses."""
    level = list(CRF.values())[_rng(seed).integers(len(CRF))]
    return list(film[:count]), encoded(film[:count], level)


def encoded(film: Sequence[Frame], level: int) -> list[Frame]:
    """Gives a film as it looks after it was encoded at a quality of libx264."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp4"
        write_video(path, film, 25, level)
        return [frame.image for frame in read_frames(path, range(len(film)))]


def other_crop(film: Sequence[Frame], count: int, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Shifts the second side by up to 1.5 pixels and scales it by up to 0.5 %."""
    rng = _rng(seed)
    shift, scale = rng.uniform(-1.5, 1.5, 2), 1 + rng.uniform(-0.005, 0.005)
    height, width = film[0].shape[:2]
    middle = np.array([width - 1, height - 1]) / 2
    affine = np.column_stack([scale * np.eye(2), middle * (1 - scale) + shift])
    return list(film[:count]), [
        cv2.warpAffine(
            frame, affine, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        for frame in film[:count]
    ]


def brightness(film: Sequence[Frame], count: int, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Gives the second side 2 to 6 % more or less light, and a little offset."""
    rng = _rng(seed)
    gain = 1 + rng.choice([-1, 1]) * rng.uniform(0.02, 0.06)
    offset = rng.uniform(-4, 4)
    return list(film[:count]), [
        np.clip(np.rint(frame * gain + offset), 0, 255).astype(np.uint8) for frame in film[:count]
    ]


def frame_offset(film: Sequence[Frame], count: int, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Lets the second side start 1 to 10 frames later."""
    late = int(_rng(seed).integers(1, LATEST + 1))
    return list(film[:count]), list(film[late : late + count])


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 6])


CONTROLS: dict[str, Control] = {
    "reencoded": reencoded,
    "other_crop": other_crop,
    "brightness": brightness,
    "frame_offset": frame_offset,
}
"""The kinds of control, by name."""
