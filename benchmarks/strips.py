"""Pictures of the worst cases: one row each, real | fake | true mask | found mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.diff import Artifact, diff
from annotators.pipeline import Measurer
from benchmarks.truth import play, truth_in
from schemas.errors import OutputError
from schemas.manifest import Measure
from sources.forge import Case

PANEL = 176
"""Side of a panel in pixels: ten rows stay far below 500 kB."""
GAP = 4
"""White pixels between panels."""
QUALITY = 82
HIT, MISSED, EXTRA = (255, 214, 0), (0, 200, 83), (229, 28, 35)
"""RGB of the overlay."""
TINT = 0.55
ROOM, LEAST_WINDOW = 1.3, 0.42
"""A panel shows this many times what was changed or found, and at least this share of the crop, so
that small changes can be seen and one still sees where they are."""

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def draw(
    shown: Sequence[dict[str, Any]],
    cases: Iterable[Case],
    path: Path,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Makes the worst cases again and draws them below each other.

    Args:
        shown: Entries of `benchmarks.worst.worst`.
        cases: The run's cases; those that are shown are made again, bit by bit the same.
        path: JPEG to write.
        progress: Called as `(stage, done, total)`.

    Raises:
        OutputError: The file cannot be written.
    """
    by_name, measurer = {case.name: case for case in cases}, Measurer(Measure())
    rows = []
    for number, one in enumerate(shown, 1):
        strip = row(by_name[one["case"]], one["frame"], measurer)
        rows.append(numbered(strip, number))
        if progress:
            progress("pictures", number, len(shown))
    bgr = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def row(case: Case, index: int, measurer: Measurer) -> Image:
    """Gives the four panels of one frame, `(PANEL + GAP, 4 * (PANEL + GAP), 3) uint8` RGB."""
    film, _, clip = play(case, measurer)
    for crop, found in zip(clip.crops, diff(clip.crops, measurer.settings.diff), strict=True):
        if crop.index == index:
            truth = truth_in(crop, film)
            mask = found.mask if isinstance(found, Artifact) else np.zeros_like(truth)
            white = np.where(truth[..., None], 255, crop.real // 4).astype(np.uint8)
            panels = (crop.real, crop.fake, white, overlaid(crop.fake, truth, mask))
            where = window(truth | mask)
            return beside([panel[where] for panel in panels])
    real, fake = film.reals[index], film.fakes[index]  # no crop: the whole frame is shown
    side = max(real.shape)
    return beside([_square(each, side) for each in (real, fake)])


def window(mask: Mask) -> tuple[slice, slice]:
    """Gives the square part of a crop to show: around a mask, never beyond the crop."""
    size = len(mask)
    if not mask.any():
        return slice(0, size), slice(0, size)
    spans = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    widest = max(int(last - first) for first, last in spans)
    side = min(size, round(max(ROOM * widest, LEAST_WINDOW * size)))
    firsts = [int(np.clip(span.mean() - side / 2, 0, size - side)) for span in spans]
    return slice(firsts[0], firsts[0] + side), slice(firsts[1], firsts[1] + side)


def overlaid(image: Image, truth: Mask, mask: Mask) -> Image:
    """Tints a grey picture: yellow where the mask is right, green missed, red extra."""
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    seen = 0.6 * grey.astype(np.float32)
    for where, colour in ((truth & mask, HIT), (truth & ~mask, MISSED), (mask & ~truth, EXTRA)):
        seen[where] = (1 - TINT) * seen[where] + TINT * np.asarray(colour, np.float32)
    return seen.astype(np.uint8)


def beside(panels: Sequence[Image]) -> Image:
    """Puts up to four panels side by side."""
    strip = np.full((PANEL + GAP, 4 * (PANEL + GAP), 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        left = place * (PANEL + GAP)
        small = cv2.resize(panel, (PANEL, PANEL), interpolation=cv2.INTER_AREA)
        strip[:PANEL, left : left + PANEL] = small
    return strip


def numbered(strip: Image, number: int) -> Image:
    """Writes a row's number into its first panel."""
    strip[:22, : 12 + 11 * len(str(number))] = 0
    cv2.putText(strip, str(number), (5, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1,
                cv2.LINE_AA)  # fmt: skip
    return strip


def _square(image: Image, side: int) -> Image:
    blank = np.zeros((side, side, 3), np.uint8)
    blank[: image.shape[0], : image.shape[1]] = image
    return blank
