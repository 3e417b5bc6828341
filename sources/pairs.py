"""Reads the frames of real/fake pairs side by side; `sources.layouts` finds the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason
from schemas.records import Pair
from sources.alignment import LONG_SIDE, WINDOW, Alignment, align, check_same_recording
from sources.pictures import DEFAULT_FPS
from sources.video import Look, Video, VideoFrame, VideoInfo, open_video

MAX_RATE_DIFFERENCE = 0.01
"""Frame rates of the two sides may differ by this share (29.97 and 30 are the same)."""

KEPT_BYTES = 128 * 2**20
"""A real side is kept for the next pair where its frames take no more."""

SHIFTED, MIRRORED = "shifted in time", "mirrored"
"""Repairs of a pair: other frames were paired; the fake was flipped left to right."""


@dataclass(frozen=True, eq=False)
class FramePair:
    """The same frame of both sides.

    Attributes:
        index: Position in the fake video, from 0.
        timestamp_s: Seconds since the first frame of the fake video.
        real: `(H, W, 3) uint8` RGB.
        fake: `(H, W, 3) uint8` RGB, the same size; flipped back where it was mirrored.
        frame_offset: Real less fake index.
        repairs: What had to be done, of `SHIFTED` and `MIRRORED`.
    """

    index: int
    timestamp_s: float
    real: NDArray[np.uint8]
    fake: NDArray[np.uint8]
    frame_offset: int = 0
    repairs: tuple[str, ...] = ()

    @property
    def real_index(self) -> int:
        """Position in the real video, from 0."""
        return self.index + self.frame_offset


def spaced_indices(frames: int, count: int) -> list[int]:
    """Gives the middles of `count` equal parts of a video; every frame where it has no more.

    Frame k is `floor((2k + 1) * frames / (2 * count))`: sorted, distinct, the same each time.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"at least one frame must be wanted, got {count}")
    count = min(count, frames)
    return [(2 * k + 1) * frames // (2 * count) for k in range(count)]


def common_indices(real: int, fake: int, offset: int, count: int) -> list[int]:
    """Gives the fake's indices of evenly spaced frames that both sides show.

    Args:
        real: Frames of the real side.
        fake: Frames of the fake side.
        offset: Real less fake index.
        count: Frames wanted.

    Raises:
        Rejected: `NO_FRAMES`: the sides share none.
    """
    first, last = max(0, -offset), min(fake, real - offset)
    if first >= last:
        raise Rejected(
            RejectReason.NO_FRAMES,
            f"the sides share no frame: {real} real and {fake} fake ones, {offset} frames apart",
        )
    return [first + index for index in spaced_indices(last - first, count)]


class PairReader:
    """Reads pairs one after the other; the real side of the last one is kept.

    Several forgeries are commonly made of one video, which is decoded once where they follow each
    other.
    """

    def __init__(self) -> None:
        self._real: _Remembering | None = None
        self._file: tuple[object, ...] = ()

    def read(
        self,
        root: Path,
        pair: Pair,
        count: int,
        *,
        real_root: Path | None = None,
        fps: float = DEFAULT_FPS,
    ) -> list[FramePair]:
        """Reads `count` evenly spaced frames (`spaced_indices`) of those that both sides show.

        A fake that starts late or early or is mirrored is paired and turned as it should be.

        Args:
            root: Folder that the pair's paths are below.
            pair: The pair.
            count: Frames wanted.
            real_root: The same of the real side, where it lies elsewhere.
            fps: Rate of sides that are pictures.

        Returns:
            The frames; the same arrays of the real side where it was that of the last pair.

        Raises:
            Rejected: `MISSING_PARTNER`, `SIZE_MISMATCH`, `FRAME_RATE_MISMATCH`, `NO_FRAMES` (none
                in common), `DIFFERENT_CONTENT`, and the reasons of `sources.video.open_video` and
                `sources.video.Video.look`.
        """
        real_path, fake_path = (real_root or root) / pair.real_path, root / pair.fake_path
        for told, path in ((pair.real_path, real_path), (pair.fake_path, fake_path)):
            if not path.exists():
                raise Rejected(RejectReason.MISSING_PARTNER, f"{told} does not exist")
        real, fake = self._open_real(real_path, fps), open_video(fake_path, fps)
        _check_match(real.info, fake.info)
        reals, fakes = _look(real, fake, 0, count, WINDOW)
        found = align(reals.start, fakes.start)
        check_same_recording(found, real_path, fake_path)
        if found.frame_offset:  # rare, or both passes were not made in one
            reals, fakes = _look(real, fake, found.frame_offset, count)
        return [_side_by_side(r, f, found) for r, f in zip(reals.frames, fakes.frames, strict=True)]

    def _open_real(self, path: Path, fps: float) -> Video:
        facts = path.stat()
        file = (path, facts.st_mtime_ns, facts.st_size, fps)
        if self._real is None or file != self._file:
            self._real = None  # freed before the next one takes its place
            self._real, self._file = _Remembering(open_video(path, fps)), file
        return self._real


class _Remembering:
    """A video that keeps what was wanted of it last, unless that is much."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._last: tuple[object, Look] | None = None

    @property
    def info(self) -> VideoInfo:
        return self._video.info

    def look(self, indices: Sequence[int], window: int = 0, long_side: int = 1) -> Look:
        wanted = (tuple(indices), window, long_side)
        if self._last and self._last[0] == wanted:
            return self._last[1]
        self._last = None
        found = self._video.look(indices, window, long_side)
        if sum(frame.image.nbytes for frame in found.frames) <= KEPT_BYTES:
            self._last = wanted, found
        return found


def _look(real: Video, fake: Video, offset: int, count: int, window: int = 0) -> tuple[Look, Look]:
    """Reads evenly spaced frames of both sides, and small pictures of their first ones."""
    indices = common_indices(real.info.frames, fake.info.frames, offset, count)
    there = [index + offset for index in indices]
    return real.look(there, window, LONG_SIDE), fake.look(indices, window, LONG_SIDE)


def _side_by_side(real: VideoFrame, fake: VideoFrame, found: Alignment) -> FramePair:
    done = ((SHIFTED, found.frame_offset != 0), (MIRRORED, found.mirrored))
    return FramePair(
        index=fake.index,
        timestamp_s=fake.timestamp_s,
        real=real.image,
        fake=np.ascontiguousarray(fake.image[:, ::-1]) if found.mirrored else fake.image,
        frame_offset=found.frame_offset,
        repairs=tuple(name for name, was_done in done if was_done),
    )


def _same_clock(real: VideoInfo, fake: VideoInfo) -> bool:
    """Tells whether frames pair by place whatever the files say of their rates.

    Pictures have none. Tools that forge a video of an unsteady rate frame by frame often write a
    steady one: as many frames, at other times.
    """
    pictures = real.first_number is not None or fake.first_number is not None
    return pictures or (real.frames == fake.frames and not (real.steady and fake.steady))


def _check_match(real: VideoInfo, fake: VideoInfo) -> None:
    if (real.width, real.height) != (fake.width, fake.height):
        raise Rejected(
            RejectReason.SIZE_MISMATCH,
            f"real is {real.width} x {real.height}, fake is {fake.width} x {fake.height} pixels",
        )
    if _same_clock(real, fake):
        return
    if abs(real.fps - fake.fps) > MAX_RATE_DIFFERENCE * max(real.fps, fake.fps):
        raise Rejected(
            RejectReason.FRAME_RATE_MISMATCH,
            f"real runs at {real.fps:.3f}, fake at {fake.fps:.3f} frames per second",
        )
