"""Results of another configuration: what is told, what is kept, what is made anew."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import stages
from flows.compact import compact
from flows.local import annotate_dataset
from flows.resume import CLASS, changes, facts_of, settle
from flows.run import make_run
from schemas.errors import UsageError
from tests.conftest import silent
from tests.results import all_bytes, rows_of

PROJECT = Path(__file__).resolve().parents[2]
facts = st.dictionaries(
    st.sampled_from(["measure.frames", "FICT", CLASS + "A", CLASS + "B"]), st.sampled_from("12")
)


@pytest.fixture
def copied(annotated, tmp_path, write_manifest):
    """Makes runs over a copy of the small dataset's results."""
    whole, _ = annotated
    shutil.copytree(whole.output.parent, tmp_path / "out")

    def make(resume="same", limit=0, **changed):
        path = write_manifest(tmp_path, **changed)
        return make_run("toy", path, workers=1, limit=limit, resume=resume)

    return make


def units(run):
    return {path.name for path in run.measured.folder.glob("*.json")}


@given(facts, facts)
def test_only_what_differs_is_a_change_and_methods_may_come_and_go(before, now):
    found = {name: (old, new) for name, old, new in changes(before, now)}
    assert changes(before, before) == []
    for name in {*before, *now}:
        in_both = name in before and name in now
        if before.get(name) == now.get(name) or (name.startswith(CLASS) and not in_both):
            assert name not in found
        else:
            assert found[name] == (before.get(name, "(none)"), now.get(name, "(none)"))


def test_a_changed_setting_stops_and_is_named_with_both_values(copied):
    before = all_bytes(copied())
    run = copied(measure__frames=2)
    with pytest.raises(UsageError) as stopped:
        annotate_dataset(run, silent)
    told = str(stopped.value)
    assert "measure.frames  3 -> 2" in told
    assert "measured and explained again" in told
    assert "--resume=if-possible" in told
    assert "--resume=never" in told
    assert all_bytes(run) == before
    assert annotate_dataset(copied(), silent).done == 0  # set back: nothing was lost


def test_limits_workers_and_new_methods_are_no_other_configuration(copied, write_manifest):
    settle(copied(limit=3))
    settle(copied(explain__max_cost=5.0))
    settle(copied(datasets__toy__methods={"LipRecolour": "attribute edit"}))
    with pytest.raises(UsageError, match=r"class of LipRecolour  attribute edit -> identity swap"):
        settle(copied(datasets__toy__methods={"LipRecolour": "identity swap"}))


def test_an_edit_of_the_code_is_told_as_such(copied, monkeypatch):
    monkeypatch.setattr("flows.resume.measuring_code", lambda: "0.1.0+deadbeef")
    with pytest.raises(UsageError, match=r"-> 0\.1\.0\+deadbeef +the program was updated"):
        settle(copied())


def test_another_explainer_keeps_the_measurements(copied):
    with pytest.raises(UsageError) as stopped:
        settle(copied(explain__explainer="mllm"))
    told = str(stopped.value)
    assert "explainer" in told
    assert "evidence -> mllm" in told
    assert "The measurements fit; every pair would be explained again." in told
    assert all(f in told for f in ("prompt ", "explain.recipe", "server.model"))


def test_if_possible_keeps_what_fits_and_is_then_the_configuration(copied):
    run = copied("if-possible", measure__frames=2, limit=1)
    old = units(run)
    assert annotate_dataset(run, silent).done == 2
    assert old < units(run)
    assert annotate_dataset(copied(measure__frames=2, limit=1), silent).done == 2  # no flag now
    with pytest.raises(UsageError, match=r"measure\.frames  2 -> 3"):
        annotate_dataset(copied(), silent)
    assert annotate_dataset(copied("if-possible"), silent).done == 0  # all was kept


def of_methods(**classes):
    return {"datasets__toy__methods": {"Unforged": "none", **classes}}


@pytest.mark.parametrize("resume", ["if-possible", "never"])
def test_shards_of_other_settings_stay_until_all_pairs_are_done(copied, resume):
    before = all_bytes(copied("same"))
    outcome = annotate_dataset(copied(resume, measure__frames=2, limit=1), silent)
    assert outcome.summary.outdated
    assert outcome.summary.open_pairs == outcome.summary.pairs - 1
    assert all_bytes(copied("same")) == before
    done = annotate_dataset(copied("same", measure__frames=2), silent)
    assert not done.summary.outdated
    assert not done.summary.open_pairs
    assert all_bytes(copied("same")) != before


def test_no_pair_of_the_shards_is_lost_to_a_limit_whatever_changed(copied):
    lips = of_methods(LipRecolour="attribute edit")
    assert annotate_dataset(copied(**lips), silent).done == 0
    before = all_bytes(copied())
    of_another_class = of_methods(LipRecolour="identity swap")
    first = annotate_dataset(copied("if-possible", limit=3, **of_another_class), silent)
    assert (first.summary.outdated, first.summary.open_pairs) == (True, 1)
    assert all_bytes(copied()) == before
    rest = annotate_dataset(copied(limit=1, **of_another_class), silent)
    assert (rest.summary.outdated, rest.summary.open_pairs) == (False, 0)
    assert {row.forgery for row in rows_of(copied())} == {"identity swap"}


def test_pairs_that_left_the_plan_leave_the_shards_though_others_are_open(copied):
    annotate_dataset(copied(**of_methods(LipRecolour="attribute edit")), silent)
    run = copied(**of_methods(SkinSmoothing="attribute edit"))
    plan = stages.plan(run)
    smoothed = [pair for pair in plan.pairs if pair.method == "SkinSmoothing"]
    for pair in smoothed[1:]:
        run.measured.forget(pair.measure_unit)
    summary = compact(run, plan)
    assert (summary.outdated, summary.open_pairs) == (False, len(smoothed) - 1)
    assert {row.pair for row in rows_of(run)} <= {smoothed[0].pair}
    assert {row.method for row in rows_of(run)} == {"SkinSmoothing"}


def test_never_makes_all_anew_beside_the_old_and_a_plain_run_goes_on_there(copied):
    run = copied("never", limit=1)
    old, whole = units(run), all_bytes(run)
    assert annotate_dataset(run, silent).done == 2
    assert len(units(run)) == len(old) + 1
    assert annotate_dataset(copied(limit=1), silent).done == 2
    assert annotate_dataset(copied(), silent).done == 20
    assert all_bytes(run) == whole


def test_never_goes_on_with_what_it_began(copied):
    run = copied("never")
    settle(run)
    assert run.generation == 1
    run.stamp_path.unlink()  # as if nothing had ever been published
    settle(run)
    assert run.generation == 1
    annotate_dataset(copied("never", limit=1), silent)
    settle(run)
    assert run.generation == 2


def test_facts_hold_no_key_and_no_budget(copied, monkeypatch):
    monkeypatch.setenv("FACEXT_API_KEY", "planted-secret")
    found = facts_of(copied(explain__explainer="mllm", explain__max_cost=7.5))
    assert "planted-secret" not in str(found)
    assert "7.5" not in found.values()
    assert {"measure.diff.low", "FICT", "shard format", "server.base_url"} <= set(found)


def test_an_unknown_way_is_answered_with_the_known_ones(copied):
    with pytest.raises(UsageError, match=r"did you mean 'never'"):
        settle(copied("nevr"))


def test_the_command_line_stops_with_exit_code_2(copied, tmp_path):
    copied(measure__frames=2)
    ran = subprocess.run(
        [sys.executable, "-m", "flows.cli", "annotate", "toy",
         "--manifest", str(tmp_path / "manifest.yaml")],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "measure.frames  3 -> 2" in ran.stderr
    assert "Traceback" not in ran.stderr
