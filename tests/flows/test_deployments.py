"""Prefect for real: a server, deployments, and runs started as a user starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.deployments import deployments, is_healthy
from schemas.manifest import load_manifest
from schemas.records import AnnotatedFrame
from schemas.shards import read_records
from tests.scripted_server import ScriptedServer, true_claims

KEY = "planted-secret-4711"
PROJECT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:.0f} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def captions():
    with ScriptedServer(true_claims) as server:
        yield server


@pytest.fixture(scope="module")
def served(tmp_path_factory, write_manifest, captions):
    """`make up` on a port and a database of its own, with a captioning server."""
    folder = tmp_path_factory.mktemp("served")
    url = f"http://127.0.0.1:{free_port()}/api"
    env = {
        **os.environ,
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
        "FACEXT_API_KEY": KEY,
    }
    env.pop("FFPP_ROOT", None)
    log = (folder / "log").open("wb")
    manifest = write_manifest(folder, mllms__local__base_url=captions.url)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.deployments", str(manifest)],
        cwd=PROJECT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip

    def both_are_there():
        assert process.poll() is None, (folder / "log").read_text()
        if not is_healthy(url):
            return False
        found = httpx.post(f"{url}/deployments/filter", json={}).json()
        return {one["name"] for one in found} == set(load_manifest(manifest).datasets)

    try:
        wait(both_are_there, 180, "serving the deployments")
        yield folder, env
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


def run_deployment(name: str, env: dict[str, str], *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "prefect", "deployment", "run", name, "--watch", *more],
        cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_run_of_the_toy_deployment_leaves_shards(served):
    folder, env = served
    ran = run_deployment("annotate/toy", env)
    assert ran.returncode == 0, ran.stdout + ran.stderr + (folder / "log").read_text()
    rows = read_records(sorted((folder / "out/toy/annotations").glob("*.parquet")), AnnotatedFrame)
    assert {row.method for row in rows} >= {"LipRecolour"}
    page = folder / "out/toy/qa/index.html"
    assert page.is_file()
    left = httpx.post(f"{env['PREFECT_API_URL']}/artifacts/filter", json={}).json()
    told = {one["key"]: (one["type"], one["data"]) for one in left}
    assert told["annotate-toy"][0] == "markdown"
    assert f"**{len(rows)} frames** annotated" in told["annotate-toy"][1]
    assert told["annotate-toy-counts"][0] == "table"
    assert page.resolve().as_uri() in told["annotate-toy-report"][1]


def test_a_captioning_run_keeps_its_key_out_of_prefect_and_of_all_results(served, captions):
    folder, env = served
    ran = run_deployment(
        "annotate/toy", env, "--param", "explainer=mllm", "--param", "resume=if-possible"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr + (folder / "log").read_text()
    assert set(captions.keys) == {f"Bearer {KEY}"}
    rows = read_records(sorted((folder / "out/toy/annotations").glob("*.parquet")), AnnotatedFrame)
    assert {row.explainer for row in rows} == {"mllm"}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"log", "answers.sqlite", "costs.parquet"} <= {path.name for path in files}
    assert any(path.is_relative_to(folder / "prefect") for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in ran.stdout + ran.stderr


def test_another_configuration_stops_a_run_unless_told_how_to_go_on(served):
    """After the captioning run: the default explainer again."""
    folder, env = served
    assert run_deployment("annotate/toy", env).returncode == 1
    log = (folder / "log").read_text()
    assert "mllm -> evidence" in log
    assert "the parameter resume" in log


def test_a_run_without_its_folder_fails_and_names_the_variable(served):
    folder, env = served
    ran = run_deployment("annotate/ff++", env)
    assert ran.returncode == 1
    log = (folder / "log").read_text()
    assert "needs the environment variable FFPP_ROOT" in log


def test_each_dataset_of_the_manifest_has_a_deployment(tmp_path, write_manifest):
    manifest = write_manifest(tmp_path)
    found = {one.name: one for one in deployments(manifest)}
    assert set(found) == set(load_manifest(manifest).datasets)
    assert {"toy", "ff++", "celeb-df", "dfdc", "pairs"} <= set(found)
    assert found["toy"].entrypoint == "flows.annotate.annotate"
    assert found["ff++"].parameters["dataset"] == "ff++"
