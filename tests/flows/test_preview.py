"""`facext plan`: what there is to do, before anything is done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from flows import stages
from flows.commands import DONE_WITH_REJECTS, FAILED, WRONG_USE
from flows.local import annotate_dataset
from flows.preview import DEFAULT_BYTES, DEFAULT_SECONDS, preview
from flows.run import make_run
from schemas.records import Cost
from schemas.shards import write_records
from sources.video import probe, read_frames
from tests.conftest import LEVELS, METHODS, silent
from tests.films import panned, save
from tests.results import rows_of


def facext_plan(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "plan", *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "COLUMNS": "100", **env}, timeout=120,
        check=False,
    )  # fmt: skip


def test_a_new_dataset_is_counted_and_estimated_from_defaults(tmp_path, write_manifest):
    found = preview(make_run("toy", write_manifest(tmp_path), workers=2))
    assert found.pairs == {(m, level, ""): 2 for m in METHODS for level in LEVELS}
    assert (found.measured, found.explained, found.rejects) == (0, 0, {})
    assert found.frames == 12 * 3
    assert found.hours == pytest.approx(36 * DEFAULT_SECONDS / 2 / 3600)
    assert found.bytes_per_frame == DEFAULT_BYTES
    assert not found.known
    assert not list((tmp_path / "out/toy").glob("units/*/*"))  # nothing was started


def test_finished_units_tell_the_time_and_are_not_counted_again(tmp_path, write_manifest):
    path = write_manifest(tmp_path)
    annotate_dataset(make_run("toy", path, workers=1, limit=2), silent)
    run = make_run("toy", path, workers=1)
    found = preview(run)
    assert (found.measured, found.explained, found.frames) == (2, 2, 30)
    assert found.known
    assert 0.02 < found.seconds_per_frame < 60
    rows = sum(one.stat().st_size for one in run.measured.folder.glob("*.parquet"))
    assert found.bytes_per_frame == pytest.approx(2.7 * rows / 6)
    told = "\n".join(found.lines())
    assert "as finished units took" in told
    assert "about 0 min to explain 30 frames from their measurements" in told


def test_asking_a_model_is_estimated_from_earlier_requests(annotated, tmp_path, write_manifest):
    whole, _ = annotated
    shutil.copytree(whole.output / "units" / "measure", tmp_path / "out/toy/units/measure")
    run = make_run("toy", write_manifest(tmp_path), explain={"explainer": "mllm"}, workers=1)
    frames = len(run.measured.rows(pair.measure_unit for pair in stages.plan(run).pairs))
    told = "\n".join(preview(run).lines())
    assert "about 0 min to measure 0 frames" in told
    assert f"\n{frames} requests to explain 36 frames (how long they take the server" in told
    asked = {
        "request": "r", "subject": "s", "step": "ask", "recipe": "fifa", "server": "s",
        "model": "m", "sent_at": 0.0, "attempts": 1, "prompt_tokens": 9, "completion_tokens": 9,
        "cost": 0.0,
    }  # fmt: skip
    costs = [
        Cost(**asked, latency_s=400.0, outcome="answered"),
        Cost(**asked, latency_s=9000.0, outcome="server_error"),
    ]
    write_records(run.costs_path, costs, Cost)
    told = "\n".join(preview(run).lines())
    minutes = round(frames * 400 / 8 / 60)
    assert f"about {minutes} min for {frames} requests to explain 36 frames (400.0 s each" in told


@pytest.mark.parametrize("variable", ["", "tcp://10.0.0.9:8786"])
def test_hours_are_of_one_machine_where_a_cluster_measures(
    tmp_path, write_manifest, monkeypatch, variable
):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", variable)
    path = write_manifest(tmp_path, run__runner="dask")
    told = "\n".join(preview(make_run("toy", path, workers=2)).lines())
    said = f"2 processes of one machine; the cluster of dask at {variable} is not counted"
    assert (said in told) == bool(variable)
    assert "to measure 36 frames in 2 processes" in told


def test_the_command_prints_pairs_by_split_masks_rejects_and_what_is_open(tmp_path, write_manifest):
    root, made = tmp_path / "ff", "manipulated_sequences"
    for target in ("000", "001", "002"):
        save(root / f"original_sequences/youtube/hq/videos/{target}.mp4", panned(3))
    for path in (
        "Deepfakes/hq/videos/000_001",
        "Deepfakes/masks/videos/000_001",
        "Deepfakes/hq/videos/001_000",
        "FaceShifter/hq/videos/002_003",
        "FaceShifter/hq/videos/009_002",
    ):
        save(root / made / f"{path}.mp4", panned(4))
    save(root / made / "Deepfakes/masks/videos/000_001.mp4", panned(2))
    (root / "splits").mkdir()
    lists = {"train": '[["001", "000"]]', "val": "[]", "test": '[["003", "002"]]'}
    for split, text in lists.items():
        (root / f"splits/{split}.json").write_text(text)
    ran = facext_plan(
        "ff++", "--manifest", write_manifest(tmp_path), "--workers", 4, FFPP_ROOT=str(root)
    )
    assert ran.returncode == DONE_WITH_REJECTS, ran.stderr
    assert re.search(r"Deepfakes +│ c23 +│ +0 │ +2 │", ran.stdout)  # test, train
    assert re.search(r"FaceShifter +│ c23 +│ +1 │ +0 │", ran.stdout)
    assert "measure  0 units done, 3 open" in ran.stdout
    assert "to measure 9 frames in 4 processes (0.17 s a frame, assumed" in ran.stdout
    assert "with the dataset's own mask: Deepfakes 1" in ran.stdout
    assert "the dataset has no masks of FaceShifter" in ran.stdout
    assert "warning: 1 pairs have no mask, e.g. ff++/Deepfakes/c23/001_000\n" in ran.stdout
    short = "1 of 1 masks are of another length, e.g. 000_001.mp4 has 2 frames, the fake 4\n"
    assert f"warning: {short}" in ran.stdout
    assert "1 rejected: missing_partner, e.g. manipulated_sequences/FaceShifter/hq" in ran.stdout
    assert "3 rejected: no_videos" in ran.stdout
    (root / "splits/test.json").write_text('[["001", "002"], ["003", "002"]]')
    save(root / made / "Deepfakes/hq/videos/001_002.mp4", panned(3))
    ran = facext_plan("ff++", "--manifest", tmp_path / "manifest.yaml", FFPP_ROOT=str(root))
    assert ran.returncode == WRONG_USE
    assert "leak: train 000_001 - 001 - test 001_002." in ran.stderr
    assert "set datasets.ff++.splits_may_leak: true" in ran.stderr


@pytest.mark.parametrize(
    ("dataset", "code", "said"),
    [
        ("ff+", WRONG_USE, "did you mean 'ff++'"),
        ("celeb-df", FAILED, "needs the environment variable CELEB_DF_ROOT"),
        ("pairs", FAILED, "PAIRS_ROOT: set it to the folder that holds\n  $PAIRS_ROOT/pairs"),
    ],
)
def test_what_cannot_be_planned_is_one_message(dataset, code, said):
    ran = facext_plan(dataset)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def at_another_rate(run):
    slower = run.manifest.dataset("toy").model_copy(update={"fps": 25})
    return replace(run, manifest=run.manifest.model_copy(update={"datasets": {"toy": slower}}))


def test_a_dataset_of_extracted_frames_is_annotated_as_its_videos(tmp_path, source, write_manifest):
    """Each side in a root of its own, numbered from another number."""
    copy, reals = tmp_path / "frames", tmp_path / "reals"
    name = "manipulated_sequences/LipRecolour/c23/videos/000_001.mp4"
    for root, path in ((copy, name), (reals, "original_sequences/youtube/c23/videos/000.mp4")):
        frames = read_frames(source / path, range(probe(source / path).frames))
        images = [frame.image for frame in frames]
        save((root / path).with_suffix(""), images, first=int(root == reals))
    path = write_manifest(
        tmp_path,
        datasets__toy__root=str(copy),
        datasets__toy__real_root=str(reals),
        datasets__toy__fps=50,
        datasets__toy__frames="folder",
        datasets__toy__real="original_sequences/youtube/{compression}/videos/{target}",
        datasets__toy__fake="manipulated_sequences/{method}/{compression}/videos/{target}_{source}",
        datasets__toy__identities=["target", "source"],
    )
    run = make_run("toy", path, workers=1)
    annotate_dataset(run, silent)
    assert {pair.measure_unit for pair in stages.plan(run).pairs} != {
        pair.measure_unit for pair in stages.plan(at_another_rate(run)).pairs
    }
    shutil.rmtree(copy)  # the rows stand on their own
    rows = rows_of(run)
    assert [row.frame_index for row in rows] == [2, 6, 10]
    for row in rows:
        assert row.fake_path == name.removesuffix(".mp4")
        assert (row.identities, row.frame_offset) == (("000", "001"), 0)
        assert row.timestamp_s == row.frame_index / 50
        assert row.regions[0].name in {"mouth", "lips", "upper lip", "lower lip"}
