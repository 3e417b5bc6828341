"""Where pairs are measured: by threads, by batches on a worker elsewhere."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import stages
from flows.clusters import dask_runner, measure_batch, ray_runner
from flows.local import annotate_dataset
from flows.measure import bury
from flows.resume import facts_of, measuring_facts, settle
from flows.run import cores, make_run
from flows.runners import CLUSTERS, RUNNERS, groups
from schemas.errors import BackendUnavailable, UsageError
from schemas.manifest import RunSettings
from tests.conftest import silent
from tests.results import all_bytes


def test_the_manifest_knows_the_runners_there_are():
    assert set(get_args(RunSettings.model_fields["runner"].annotation)) == set(RUNNERS)
    assert RunSettings().runner == "processes"


def test_threads_give_the_bytes_of_a_process(annotated, tmp_path, write_manifest):
    run = make_run("toy", write_manifest(tmp_path, run__runner="threads"), workers=3)
    annotate_dataset(run, silent)
    assert all_bytes(run) == all_bytes(annotated[0])


@given(
    reals=st.lists(st.sampled_from("abc"), max_size=60),
    processes=st.integers(1, 9),
)
def test_groups_hold_every_pair_once_and_one_real_side_each(reals, processes):
    pairs = [SimpleNamespace(real_path=real, number=k) for k, real in enumerate(reals)]
    found = groups(pairs, processes)
    assert sorted(pair.number for group in found for pair in group) == [*range(len(pairs))]
    assert all(len({pair.real_path for pair in group}) == 1 for group in found)
    assert all(len(group) <= max(1, len(pairs) // (4 * processes)) for group in found)


def test_threads_that_cannot_start_are_one_error(tmp_path, write_manifest, monkeypatch):
    def lacking(run):
        raise BackendUnavailable("no weights here")

    monkeypatch.setattr("flows.runners.start_worker", lacking)
    run = make_run("toy", write_manifest(tmp_path, run__runner="threads"), workers=1)
    with pytest.raises(BackendUnavailable, match="no weights here"):
        annotate_dataset(run, silent)


def test_a_container_with_a_quota_has_fewer_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.run.CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)))
    assert cores() == 64  # no such file
    for told, expected in {"max 100000": 64, "800000 100000": 8, "50000 100000": 1}.items():
        (tmp_path / "cpu.max").write_text(f"{told}\n")
        assert cores() == expected


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_without_prefect_is_one_error(tmp_path, write_manifest, name):
    run = make_run("toy", write_manifest(tmp_path, run__runner=name))
    with pytest.raises(UsageError, match=r"prefect deployment run 'annotate/toy'.*processes"):
        annotate_dataset(run, silent)
    assert not run.output.exists()


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_that_is_not_installed_names_the_extra(
    tmp_path, write_manifest, monkeypatch, name
):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    run = make_run("toy", write_manifest(tmp_path, run__runner=name))
    with pytest.raises(BackendUnavailable, match=rf"pip install .*-e '\.\[{name}\]'"):
        annotate_dataset(run, silent)


@pytest.mark.parametrize(
    ("name", "make", "variable"),
    [("dask", dask_runner, "DASK_SCHEDULER_ADDRESS"), ("ray", ray_runner, "RAY_ADDRESS")],
)
def test_a_cluster_of_the_manifest_goes_before_that_of_the_environment(
    tmp_path, write_manifest, monkeypatch, name, make, variable
):
    monkeypatch.setenv(variable, "tcp://10.0.0.1:1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    run = make_run("toy", write_manifest(tmp_path, run__runner=name))
    assert make(run).address == "tcp://10.0.0.1:1"
    run = make_run("toy", write_manifest(tmp_path, run__address="tcp://10.0.0.2:2"))
    assert make(run).address == "tcp://10.0.0.2:2"


def test_a_run_sent_elsewhere_has_both_roots_absolute_and_the_same_settings(
    tmp_path, write_manifest, monkeypatch, source
):
    changes = {"datasets__toy__root": "${HERE}", "datasets__toy__real_root": "./${HERE}"}
    run = make_run("toy", write_manifest(tmp_path, **changes))
    monkeypatch.setenv("HERE", source.name)
    monkeypatch.chdir(source.parent)
    sent = run.anywhere()
    monkeypatch.chdir("/")
    monkeypatch.delenv("HERE")
    dataset = sent.manifest.dataset("toy")
    assert dataset.folder("toy") == dataset.real_folder("toy") == source
    assert sent.manifest.measure == run.manifest.measure
    assert set(sent.manifest.datasets) == {"toy"}


def test_a_pair_that_killed_its_worker_is_a_reject_until_a_later_run_does_better(
    annotated, tmp_path, write_manifest
):
    shutil.copytree(annotated[0].output.parent, tmp_path / "out")
    run = make_run("toy", write_manifest(tmp_path), workers=1)
    first, second = stages.plan(run).pairs[:2]
    run.measured.forget(first.measure_unit)
    for pair in (first, second):  # the second was measured by a run beside this one
        bury(run, pair)
    [death] = run.measured.rejects([first.measure_unit])
    assert (death.reason, death.detail) == ("internal_error", "the worker died over this pair")
    assert not run.measured.is_done(first.measure_unit)
    assert run.measured.is_done(second.measure_unit)
    assert annotate_dataset(run, silent).done == 1
    assert all_bytes(run) == all_bytes(annotated[0])


# ---- a batch on its worker ----


@pytest.fixture
def planned(tmp_path, write_manifest, monkeypatch):
    """A run of relative paths, as it is sent to a worker in another folder, and two pairs."""
    path = write_manifest(tmp_path, output="out")
    monkeypatch.chdir(tmp_path)
    run = make_run("toy", path)
    settle(run)
    pairs = stages.plan(run).pairs[:2]
    sent = run.anywhere()
    monkeypatch.chdir("/")
    return sent, pairs


def test_a_batch_is_measured_from_any_folder_and_never_twice(planned, monkeypatch):
    run, pairs = planned
    assert Path(run.manifest.output).is_absolute()
    seconds = measure_batch.fn(run, measuring_facts(run), pairs)
    assert len(seconds) == 2
    assert sum(seconds[0].values()) > 0
    assert all(run.measured.is_done(pair.measure_unit) for pair in pairs)
    before = {path: path.stat().st_mtime_ns for path in run.measured.folder.iterdir()}
    monkeypatch.setattr("flows.pool.Workers._pool", pytest.fail)
    assert measure_batch.fn(run, measuring_facts(run), pairs) == [{}, {}]
    assert {path: path.stat().st_mtime_ns for path in run.measured.folder.iterdir()} == before


@pytest.mark.parametrize(("fact", "value"), [
    ("measuring code", "0.1.0+deadbeef"), ("library av", "0.1.2"), ("library opencv", "5.6.7"),
])  # fmt: skip
def test_a_worker_that_would_measure_otherwise_says_in_what(planned, fact, value):
    run, pairs = planned
    facts = measuring_facts(run)
    told = f"would measure otherwise than this run: {fact} {value} here {facts[fact]}"
    with pytest.raises(UsageError, match=re.escape(told)):
        measure_batch.fn(run, facts | {fact: value}, pairs)


def test_an_upgrade_of_a_library_is_no_other_configuration(planned):
    run, _ = planned
    assert not any(name.startswith("library") for name in facts_of(run))


@pytest.mark.parametrize(("parser", "has_torch"), [("mesh", False), ("bisenet", True)])
def test_networks_add_their_library(planned, parser, has_torch):
    run, _ = planned
    measure = run.manifest.measure.model_copy(update={"parser": parser})
    manifest = run.manifest.model_copy(update={"measure": measure})
    assert ("library torch" in measuring_facts(replace(run, manifest=manifest))) == has_torch


def test_a_worker_that_does_not_see_the_output_says_so(planned):
    run, pairs = planned
    facts = measuring_facts(run)
    run.plan_path.unlink()
    with pytest.raises(UsageError, match="must share the output folder"):
        measure_batch.fn(run, facts, pairs)


def test_a_worker_that_may_not_start_processes_names_the_setting(planned, monkeypatch):
    run, pairs = planned
    monkeypatch.setattr(
        "flows.clusters.multiprocessing.current_process", lambda: SimpleNamespace(daemon=True)
    )
    with pytest.raises(BackendUnavailable, match="DASK_DISTRIBUTED__WORKER__DAEMON=False"):
        measure_batch.fn(run, measuring_facts(run), pairs)
