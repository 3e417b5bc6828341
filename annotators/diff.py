"""The artifact mask: which pixels did the forgery change?

`calibrated` measures each pair's own noise and cuts in units of it; the others are the rules of
the paper and its neighbours, kept to be compared with. Every policy gives a score per pixel; what
follows (cleaning, stability, confidence, abstention) is the same for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_tv_chambolle

from annotators.noise import (
    Difference,
    Map,
    average,
    calmed,
    difference,
    expected_noise,
    noise_level,
)
from schemas.calibration import load_calibration
from schemas.errors import Rejected, RejectReason
from schemas.manifest import DiffSettings
from sources.crop import CropPair

Mask = NDArray[np.bool_]

CLOSING = 7
"""Diameter in frame-like pixels of the disc that closes gaps of flat skin inside a change."""
PROBES = (0.8, 1.25)
"""Stability is the agreement with the masks at these multiples of the cut."""
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
class Artifact:
    """A recovered artifact mask.

    Attributes:
        mask: `(S, S) bool`, crop pixels.
        policy: Name of the diff policy.
        threshold: The cut, in the policy's unit.
        noise_floor: Median difference where the codec left one around the face, CIELAB units.
        confidence: 0..1, share of the mask that was truly changed, as fitted on known truth.
        stability: 0..1, mean IoU with the masks at `PROBES` times the cut.
    """

    mask: Mask
    policy: str
    threshold: float
    noise_floor: float
    confidence: float
    stability: float


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


Policy = Callable[[Sequence[CropPair], Sequence[Difference], DiffSettings], list[Score]]


def diff(clip: Sequence[CropPair], settings: DiffSettings) -> list[Artifact | Rejected]:
    """Recovers the artifact mask of each frame of a clip.

    Args:
        clip: Crop pairs of one pair of videos.
        settings: Policy and its cuts.

    Returns:
        For each frame its mask, or `Rejected` with `no_artifact` where nothing stands out of the
        noise, or `everything_changed` where the change has no border around the face.
    """
    if not clip:
        return []
    differences = [difference(crop) for crop in clip]
    scores = POLICIES[settings.policy](clip, differences, settings)
    return [
        _conclude(crop, frame, score, settings)
        for crop, frame, score in zip(clip, differences, scores, strict=True)
    ]


def _conclude(
    crop: CropPair, frame: Difference, score: Score, settings: DiffSettings
) -> Artifact | Rejected:
    least = settings.min_area * frame.size.size
    mask = clean(score.cut(1.0) & crop.valid, least)
    share = float(mask.mean())
    noise = noise_level(frame)
    if share == 0:
        return Rejected(
            RejectReason.NO_ARTIFACT,
            f"nothing in frame {crop.index} stands out of the noise of this pair "
            f"({noise:.2f} CIELAB units)",
        )
    if share > settings.max_area or _has_no_border(score, mask, frame.reference):
        return Rejected(
            RejectReason.EVERYTHING_CHANGED,
            f"{share:.0%} of the crop of frame {crop.index} changed",
        )
    probes = [clean(score.cut(factor) & crop.valid, least) for factor in PROBES]
    return Artifact(
        mask=mask,
        policy=settings.policy,
        threshold=score.threshold,
        noise_floor=noise,
        confidence=_confidence(score, mask, frame.reference),
        stability=float(np.mean([iou(mask, probe) for probe in probes])),
    )


def _has_no_border(score: Score, mask: Mask, reference: Mask) -> bool:
    """Tells whether a mask runs far over the pixels around the face.

    Where the policy keeps what it marks there as its chance, the confidence already tells it.
    """
    if score.chance is None or not reference.any():
        return False
    return float(mask[reference].mean()) > MOST_AROUND


def _confidence(score: Score, mask: Mask, reference: Mask) -> float:
    """Gives the share of the mask that was truly changed, as far as can be told."""
    if score.chance is not None:
        return load_calibration().confidence_of(1 - score.chance)
    marked = float(score.cut(1.0)[reference].mean()) if reference.any() else 0.0
    return 1 - min(1.0, marked * mask.size / max(int(np.count_nonzero(mask)), 1))


def clean(mask: Mask, least: float) -> Mask:
    """Closes gaps and holes and drops spots under `least` pixels."""
    side = max(3, round(CLOSING * mask.shape[0] / 512) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least
    keep[0] = False
    return _fill_holes(keep[labels], least)


def _fill_holes(mask: Mask, least: float) -> Mask:
    """Fills holes under `least` pixels: a forgery has no such pinholes, a cut has."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8))
    hole = stats[:, cv2.CC_STAT_AREA] < least
    hole[0] = False
    return mask | hole[labels] if count > 1 else mask


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


# ---- policies -----------------------------------------------------------------------------------


def calibrated(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> list[Score]:
    """Cuts with hysteresis in units of the pair's noise, in the frame and over the clip.

    The score of a pixel is the larger of its own frame's and the clip average's, each in units of
    its own noise floor, so that a faint change that stays on the face is found in heavy noise, and
    one that flickers is found all the same. Source: ours.
    """
    return [decide(units, settings) for units in noise_units(frames)]


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


def noise_units(frames: Sequence[Difference]) -> list[Units]:
    """Gives each frame of a clip in units of its noise; no setting has a part in it."""
    typical = average(frames)
    noise = expected_noise(typical)
    steady = np.maximum(typical.size / noise, calmed(typical, noise))
    hidden = float(np.median(noise[typical.face])) if typical.face.any() else 0.0
    return [
        Units(
            np.where(frame.valid, np.maximum(frame.size / expected_noise(frame), steady), 0),
            frame.inner,
            frame.face,
            hidden,
        )
        for frame in frames
    ]


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
            plateau = PLATEAU * float(np.median(units.size[found]))
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
    low, size = factor * cuts.low, units.size
    above = size > low
    count, labels = cv2.connectedComponents(above.astype(np.uint8))
    flat = labels.ravel()
    mass = np.bincount(flat, np.maximum(size - low, 0).ravel(), count)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, flat[above.ravel()], size[above])
    area, inside, around = (
        np.bincount(flat, where.ravel(), count)
        for where in (np.ones_like(units.face), units.inner, ~units.face)
    )
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


def _above(score: Map, threshold: float) -> Score:
    return Score(lambda factor: np.asarray(score > factor * threshold), threshold)


def top_fraction(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> list[Score]:
    """Takes a fixed share of the pixels with the largest grey difference (paper: 5 %)."""
    grey = [_grey_difference(crop) for crop in clip]
    return [_above(score, float(np.quantile(score, 1 - settings.fraction))) for score in grey]


def fixed(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> list[Score]:
    """Cuts the CIELAB difference at one level for all pairs (as PIXAR and DFFD users do)."""
    return [_above(frame.size, settings.level) for frame in frames]


def ssim(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> list[Score]:
    """Cuts the structural dissimilarity 1 - SSIM of the grey sides."""
    return [_above(_dissimilarity(crop), settings.dissimilarity) for crop in clip]


def otsu(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> list[Score]:
    """Cuts the grey difference where Otsu's rule splits its histogram."""
    scores = []
    for crop in clip:
        grey = np.clip(_grey_difference(crop), 0, 255).astype(np.uint8)
        level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        scores.append(_above(grey.astype(np.float32), float(max(level, 1.0))))
    return scores


def _grey_difference(crop: CropPair) -> Map:
    real, fake = (cv2.cvtColor(side, cv2.COLOR_RGB2GRAY) for side in (crop.real, crop.fake))
    return np.asarray(cv2.absdiff(real, fake).astype(np.float32))


def _dissimilarity(crop: CropPair) -> Map:
    real, fake = (cv2.cvtColor(side, cv2.COLOR_RGB2GRAY) for side in (crop.real, crop.fake))
    _, similarity = structural_similarity(real, fake, full=True, data_range=255)
    return np.asarray(1 - similarity, dtype=np.float32)


POLICIES: dict[str, Policy] = {
    "calibrated": calibrated,
    "top_fraction": top_fraction,
    "fixed": fixed,
    "ssim": ssim,
    "otsu": otsu,
}
"""Diff policies by the name that the manifest uses."""
