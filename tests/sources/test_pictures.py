"""Folders of frames and single pictures, read as videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import Rejected, RejectReason
from schemas.provenance import file_hash
from sources.encode import write_video
from sources.pictures import PICTURE_SUFFIXES
from sources.video import open_video, probe, read_frames
from tests.films import panned, save

Frame = NDArray[np.uint8]


def reason(call: Callable[[], object]) -> tuple[RejectReason, str]:
    with pytest.raises(Rejected) as caught:
        call()
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("first", [0, 1, 97])
def test_a_folder_is_a_clip_in_the_order_of_its_numbers(tmp_path: Path, first: int) -> None:
    film = panned(12)
    for number, frame in enumerate(film, start=first):
        (tmp_path / "clip").mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / f"clip/frame{number}.png")  # frame9, frame10
    info = probe(tmp_path / "clip", fps=50)
    assert (info.frames, info.fps, info.width, info.height) == (12, 50, 160, 120)
    assert info.first_number == first
    frames = read_frames(tmp_path / "clip", [10, 0, 10], fps=50)
    assert [frame.index for frame in frames] == [10, 0, 10]
    assert [frame.timestamp_s for frame in frames] == [0.2, 0.0, 0.2]
    np.testing.assert_array_equal(frames[0].image, film[10])


def test_thumbnails_are_those_of_a_video(tmp_path: Path) -> None:
    film = panned(6)
    write_video(tmp_path / "v.mp4", film, 25, crf=0)
    folder = save(tmp_path / "v", film)
    ours, theirs = (open_video(path).look([], 4, 64).start for path in (folder, tmp_path / "v.mp4"))
    assert ours.shape == theirs.shape == (4, 48, 64)
    assert abs(ours.astype(int) - theirs).mean() < 2


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_a_single_picture_is_a_clip_of_one_frame(tmp_path: Path, suffix: str) -> None:
    flat = np.full((40, 60, 3), (200, 90, 30), np.uint8)
    Image.fromarray(flat).save(tmp_path / f"x{suffix.upper()}")
    info = probe(tmp_path / f"x{suffix.upper()}")
    assert (info.frames, info.fps, info.width, info.height) == (1, 25, 60, 40)
    [frame] = read_frames(tmp_path / f"x{suffix.upper()}", [0])
    assert abs(frame.image.astype(int) - flat).max() <= 4
    assert frame.timestamp_s == 0


def test_a_folder_with_one_picture_needs_no_number(tmp_path: Path) -> None:
    save(tmp_path / "clip/portrait.png", panned(1))
    assert probe(tmp_path / "clip").frames == 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = ".tif" if mode == "CMYK" else ".png"
    Image.fromarray(panned(1)[0]).convert(mode).save(tmp_path / f"x{suffix}")
    image = read_frames(tmp_path / f"x{suffix}", [0])[0].image
    assert image.shape == (120, 160, 3)
    assert abs(image.mean() - panned(1)[0].mean()) < 20


def test_a_picture_taken_upright_is_turned(tmp_path: Path) -> None:
    picture = Image.fromarray(panned(1)[0])
    exif = picture.getexif()
    exif[0x0112] = 6  # turn clockwise to see it
    picture.save(tmp_path / "x.jpg", exif=exif, quality=95)
    info = probe(tmp_path / "x.jpg")
    image = read_frames(tmp_path / "x.jpg", [0])[0].image
    assert (info.height, info.width) == image.shape[:2] == (160, 120)
    assert abs(image.astype(int) - np.rot90(panned(1)[0], -1)).mean() < 3


def test_other_files_in_the_folder_are_ignored(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", panned(3))
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._0000.png").write_bytes(b"x")
    (folder / "9.png").mkdir()
    assert probe(folder).frames == 3


def spoil_gap(folder: Path) -> None:
    (folder / "0002.png").unlink()


def spoil_twice(folder: Path) -> None:
    save(folder / "2.png", panned(1))


def spoil_kinds(folder: Path) -> None:
    save(folder / "0005.jpg", panned(1))


def spoil_size(folder: Path) -> None:
    Image.fromarray(panned(1)[0][:100]).save(folder / "0003.png")


def spoil_name(folder: Path) -> None:
    save(folder / "cover.png", panned(1))


def spoil_clip(folder: Path) -> None:
    save(folder / "other_0006.png", panned(1))


def spoil_turned(folder: Path) -> None:
    Image.fromarray(np.rot90(panned(1)[0])).save(folder / "0003.png")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_gap, "clip has a gap: after frame 1 comes 3"),
        (spoil_twice, "clip has two frames of the number 2"),
        (spoil_kinds, "clip mixes kinds of pictures (1 .jpg, 5 .png)"),
        (spoil_size, "0000.png is 160 x 120, 0003.png is 160 x 100 pixels"),
        (spoil_turned, "0003.png is 120 x 160 pixels"),
        (spoil_name, "cover.png in clip has no number in its name"),
        (spoil_clip, "more than one clip: 0000.png and other_0006.png"),
    ],
)
def test_a_folder_that_is_no_whole_clip_is_rejected(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = save(tmp_path / "clip", panned(5))
    spoil(folder)
    for call in (lambda: probe(folder), lambda: open_video(folder)):
        why, detail = reason(call)
        assert why is RejectReason.BAD_FRAMES
        assert said in detail
        assert str(tmp_path) not in detail


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", panned(5))
    whole = (folder / "0003.png").read_bytes()
    for content in (b"", b"no picture", whole[:30], whole[: len(whole) // 2]):
        (folder / "0003.png").write_bytes(content)
        why, detail = reason(lambda: read_frames(folder, range(5)))
        assert why is RejectReason.UNREADABLE_VIDEO
        assert detail.startswith("0003.png cannot be read: ")
        assert str(tmp_path) not in detail


def test_deep_pictures_are_not_guessed_at(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "x.png")
    why, detail = reason(lambda: read_frames(tmp_path / "x.png", [0]))
    assert (why, "I;16" in detail) == (RejectReason.UNREADABLE_VIDEO, True)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert reason(lambda: probe(tmp_path / "empty"))[1].startswith("empty cannot be read: it is a")
    assert reason(lambda: probe(tmp_path / "no.png"))[0] is RejectReason.UNREADABLE_VIDEO
    folder = save(tmp_path / "clip", panned(2))
    assert "frame 2 was wanted" in reason(lambda: read_frames(folder, [2]))[1]


def test_the_hash_of_a_folder_tells_of_each_frame_and_name(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", panned(3))
    before = file_hash(folder)
    (folder / ".DS_Store").write_bytes(b"x")
    assert file_hash(folder) == before
    (folder / "0002.png").rename(folder / "0003.png")
    assert file_hash(folder) != before
    (folder / "0003.png").rename(folder / "0002.png")
    assert file_hash(folder) == before
    save(folder / "0001.png", panned(1, seed=2))
    assert file_hash(folder) != before
