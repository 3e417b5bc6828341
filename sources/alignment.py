"""Whether the two sides of a pair show the same thing, and when and which way round.

Small grey pictures of the first frames tell: a fake may start some frames late or early, may be
mirrored, or may belong to another recording. Source: ours.

Two things could each explain sides that do not match: another time, or another place in the
frame (`sources.registration` deals with that one later). A time offset is believed only where it
leaves clearly less difference than none does; and where a fixed shift of the picture explains the
clip better than any time offset, the offsets are compared again with such a shift allowed to all.

Behind a still background a picture looks alike at any time, so what moves is asked once more by
itself. Where that does not agree at the offset that was found, the search goes as far as the small
pictures reach.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
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
"""Offsets up to this are tried first, and may leave `COMMON` frames."""
ENOUGH = 15
"""Frames that must have a partner for what moves to tell of time; larger offsets leave so many."""
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
STIRS = 0.1
"""A pixel moves, and is no noise, where its contrast has this standard deviation on both sides."""
LEAST_STIRRED = 0.08
"""Less of the picture may be a mouth alone, which a forgery may well move otherwise."""
IN_TIME = 0.9
"""At the right offset sides agree so well in what moves; by 0.77 where a swapped face shakes in a
head that hardly moves. Elsewhere they agree by less than `LEAST`, unless movements repeat."""

Frames = NDArray[np.int64]


@dataclass(frozen=True)
class Alignment:
    """How the fake side lies on the real one.

    Attributes:
        frame_offset: Frame i of the fake shows frame `i + frame_offset` of the real.
        mirrored: Whether the fake is the real one flipped left to right.
        agreement: How well the sides then agree, -1 to 1; 1 where there is little to see.
        in_time: How well what moves then agrees, 1 at best; 1 where too little moves to tell.
    """

    frame_offset: int
    mirrored: bool
    agreement: float
    in_time: float = 1.0


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
    least = IN_TIME if abs(found.frame_offset) >= LATEST else LEAST
    if found.in_time < least:
        raise Rejected(
            RejectReason.DIFFERENT_CONTENT,
            f"{fake.name} and {real.name} do not show the same time: what moves in them agrees by "
            f"{found.in_time:.2f} at best, {found.frame_offset} frames apart; {least:g} is needed",
        )


def align(real: NDArray[np.uint8], fake: NDArray[np.uint8]) -> Alignment:
    """Finds the offset in time and the orientation in which two clips agree best.

    Args:
        real: `(M, h, w) uint8`, small grey pictures of consecutive frames.
        fake: `(N, h, w) uint8`, the same of the fake side.
    """
    ours, theirs = contrast_of(real), contrast_of(fake)
    sides = _Sides(ours, theirs)
    offset = sides.best_offset()
    agreement = sides.agreement(offset)
    if agreement < SURE:
        flipped = _Sides(ours, theirs.mirrored())
        other = flipped.best_offset()
        if (better := flipped.agreement(other)) > agreement + RATHER:
            return _timed(flipped, Alignment(other, True, better))
    return _timed(sides, Alignment(offset, False, agreement))


def _timed(sides: _Sides, found: Alignment) -> Alignment:
    """Asks what moves, and looks farther where it does not agree."""
    in_time = sides.in_time(found.frame_offset)
    if in_time < IN_TIME:
        offset = sides.farther()
        agrees = sides.in_time(offset)
        if agrees >= IN_TIME and 1 - agrees < CLEARLY * (1 - in_time):
            return replace(
                found, frame_offset=offset, agreement=sides.agreement(offset), in_time=agrees
            )
    return replace(found, in_time=in_time)


class _Sides:
    """Both sides of a clip, compared at any offset in time."""

    def __init__(self, real: Contrast, fake: Contrast) -> None:
        self.real, self.fake = real, fake
        self.varied = real.fine.var(axis=0), fake.fine.var(axis=0)
        self.moving = _moving(*self.varied)

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

    @functools.cached_property
    def stirring(self) -> tuple[Floats, Floats, Floats]:
        """`(frames, pixels)` of both sides where they move, `(pixels,)` their joint variance."""
        stirs = np.minimum(*self.varied) > STIRS**2
        return self.real.fine[:, stirs], self.fake.fine[:, stirs], np.add(*self.varied)[stirs]

    def in_time(self, offset: int) -> float:
        """Gives how well what moves agrees, as it is or laid on each other."""
        agrees = self._in_time(offset)
        if agrees < IN_TIME:
            laid, _ = move(self.real.fine, self.laid(offset))
            moved = _Sides(Contrast(laid, self.real.coarse), self.fake)
            agrees = max(agrees, moved._in_time(offset))
        return agrees

    def farther(self) -> int:
        """Gives the offset at which what moves agrees best, of all that leave enough frames."""
        last = max(len(self.real.fine), len(self.fake.fine)) - ENOUGH
        offsets = [k for k in range(-last, last + 1) if len(self.frames(k)) >= ENOUGH]
        return max(offsets, key=lambda k: (self._in_time(k), -abs(k)))

    def _in_time(self, offset: int) -> float:
        """Gives the share of the movement on which the sides agree, of the half that agrees best.

        Times that have nothing to do with each other differ by the variances of both.
        """
        real, fake, most = self.stirring
        frames = self.frames(offset)
        if len(frames) < ENOUGH or most.size < LEAST_STIRRED * self.moving.size:
            return 1.0
        apart = fake[frames] - real[frames + offset]
        error = np.square(apart, out=apart).mean(axis=0)
        kept = int(BEST_HALF * error.size)
        best = np.argpartition(error / most, kept)[:kept]
        return float(1 - error[best].sum() / most[best].sum())

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
    """Gives the pixels that change over time on both sides, of their variances."""
    change = np.sqrt(np.minimum(real, fake))
    moving: Pixels = change >= MOVING * np.quantile(change, 0.98)
    return moving
