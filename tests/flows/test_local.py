"""The whole job on real encoded video: shards, rejects, resuming."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from pycocotools import mask as coco

from flows import stages
from flows.compact import compact
from flows.explain import explain, is_annotated
from flows.local import annotate_dataset
from flows.run import PlannedPair, make_run
from schemas.records import Reject
from schemas.shards import read_metadata, read_records, write_records
from sources.forge import read_truth
from tests.conftest import LEVELS, METHODS, silent
from tests.results import all_bytes, rejects_of, rows_of, shards_of


def test_every_frame_is_a_row_or_a_reject(annotated):
    run, summary = annotated
    wanted = 2 * len(METHODS) * len(LEVELS) * 3  # faces x methods x levels x frames
    ids = [row.id for row in rows_of(run)] + [one.id for one in rejects_of(run)]
    assert len(ids) == len(set(ids)) == wanted
    assert summary.frames.total() + summary.rejects.total() == wanted


def test_an_unforged_pair_is_rejected_and_not_annotated(annotated):
    run, _ = annotated
    assert {row.method for row in rows_of(run)} <= {"LipRecolour", "SkinSmoothing"}
    reasons = Counter(one.reason for one in rejects_of(run) if one.method == "Unforged")
    assert reasons == {"no_artifact": 2 * len(LEVELS) * 3}


def test_recoloured_lips_are_found_where_they_are_and_called_so(annotated):
    """Against the forge's own truth: place, region and colour."""
    run, _ = annotated
    root = run.manifest.dataset("toy").folder("toy")
    truth = {(t.method, t.pair, t.frame_index): t for t in read_truth(root)}
    rows = [r for r in rows_of(run) if r.method == "LipRecolour" and r.compression == "c23"]
    assert len(rows) == 6
    for row in rows:
        known = truth[row.method, row.pair, row.frame_index]
        mouth = {"mouth", "lips", "upper lip", "lower lip"}
        assert row.regions[0].name in mouth
        said = {
            (c.kind, c.direction) for c in row.claims if c.category_id == row.regions[0].category_id
        }
        assert said & set(zip(known.kinds, known.directions, strict=True))
        # the truth's box, moved into the crop, meets the recovered mask
        changed = coco.decode(
            {"size": known.segmentation.size, "counts": known.segmentation.counts}
        )
        y, x = np.argwhere(changed).mean(axis=0)
        affine = np.array(row.affine).reshape(2, 3)
        middle = affine @ [x, y, 1]
        left, top, width, height = row.artifact.bbox
        assert left <= middle[0] <= left + width
        assert top <= middle[1] <= top + height


def test_masks_decode_with_pycocotools_to_their_size_and_area(annotated):
    run, _ = annotated
    for row in rows_of(run):
        stored = [(row.artifact.segmentation, row.artifact.area)]
        stored += [(r.segmentation, r.area) for r in row.regions]
        stored += [(r.concept_segmentation, r.concept_area) for r in row.regions]
        for segmentation, area in stored:
            decoded = coco.decode({"size": segmentation.size, "counts": segmentation.counts})
            assert decoded.shape == (512, 512)
            assert decoded.sum() == area
        for question in row.questions:
            for mask in question.masks:
                assert coco.decode({"size": mask.size, "counts": mask.counts}).shape == (512, 512)


def test_regions_do_not_overlap_and_lie_in_the_mask(annotated):
    run, _ = annotated
    for row in rows_of(run):
        union = np.zeros((512, 512), int)
        for region in row.regions:
            union += coco.decode(region.segmentation.model_dump())
        artifact = coco.decode(row.artifact.segmentation.model_dump())
        assert union.max() == 1
        assert not (union & ~artifact.astype(bool)).any()


def test_the_metadata_lists_fict(annotated):
    run, _ = annotated
    facts = read_metadata(shards_of(run)[0])
    atomic = [c for c in facts["fict"]["categories"] if c["atomic"]]
    assert len(atomic) == 112
    names = {c["name"] for c in facts["fict"]["categories"]}
    assert {c["supercategory"] for c in facts["fict"]["categories"]} - {""} <= names
    assert facts["dataset"] == "toy"


def test_other_tools_open_a_shard_without_our_code(annotated, tmp_path):
    run, summary = annotated
    paths = [str(path) for path in shards_of(run)]
    count = duckdb.sql(f"select count(*) from read_parquet({paths})").fetchall()
    assert count == [(summary.frames.total(),)]
    asked = duckdb.sql(
        f"select distinct q.image from (select unnest(questions) q from read_parquet({paths}))"
    ).fetchall()
    assert sorted(asked) == [("fake",), ("real",)]
    frame = pq.read_table(paths[0]).to_pandas()
    assert len(frame) == summary.frames.total()
    dataset = load_dataset("parquet", data_files=paths, split="train", cache_dir=str(tmp_path))
    assert dataset[0]["real"].size == (512, 512)
    assert dataset[0]["id"] == frame["id"][0]


def test_a_second_run_does_nothing_and_changes_no_byte(annotated):
    run, summary = annotated
    before = all_bytes(run)
    again = annotate_dataset(run, silent)
    assert again.done == 0
    assert again.summary == summary
    assert all_bytes(run) == before


def test_another_folder_and_two_processes_give_the_same_bytes(annotated, tmp_path, write_manifest):
    run, _ = annotated
    other = make_run("toy", write_manifest(tmp_path), workers=2)
    annotate_dataset(other, silent)
    assert all_bytes(other) == all_bytes(run)


def test_an_interrupted_run_goes_on(annotated, tmp_path, write_manifest):
    whole, _ = annotated
    run = make_run("toy", write_manifest(tmp_path), workers=1)

    def interrupt(stage, done, total):
        if stage == "measure" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate_dataset(run, interrupt)
    finished = len(list(run.measured.folder.glob("*.json")))
    assert 2 <= finished < 12
    done = annotate_dataset(run, silent).done
    assert done == 24 - finished
    assert all_bytes(run) == all_bytes(whole)


def test_a_changed_setting_measures_again(annotated, tmp_path, write_manifest):
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")
    changed = make_run("toy", write_manifest(tmp_path, measure__frames=2), limit=1, workers=1)
    pairs = stages.waiting(changed, stages.plan(changed).pairs)
    assert stages.measure(changed, pairs, silent) == 1


def test_what_a_dataset_tells_of_its_pairs_comes_into_the_rows_without_new_work(
    annotated, tmp_path, write_manifest
):
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")
    told = {
        "split_shares": {"train": 0.5, "test": 0.5},
        "identities": ["target", "source"],
        "mask": "original_sequences/youtube/{compression}/videos/{target}.mp4",
    }
    changes = {f"datasets__toy__{key}": value for key, value in told.items()}
    run = make_run("toy", write_manifest(tmp_path, **changes), workers=1)
    assert annotate_dataset(run, silent).done == 0
    plan = {pair.key: pair.told() for pair in stages.plan(run).pairs}
    assert {one["split"] for one in plan.values()} <= {"train", "test"}
    assert all(one["identities"] and one["mask_path"] for one in plan.values())
    assert rows_of(run) == [
        row.model_copy(update=plan[row.id.rpartition("/")[0]]) for row in rows_of(whole)
    ]
    annotate_dataset(make_run("toy", write_manifest(tmp_path), workers=1), silent)
    assert all_bytes(run) == all_bytes(whole)


def test_a_limit_is_on_new_work_and_keeps_what_is_done(annotated, tmp_path, write_manifest):
    whole, _ = annotated
    run = make_run("toy", write_manifest(tmp_path), workers=1, limit=5)
    for done in (5, 10, 12, 12):
        summary = annotate_dataset(run, silent).summary
        assert (summary.pairs, summary.open_pairs) == (12, 12 - done)
        assert len({(r.method, r.compression, r.pair) for r in rows_of(run)}) <= done
    assert all_bytes(run) == all_bytes(whole)


def test_a_bug_is_a_reject_until_a_later_run_does_better(tmp_path, write_manifest, monkeypatch):
    run = make_run("toy", write_manifest(tmp_path), workers=1, limit=1)

    def bug(*arguments):
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as patch:
        patch.setattr("flows.explain.publish", bug)
        annotate_dataset(run, silent)
    assert {one.reason for one in rejects_of(run)} == {"internal_error"}
    assert "ZeroDivisionError: planted" in rejects_of(run)[0].detail
    outcome = annotate_dataset(run, silent)
    assert outcome.done == 1
    assert len(rows_of(run)) == outcome.summary.frames.total() == 3
    assert rejects_of(run) == []


def test_pairs_that_fail_do_not_use_a_limit_up(tmp_path, write_manifest):
    run = make_run("toy", write_manifest(tmp_path), workers=1, limit=2)
    first, second, third, *_ = plan = stages.plan(run).pairs
    for failing in (first, third):
        run.measured.commit(failing.measure_unit, [], [a_bug()])
    assert stages.waiting(run, plan) == [second, plan[3]]
    everything = replace(run, limit=0)
    assert stages.waiting(everything, plan) == plan
    for other in [each for each in plan if each not in (first, second, third)]:
        run.measured.commit(other.measure_unit, [], [])
        measured = run.measured.content(other.measure_unit)
        run.explained.commit(other.explain_unit, [], [], parent=measured)
    assert stages.waiting(run, plan) == [second, first]


def a_bug():
    return Reject(
        id="x", dataset="toy", method="m", compression="", pair="p", frame_index=None,
        stage="measure", reason="internal_error", detail="",
    )  # fmt: skip


def test_a_pair_measured_again_is_explained_again(tmp_path, write_manifest):
    run = make_run("toy", write_manifest(tmp_path), workers=1, limit=1)
    first = stages.plan(run).pairs[0]
    run.measured.commit(first.measure_unit, [], [a_bug()])
    explain(run, [first], silent)
    assert not is_annotated(run, first)
    stages.measure(run, [first], silent)
    explain(run, [first], silent)
    assert len(run.explained.rows([first.explain_unit])) == 3
    assert is_annotated(run, first)


def test_a_new_reject_is_published_though_no_unit_changed(annotated, tmp_path, write_manifest):
    whole, _ = annotated
    source = tmp_path / "source"
    shutil.copytree(whole.manifest.dataset("toy").folder("toy"), source)
    run = make_run("toy", write_manifest(tmp_path, datasets__toy__root=str(source)), workers=1)
    before = annotate_dataset(run, silent).summary
    stray = source / "manipulated_sequences/LipRecolour/c23/videos/777_000.mp4"
    shutil.copy(source / "original_sequences/youtube/c23/videos/000.mp4", stray)
    after = annotate_dataset(run, silent).summary
    assert after.rejects - before.rejects == {"missing_partner": 1}
    assert after.frames == before.frames


def test_rejects_are_those_of_the_runs_own_plan_whatever_another_one_writes(
    annotated, tmp_path, write_manifest
):
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")
    run = make_run("toy", write_manifest(tmp_path), workers=1)
    plan = stages.plan(run)
    stray = rejects_of(run)[0].model_copy(update={"id": "stray", "stage": "plan"})
    write_records(run.unplanned_path, [stray], Reject)
    compact(run, plan)
    assert all_bytes(run) == all_bytes(whole)


@pytest.mark.parametrize("lost", ["annotations", "rejects", "annotations.json", "units/explain"])
def test_what_was_deleted_or_torn_is_made_again(annotated, tmp_path, write_manifest, lost):
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")
    run = make_run("toy", write_manifest(tmp_path), workers=1)
    gone = run.output / lost
    if gone.is_dir():
        for number, path in enumerate(sorted(gone.iterdir())):
            path.write_bytes(path.read_bytes()[:40]) if number % 2 else path.unlink()
    else:
        gone.write_text("[]")
    annotate_dataset(run, silent)
    assert all_bytes(run) == all_bytes(whole)


def test_the_plan_is_written_down(annotated):
    run, summary = annotated
    planned = read_records(run.plan_path, PlannedPair)
    assert len(planned) == summary.pairs == 12
    assert len({pair.explain_unit for pair in planned}) == 12
    stamp = json.loads((run.output / "annotations.json").read_text())
    assert sum(count for *_, count in stamp["frames"]) == summary.frames.total()
