"""Reading and writing videos: exact frames, exact colours, and a reason for every failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.errors import OutputError, Rejected, RejectReason
from sources.encode import CRF, write_video
from sources.video import open_video, probe, read_frames

Frames = list[NDArray[np.uint8]]
FRAMES = 30


def numbered(count: int, height: int = 96, width: int = 128) -> Frames:
    """Noisy grey frames whose mean level is 8 * index: each can be told from its neighbours."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (height, width, 1))
    levels = [np.clip(8 * k + rng.permutation(noise), 0, 255) for k in range(count)]
    return [np.repeat(level, 3, axis=2).astype(np.uint8) for level in levels]


def colour_card() -> NDArray[np.uint8]:
    """48 flat patches, 16 pixels each, of colours all over the cube."""
    patches = np.random.default_rng(3).integers(10, 246, (6, 8, 3))
    return np.kron(patches, np.ones((16, 16, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, numbered(FRAMES), fps=25, crf=0)
    return path


def remuxed(clip: Path, path: Path, container: str = "mp4") -> Path:
    """Copies the packets; without faststart, MP4 keeps its index at the end of the file."""
    with av.open(clip) as source, av.open(path, "w", format=container) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def reason(call: Callable[[], object]) -> tuple[RejectReason, str]:
    with pytest.raises(Rejected) as caught:
        call()
    return caught.value.reason, caught.value.detail


def test_probe_counts_size_rate_and_frames(clip: Path) -> None:
    info = probe(clip)
    assert (info.frames, info.fps, info.width, info.height) == (FRAMES, 25.0, 128, 96)


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_probe_counts_where_the_header_has_no_count(
    clip: Path, tmp_path: Path, container: str
) -> None:
    path = remuxed(clip, tmp_path / "clip.any", container)
    with av.open(path) as opened:
        assert opened.streams.video[0].frames == 0
    assert probe(path).frames == FRAMES


@settings(max_examples=15, deadline=None)
@given(indices=st.lists(st.integers(0, FRAMES - 1), max_size=6))
def test_read_gives_exactly_the_frames_wanted(clip: Path, indices: list[int]) -> None:
    frames = read_frames(clip, indices)
    assert [frame.index for frame in frames] == indices
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.timestamp_s == pytest.approx(frame.index / 25)
        truth = numbered(FRAMES)[frame.index].astype(float)
        assert abs(frame.image - truth).mean() < 1


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi"])
@pytest.mark.parametrize("options", [{}, {"bf": "7", "x264-params": "b-pyramid=0:open-gop=1"}])
def test_a_frame_is_the_same_whichever_others_are_wanted(
    tmp_path: Path, container: str, options: dict[str, str]
) -> None:
    """Frames that no wanted one needs are not decoded; AVI does not tell which frames these are."""
    path = tmp_path / "clip"
    with av.open(path, "w", format=container) as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "23", "g": "12"} | options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for image in numbered(FRAMES):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        target.mux(stream.encode())
    every = read_frames(path, range(FRAMES))
    video = open_video(path)
    assert video.info.frames == FRAMES
    for k in range(FRAMES):
        look = video.look([k], window=3, long_side=64)
        assert look.start.shape == (3, 48, 64)
        np.testing.assert_array_equal(look.frames[0].image, every[k].image)
        assert look.frames[0].timestamp_s == pytest.approx(k / 25)
        assert abs(every[k].image.mean() - numbered(FRAMES)[k].mean()) < 3


def test_negative_index_is_a_mistake(clip: Path) -> None:
    with pytest.raises(ValueError, match="-2"):
        read_frames(clip, [3, -2])


def patch_errors(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Errors (N, 3) inside the card's patches: at their borders half the chroma is missing."""
    inside = np.kron(np.ones((6, 8)), np.pad(np.ones((8, 8)), 4)).astype(bool)
    return (image.astype(np.float64) - colour_card())[inside]


def test_lossless_round_trip_keeps_colours(tmp_path: Path) -> None:
    write_video(tmp_path / "card.mp4", [colour_card()] * 3, fps=25, crf=CRF["c0"])
    error = patch_errors(read_frames(tmp_path / "card.mp4", [2])[0].image)
    assert abs(error.mean(axis=0)).max() < 0.5  # no cast
    assert abs(error).mean(axis=0).max() < 1


@pytest.mark.parametrize("crf", list(CRF.values()))
def test_every_level_has_the_right_colours_in_other_readers_too(tmp_path: Path, crf: int) -> None:
    """A reader that took BT.601 for BT.709 would be wrong by about 10 here."""
    write_video(tmp_path / "card.mp4", [colour_card()] * 2, fps=25, crf=crf)
    ours = read_frames(tmp_path / "card.mp4", [0])[0].image
    done, bgr = cv2.VideoCapture(str(tmp_path / "card.mp4")).read()
    assert done
    assert abs(patch_errors(ours)).mean(axis=0).max() < 2
    assert abs(patch_errors(bgr[..., ::-1])).mean(axis=0).max() < 3


@pytest.mark.parametrize(("degrees", "turns"), [(-90, -1), (90, 1), (180, 2)])
def test_rotation_flag_is_applied(clip: Path, tmp_path: Path, degrees: int, turns: int) -> None:
    """A phone held upright stores landscape frames and a flag."""
    with av.open(clip) as source, av.open(tmp_path / "turned.mp4", "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.set_display_rotation(degrees)
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    turned = read_frames(tmp_path / "turned.mp4", [4])[0].image
    info = probe(tmp_path / "turned.mp4")
    assert (info.height, info.width) == turned.shape[:2]
    upright = read_frames(clip, [4])[0].image
    np.testing.assert_array_equal(turned, np.rot90(upright, turns))


def test_heavier_compression_is_smaller_and_worse(tmp_path: Path) -> None:
    sizes, errors = [], []
    for name, crf in CRF.items():
        write_video(tmp_path / name, numbered(10), fps=25, crf=crf)
        sizes.append((tmp_path / name).stat().st_size)
        decoded = read_frames(tmp_path / name, [5])[0].image.astype(float)
        errors.append(abs(decoded - numbered(10)[5]).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_same_frames_same_bytes(tmp_path: Path) -> None:
    """Repeated, with memory in use: the encoder's vector code depends on what it held before."""
    contents = set()
    for turn in range(16):
        rng = np.random.default_rng(2)
        picture = cv2.resize(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8), (320, 240))
        frames = [np.roll(picture, k, 1) + rng.normal(0, 2, picture.shape) for k in range(3)]
        frames = [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]
        sizes = np.random.default_rng(turn).integers(1_000, 300_000, 50)
        garbage = [rng.integers(0, 256, size, np.uint8) for size in sizes]
        del garbage
        write_video(tmp_path / "same.mp4", frames, fps=25, crf=23)
        contents.add((tmp_path / "same.mp4").read_bytes())
    assert len(contents) == 1


def test_fractional_rate_survives(tmp_path: Path) -> None:
    write_video(tmp_path / "ntsc.mp4", numbered(10), fps=30000 / 1001, crf=23)
    assert probe(tmp_path / "ntsc.mp4").fps == pytest.approx(29.97, abs=0.001)


def test_one_frame_video(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", numbered(1), fps=25, crf=0)
    assert probe(tmp_path / "one.mp4").frames == 1
    assert read_frames(tmp_path / "one.mp4", [0])[0].timestamp_s == 0


def test_write_refuses_odd_sizes_changes_of_size_and_nothing(tmp_path: Path) -> None:
    for frames in ([], numbered(1, 95), [*numbered(1), *numbered(1, 64)]):
        with pytest.raises(ValueError, match=r"even|first|no frames"):
            write_video(tmp_path / "x.mp4", frames, fps=25, crf=0)
    with pytest.raises(OutputError, match="nowhere"):
        write_video(tmp_path / "nowhere" / "x.mp4", numbered(1), fps=25, crf=0)


def test_truncated_with_index_in_front_says_how_much_is_left(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    for call in (lambda: probe(path), lambda: read_frames(path, [FRAMES - 1])):
        why, detail = reason(call)
        assert why is RejectReason.UNREADABLE_VIDEO
        decoded, of = (int(number) for number in re.findall(r"\d+", detail.split(":")[1])[:2])
        assert of == FRAMES
        assert 5 < decoded < FRAMES
        assert str(tmp_path) not in detail
    assert len(read_frames(path, range(5))) == 5  # the sound part can still be had


def test_truncated_with_index_behind_cannot_be_opened(clip: Path, tmp_path: Path) -> None:
    whole = remuxed(clip, tmp_path / "whole.mp4")
    assert probe(whole).frames == FRAMES
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    why, detail = reason(lambda: probe(tmp_path / "cut.mp4"))
    assert why is RejectReason.UNREADABLE_VIDEO
    assert detail.startswith("cut.mp4 cannot be read")


def test_damage_in_the_middle_is_found_when_read(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    (tmp_path / "bad.mp4").write_bytes(data)
    why, detail = reason(lambda: read_frames(tmp_path / "bad.mp4", [FRAMES - 1]))
    assert why is RejectReason.UNREADABLE_VIDEO
    assert f"of {FRAMES} frames decode, frame {FRAMES - 1} was wanted" in detail


def test_index_beyond_the_end(clip: Path) -> None:
    why, detail = reason(lambda: read_frames(clip, [0, FRAMES]))
    assert why is RejectReason.UNREADABLE_VIDEO
    assert detail == f"clip.mp4: {FRAMES} of {FRAMES} frames decode, frame {FRAMES} was wanted"


@pytest.mark.parametrize("content", [b"", b"\x07garbage" * 500], ids=["empty", "garbage"])
def test_files_that_are_no_video(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    for path in (tmp_path / "x.mp4", tmp_path / "absent.mp4", tmp_path):
        why, detail = reason(lambda path=path: probe(path))  # type: ignore[misc]
        assert why is RejectReason.UNREADABLE_VIDEO
        assert detail.startswith(path.name)


def test_sound_without_picture(tmp_path: Path) -> None:
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 44100
        container.mux([*stream.encode(silence), *stream.encode()])
    why, _ = reason(lambda: read_frames(tmp_path / "sound.mp4", [0]))
    assert why is RejectReason.NO_VIDEO_STREAM
