"""How `sources.video` gets frames out of files: PyAV, and which frames need not be decoded."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason

STEADY = 0.01
"""Share by which the rate that fits every frame may differ from the average one."""
SKIPS = frozenset({"h264"})
"""Codecs of which frames that no other frame needs are passed over undecoded."""

_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT  # the same pixels on every machine
_TO_RGB = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | _EXACT
_TO_GREY = Interpolation.AREA | _EXACT


@dataclass(frozen=True)
class Scan:
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


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded frame that is not yet RGB."""

    index: int
    timestamp_s: float
    raw: Any


class Painter:
    """Turns the decoded frames of one video into pictures; what it sets up serves all of them."""

    def __init__(self) -> None:
        self._to_rgb, self._to_grey = VideoReformatter(), VideoReformatter()

    def rgb(self, frame: Decoded) -> NDArray[np.uint8]:
        """Gives `(H, W, 3) uint8` RGB, upright."""
        raw = frame.raw
        whole = self._to_rgb.reformat(raw, format="rgb24", interpolation=_TO_RGB, threads=1)
        return _turned(whole, raw.rotation)

    def grey(self, frame: Decoded, long_side: int) -> NDArray[np.uint8]:
        """Gives a small grey picture, `(h, w) uint8`, upright."""
        raw = frame.raw
        share = long_side / max(raw.width, raw.height)
        width, height = (max(1, round(share * n)) for n in (raw.width, raw.height))
        grey = self._to_grey.reformat(raw, width, height, "gray", interpolation=_TO_GREY, threads=1)
        return _turned(grey, raw.rotation)


def _turned(frame: Any, rotation: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(), rotation // 90), dtype=np.uint8)


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


def header(path: Path) -> tuple[int, int, int]:
    """Gives frames (0 where it is not told), width and height as a header tells them.

    A file that ends before its index says is refused; nothing is decoded.

    Raises:
        Rejected: `UNREADABLE_VIDEO`, `NO_VIDEO_STREAM`.
    """
    with _opened(path) as (container, stream):
        if not stream.width or not stream.height:
            raise Rejected(RejectReason.UNREADABLE_VIDEO, f"{path.name} tells no size")
        places = stream.index_entries
        if len(places) and places[-1].pos + places[-1].size > path.stat().st_size:
            raise Rejected(RejectReason.UNREADABLE_VIDEO, f"{path.name} is cut off")
        lasts = stream.duration * stream.time_base if stream.duration else 0
        lasts = lasts or (container.duration or 0) / av.time_base
        told = stream.frames or round(float(lasts * (stream.average_rate or 0)))
        return told, stream.width, stream.height


def scan(path: Path) -> Scan:
    """Counts the packets of a file, and decodes its first frame on the way."""
    with _opened(path) as (container, stream):
        seen = _Packets()
        packets = seen.note(_until_error(container.demux(stream)))
        first = next(_until_error(one for packet in packets for one in packet.decode()), None)
        collections.deque(packets, maxlen=0)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        steady = abs(float(stream.base_rate or rate) - rate) <= STEADY * rate
        size = (first.width, first.height) if first else None
        return Scan(
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


def decode(path: Path, wanted: Set[int], times: Sequence[int]) -> Iterator[Decoded]:
    """Decodes frames in order, up to the last one wanted or the first damaged one.

    Args:
        path: The video.
        wanted: Frames that must be among them.
        times: `Scan.times`.

    Raises:
        Rejected: `UNREADABLE_VIDEO`, `NO_VIDEO_STREAM`.
    """
    if not wanted:
        return
    last = max(wanted)
    with _opened(path) as (container, stream):
        for frame in _decoded(container, stream, wanted, times):
            yield frame
            if frame.index == last:
                return


def _decoded(
    container: Any, stream: Any, wanted: Set[int], times: Sequence[int]
) -> Iterator[Decoded]:
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
        yield Decoded(index, float(time - start), frame)


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


def reject_damaged(path: Path, wanted: int | None = None) -> NoReturn:
    """Says how much of a file decodes."""
    found = scan(path)
    if found.expected == 0:
        raise Rejected(RejectReason.NO_FRAMES, f"{path.name} holds no video frame")
    with _opened(path) as (container, stream):
        decode = sum(1 for _ in _decoded(container, stream, set(), ()))
    detail = f"{path.name}: {decode} of {found.expected} frames decode"
    if wanted is not None:
        detail += f", frame {wanted} was wanted"
    raise Rejected(RejectReason.UNREADABLE_VIDEO, detail)
