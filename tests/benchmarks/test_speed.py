"""The parts of the bench of speed, small: who works on what, and what the figures say."""

import copy
import json
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from benchmarks.report import FOLDER
from benchmarks.speed.goals import GOALS, lines
from benchmarks.speed.material import TINY_MEASURE, Scene, multiplied
from benchmarks.speed.page import page, publish, read
from benchmarks.speed.whole import measure_memory, measure_resume, measure_shards
from benchmarks.speed.work import Contest, contest
from benchmarks.straightforward import annotate_pair, covered, spaced
from schemas.records import AnnotatedFrame, MeasuredFrame, Segmentation
from schemas.rle import decode
from schemas.shards import read_records
from sources.pairs import spaced_indices
from sources.video import open_video, probe, read_frames
from tests.conftest import silent

METHODS = ("LipRecolour",)


@pytest.fixture(scope="module")
def scene(source):
    return Scene("sampled", source, TINY_MEASURE | {"context": 3}, METHODS)


@pytest.fixture(scope="module")
def parts(scene, tmp_path_factory):
    return Contest(scene, tmp_path_factory.mktemp("contest"))


@pytest.fixture(scope="module")
def row(scene, tmp_path_factory):
    """A row of the straightforward script, and the pixels of its label map."""
    pair, folder = scene.pairs()[0], tmp_path_factory.mktemp("straightforward")
    sides = (scene.root / path for path in (pair.real_path, pair.fake_path))
    assert annotate_pair(*sides, folder, frames=2, context=3, size=128) == 2
    first, _ = (json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines())
    labels = cv2.imread(str(folder / f"{first['frame']:06d}-labels.png"), cv2.IMREAD_UNCHANGED)
    return first, labels


def test_all_three_look_at_the_same_frames(parts, scene, monkeypatch):
    pair = scene.pairs()[0]
    wanted = spaced_indices(parts.lengths[pair.fake_path], 6)
    assert spaced(parts.lengths[pair.fake_path], 6) == wanted
    seen = []
    monkeypatch.setattr("benchmarks.speed.work.read_frames", _noting(seen, read_frames))
    monkeypatch.setattr(
        "sources.pairs.open_video",
        lambda path, fps: SimpleNamespace(
            info=probe(path, fps), look=_noting(seen, open_video(path, fps).look, first=0)
        ),
    )
    assert parts.floor(pair) == parts.stage(pair) == parts.straightforward(pair) == 2
    assert seen == [wanted] * 4


def _noting(seen, read, first=1):
    def noting(*arguments):
        seen.append(list(arguments[first]))
        return read(*arguments)

    return noting


def test_the_stage_of_the_contest_leaves_whole_units(parts, scene):
    parts.stage(scene.pairs()[0])
    paths = [one for one in parts.store.folder.glob("*.parquet") if "rejects" not in one.name]
    rows = read_records(paths, MeasuredFrame)
    assert len(rows) == 2
    assert all(row.evidence and row.real.bytes for row in rows)


def test_the_script_names_what_changed_by_a_quarter(row, tree):
    first, labels = row
    changed = mask_of(first["artifact"])
    seen = set()
    for one in first["regions"]:
        concept = tree.pixels(labels, one["category_id"])
        assert np.array_equal(mask_of(one["concept"]), concept)
        assert np.array_equal(mask_of(one["changed"]), concept & changed)
        assert one["area"] == np.count_nonzero(concept & changed) >= 0.25 * one["concept_area"]
        assert not seen & set(np.flatnonzero(concept))
        seen |= set(np.flatnonzero(concept))
    missed = {n for n in np.unique(labels) if not seen & set(np.flatnonzero(labels == n))}
    assert all((changed & (labels == n)).sum() < 0.25 * (labels == n).sum() for n in missed)


def test_a_concept_of_which_all_parts_changed_stands_for_them(tree):
    lips, nose = (tree.by_name[name] for name in ("lips", "nose"))
    below = [node.id for node in tree.descendants_of(lips) if tree.is_atomic(node)]
    labels = np.array([[*below, nose.id]], np.uint8)
    changed = np.isin(labels, below)
    whole = tree.by_name[lips.parent]  # nothing else of it is seen
    assert covered(whole, labels, changed, tree) == [whole.id]
    changed[0, 0] = False
    children = [node.id for node in tree.children_of(lips)]
    assert covered(lips, labels, changed, tree) == [n for n in children if n != below[0]]
    assert covered(tree.by_name["eyes"], labels, changed, tree) is None


def test_the_script_measures_what_the_stage_measures(row):
    first, _ = row
    assert first["regions"]
    for one in first["regions"]:
        assert {"change", "lightness", "red-green", "yellow-blue", "sharpness", "texture", "seam",
                "right", "down", "larger"} == set(one["evidence"])  # fmt: skip
        effect, spread = one["evidence"]["change"]
        assert effect > spread


def mask_of(rle):
    return decode(Segmentation(size=tuple(rle["size"]), counts=rle["counts"]))


def test_ratios_are_those_of_the_milliseconds(scene, tmp_path):
    found = contest(scene, tmp_path, 1, 1, silent)
    ms = found["ms_per_frame"]
    assert found["frames"] == 2 * found["pairs"] == 4
    assert found["floor_ratio"] == pytest.approx(ms["stage"] / ms["floor"])
    assert found["speedup_straightforward"] == pytest.approx(ms["straightforward"] / ms["stage"])
    assert found["floor_ratio"] > 1
    assert sum(found["stage_steps"].values()) == pytest.approx(1)


def test_contestants_that_do_not_do_the_same_are_found_out(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(Contest, "floor", lambda self, pair: 1)
    with pytest.raises(RuntimeError, match="different numbers of frames"):
        contest(scene, tmp_path, 1, 1, silent)


def test_multiplied_pairs_are_pairs_of_their_own(scene, tmp_path):
    many = Scene(
        "many", multiplied(scene.root, tmp_path / "many", 9, METHODS), TINY_MEASURE, METHODS
    )
    pairs = many.pairs()
    assert len({pair.pair for pair in pairs}) == 9
    for pair in pairs:
        with av.open(str(many.root / pair.real_path)) as video:
            assert video.streams.video[0].frames == 12


def test_whole_runs_are_weighed_and_a_finished_one_does_nothing(scene, tmp_path, monkeypatch):
    many = Scene(
        "many", multiplied(scene.root, tmp_path / "many", 4, METHODS), TINY_MEASURE, METHODS
    )
    found, finished = measure_memory([many], tmp_path, 1, silent)
    (peaks,) = found["peak_mb"].values()
    assert found["memory_ratio"] == 1
    assert peaks["all"] == peaks["parent"] + peaks["worker"]
    assert min(peaks["parent"], peaks["worker"]) > 50  # both load the libraries
    resumed = measure_resume(finished, 4, 1)
    assert 0 < resumed["resume_seconds"] < resumed["with_start_seconds"]
    monkeypatch.setattr("benchmarks.speed.whole.ask", lambda *_: {"units": 1})
    with pytest.raises(RuntimeError, match="worked on again"):
        measure_resume(finished, 4, 1)


def test_a_shard_of_real_rows_is_written_and_read(annotated, tmp_path):
    run, _ = annotated
    found = measure_shards(run, tmp_path / "shard.parquet", 1)
    assert len(read_records(tmp_path / "shard.parquet", AnnotatedFrame)) == found["rows"] == 1000
    assert found["read_mb_per_second"] / found["read_rows_per_second"] == pytest.approx(
        found["megabytes"] / found["rows"]
    )


def test_the_page_of_the_last_run_is_made_from_its_figures():
    told = (FOLDER / "speed.md").read_text()
    assert told == page(read()), "run: python -m benchmarks.speed.page"


def test_verdicts_follow_the_figures(tmp_path):
    found = read()
    worse = copy.deepcopy(found) | {"floor_ratio": 1.51, "scaling_2": 1.79, "memory_ratio": 1.2}
    worse["sampled"]["ms_per_frame"] |= {"straightforward": 800.0, "floor": 100.0}
    worse["speedup_straightforward"] = 5.0
    told = "\n".join(lines(worse))
    assert f"{GOALS['floor_ratio'].name:<52}{'1.51':>9}{'<= 1.50':>10}  not met" in told
    assert next(line for line in told.splitlines() if "peak memory" in line).endswith("<= 1.20")
    assert "would be 8.0 times" in told
    assert "The machine was not quiet" not in "\n".join(lines(worse | {"load_before": 0.1}))
    assert "The machine was not quiet" in "\n".join(lines(worse | {"load_before": 3.0}))
    publish(worse, tmp_path)
    text = (tmp_path / "speed.md").read_text()
    assert "| two processes over one, frames a second | >= 1.80 | 1.79 | not met |" in text
    assert json.loads((tmp_path / "speed.json").read_text()) == worse
