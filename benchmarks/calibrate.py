"""`facext calibrate`: fits the cuts, the costs and the null on forgeries whose truth is known.

    cuts   those of the calibrated mask: largest mean IoU over the levels, with no more
           masks on controls than the fewest that any tried value gives
    costs  miss, entry of the region rule: largest mean F1 over 4, parents and 112
    trust  the truly changed share of a mask, by what noise does not explain of it
    null   spread of every probe on the unchanged faces of real-vs-real pairs, by level

The cases are those of seed 1; the published figures come from another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from annotators.calibrated import NoiseUnits, Score, Units, decide
from annotators.diff import clean, iou
from annotators.evidence import PROBES, SEAM, WINDOWS, Gauge
from annotators.noise import difference, noise_level
from annotators.pipeline import Measurer
from benchmarks.facts import in_crop
from benchmarks.regions import compared, found_in, touched
from benchmarks.scores import LEVELS
from benchmarks.truth import play
from fict.labelmap import PARSERS
from fict.tree import load_tree
from schemas import rle
from schemas.calibration import FILE, Calibration, Costs, Cuts, Null, Trust, load_calibration
from schemas.manifest import DiffSettings, LocaliseSettings, Measure
from schemas.provenance import source_hash
from sources.crop import CropPair
from sources.encode import CRF
from sources.forge import Case, film_case, sample_cases
from sources.forge.cases import Film
from sources.forge.controls import encoded
from sources.forge.looks import LOOKS

SEED = 1
CASES = 110
EACH = 2
"""One annotated frame of so many is used for the cuts: frames of a clip are alike."""
TRIED: dict[str, tuple[float, ...]] = {
    "low": (2.25, 2.5, 2.75, 3.0, 3.5),
    "high": (5.0, 6.0, 7.0, 8.0, 10.0),
    "mass": (1.25, 1.5, 2.0),
    "noisy_low": (2.0, 2.25, 2.5, 2.75, 3.0),
    "noisy_high": (5.0, 6.0, 7.0, 8.0),
    "noisy_mass": (1.25, 1.5, 2.0, 3.0),
    "noisy_extend": (1.75, 2.0, 2.25, 2.5),
}
MARGIN = 0.8
"""Controls must stay without a mask at cuts this much weaker, too: some are worse than these."""
ROUNDS = 2
"""Rounds of trying one cut after the other; the second seldom changes anything."""
MISSES, ENTRIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8), (0.0005, 0.001, 0.0015, 0.002)
KNOTS = 6
"""Points of the line from what noise does not explain to what was truly changed."""
QUANTILES = {0.5: 0.6745, 0.95: 1.96, 0.99: 2.576}
"""Quantiles of a spread's size, and where a normal law has them; the largest reading counts."""

Mask = NDArray[np.bool_]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Sample:
    """One frame to fit on.

    Attributes:
        compression: Its level.
        forged: Whether anything was changed in it.
        units: Its difference in units of the noise.
        valid: `(S, S) bool`, inside the frame.
        truth: `(S, S) bool`, what was changed.
        labels: `(S, S) uint8`, its label map.
    """

    compression: str
    forged: bool
    units: Units
    valid: Mask
    truth: Mask
    labels: NDArray[np.uint8]


def calibrate(
    cases: int = CASES,
    workers: int = 2,
    pictures: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Calibration:
    """Fits everything that the project ships as fitted.

    Args:
        cases: Cases of the fitting seed.
        workers: Processes.
        pictures: Portraits; default: the two public-domain ones.
        progress: Called as `(stage, done, total)`.
    """
    tell = progress or (lambda stage, done, total: None)
    drawn = sample_cases(SEED, cases, pictures)
    stills = list(_stills(drawn))
    every = _spread_out(samples_of, [*drawn, *stills], workers, "cases", tell)
    samples = [sample for case in every for sample in case]
    cuts = fit_cuts(samples, tell)
    settings = DiffSettings(**cuts.model_dump())
    masks = [mask_of(sample, settings) for sample in samples]
    costs = fit_costs(samples, masks)
    trust = fit_trust(samples, masks, settings)
    null = fit_null(stills, workers, tell)
    before = load_calibration()
    return Calibration(
        provenance={
            "seed": SEED,
            "cases": cases,
            "frames": len(samples),
            "code": source_hash("annotators", "fict", "sources"),
            "mean_iou": round(_goodness(samples, cuts)[1], 4),
            "mean_iou_before": round(_goodness(samples, before.diff)[1], 4),
            "controls_near_a_mask": round(-_goodness(samples, cuts)[0], 4),
        },
        diff=cuts,
        confidence=trust,
        localise=costs,
        windows=WINDOWS,
        null=null,
    )


def write(found: Calibration, path: Path = FILE) -> None:
    """Writes a calibration where the settings read it."""
    head = (
        "# Written by `facext calibrate`; the values are the defaults of the manifest's settings.\n"
    )
    text = yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False, width=100)
    path.write_text(head + text, encoding="utf-8")


# ---- what is fitted on ---------------------------------------------------------------------------


def _spread_out(
    work: Callable[[Case], Any], cases: Sequence[Case], workers: int, stage: str, tell: Progress
) -> list[Any]:
    """Does some work on every case in processes, in the order of the cases."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(work, case): k for k, case in enumerate(cases)}
        results: list[Any] = [None] * len(cases)
        for done, future in enumerate(as_completed(futures), 1):
            results[futures[future]] = future.result()
            tell(stage, done, len(cases))
    return results


def _crops(case: Case, film: Film) -> tuple[tuple[CropPair, ...], frozenset[int]]:
    _, _, clip = play(case, Measurer(Measure()), film)
    return clip.crops, clip.wanted


def samples_of(case: Case) -> list[Sample]:
    """Gives the frames of a case to fit on."""
    cv2.setNumThreads(1)
    film, tree = film_case(case), load_tree()
    crops, wanted = _crops(case, film)
    chosen, every = [], NoiseUnits([difference(crop) for crop in crops])
    for place, crop in enumerate(crops):
        if crop.index in sorted(wanted)[::EACH]:
            truth, units = film.truth[crop.index], every.of(place)
            chosen.append(
                Sample(
                    case.compression,
                    truth.area > 0,
                    replace(units, size=units.size.astype(np.float16)),
                    crop.valid,
                    in_crop(rle.decode(truth.segmentation), crop),
                    PARSERS[Measure().parser](crop.real, crop.landmarks, tree),
                )
            )
    return chosen


# ---- cuts ----------------------------------------------------------------------------------------


def score_of(sample: Sample, settings: DiffSettings) -> Score:
    """Gives the score of a sample with some cuts."""
    size = sample.units.size.astype(np.float32)
    return decide(replace(sample.units, size=size), settings)


def mask_of(sample: Sample, settings: DiffSettings) -> Mask:
    """Gives the mask that some cuts find."""
    found = score_of(sample, settings).cut(1.0) & sample.valid
    return clean(found, settings.min_area * found.size)


def _goodness(samples: Sequence[Sample], cuts: Cuts) -> tuple[float, float]:
    """Gives minus the share of controls that come near a mask, then the mean IoU over levels."""
    settings = DiffSettings(**cuts.model_dump())
    weaker = DiffSettings(**{key: MARGIN * value for key, value in cuts.model_dump().items()})
    by_level: dict[str, list[float]] = {}
    marked = []
    for sample in samples:
        if sample.forged:
            found = iou(mask_of(sample, settings), sample.truth)
            by_level.setdefault(sample.compression, []).append(found)
        else:
            marked.append(bool(mask_of(sample, weaker).any()))
    share = float(np.mean(marked)) if marked else 0.0
    return -share, float(np.mean([np.mean(each) for each in by_level.values()]))


def fit_cuts(samples: Sequence[Sample], tell: Progress) -> Cuts:
    """Tries one cut after the other and keeps what is best."""
    cuts = load_calibration().diff
    best = _goodness(samples, cuts)
    total, done = ROUNDS * sum(map(len, TRIED.values())), 0
    for _round in range(ROUNDS):
        for key, values in TRIED.items():
            for value in values:
                done += 1
                tell("cuts", done, total)
                tried = cuts.model_copy(update={key: value})
                if tried != cuts:
                    found = _goodness(samples, tried)
                    cuts, best = (tried, found) if found > best else (cuts, best)
    return cuts


# ---- confidence ----------------------------------------------------------------------------------


def fit_trust(samples: Sequence[Sample], masks: Sequence[Mask], settings: DiffSettings) -> Trust:
    """Fits the truly changed share of masks to what noise does not explain of them."""
    pairs = [
        (1 - (score_of(sample, settings).chance or 0.0), float(sample.truth[mask].mean()))
        for sample, mask in zip(samples, masks, strict=True)
        if mask.any()
    ]
    groups = np.array_split(np.array(sorted(pairs)), KNOTS)
    means = np.array([group.mean(axis=0) for group in groups if len(group)])
    rising = np.maximum.accumulate(means, axis=0)
    return Trust(
        unexplained=tuple(round(float(v), 4) for v in rising[:, 0]),
        changed=tuple(round(float(v), 4) for v in rising[:, 1]),
    )


# ---- costs ---------------------------------------------------------------------------------------


def fit_costs(samples: Sequence[Sample], masks: Sequence[Mask]) -> Costs:
    """Tries all pairs of costs on the found masks."""

    def goodness(costs: LocaliseSettings) -> float:
        counts = np.zeros((len(LEVELS), 3))
        for sample, mask in zip(samples, masks, strict=True):
            if sample.forged:
                counts += _compared(sample, mask, costs)
        hit, extra, missed = counts.T
        return float(np.mean(2 * hit / np.maximum(2 * hit + extra + missed, 1)))

    tried = [LocaliseSettings(miss=m, entry=e) for m, e in product(MISSES, ENTRIES)]
    best = max(tried, key=goodness)
    return Costs(miss=best.miss, entry=best.entry)


def _compared(sample: Sample, mask: Mask, costs: LocaliseSettings) -> NDArray[np.float64]:
    """Gives `(levels, 3)`: concepts that were found rightly, wrongly, and missed."""
    tree = load_tree()
    found = found_in(mask, sample.labels, tree, costs)
    counts = compared(found, touched(sample.truth, sample.labels), tree)
    return np.array([counts[name] for name in LEVELS], np.float64)


# ---- null ----------------------------------------------------------------------------------------


def _stills(cases: Sequence[Case]) -> Iterator[Case]:
    """Gives a control of every look of every picture at every level."""
    plain = {case.picture: case for case in cases}
    for number, (case, look, level) in enumerate(product(plain.values(), LOOKS, CRF)):
        yield replace(
            case, name=f"null_{number:03}", look=look, compression=level, operations=(),
            control="reencoded", profile="stable", occluder=None, seed=1000 + number,
        )  # fmt: skip


def fit_null(stills: Sequence[Case], workers: int, tell: Progress) -> dict[str, Null]:
    """Gives the spread of every probe on real-vs-real pairs of each level."""
    found = _spread_out(chance_in, stills, workers, "null", tell)
    null = {}
    for level in CRF:
        frames = [f for case, one in zip(stills, found, strict=True) for f in one
                  if case.compression == level]  # fmt: skip
        floor = float(np.median([noise for noise, _ in frames]))
        spread = {
            name: tuple(round(float(v), 5) for v in np.median([s[name] for _, s in frames], axis=0))
            for name in frames[0][1]
        }
        null[level] = Null(noise_floor=round(floor, 4), spread=spread)
    return null


def chance_in(case: Case) -> list[tuple[float, dict[str, list[float]]]]:
    """Measures a face that was encoded twice at one level against the same encoded once.

    Returns:
        For each frame its noise floor, and by probe the spread over windows of each side that lie
        wholly in the face.
    """
    cv2.setNumThreads(1)
    film = film_case(case)
    crops, wanted = _crops(case, replace(film, fakes=encoded(film.reals, CRF[case.compression])))
    found = []
    for crop in crops:
        if crop.index in wanted:
            gauge = Gauge(crop, ~crop.face_mask())
            spreads = {probe.name: _spreads(gauge, probe) for probe in PROBES if probe is not SEAM}
            spreads[SEAM.name] = [spreads["lightness lighter"][0]] * len(WINDOWS)
            found.append((noise_level(difference(crop)), spreads))
    return found


def _spreads(gauge: Gauge, probe: Any) -> list[float]:
    """Gives the spread of each window; beyond the largest that fits, that one's."""
    found: list[float] = []
    for side in WINDOWS:
        values = np.abs(gauge.windows(probe, side))
        read = [float(np.quantile(values, at) / law) for at, law in QUANTILES.items()] or [np.nan]
        found.append(max(read) if values.size else found[-1])
    return found
