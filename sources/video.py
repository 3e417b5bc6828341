"""Reads video files, frame by exact frame, through PyAV (FFmpeg inside the wheel).

A video is opened once to be looked over (`open_video`: its packets are counted, one frame is
decoded) and once for all that is wanted of it (`Video.look`). A video that cannot be read is an
expected failure: it raises `Rejected` with a reason and the file's name, never an error of PyAV. A
stream without a colour tag is read as BT.601, as FFmpeg and OpenCV read it. A folder of frames or a
picture is read in the same way (`sources.pictures`).
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason
from sources.pictures import DEFAULT_FPS, PictureClip, is_pictures, open_pictures, thumbnail

STEADY = 0.01
"""Share by which the rate that fits every frame may differ from the average one."""
SKIPS = frozenset({"h264"})
"""Codecs of which frames that no other frame needs are passed over undecoded."""

_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT  # the same pixels on every machine
_TO_RGB = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | _EXACT
_TO_GREY = Interpolation.AREA | _EXACT


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
    return _VideoFile(path, _scan(path)).look(indices).frames


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
class _Scan:
    """What the packets of a file tell, and its first frame.

    Attributes:
        expected: Frames promised by the header or packets present.
        sound: Packets that are whole.
        times: Presentation times of the frames that are meant to be shown, ascending; empty where
            the packets do not tell them all.
        shown: How many these are.
        size: Width and height, upright; None where not even the first frame decodes.
    """

    expected: int
    sound: int
    shown: int
    times: tuple[int, ...]
    fps: float
    steady: bool
    size: tuple[int, int] | None


@dataclass(frozen=True)
class _VideoFile:
    """A video file that was looked over."""

    path: Path
    scan: _Scan

    @classmethod
    def open(cls, path: Path) -> _VideoFile:
        scan = _scan(path)
        if scan.size is None or scan.sound < scan.expected:
            _reject_damaged(path)
        return cls(path, scan)

    @property
    def info(self) -> VideoInfo:
        width, height = self.scan.size or (0, 0)
        return VideoInfo(self.scan.shown, self.scan.fps, width, height, self.scan.steady)

    def look(self, indices: Sequence[int], window: int = 0, long_side: int = 1) -> Look:
        _check(indices)
        wanted = set(indices)
        found: dict[int, VideoFrame] = {}
        small: list[NDArray[np.uint8]] = []
        painter = _Painter()
        for frame in self._frames({*indices, *range(min(window, self.scan.shown))}):
            if frame.index < window:
                small.append(painter.small(frame, long_side))
            if frame.index in wanted:
                found[frame.index] = painter.upright(frame)
        if len(found) < len(wanted):
            _reject_damaged(self.path, min(wanted - set(found)))
        if window and not small:
            _reject_damaged(self.path)
        return Look([found[index] for index in indices], _stacked(small))

    def _frames(self, wanted: set[int]) -> Iterator[_Decoded]:
        """Decodes frames up to the last one wanted, or the first damaged one."""
        if not wanted:
            return
        with _opened(self.path) as (container, stream):
            for frame in _decoded(container, stream, wanted, self.scan.times):
                yield frame
                if frame.index == max(wanted):
                    return


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A decoded frame that is not yet RGB."""

    index: int
    timestamp_s: float
    raw: Any


class _Painter:
    """Turns the decoded frames of one video into pictures; what it sets up serves all of them."""

    def __init__(self) -> None:
        self._to_rgb, self._to_grey = VideoReformatter(), VideoReformatter()

    def upright(self, frame: _Decoded) -> VideoFrame:
        rgb = self._to_rgb.reformat(frame.raw, format="rgb24", interpolation=_TO_RGB, threads=1)
        return VideoFrame(frame.index, frame.timestamp_s, _turned(rgb, frame.raw.rotation))

    def small(self, frame: _Decoded, long_side: int) -> NDArray[np.uint8]:
        raw = frame.raw
        share = long_side / max(raw.width, raw.height)
        width, height = (max(1, round(share * n)) for n in (raw.width, raw.height))
        grey = self._to_grey.reformat(raw, width, height, "gray", interpolation=_TO_GREY, threads=1)
        return _turned(grey, raw.rotation)


def _turned(frame: Any, rotation: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(), rotation // 90), dtype=np.uint8)


def _stacked(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.empty((0, 0, 0), np.uint8)


def _check(indices: Sequence[int]) -> None:
    if any(index < 0 for index in indices):
        raise ValueError(f"frame indices count from 0, got {min(indices)}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Opens a file and its video stream; whatever PyAV raises becomes `Rejected`."""
    try:
        with av.open(path, "r") as container:
            if not container.streams.video:
                raise Rejected(RejectReason.NO_VIDEO_STREAM, f"{path.name} has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise Rejected(RejectReason.UNREADABLE_VIDEO, f"{path.name} has no known codec")
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.FFmpegError, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Rejected(
            RejectReason.UNREADABLE_VIDEO, f"{path.name} cannot be read: {reason}"
        ) from error


def _scan(path: Path) -> _Scan:
    """Counts the packets of a file, and decodes its first frame on the way."""
    with _opened(path) as (container, stream):
        seen = _Packets()
        packets = seen.note(_until_error(container.demux(stream)))
        first = next(_until_error(one for packet in packets for one in packet.decode()), None)
        collections.deque(packets, maxlen=0)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        steady = abs(float(stream.base_rate or rate) - rate) <= STEADY * rate
        size = (first.width, first.height) if first else None
        return _Scan(
            expected=max(stream.frames, seen.present),
            sound=seen.sound,
            shown=len(seen.times),
            times=seen.told(),
            fps=rate,
            steady=steady,
            size=size[::-1] if first and size and first.rotation % 180 else size,
        )


class _Packets:
    """Counts packets as they come by.

    Attributes:
        present: Packets that hold something.
        sound: Those that are whole.
        times: Presentation times of those whose frame is meant to be shown: an edit list hides
            some.
    """

    def __init__(self) -> None:
        self.present = self.sound = 0
        self.times: list[int | None] = []

    def note(self, packets: Iterator[Any]) -> Iterator[Any]:
        for packet in packets:
            if packet.size:
                self.present += 1
                if not packet.is_corrupt:
                    self.sound += 1
                    if not packet.is_discard:
                        self.times.append(packet.pts)
            yield packet

    def told(self) -> tuple[int, ...]:
        """Gives the times in order, or none where some are missing or the same."""
        known = sorted({time for time in self.times if time is not None})
        return tuple(known) if len(known) == len(self.times) else ()


def _decoded(
    container: Any, stream: Any, wanted: Set[int], times: Sequence[int]
) -> Iterator[_Decoded]:
    """Decodes frames in presentation order, up to the first damaged one.

    Args:
        container: The opened file.
        stream: Its video stream.
        wanted: Frames that must be among them.
        times: Presentation times of all frames; without them, frames are counted as they come.
    """
    frames = _until_error(_passed(container, stream, wanted, times))
    places = {time: index for index, time in enumerate(times)}
    rate = float(stream.guessed_rate or 1)
    base = stream.time_base
    start = float(times[0]) * base.numerator / base.denominator if times else None
    for count, frame in enumerate(frames):
        index = places.get(frame.pts) if times else count
        if frame.is_corrupt or index is None:
            return
        time = index / rate if frame.time is None else frame.time
        start = time if start is None else start
        yield _Decoded(index, float(time - start), frame)


def _passed(container: Any, stream: Any, wanted: Set[int], times: Sequence[int]) -> Iterator[Any]:
    """Decodes frames; some that are not wanted and that no other one needs are passed over.

    Those are a third to a half of what x264 writes by default; the others stay the same bits.
    """
    needed = {times[index] for index in wanted if index < len(times)}
    context = stream.codec_context
    skips = bool(times) and context.name in SKIPS
    for packet in container.demux(stream):
        if skips:
            whole = not packet.size or packet.pts in needed
            context.skip_frame = "DEFAULT" if whole else "NONREF"
        yield from packet.decode()


def _until_error(items: Iterator[Any]) -> Iterator[Any]:
    """Gives packets or frames up to the first that FFmpeg refuses."""
    with contextlib.suppress(av.FFmpegError):
        yield from items


def _reject_damaged(path: Path, wanted: int | None = None) -> NoReturn:
    """Says how much of a file decodes."""
    scan = _scan(path)
    if scan.expected == 0:
        raise Rejected(RejectReason.NO_FRAMES, f"{path.name} holds no video frame")
    with _opened(path) as (container, stream):
        decode = sum(1 for _ in _decoded(container, stream, set(), ()))
    detail = f"{path.name}: {decode} of {scan.expected} frames decode"
    if wanted is not None:
        detail += f", frame {wanted} was wanted"
    raise Rejected(RejectReason.UNREADABLE_VIDEO, detail)
