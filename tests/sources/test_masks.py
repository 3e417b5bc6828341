"""A dataset's own mask beside its fake: damaged, cut short, of another shape, or right."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.masks import MaskTrouble, trouble_with_mask
from tests.films import panned, save


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return save(tmp_path / "fake.mp4", panned(30))


def test_a_mask_of_the_clip_may_be_smaller_and_a_little_shorter(fake: Path, tmp_path: Path) -> None:
    small = [frame[::2, ::2] for frame in panned(28)]
    assert trouble_with_mask(save(tmp_path / "mask.mp4", small), fake) is None
    assert trouble_with_mask(save(tmp_path / "mask", small), fake) is None
    picture = save(tmp_path / "fake.png", panned(1))
    assert trouble_with_mask(save(tmp_path / "mask.png", small), picture) is None


def test_a_damaged_mask_is_told(fake: Path, tmp_path: Path) -> None:
    whole = save(tmp_path / "mask.mp4", panned(30)).read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no video at all"):
        (tmp_path / "mask.mp4").write_bytes(content)
        trouble = trouble_with_mask(tmp_path / "mask.mp4", fake)
        assert trouble
        assert trouble[0] is MaskTrouble.UNREADABLE
        assert trouble[1].startswith(("mask.mp4 cannot be read: ", "mask.mp4 is cut off"))
    (tmp_path / "empty").mkdir()
    assert trouble_with_mask(tmp_path / "empty", fake)
    assert trouble_with_mask(fake, tmp_path / "mask.mp4") is None  # that is a reject of its own


@pytest.mark.parametrize("name", ["mask.mp4", "mask", "mask.png"])
def test_a_mask_that_is_too_short_is_told(fake: Path, tmp_path: Path, name: str) -> None:
    mask = save(tmp_path / name, panned(1 if name.endswith("png") else 20))
    count = 1 if name.endswith("png") else 20
    told = f"{name} has {count} frames, the fake 30"
    assert trouble_with_mask(mask, fake) == (MaskTrouble.LENGTH, told)


def test_a_mask_of_another_shape_is_told(fake: Path, tmp_path: Path) -> None:
    square = save(tmp_path / "mask.mp4", [frame[:, :120] for frame in panned(30)])
    told = "mask.mp4 is 120 x 120, the fake 160 x 120 pixels"
    assert trouble_with_mask(square, fake) == (MaskTrouble.SHAPE, told)
