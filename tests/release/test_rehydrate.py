"""Crops are rebuilt bit by bit from the videos, or the row says why not."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from annotators.pipeline import Measurer, PairJob
from release.rebuild import cut
from release.rehydrate import rehydrate
from release.released import open_release
from release.seal import broken_files
from schemas.errors import OutputError, UsageError
from schemas.manifest import Measure
from schemas.records import Pair
from sources.encode import write_video
from sources.pictures import from_picture, to_jpeg
from sources.video import probe, read_frames
from tests.conftest import silent
from tests.release.conftest import released_rows


@pytest.fixture
def copy(tmp_path, source):
    """A user's own copy of the source."""
    return shutil.copytree(source, tmp_path / "copy")


def rebuilt(bare, tmp_path, copy):
    place = tmp_path / "again"
    return place, rehydrate(bare, place, copy, copy, silent)


def test_files_are_those_of_a_release_with_pixels(bare, tmp_path, copy, make):
    place, found = rebuilt(bare, tmp_path, copy)
    assert found.missing == {}
    assert make(tmp_path / "with", with_pixels=True, formats=("coco",)).passed
    for path in open_release(tmp_path / "with" / "1.0.0").files:
        other = place / path.relative_to(tmp_path / "with" / "1.0.0")
        assert other.read_bytes() == path.read_bytes()
    assert (place / "images" / f"{released_rows(place)[0].id}-fake.jpg").is_file()
    assert broken_files(place) == []
    assert "They were rebuilt from a copy of the source" in (place / "README.md").read_text()


def test_videos_that_are_missing_or_others_are_told_row_by_row(bare, tmp_path, copy, rows):
    videos = sorted({row.fake_path for row in rows})
    (copy / videos[0]).unlink()
    with (copy / videos[1]).open("ab") as file:
        file.write(b"x")
    place, found = rebuilt(bare, tmp_path, copy)
    expected = {"missing video": videos[0], "other video": videos[1]}
    lines = list(csv.DictReader((place / "missing.csv").read_text().splitlines()))
    for reason, video in expected.items():
        ids = {row.id for row in rows if row.fake_path == video}
        assert found.missing[reason] == len(ids)
        assert {line["id"] for line in lines if line["reason"] == reason} == ids
    there = released_rows(place)
    assert [row.id for row in there] == [row.id for row in rows]
    for row in there:
        assert (row.fake.bytes is None) == (row.fake_path in expected.values())
    assert found.rows == sum(row.fake.bytes is not None for row in there)
    coco = json.loads((place / "coco" / "unsplit.json").read_text())
    assert len(coco["images"]) == 2 * found.rows
    assert all((place / "images" / image["file_name"]).is_file() for image in coco["images"])
    assert {one["image_id"] for one in coco["annotations"]} <= {one["id"] for one in coco["images"]}


def test_pixels_that_are_not_the_annotated_ones_are_not_passed_on(
    bare, tmp_path, copy, monkeypatch
):
    monkeypatch.setattr("release.rebuild.to_jpeg", lambda image, quality: to_jpeg(image, 50))
    place, found = rebuilt(bare, tmp_path, copy)
    assert found.rows == 0
    assert set(found.missing) == {"other pixels"}
    assert all(row.real.bytes is None for row in released_rows(place))


def test_what_cannot_be_rebuilt_is_one_clear_error(bare, full, tmp_path, copy):
    with pytest.raises(UsageError, match="has its pixels already"):
        rehydrate(full, tmp_path / "again", copy, copy, silent)
    with pytest.raises(UsageError, match="is there already"):
        rehydrate(bare, copy, copy, copy, silent)
    with pytest.raises(OutputError, match="is no release"):
        rehydrate(copy, tmp_path / "again", copy, copy, silent)
    changed = shutil.copytree(bare, tmp_path / "changed")
    (changed / "rejects.parquet").write_bytes(b"x")
    with pytest.raises(OutputError, match=r"was changed or is not whole: rejects\.parquet"):
        rehydrate(changed, tmp_path / "again", copy, copy, silent)
    assert not (tmp_path / "again").exists()


def graded(image):
    return np.clip(image * 1.12 * (1.06, 1.0, 0.95), 0, 255).astype(np.uint8)


def moved(image):
    return np.roll(image, (2, 3), (0, 1))


CHANGES = {
    "graded": (graded, {"graded"}),
    "mirrored": (lambda image: image[:, ::-1], {"mirrored"}),
    "mirrored, graded": (lambda image: graded(image[:, ::-1]), {"mirrored", "graded"}),
    "moved": (moved, {"registered"}),
    "moved, mirrored": (lambda image: moved(image)[:, ::-1], {"registered", "mirrored"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_repaired_sides_are_rebuilt_too(source, rows, tmp_path, change):
    """Measures a pair whose fake side must be repaired, and cuts its crops again from the row."""
    do, repairs = CHANGES[change]
    row = next(one for one in rows if one.method == "LipRecolour" and one.compression == "c23")
    count = probe(source / row.fake_path).frames
    frames = [do(frame.image) for frame in read_frames(source / row.fake_path, range(count))]
    write_video(tmp_path / "fake.mp4", frames, 25.0, 18)
    shutil.copyfile(source / row.real_path, tmp_path / "real.mp4")
    pair = Pair(dataset="toy", method="LipRecolour", compression="c23", pair="a", split="",
                real_path="real.mp4", fake_path="fake.mp4")  # fmt: skip
    measurer = Measurer(Measure(frames=1, context=3))
    found, rejects, _ = measurer.measure_pair(PairJob(Path(tmp_path), pair, "edit", "", "", ""))
    assert not rejects
    (one,) = found
    assert repairs <= set(one.repairs)
    assert bool(one.grade) == ("graded" in one.repairs)
    real = read_frames(tmp_path / "real.mp4", [one.frame_index + one.frame_offset])[0].image
    fake = read_frames(tmp_path / "fake.mp4", [one.frame_index])[0].image
    for image, stored in zip(
        cut(one.model_dump(), real, fake, 512), (one.real, one.fake), strict=True
    ):
        assert to_jpeg(image, Measure().crop_quality) == stored.bytes
        assert from_picture(stored.bytes).shape == (512, 512, 3)


def test_a_row_that_leads_out_of_the_source_is_not_followed(bare, tmp_path, copy):
    """A release comes from a stranger: its paths are data."""
    from release.rebuild import Copy, rebuild

    row = released_rows(bare)[0].model_dump()
    place = Copy(copy, copy, 512, 95)
    for path in ("../secret.mp4", "/etc/passwd"):
        (found,) = rebuild([row | {"fake_path": path}], place)
        assert found.reason == "strange path"
