"""Units that hold too little, too much or other bytes are found before they are published."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.pipeline import Measurer
from flows import stages
from flows.compact import compact
from flows.completeness import check_same
from flows.local import annotate_dataset
from flows.run import make_run
from schemas.errors import OutputError
from schemas.manifest import RunSettings
from tests.conftest import silent
from tests.results import all_bytes

ids = st.lists(st.sampled_from("abcdef"), max_size=6)


@given(ids, ids)
def test_the_same_ids_once_each_and_nothing_else_pass(promised, kept):
    promised = sorted(set(promised))
    if sorted(kept) == promised:
        check_same(promised, kept)
    else:
        with pytest.raises(OutputError, match=r"lost|doubled|not asked for"):
            check_same(promised, kept)


@pytest.fixture
def finished(annotated, tmp_path, write_manifest):
    """A finished run, its plan, and a pair that has rows."""
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")
    run = make_run("toy", write_manifest(tmp_path), workers=1)
    plan = stages.plan(run)
    pair = next(one for one in plan.pairs if len(run.explained.rows([one.explain_unit])) == 3)
    (run.output / "annotations.json").unlink()
    return run, plan, pair


def recommit(run, pair, rows):
    parent = run.measured.content(pair.measure_unit)
    run.explained.commit(pair.explain_unit, rows, [], parent=parent)


@pytest.mark.parametrize("change", [
    lambda rows: rows[:2], lambda rows: [*rows, rows[0]],
    lambda rows: [*rows[:2], rows[2].model_copy(update={"id": "toy/strange/000000"})],
])  # fmt: skip
def test_a_lost_doubled_or_strange_row_is_not_published_and_made_again(annotated, finished, change):
    whole, _ = annotated
    run, plan, pair = finished
    before = all_bytes(run)
    recommit(run, pair, change(run.explained.rows([pair.explain_unit])))
    with pytest.raises(OutputError, match=r"the same command makes them again"):
        compact(run, plan)
    assert all_bytes(run) == before
    assert annotate_dataset(run, silent).done == 2
    assert all_bytes(run) == all_bytes(whole)


@pytest.mark.parametrize("stage", ["measure", "explain"])
def test_a_flipped_bit_in_a_unit_is_found_and_mended(annotated, finished, stage):
    whole, _ = annotated
    run, plan, pair = finished
    unit = pair.measure_unit if stage == "measure" else pair.explain_unit
    path = run.output / "units" / stage / f"{unit}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OutputError, match=f"{pair.key} are damaged"):
        compact(run, plan)
    annotate_dataset(run, silent)
    assert all_bytes(run) == all_bytes(whole)


def test_a_frame_that_was_sampled_and_has_neither_row_nor_reject_is_missed(annotated, finished):
    whole, _ = annotated
    run, plan, pair = finished
    before = all_bytes(run)
    assert {run.measured.state(one.measure_unit).sampled for one in plan.pairs} == {3}
    rows = run.measured.rows([pair.measure_unit])
    run.measured.commit(pair.measure_unit, rows[:2], [], sampled=3)
    recommit(run, pair, run.explained.rows([pair.explain_unit])[:2])
    with pytest.raises(OutputError, match="2 rows and rejects of 3 frames"):
        compact(run, plan)
    assert all_bytes(run) == before
    assert annotate_dataset(run, silent).done == 2
    assert all_bytes(run) == all_bytes(whole)


def test_a_frame_that_measuring_itself_loses_is_missed(finished, monkeypatch):
    run, _, pair = finished
    sampled = Measurer.clip_of

    def lossy(*asked, **more):
        clip = sampled(*asked, **more)
        return replace(clip, crops=[one for one in clip.crops if one.index != max(clip.wanted)])

    monkeypatch.setattr(Measurer, "clip_of", lossy)
    run.measured.forget(pair.measure_unit)
    threads = run.manifest.model_copy(update={"run": RunSettings(runner="threads")})
    with pytest.raises(OutputError, match="2 rows and rejects of 3 frames"):
        annotate_dataset(replace(run, manifest=threads), silent)


def test_units_that_did_not_note_what_they_sampled_are_published(annotated, finished):
    whole, _ = annotated
    run, plan, _ = finished
    for sidecar in run.measured.folder.glob("*.json"):
        facts = json.loads(sidecar.read_text())
        del facts["sampled"]
        sidecar.write_text(json.dumps(facts))
    compact(run, plan)
    assert all_bytes(run) == all_bytes(whole)


def test_a_pair_measured_again_but_not_yet_explained_is_open(finished):
    run, plan, pair = finished
    rows = run.measured.rows([pair.measure_unit])
    run.measured.commit(pair.measure_unit, rows[:2], [])
    assert compact(run, plan).open_pairs == 1
