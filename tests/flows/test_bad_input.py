"""Bad input of a whole run: each is a reject or one error, and nothing is lost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from flows import stages
from flows.local import annotate_dataset
from flows.run import make_run
from schemas.errors import BackendUnavailable, OutputError, RejectReason, SourceMissing, UsageError
from schemas.records import Reject
from schemas.shards import read_records
from sources.encode import write_video
from sources.video import read_frames
from tests.conftest import silent
from tests.results import rejects_of, rows_of


@pytest.fixture
def damaged(source: Path, tmp_path: Path) -> Path:
    """A copy of the small dataset, one video of each kind of damage."""
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    (copy / "original_sequences/youtube/c40/videos/000.mp4").unlink()
    videos = copy / "manipulated_sequences/LipRecolour/c23/videos"
    whole = (videos / "000_001.mp4").read_bytes()
    (videos / "000_001.mp4").write_bytes(whole[: len(whole) // 2])
    grey = [np.full((480, 640, 3), 90, np.uint8)] * 6
    write_video(videos / "001_000.mp4", [f[:240, :320] for f in grey], 25, 23)
    videos = copy / "manipulated_sequences/SkinSmoothing/c23/videos"
    write_video(videos / "000_001.mp4", grey, 10, 23)
    (videos / "001_000.mp4").write_bytes(b"")
    return copy


def test_damaged_videos_become_rejects_and_the_run_goes_on(damaged, tmp_path, write_manifest):
    path = write_manifest(tmp_path, datasets__toy__root=str(damaged))
    run = make_run("toy", path, workers=1)
    summary = annotate_dataset(run, silent).summary
    reasons = {
        (one.method, one.compression, one.pair): one.reason
        for one in rejects_of(run)
        if one.frame_index is None
    }
    assert reasons == {
        ("LipRecolour", "c23", "000_001"): "unreadable_video",
        ("LipRecolour", "c23", "001_000"): "size_mismatch",
        ("SkinSmoothing", "c23", "000_001"): "frame_rate_mismatch",
        ("SkinSmoothing", "c23", "001_000"): "unreadable_video",
        ("LipRecolour", "c40", "000_001"): "missing_partner",
        ("SkinSmoothing", "c40", "000_001"): "missing_partner",
        ("Unforged", "c40", "000_001"): "missing_partner",
    }
    assert set(summary.rejects) <= set(RejectReason)
    left = [one for one in rejects_of(run) if one.id.startswith("toy/LipRecolour/c40/001_000/")]
    assert summary.frames["LipRecolour", "c40"] + len(left) == 3  # each frame has its outcome


def test_videos_without_a_face_become_rejects(source, tmp_path, write_manifest):
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    noise = np.random.default_rng(0).integers(0, 255, (5, 480, 640, 3), np.uint8)
    for folder in ("original_sequences/youtube/c23/videos/000.mp4",
                   "manipulated_sequences/LipRecolour/c23/videos/000_001.mp4"):  # fmt: skip
        write_video(copy / folder, noise, 25, 23)
        noise[:, 200:240, 300:340] = 128
    run = make_run("toy", write_manifest(tmp_path, datasets__toy__root=str(copy)), workers=1)
    annotate_dataset(run, silent)
    found = [one for one in rejects_of(run) if one.pair == "000_001" and one.compression == "c23"]
    found = [one for one in found if one.method == "LipRecolour"]
    assert [one.reason for one in found] == ["no_face"] * 3
    assert "no face in frame" in found[0].detail


def test_swapped_and_equal_files_are_told_in_the_plan(source, tmp_path, write_manifest):
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    forged = copy / "manipulated_sequences"
    real = copy / "original_sequences/youtube/c23/videos/000.mp4"
    shutil.copy(real, forged / "LipRecolour/c23/videos/001_000.mp4")
    c40 = "c40/videos/000_001.mp4"
    shutil.copy(
        copy / "original_sequences/youtube/c40/videos/000.mp4", forged / "SkinSmoothing" / c40
    )
    shutil.copy(copy / "original_sequences/youtube/c40/videos/000.mp4", forged / "Unforged" / c40)
    run = make_run("toy", write_manifest(tmp_path, datasets__toy__root=str(copy)), workers=1)
    planned = {pair.key for pair in stages.plan(run).pairs}
    found = {one.id: one for one in read_records(run.unplanned_path, Reject)}
    assert {key: (one.stage, one.reason) for key, one in found.items()} == {
        "toy/LipRecolour/c23/001_000": ("plan", "sides_swapped"),
        "toy/SkinSmoothing/c40/000_001": ("plan", "same_file"),
    }
    assert "toy/LipRecolour/c23/000_001" in found["toy/LipRecolour/c23/001_000"].detail
    assert "toy/Unforged/c40/000_001" in planned
    assert len(planned) == 10


def test_a_late_and_mirrored_fake_is_annotated_and_the_row_says_so(
    source, tmp_path, write_manifest
):
    copy = tmp_path / "source"
    shutil.copytree(source, copy)
    path = copy / "manipulated_sequences/LipRecolour/c23/videos/000_001.mp4"
    frames = [frame.image[:, ::-1] for frame in read_frames(path, range(3, 12))]
    write_video(path, frames, 25, 18)
    run = make_run(
        "toy", write_manifest(tmp_path, datasets__toy__root=str(copy)), workers=1, limit=1
    )
    annotate_dataset(run, silent)
    rows = rows_of(run)
    assert {(row.method, row.compression, row.pair) for row in rows} == {
        ("LipRecolour", "c23", "000_001")
    }
    for row in rows:
        assert row.frame_offset == 3
        assert row.repairs[:2] == ("shifted in time", "mirrored")
        assert row.regions[0].name in {"mouth", "lips", "upper lip", "lower lip"}


def test_an_unwritable_output_is_one_error(tmp_path, write_manifest):
    (tmp_path / "blocked").write_text("a file, no folder")
    run = make_run("toy", write_manifest(tmp_path, output=str(tmp_path / "blocked")))
    with pytest.raises(OutputError, match="cannot write"):
        annotate_dataset(run, silent)


def test_a_full_disk_is_one_error_and_the_rerun_completes(
    annotated, tmp_path, write_manifest, monkeypatch
):
    run = make_run("toy", write_manifest(tmp_path), workers=1, limit=2)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
        with pytest.raises(OutputError, match="0 MiB are free"):
            annotate_dataset(run, silent)
    summary = annotate_dataset(run, silent).summary
    assert (summary.pairs, summary.open_pairs) == (12, 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(tmp_path, write_manifest):
    small = tmp_path / "small"
    small.mkdir()
    mounted = os.system(f"mount -t tmpfs -o size=65m tmpfs {small} 2>/dev/null")
    if mounted != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        run = make_run("toy", write_manifest(tmp_path, output=str(small)), workers=1)
        run.output.mkdir(parents=True)
        (run.output / "ballast").write_bytes(bytes(1_000_000))
        full = write_manifest(tmp_path, output=str(small))
        run = make_run("toy", full, workers=1)

        def fill(stage, done, total):
            if stage == "measure" and done == 1:
                free = shutil.disk_usage(small).free
                (small / "more").write_bytes(bytes(free - 4096))

        (run.output / "ballast").unlink()
        with pytest.raises(OutputError, match="No space left"):
            annotate_dataset(run, fill)
        (small / "more").unlink()
        summary = annotate_dataset(run, silent).summary
        assert summary.frames.total() + summary.rejects.total() == 36
    finally:
        os.system(f"umount {small}")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"explain__explainer": "oracle"}, UsageError, "no explainer 'oracle'.*evidence, mllm"),
        ({"measure__landmarks": "meshh"}, UsageError, "did you mean 'mesh'"),
        ({"measure__parser": "oracle"}, UsageError, "no backend 'oracle'.*bisenet, parsenet"),
        ({"measure__parser": "bisenet"}, BackendUnavailable, "parsing_bisenet.pth.*FACEXT_WEIGHTS"),
        ({"datasets__toy__root": "/nowhere"}, SourceMissing, "does not exist"),
    ],
)
def test_wrong_names_stop_before_the_work(tmp_path, write_manifest, change, error, message):
    run = make_run("toy", write_manifest(tmp_path, **change), workers=1)
    with pytest.raises(error, match=message):
        annotate_dataset(run, silent)


def test_an_empty_dataset_names_the_layout(tmp_path, write_manifest):
    (tmp_path / "empty" / "x").mkdir(parents=True)
    run = make_run("toy", write_manifest(tmp_path, datasets__toy__root=str(tmp_path / "empty")))
    with pytest.raises(SourceMissing, match=r"manipulated_sequences/\{method\}"):
        annotate_dataset(run, silent)
