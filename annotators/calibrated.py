"""The calibrated artifact mask: cuts in units of the pair's own noise.

    signed differences -> noise floor -> units of noise, of the frame and of the clip -> clusters
    -> in heavy noise, the smoothest area around each find

Source: ours; it replaces the paper's fixed 5 %.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.restoration import denoise_tv_chambolle

from annotators.noise import Difference, Map, Mask, average, calmed, expected_noise, median
from schemas.manifest import DiffSettings

MOST_AROUND = 0.05
"""Share of the pixels around the face: a mask of more is no face forgery. Masks of forgeries of the
bench hold at most 1 %; those of sides whose colours differ everywhere hold 5 to 60 %."""
SEEN = 1.2
"""CIELAB units: a change of 3 of 255 levels; where noise is larger, it hides changes."""
EVIDENCE = (-1.5, 3.0)
"""Units of noise by which a single pixel may speak against and for a change."""
PLATEAU = 0.5
"""An area reaches as far as it differs by this share of what was found of it."""
BORDER, MOST_BORDER = 4.0, 15.0
"""What a pixel of border costs per squared CIELAB unit of noise, and at most."""


@dataclass(frozen=True)
class Score:
    """A policy's score of one frame.

    Attributes:
        cut: `cut(k)` gives the mask at k times the threshold.
        threshold: The cut, in the policy's unit.
        chance: Share of the mask that noise may explain; None: what the cut marks off the face.
    """

    cut: Callable[[float], Mask]
    threshold: float
    chance: float | None = None


def calibrated_scores(
    frames: Sequence[Difference], settings: DiffSettings
) -> Callable[[int], Score]:
    """Cuts with hysteresis in units of the pair's noise, in the frame and over the clip.

    The score of a pixel is the larger of its own frame's and the clip average's, each in units of
    its own noise floor, so that a faint change that stays on the face is found in heavy noise, and
    one that flickers is found all the same. Source: ours.

    Returns:
        What gives the score of a frame, by its place in the clip.
    """
    units = NoiseUnits(frames)
    return lambda place: decide(units.of(place), settings)


@dataclass(frozen=True)
class Units:
    """A frame's difference in units of its noise: all that the cut needs.

    Attributes:
        size: `(S, S) float32`, the larger of the frame's own and the clip's; 0 outside the frame.
        inner: `(S, S) bool`, the face.
        face: `(S, S) bool`, the face and what lies close to it.
        hidden: Noise in the face after averaging over the clip, CIELAB units.
    """

    size: Map
    inner: Mask
    face: Mask
    hidden: float


@dataclass(frozen=True)
class Cut:
    """Weak and strong cut in units of noise, and least mass over that of the heaviest noise."""

    low: float
    high: float
    mass: float


class NoiseUnits:
    """The frames of a clip in units of their noise; no setting has a part in it.

    Args:
        frames: The frames, which may be more than are asked for.
    """

    def __init__(self, frames: Sequence[Difference]) -> None:
        self.frames = frames
        typical = average(frames)
        noise = expected_noise(typical)
        self.steady = np.maximum(typical.size / noise, calmed(typical, noise))
        self.hidden = float(median(noise[typical.face])) if typical.face.any() else 0.0

    def of(self, place: int) -> Units:
        """Gives a frame by its place in the clip."""
        frame = self.frames[place]
        size = np.maximum(frame.size / expected_noise(frame), self.steady)
        return Units(np.where(frame.valid, size, 0), frame.inner, frame.face, self.hidden)


def decide(units: Units, settings: DiffSettings) -> Score:
    """Cuts a frame's units, with cuts of their own where noise hides the faintest changes."""
    noisy = units.hidden > SEEN
    cuts = Cut(settings.low, settings.high, settings.mass)
    if noisy:
        cuts = Cut(settings.noisy_low, settings.noisy_high, settings.noisy_mass)

    @functools.cache  # the plain cut is asked for twice
    def clusters(factor: float) -> tuple[Mask, float]:
        found, chance = _clusters(units, cuts, factor)
        if noisy and found.any():
            plateau = PLATEAU * float(median(units.size[found]))
            cut = factor * max(settings.noisy_extend, plateau)
            found = found | _compact(units.size, found, cut, units.hidden)
        return found, chance

    return Score(lambda factor: clusters(factor)[0], cuts.low, clusters(1.0)[1])


def _clusters(units: Units, cuts: Cut, factor: float) -> tuple[Mask, float]:
    """Cuts into clusters and keeps those on the face that no cluster away from it comes near.

    A cluster is on the face where most of it is; one that starts there and has no end is kept, too,
    for `diff` to refuse. Its mass is what its pixels exceed the cut by, summed. The heaviest
    cluster that lies wholly away from the face shows what noise alone can do in this frame (as
    cluster-mass tests do); its mass over that of a kept cluster is what noise may explain of it.

    Returns:
        The kept clusters `(S, S) bool`, and the share that noise may explain of them.
    """
    low = factor * cuts.low
    above = units.size > low
    count, labels = cv2.connectedComponents(above.astype(np.uint8))
    which, size = labels[above], units.size[above]
    mass = np.bincount(which, size - low, count)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, which, size)
    area = np.bincount(which, minlength=count)
    inside = np.bincount(which[units.inner[above]], minlength=count)
    around = np.bincount(which[~units.face[above]], minlength=count)
    noise = mass[1:][around[1:] == area[1:]].max(initial=0.0)
    endless = (inside > 0) & (around > MOST_AROUND * np.count_nonzero(~units.face))
    keep = (
        ((2 * inside > area) | endless) & (peak > factor * cuts.high) & (mass > cuts.mass * noise)
    )
    keep[0] = False
    chance = np.average(noise / mass[keep], weights=mass[keep]) if keep.any() else 1.0
    return np.asarray(keep[labels]), float(chance)


def _compact(units: Map, seed: Mask, cut: float, noise: float) -> Mask:
    """Grows found clusters over what noise hides: the smoothest border that the units allow.

    Where the noise is larger than a change that is worth finding, no pixel can be judged by
    itself. The area that maximises (sum of clipped units above the cut) - (length of its border)
    is where the total-variation denoised units are positive (Chambolle 2005); the more noise, the
    more a border costs. Only areas that hold a found cluster count.
    """
    size = units.shape[0]
    half = cv2.resize(
        np.clip(units - cut, *EVIDENCE), (size // 2, size // 2), interpolation=cv2.INTER_AREA
    )
    weight = min(BORDER * noise * noise, MOST_BORDER)
    smooth = denoise_tv_chambolle(half, weight=weight, max_num_iter=60, eps=1e-4)
    whole = cv2.resize(smooth.astype(np.float32), (size, size)) > 0
    _, labels = cv2.connectedComponents(whole.astype(np.uint8))
    held = np.bincount(labels.ravel(), seed.ravel()) > 0
    held[0] = False
    return np.asarray(held[labels])
