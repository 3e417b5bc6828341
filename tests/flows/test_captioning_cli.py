"""`facext annotate toy --explainer mllm`, as a user runs it, while the server plays all faults."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from annotators.verify import verify
from benchmarks.captioner import FAULTS, Captioner, Script
from flows.run import make_run
from schemas.manifest import EvidenceSettings
from tests.results import rejects_of, rows_of

KEY = "planted-secret-4711"
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ran(annotated, tmp_path_factory, write_manifest):
    """The manifest, the finished process and the server's journal."""
    whole, _ = annotated
    folder = tmp_path_factory.mktemp("asked")
    shutil.copytree(whole.output / "units" / "measure", folder / "out/toy/units/measure")
    faults = (*FAULTS, *("echo_key", "echo_key_error") * 6)  # chance must find these
    script = Script(faults=faults, fault_share=0.5, lies=0.3, seed=5)
    with Captioner(script, folder / "journal.jsonl") as captioner:
        manifest = write_manifest(folder, mllms__local__base_url=captioner.url)
        content = yaml.safe_load(manifest.read_text())
        prices = {"price_in": 2.0, "price_out": 8.0}
        content["mllms"]["local"] |= prices | {"model": "scripted", "in_flight": 4}
        manifest.write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "flows.cli", "annotate", "toy", "--explainer", "mllm"]
        done = subprocess.run(
            [*command, "--manifest", str(manifest)], cwd=PROJECT, capture_output=True, text=True,
            env=os.environ | {"FACEXT_API_KEY": KEY}, timeout=180, check=False,
        )  # fmt: skip
        yield manifest, done, captioner.journal()


@pytest.fixture(scope="module")
def run(ran):
    return make_run("toy", ran[0], explain={"explainer": "mllm"})


def test_no_frame_is_lost(ran, run, annotated):
    whole, _ = annotated
    assert ran[1].returncode == 3, ran[1].stderr  # done, with rejects and fallbacks
    ids = {row.id for row in rows_of(run)} | {one.id for one in rejects_of(run)}
    assert ids == {row.id for row in rows_of(whole)} | {one.id for one in rejects_of(whole)}
    assert "internal_error" not in {one.reason for one in rejects_of(run)}
    for row in rows_of(run):
        assert row.claims
        assert (row.explainer == "mllm") == (row.fallback_reason is None)


def test_no_claim_that_the_pixels_contradict_is_published(run):
    rows = rows_of(run)
    assert sum(len(row.dropped) for row in rows) > 0
    for row in rows:
        verdicts = {claim.verdict for claim in verify(row.claims, row, EvidenceSettings())}
        assert verdicts == {"supported"}


def test_the_costs_are_those_of_the_server_or_more(ran, run):
    costs = pq.read_table(run.costs_path).to_pandas()
    billed = [entry for entry in ran[2] if entry.billed]
    price = sum(2.0 * one.prompt_tokens + 8.0 * one.completion_tokens for one in billed) / 1e6
    assert costs["cost"].sum() >= price - 1e-9
    assert (costs["outcome"] == "answered").sum() == len(costs)
    assert f"{len(costs)} requests to the model over all runs" in ran[1].stdout


def test_the_key_is_nowhere_though_the_server_echoes_it(ran):
    manifest, done, journal = ran
    assert {"echo_key", "echo_key_error"} & {entry.fault for entry in journal}
    files = [path for path in manifest.parent.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout + done.stderr
