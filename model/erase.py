"""Rectangles of one colour, laid over both sides of a frame where nothing was forged.

Without them a model that learns from faces alone takes whatever is smooth for a smoothed face: it
calls an empty picture fake and marks a face's place in it. An occluder, a dark background or a
blown highlight of real videos is as smooth (random erasing, Zhong et al. 2020; Face-Cutout, Das et
al. 2021 lays it over deepfakes). A rectangle never touches a changed pixel, so that whatever is
asked and answered of the frame stays true, and both sides get the same, so that it tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from model.data import View

TRIES = 6
"""Rectangles that are drawn for a sample; those that touch what was changed are left out."""
LEAST, MOST = 0.1, 0.6
"""Sides of a rectangle as shares of the image's."""


def erase(
    views: Sequence[View], changed_SS: torch.Tensor, rng: np.random.Generator
) -> tuple[View, ...]:
    """Gives the same frames with rectangles over them.

    Args:
        views: Frames of one side; they are left as they are.
        changed_SS: Share of each pixel that the forgery changed in any of them, also where these
            are the real side.
        rng: Decides the rectangles; both sides are to be given one in the same state.
    """
    size = len(changed_SS)
    images = [view.image.clone() for view in views]
    shifts = [view.shift.clone() for view in views]
    for _ in range(TRIES):
        height, width = (size * rng.uniform(LEAST, MOST, 2)).round().astype(int)
        top, left = (int(rng.integers(0, size - side + 1)) for side in (height, width))
        colour = torch.from_numpy(rng.integers(0, 256, (3, 1, 1), dtype=np.uint8))
        here = (slice(top, top + height), slice(left, left + width))
        if not bool((changed_SS[here] > 0).any()):
            for image, shift in zip(images, shifts, strict=True):
                image[:, *here], shift[:, *here] = colour, 0
    return tuple(
        replace(view, image=image, shift=shift)
        for view, image, shift in zip(views, images, shifts, strict=True)
    )
