"""Whether the two sides of a pair show the same thing, and when and which way round.

Small grey pictures of the first frames tell: a fake may start some frames late or early, may be
mirrored, or may belong to another recording. Source: ours.

Two things could each explain sides that do not match: another time, or another place in the
frame (`sources.registration` deals with that one later). A time offset is believed only where it
leaves clearly less difference than none does; and where a fixed shift of the picture explains the
clip better than any time offset, the offsets are compared again with such a shift allowed to all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason
from sources.likeness import Contrast, Floats, Pixels, agreement, contrast_of, lay, move

WINDOW = 40
"""Frames that are looked at, from the start: time enough for a head to move, and a fifth to a half
of the time that reading eight frames of a 300 frame video takes anyway."""
LONG_SIDE = 128
"""Longer side of the small pictures: a movement of half a pixel of 640 still shows."""
LATEST = 10
"""Most frames that a side may start later."""
COMMON = 2
"""Fewest frames that both sides must share."""
CLEARLY = 0.85
"""An offset is believed where it leaves less than this share of the difference."""
ELSEWHERE = 0.88
"""Sides lie elsewhere in the frame where a fixed shift leaves less than this share of it."""
MOVING = 0.25
"""Pixels that change over time by this share of the liveliest ones tell of time."""
BEST_HALF = 0.5
"""Share of those pixels that is compared: those that differ least, which no forgery touched."""
FITTED = 4
"""Frames that a fixed shift is fitted to."""
SURE = 0.9
"""Sides that agree so well need no look in the mirror: mirrored faces agree by 0.55 at most."""
RATHER = 0.2
"""A mirrored fake must agree by so much better."""
LEAST = 0.6
"""Sides of one recording agree at least so well. Forged clips reach 0.93 or more, also where they
are graded, moved and compressed hard; other people and other scenes 0.2 at most."""

Frames = NDArray[np.int64]


@dataclass(frozen=True)
class Alignment:
    """How the fake side lies on the real one.

    Attributes:
        frame_offset: Frame i of the fake shows frame `i + frame_offset` of the real.
        mirrored: Whether the fake is the real one flipped left to right.
        agreement: How well the sides then agree, -1 to 1; 1 where there is little to see.
    """

    frame_offset: int
    mirrored: bool
    agreement: float


def check_same_recording(found: Alignment, real: Path, fake: Path) -> None:
    """Refuses sides that agree too little to show one recording.

    Raises:
        Rejected: `DIFFERENT_CONTENT`.
    """
    if found.agreement < LEAST:
        raise Rejected(
            RejectReason.DIFFERENT_CONTENT,
            f"{fake.name} and {real.name} show different recordings: they agree by "
            f"{found.agreement:.2f}, the same one by {LEAST:g} at least",
        )


def align(real: NDArray[np.uint8], fake: NDArray[np.uint8]) -> Alignment:
    """Finds the offset in time and the orientation in which two clips agree best.

    Args:
        real: `(M, h, w) uint8`, small grey pictures of consecutive frames.
        fake: `(N, h, w) uint8`, the same of the fake side.
    """
    ours, theirs = contrast_of(real), contrast_of(fake)
    plain = _best(ours, theirs, mirrored=False)
    if plain.agreement >= SURE:
        return plain
    flipped = _best(ours, theirs.mirrored(), mirrored=True)
    return flipped if flipped.agreement > plain.agreement + RATHER else plain


def _best(real: Contrast, fake: Contrast, *, mirrored: bool) -> Alignment:
    sides = _Sides(real, fake)
    offset = sides.best_offset()
    return Alignment(offset, mirrored, sides.agreement(offset))


class _Sides:
    """Both sides of a clip, compared at any offset in time."""

    def __init__(self, real: Contrast, fake: Contrast) -> None:
        self.real, self.fake = real, fake
        self.moving = _moving(real.fine, fake.fine)

    @functools.cached_property
    def lively(self) -> tuple[Floats, Floats]:
        """`(frames, pixels)`, the moving pixels of both sides as they lie."""
        return self.real.fine[:, self.moving], self.fake.fine[:, self.moving]

    def frames(self, offset: int) -> Frames:
        """Gives the fake side's frames that have a partner."""
        last = min(len(self.fake.fine), len(self.real.fine) - offset)
        return np.arange(max(0, -offset), last)

    def few(self, offset: int) -> Frames:
        """Gives some of them, evenly spaced."""
        frames = self.frames(offset)
        some = np.linspace(0, len(frames) - 1, min(FITTED, len(frames))).astype(np.int64)
        return np.take(frames, some)

    def agreement(self, offset: int) -> float:
        """Gives how well the sides agree, laid on each other or as they are."""
        frames = self.few(offset)
        real, fake = self.real.fine[frames + offset], self.fake.fine[frames]
        motions = self.laid(offset), np.zeros(4)
        laid = [move(real, motion) for motion in motions]
        return max(agreement(moved, fake, seen) for moved, seen in laid)

    def laid(self, offset: int) -> NDArray[np.float64]:
        """Gives the fixed motion that lays the real side on the fake side."""
        return lay(self.real, self.fake, self.few(offset), offset)

    def best_offset(self) -> int:
        """Gives the offset that clearly leaves the least difference, or 0."""
        still = np.zeros(4)
        offset, least = self._least(lambda _: still)
        laid = min(self.cost(k, self.laid(k), self.frames(k)) for k in {0, offset})
        if laid < ELSEWHERE * least:
            offset, _ = self._least(self.laid)
        return offset

    def _least(self, motion: Callable[[int], NDArray[np.float64]]) -> tuple[int, float]:
        """Gives the best offset, 0 if it is not clearly better, and the least difference."""
        offsets = [k for k in range(-LATEST, LATEST + 1) if len(self.frames(k)) >= COMMON]
        costs = {k: self.cost(k, motion(k), self.frames(k)) for k in offsets or [0]}
        best = min(costs, key=lambda k: (costs[k], abs(k)))
        frames = self.frames(best)
        none = min(self._cost_of_none(motion(0), some) for some in (frames, frames + best))
        return (best if costs[best] < CLEARLY * none else 0), costs[best]

    def _cost_of_none(self, motion: NDArray[np.float64], frames: Frames) -> float:
        both = np.intersect1d(frames, self.frames(0))
        return self.cost(0, motion, both if both.size else self.frames(0))

    def cost(self, offset: int, motion: NDArray[np.float64], frames: Frames) -> float:
        """Gives the mean difference of the moving pixels that agree best."""
        if motion.any():
            moved, seen = move(self.real.fine[frames + offset], motion)
            where = self.moving & seen
            apart = self.fake.fine[frames][:, where] - moved[:, where]
        else:
            real, fake = self.lively
            apart = fake[frames] - real[frames + offset]
        error = np.abs(apart, out=apart).mean(axis=0)
        kept = max(1, int(BEST_HALF * error.size))
        return float(np.partition(error, kept - 1)[:kept].mean()) if error.size else 0.0


def _moving(real: Floats, fake: Floats) -> Pixels:
    """Gives the pixels that change over time on both sides."""
    change = np.minimum(real.std(axis=0), fake.std(axis=0))
    moving: Pixels = change >= MOVING * np.quantile(change, 0.98)
    return moving
