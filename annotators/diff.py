"""The artifact mask: which pixels did the forgery change?

`calibrated` measures each pair's own noise and cuts in units of it; the others are the rules of
the paper and its neighbours, kept to be compared with. Every policy gives a score per pixel; what
follows (cleaning, stability, confidence, abstention) is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from annotators.calibrated import MOST_AROUND, Score, calibrated_scores
from annotators.noise import Difference, Map, Mask, difference, noise_level
from schemas.calibration import load_calibration
from schemas.errors import Rejected, RejectReason
from schemas.manifest import DiffSettings
from sources.crop import CropPair

CLOSING = 7
"""Diameter in frame-like pixels of the disc that closes gaps of flat skin inside a change."""
PROBES = (0.8, 1.25)
"""Stability is the agreement with the masks at these multiples of the cut."""


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


ScoreOf = Callable[[int], Score]
"""Gives the score of a frame, by its place in the clip."""
Policy = Callable[[Sequence[CropPair], Sequence[Difference], DiffSettings], ScoreOf]


def diff(
    clip: Sequence[CropPair], settings: DiffSettings, places: Sequence[int] | None = None
) -> list[Artifact | Rejected]:
    """Recovers the artifact mask of frames of a clip.

    Args:
        clip: Crop pairs of one pair of videos.
        settings: Policy and its cuts.
        places: Places in the clip of the frames whose mask is wanted; the others only help.
            Without it, all.

    Returns:
        For each of these its mask, or `Rejected` with `no_artifact` where nothing stands out of the
        noise, or `everything_changed` where the change has no border around the face.
    """
    places = range(len(clip)) if places is None else places
    if not places:
        return []
    differences = [difference(crop) for crop in clip]
    score_of = POLICIES[settings.policy](clip, differences, settings)
    return [_conclude(clip[k], differences[k], score_of(k), settings) for k in places]


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
    spots, areas = _parts(closed)
    keep = areas >= least
    keep[0] = False
    return _fill_holes(keep[spots], least)


def _fill_holes(mask: Mask, least: float) -> Mask:
    """Fills holes under `least` pixels: a forgery has no such pinholes, a cut has."""
    gaps, areas = _parts((~mask).astype(np.uint8))
    hole = areas < least
    hole[0] = False
    return mask | hole[gaps]


def _parts(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers the connected parts of a mask from 1, and counts the pixels of each."""
    # cv2.connectedComponentsWithStats takes ten times as long, nearly all of it for its boxes
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    return labels, np.bincount(labels[mask > 0], minlength=count)


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


# ---- policies -----------------------------------------------------------------------------------


def calibrated(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> ScoreOf:
    """Cuts in units of the pair's noise (`annotators.calibrated`)."""
    return calibrated_scores(frames, settings)


def _above(score: Map, threshold: float) -> Score:
    return Score(lambda factor: np.asarray(score > factor * threshold), threshold)


def top_fraction(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> ScoreOf:
    """Takes a fixed share of the pixels with the largest grey difference (paper: 5 %)."""

    def score_of(place: int) -> Score:
        grey = _grey_difference(clip[place])
        return _above(grey, float(np.quantile(grey, 1 - settings.fraction)))

    return score_of


def fixed(
    clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings
) -> ScoreOf:
    """Cuts the CIELAB difference at one level for all pairs (as PIXAR and DFFD users do)."""
    return lambda place: _above(frames[place].size, settings.level)


def ssim(clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings) -> ScoreOf:
    """Cuts the structural dissimilarity 1 - SSIM of the grey sides."""
    return lambda place: _above(_dissimilarity(clip[place]), settings.dissimilarity)


def otsu(clip: Sequence[CropPair], frames: Sequence[Difference], settings: DiffSettings) -> ScoreOf:
    """Cuts the grey difference where Otsu's rule splits its histogram."""

    def score_of(place: int) -> Score:
        grey = np.clip(_grey_difference(clip[place]), 0, 255).astype(np.uint8)
        level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        return _above(grey.astype(np.float32), float(max(level, 1.0)))

    return score_of


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
