"""Writes videos as the datasets of the field hold them: H.264 in MP4, the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from schemas.errors import OutputError

CRF = {"c0": 0, "c23": 23, "c40": 40}
"""FaceForensics++ compression levels as libx264 quality; 0 is lossless but for 4:2:0 chroma."""

BT709 = 1
"""Code of BT.709 for colour space, primaries and transfer curve (ITU-T H.273)."""

_SAME_BYTES = "cpu-independent=1"  # else x264's vector code now and then differs
_TO_YUV = (
    Interpolation.AREA
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT  # the same pixels on every machine
)


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
