"""Reads video files, frame by exact frame, through PyAV (FFmpeg inside the wheel).

A video is opened once to be looked over (`open_video`: its packets are counted, one frame is
decoded) and once for all that is wanted of it (`Video.look`). A video that cannot be read is an
expected failure: it raises `Rejected` with a reason and the file's name, never an error of PyAV. A
stream without a colour tag is read as BT.601, as FFmpeg and OpenCV read it. A folder of frames or a
picture is read in the same way (`sources.pictures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sources.decoding import Painter, Scan, decode, reject_damaged, scan
from sources.pictures import DEFAULT_FPS, PictureClip, is_pictures, open_pictures, thumbnail


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        frames: Frames that are in the file, counted packet by packet.
        fps: Average frames per second; 0.0 where the file does not say.
        width: Pixels, after the file's rotation flag.
        height: Pixels, after the file's rotation flag.
        steady: Whether all frames are shown equally long, as far as the file says.
        first_number: Of frames that are picture files, the number of the first; else `None`.
    """

    frames: int
    fps: float
    width: int
    height: int
    steady: bool = True
    first_number: int | None = None


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One decoded frame.

    Attributes:
        index: Position in presentation order, from 0.
        timestamp_s: Seconds since the first frame.
        image: `(H, W, 3) uint8` RGB, upright (the file's rotation flag is applied).
    """

    index: int
    timestamp_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Look:
    """What was wanted of a video.

    Attributes:
        frames: One for each index that was asked for, in that order.
        start: `(n, h, w) uint8`, the first frames as small grey pictures, upright.
    """

    frames: list[VideoFrame]
    start: NDArray[np.uint8]


class Video(Protocol):
    """A video that was looked over."""

    @property
    def info(self) -> VideoInfo:
        """What it holds."""

    def look(self, indices: Sequence[int], window: int = 0, long_side: int = 1) -> Look:
        """Decodes some frames, and the first ones as small pictures, in one pass.

        Args:
            indices: Frames to give, counted from 0 in presentation order; any order, may repeat.
            window: Most small pictures to give.
            long_side: Pixels of a small picture's longer side; the other one keeps the shape.

        Raises:
            ValueError: An index is negative.
            Rejected: `UNREADABLE_VIDEO`: damaged, or it ends before the last index.
        """


def open_video(path: Path, fps: float = DEFAULT_FPS) -> Video:
    """Looks a video over; only its first frame is decoded, the others are counted as packets.

    Args:
        path: A video, a folder of frames, or a picture, of which the headers are read.
        fps: Rate of pictures; a video has its own.

    Raises:
        Rejected: `UNREADABLE_VIDEO` (absent, damaged or truncated), `NO_VIDEO_STREAM`,
            `NO_FRAMES`, `BAD_FRAMES`.
    """
    if is_pictures(path):
        clip = open_pictures(path)
        info = VideoInfo(len(clip.frames), fps, *clip.size(), first_number=clip.first_number)
        return _Pictures(clip, info)
    return _VideoFile.open(path)


def probe(path: Path, fps: float = DEFAULT_FPS) -> VideoInfo:
    """Gives the size, the rate and the exact number of frames of a video, as `open_video` does."""
    return open_video(path, fps).info


def read_frames(path: Path, indices: Sequence[int], fps: float = DEFAULT_FPS) -> list[VideoFrame]:
    """Decodes some frames of a video, of a damaged one those before the damage.

    Only these are held in memory.

    Args:
        path: The video, the folder of frames, or the picture.
        indices: As of `Video.look`.
        fps: Rate of pictures; a video has its own timestamps.

    Raises:
        ValueError: An index is negative.
        Rejected: As of `open_video` and `Video.look`.
    """
    if is_pictures(path):
        return _Pictures(open_pictures(path), VideoInfo(0, fps, 0, 0)).look(indices).frames
    return _VideoFile(path, scan(path)).look(indices).frames


@dataclass(frozen=True)
class _Pictures:
    """A clip of picture files as a video."""

    clip: PictureClip
    info: VideoInfo

    def look(self, indices: Sequence[int], window: int = 0, long_side: int = 1) -> Look:
        _check(indices)
        first = range(len(self.clip.frames))[:window]
        found, small = {}, []
        for index in sorted({*indices, *first}):
            image = self.clip.read(index)
            if index in first:
                small.append(thumbnail(image, long_side))
            if index in indices:
                found[index] = VideoFrame(index, index / self.info.fps, image)
        return Look([found[index] for index in indices], _stacked(small))


@dataclass(frozen=True)
class _VideoFile:
    """A video file that was looked over."""

    path: Path
    scan: Scan

    @classmethod
    def open(cls, path: Path) -> _VideoFile:
        found = scan(path)
        if found.size is None or found.sound < found.expected:
            reject_damaged(path)
        return cls(path, found)

    @property
    def info(self) -> VideoInfo:
        width, height = self.scan.size or (0, 0)
        return VideoInfo(self.scan.shown, self.scan.fps, width, height, self.scan.steady)

    def look(self, indices: Sequence[int], window: int = 0, long_side: int = 1) -> Look:
        _check(indices)
        wanted = set(indices)
        found: dict[int, VideoFrame] = {}
        small: list[NDArray[np.uint8]] = []
        painter = Painter()
        start = range(min(window, self.scan.shown))
        for frame in decode(self.path, {*wanted, *start}, self.scan.times):
            if frame.index < window:
                small.append(painter.grey(frame, long_side))
            if frame.index in wanted:
                image = painter.rgb(frame)
                found[frame.index] = VideoFrame(frame.index, frame.timestamp_s, image)
        if len(found) < len(wanted):
            reject_damaged(self.path, min(wanted - set(found)))
        if window and not small:
            reject_damaged(self.path)
        return Look([found[index] for index in indices], _stacked(small))


def _stacked(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.empty((0, 0, 0), np.uint8)


def _check(indices: Sequence[int]) -> None:
    if any(index < 0 for index in indices):
        raise ValueError(f"frame indices count from 0, got {min(indices)}")
