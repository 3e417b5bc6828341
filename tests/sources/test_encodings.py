"""Video as cameras and other tools write it: ten bits, full range, turned, at no steady rate."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason
from schemas.records import Pair
from sources.pairs import SHIFTED, PairReader
from sources.video import probe, read_frames
from tests.films import LATE, panned, save, sides

PAIR = Pair(
    dataset="d", method="m", compression="", pair="p", split="", real_path="real.mp4",
    fake_path="fake.mp4",
)  # fmt: skip
TICKS = 1000
UNSTEADY = [0, 40, 95, 100, 180, 190, 300, 340, 345, 420, 500, 530, 535, 600, 640, 700]
"""Times of frames in milliseconds, as a phone stores them in the dark."""


def colours() -> NDArray[np.uint8]:
    """Flat patches of 16 pixels over the whole range of levels, black and white among them."""
    patches = np.random.default_rng(3).integers(0, 256, (6, 8, 3))
    patches[0, 0], patches[0, 1] = 0, 255
    return np.kron(patches, np.ones((16, 16, 1))).astype(np.uint8)


def encode(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    pixels: str = "yuv420p",
    full: bool = False,
    space: int = Colorspace.ITU709,
    times: Sequence[int] | None = None,
    turned: int = 0,
) -> Path:
    """Encodes without loss by PyAV, with none of the project's own settings."""
    wanted = ColorRange.JPEG if full else ColorRange.MPEG
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0", "bf": "2"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, TICKS)
        context.color_range = wanted
        context.colorspace = 1 if space == Colorspace.ITU709 else 6
        if turned:
            stream.set_display_rotation(turned)
        for index, image in enumerate(frames):
            frame = VideoReformatter().reformat(
                av.VideoFrame.from_ndarray(image, "rgb24"), format=pixels,
                dst_colorspace=space, dst_color_range=wanted,
            )  # fmt: skip
            frame.pts = times[index] if times else 40 * index
            frame.time_base = Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def errors(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Errors in the middle of the patches, where chroma of half the size is whole."""
    inside = np.kron(np.ones((6, 8)), np.pad(np.ones((8, 8)), 4)).astype(bool)
    return (image.astype(np.float64) - colours())[inside]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("space", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p"])
def test_colours_are_right_at_any_depth_range_and_matrix(
    tmp_path: Path, pixels: str, space: Colorspace, full: bool
) -> None:
    """A range mistaken for the other is wrong by 16 at black; a matrix by about 10."""
    encode(tmp_path / "v.mp4", [colours()] * 3, pixels=pixels, full=full, space=int(space))
    with av.open(tmp_path / "v.mp4") as stored:
        context = stored.streams.video[0].codec_context
        assert context.pix_fmt in {pixels, pixels.replace("yuv", "yuvj")}
        assert context.color_range == (ColorRange.JPEG if full else ColorRange.MPEG)
    found = errors(read_frames(tmp_path / "v.mp4", [2])[0].image)
    assert abs(found.mean(axis=0)).max() < 1.5
    assert abs(found).max() < 5


def test_a_ten_bit_side_pairs_with_an_eight_bit_one(tmp_path: Path) -> None:
    real, fake = sides()
    encode(tmp_path / "real.mp4", real, pixels="yuv420p10le", full=True)
    save(tmp_path / "fake.mp4", fake)
    for frame in PairReader().read(tmp_path, PAIR, 4):
        assert (frame.frame_offset, frame.repairs) == (LATE, (SHIFTED,))
        difference = cv2.absdiff(frame.real, frame.fake)
        difference[45:75, 65:95] = 0
        assert difference.mean() < 2


@pytest.mark.parametrize("turned", [-90, 90, 180])
def test_a_turned_side_pairs_with_one_that_was_stored_upright(tmp_path: Path, turned: int) -> None:
    real, fake = sides()
    lying = [np.ascontiguousarray(np.rot90(frame, -turned // 90)) for frame in real]
    encode(tmp_path / "real.mp4", lying, turned=turned)
    save(tmp_path / "fake.mp4", fake)
    info = probe(tmp_path / "real.mp4")
    assert (info.width, info.height) == (160, 120)
    frames = PairReader().read(tmp_path, PAIR, 4)
    assert {frame.frame_offset for frame in frames} == {LATE}
    for frame in frames:
        assert abs(frame.real.astype(int) - real[frame.real_index]).mean() < 2


def test_an_unsteady_rate_keeps_frames_and_their_times(tmp_path: Path) -> None:
    film = panned(16)
    encode(tmp_path / "v.mp4", film, times=UNSTEADY)
    assert probe(tmp_path / "v.mp4").frames == 16
    for frame in read_frames(tmp_path / "v.mp4", range(16)):
        assert frame.timestamp_s == pytest.approx(UNSTEADY[frame.index] / TICKS, abs=0.002)
        assert abs(frame.image.astype(int) - film[frame.index]).mean() < 2


def test_an_unsteady_pair_is_paired_frame_by_frame_not_by_time(tmp_path: Path) -> None:
    """As face swap tools do, which decode, forge and write every frame."""
    real, _ = sides()
    fake = [frame.copy() for frame in real]
    encode(tmp_path / "real.mp4", real, times=UNSTEADY)
    fake_times = [time + 7 * (index % 3) for index, time in enumerate(UNSTEADY)]
    encode(tmp_path / "fake.mp4", fake, times=sorted(fake_times))
    for frame in PairReader().read(tmp_path, PAIR, 16):
        assert frame.real_index == frame.index
        assert abs(frame.real.astype(int) - real[frame.index]).mean() < 2
        assert abs(frame.fake.astype(int) - frame.real).mean() < 2


def test_an_unsteady_side_pairs_with_a_steady_one_of_the_same_frames(tmp_path: Path) -> None:
    """A tool that forges frame by frame and writes them at 25 a second."""
    film = panned(16)
    encode(tmp_path / "real.mp4", film, times=[time * 3 for time in UNSTEADY])
    save(tmp_path / "fake.mp4", film)
    rates = [probe(tmp_path / f"{side}.mp4") for side in ("real", "fake")]
    assert [rate.steady for rate in rates] == [False, True]
    assert rates[0].fps < 0.5 * rates[1].fps
    frames = PairReader().read(tmp_path, PAIR, 16)
    assert [(frame.index, frame.real_index) for frame in frames] == [(k, k) for k in range(16)]
    for frame in frames:
        assert abs(frame.real.astype(int) - frame.fake).mean() < 3


def test_an_unsteady_side_whose_partner_repeats_frames_is_told(tmp_path: Path) -> None:
    """A tool that fills up to a steady rate: nothing pairs by place any more."""
    film = panned(16)
    encode(tmp_path / "real.mp4", film, times=[time * 3 for time in UNSTEADY])
    save(tmp_path / "fake.mp4", [film[k // 3] for k in range(48)])
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, PAIR, 4)
    assert caught.value.reason is RejectReason.FRAME_RATE_MISMATCH


@pytest.mark.parametrize(("real", "fake"), [(16, 9), (9, 16), (2, 16)])
def test_the_shorter_side_decides(tmp_path: Path, real: int, fake: int) -> None:
    film = panned(16)
    save(tmp_path / "real.mp4", film[:real])
    save(tmp_path / "fake.mp4", film[:fake])
    indices = [frame.index for frame in PairReader().read(tmp_path, PAIR, 100)]
    assert indices == list(range(min(real, fake)))
