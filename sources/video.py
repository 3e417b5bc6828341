"""Reads and writes video files, frame by exact frame, through PyAV (FFmpeg inside the wheel).

A video that cannot be read is an expected failure: it raises `Rejected` with a reason and the
file's name, never an error of PyAV. A stream without a colour tag is read as BT.601, as FFmpeg
and OpenCV read it; files written here carry the tag BT.709. A folder of frames or a picture is read
in the same way (`sources.pictures`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from schemas.errors import OutputError, Rejected, RejectReason
from sources.pictures import DEFAULT_FPS, is_pictures, open_pictures

CRF = {"c0": 0, "c23": 23, "c40": 40}
"""FaceForensics++ compression levels as libx264 quality; 0 is lossless but for 4:2:0 chroma."""

BT709 = 1
"""Code of BT.709 for colour space, primaries and transfer curve (ITU-T H.273)."""

STEADY = 0.01
"""Share by which the rate that fits every frame may differ from the average one."""

_SAME_BYTES = "cpu-independent=1"  # else x264's vector code now and then differs
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT  # the same pixels on every machine
_TO_RGB = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | _EXACT
_TO_GREY = Interpolation.AREA | _EXACT
_TO_YUV = Interpolation.AREA | Interpolation.FULL_CHR_H_INP | _EXACT


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


def probe(path: Path, fps: float = DEFAULT_FPS) -> VideoInfo:
    """Gives the size, the rate and the exact number of frames of a video.

    Only the first frame is decoded; the others are counted as packets. Of pictures, the headers
    are read.

    Args:
        path: A video, a folder of frames, or a picture.
        fps: Rate of pictures; a video has its own.

    Raises:
        Rejected: `UNREADABLE_VIDEO` (absent, damaged or truncated), `NO_VIDEO_STREAM`,
            `NO_FRAMES`, `BAD_FRAMES`.
    """
    if is_pictures(path):
        clip = open_pictures(path)
        return VideoInfo(len(clip.frames), fps, *clip.size(), first_number=clip.first_number)
    with _opened(path) as (container, stream):
        count = _packets(container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        steady = abs(float(stream.base_rate or rate) - rate) <= STEADY * rate
    with _opened(path) as (container, stream):
        first = next(_until_error(container.decode(stream)), None)
    if first is None or count.sound < count.expected:
        _reject_damaged(path)
    size = (first.width, first.height)
    width, height = size[::-1] if first.rotation % 180 else size
    return VideoInfo(count.shown, rate, width, height, steady)


def read_frames(path: Path, indices: Sequence[int], fps: float = DEFAULT_FPS) -> list[VideoFrame]:
    """Decodes some frames of a video, from the start to the last one wanted.

    Args:
        path: The video, the folder of frames, or the picture.
        indices: Frames to give, counted from 0 in presentation order; any order, may repeat.
        fps: Rate of pictures; a video has its own timestamps.

    Returns:
        One frame for each index, in the order of `indices`; only these are held in memory.

    Raises:
        ValueError: An index is negative.
        Rejected: `UNREADABLE_VIDEO` (absent, damaged, or it ends before the last index),
            `NO_VIDEO_STREAM`, `NO_FRAMES`, `BAD_FRAMES`.
    """
    if any(index < 0 for index in indices):
        raise ValueError(f"frame indices count from 0, got {min(indices)}")
    if is_pictures(path):
        clip = open_pictures(path)
        decoded = {index: clip.read(index) for index in sorted(set(indices))}
        return [VideoFrame(index, index / fps, decoded[index]) for index in indices]
    wanted, last = set(indices), max(indices, default=-1)
    found: dict[int, VideoFrame] = {}
    if wanted:
        with _opened(path) as (container, stream):
            for frame in _sound(container, stream):
                if frame.index in wanted:
                    found[frame.index] = frame.upright()
                if frame.index == last:
                    break
    if len(found) < len(wanted):
        _reject_damaged(path, min(wanted - set(found)))
    return [found[index] for index in indices]


def read_thumbnails(path: Path, count: int, long_side: int) -> NDArray[np.uint8]:
    """Decodes the first frames of a video as small grey pictures.

    Args:
        path: The video, the folder of frames, or the picture.
        count: Most frames to give.
        long_side: Pixels of a picture's longer side; the other one keeps the shape.

    Returns:
        `(frames, h, w) uint8`, upright.

    Raises:
        Rejected: `UNREADABLE_VIDEO`, `NO_VIDEO_STREAM`, `NO_FRAMES`, `BAD_FRAMES`.
    """
    if is_pictures(path):
        clip = open_pictures(path)
        clip.size()
        return np.stack([clip.thumbnail(k, long_side) for k in range(len(clip.frames))[:count]])
    with _opened(path) as (container, stream):
        frames = itertools.islice(_sound(container, stream), count)
        small = [frame.thumbnail(long_side) for frame in frames]
    if not small:
        _reject_damaged(path)
    return np.stack(small)


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: float, crf: int) -> None:
    """Encodes frames as H.264 in MP4; the same frames give the same bytes.

    4:2:0 chroma, BT.709, one thread, no dates and no program names in the container.

    Args:
        path: File to make; its folder must exist.
        frames: `(H, W, 3) uint8` RGB, all of one size, height and width even.
        fps: Frames per second, kept to a thousandth.
        crf: Quality of libx264, 0 (lossless) to 51; see `CRF`.

    Raises:
        ValueError: No frame, an odd size, or frames of different sizes.
        OutputError: The file cannot be written.
    """
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    try:
        with av.open(path, "w", format="mp4", options=options) as container:
            stream = None
            for index, image in enumerate(frames):
                stream = stream or _new_stream(container, image, fps, crf)
                if image.shape != (stream.height, stream.width, 3):
                    raise ValueError(f"frame {index} is {image.shape}, the first was not")
                container.mux(stream.encode(_to_yuv(image, index)))
            if stream is None:
                raise ValueError(f"no frames to write to {path.name}")
            container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


@dataclass(frozen=True, eq=False)
class _Decoded:
    """A decoded frame that is not yet RGB."""

    index: int
    timestamp_s: float
    raw: Any

    def upright(self) -> VideoFrame:
        rgb = VideoReformatter().reformat(
            self.raw, format="rgb24", interpolation=_TO_RGB, threads=1
        )
        pixels = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        turned = np.rot90(pixels, self.raw.rotation // 90)
        return VideoFrame(self.index, self.timestamp_s, np.ascontiguousarray(turned))

    def thumbnail(self, long_side: int) -> NDArray[np.uint8]:
        share = long_side / max(self.raw.width, self.raw.height)
        width, height = (max(1, round(share * n)) for n in (self.raw.width, self.raw.height))
        grey = VideoReformatter().reformat(
            self.raw, width, height, "gray", interpolation=_TO_GREY, threads=1
        )
        turned = np.rot90(grey.to_ndarray(), self.raw.rotation // 90)
        return np.ascontiguousarray(turned, dtype=np.uint8)


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


def _sound(container: Any, stream: Any) -> Iterator[_Decoded]:
    """Decodes frames in presentation order, up to the first damaged one."""
    rate, start = float(stream.guessed_rate or 1), None
    for index, frame in enumerate(_until_error(container.decode(stream))):
        if frame.is_corrupt:
            return
        time = index / rate if frame.time is None else frame.time
        start = time if start is None else start
        yield _Decoded(index, float(time - start), frame)


def _until_error(items: Iterator[Any]) -> Iterator[Any]:
    """Gives packets or frames up to the first that FFmpeg refuses."""
    with contextlib.suppress(av.FFmpegError):
        yield from items


@dataclass(frozen=True)
class _Count:
    """Packets of a stream: promised by the header or present, whole, and meant to be shown."""

    expected: int
    sound: int
    shown: int


def _packets(container: Any, stream: Any) -> _Count:
    packets = [packet for packet in _until_error(container.demux(stream)) if packet.size]
    sound = [packet for packet in packets if not packet.is_corrupt]
    shown = sum(not packet.is_discard for packet in sound)  # an edit list hides some
    return _Count(max(stream.frames, len(packets)), len(sound), shown)


def _reject_damaged(path: Path, wanted: int | None = None) -> NoReturn:
    """Says how much of a file decodes."""
    with _opened(path) as (container, stream):
        expected = _packets(container, stream).expected
    if expected == 0:
        raise Rejected(RejectReason.NO_FRAMES, f"{path.name} holds no video frame")
    with _opened(path) as (container, stream):
        decode = sum(1 for _ in _sound(container, stream))
    detail = f"{path.name}: {decode} of {expected} frames decode"
    if wanted is not None:
        detail += f", frame {wanted} was wanted"
    raise Rejected(RejectReason.UNREADABLE_VIDEO, detail)


def _new_stream(container: Any, image: NDArray[np.uint8], fps: float, crf: int) -> Any:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"4:2:0 video needs an even size, got {width} x {height}")
    rate = Fraction(round(fps * 1000), 1000)
    options = {"crf": str(crf), "x264-params": _SAME_BYTES}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG
    return stream


def _to_yuv(image: NDArray[np.uint8], index: int) -> Any:
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=_TO_YUV,
        threads=1,
    )
    frame.pts = index
    return frame
