"""Small real videos and pictures for tests: a random scene that a camera pans over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sources.encode import write_video

Frames = list[NDArray[np.uint8]]
LATE = 3
"""Frames that the fake side of `sides` starts later."""


def panned(count: int, seed: int = 1) -> Frames:
    """Films a random grey scene that moves along a curve, `(120, 160, 3) uint8` each."""
    rng = np.random.default_rng(seed)
    scene = cv2.GaussianBlur(rng.normal(128, 500, (200, 240)), (0, 0), 4)
    scene = np.clip(scene, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    paths = [(30 + round(20 * np.sin(k / 6)), 30 + round(20 * np.cos(k / 4))) for k in range(count)]
    return [np.ascontiguousarray(scene[y : y + 120, x : x + 160]) for x, y in paths]


def forged(frames: Frames) -> Frames:
    """Paints a spot into each frame."""
    return [cv2.circle(frame.copy(), (80, 60), 8, (200, 60, 60), -1) for frame in frames]


def sides(count: int = 16, seed: int = 1, late: int = LATE) -> tuple[Frames, Frames]:
    """Gives a real clip and its forgery, which starts `late` frames later and ends sooner."""
    film = panned(count, seed)
    return film, forged(film[late:-1])


def save(path: Path, frames: Sequence[NDArray[np.uint8]], first: int = 0, crf: int = 12) -> Path:
    """Writes a video, a picture, or (a path without suffix) a folder of numbered pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in {".jpg", ".png"}:
        Image.fromarray(frames[0]).save(path, quality=95)
    elif path.suffix:
        write_video(path, frames, 25, crf)
    else:
        path.mkdir()
        for number, frame in enumerate(frames, start=first):
            Image.fromarray(frame).save(path / f"{number:04d}.png")
    return path
