"""Prefect for real: a server, deployments, and runs started as a user starts them."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import prefect
import psutil
import pytest

from flows.deployments import deployments, is_healthy
from flows.run import make_run
from schemas.manifest import load_manifest
from schemas.records import AnnotatedFrame
from schemas.shards import read_records
from tests.results import all_bytes, rejects_of, rows_of
from tests.scripted_server import ScriptedServer, true_claims

KEY = "planted-secret-4711"
PROJECT = Path(__file__).resolve().parents[2]
POOLS = Path(prefect.__file__).parent / (
    "server/api/collections_data/views/aggregate-worker-metadata.json"
)
"""What Prefect itself makes pools of each kind from."""
KINDS = {"prefect": "process", "prefect-docker": "docker", "prefect-kubernetes": "kubernetes"}


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
def faceforensics(tmp_path_factory, source):
    """A miniature FaceForensics++ tree: c23 videos of two methods, masks of one, split lists."""
    root = tmp_path_factory.mktemp("FaceForensics++")
    real = "original_sequences/youtube/c23"
    shutil.copytree(source / real, root / real)
    for ours, theirs in (("LipRecolour", "Deepfakes"), ("SkinSmoothing", "NeuralTextures")):
        folder = root / "manipulated_sequences" / theirs
        shutil.copytree(source / "manipulated_sequences" / ours / "c23", folder / "c23")
    shutil.copytree(root / real / "videos", root / "manipulated_sequences/Deepfakes/masks/videos")
    masks = root / "manipulated_sequences/Deepfakes/masks/videos"
    (masks / "000.mp4").rename(masks / "000_001.mp4")
    (root / "splits").mkdir()
    for split, pairs in (("train", []), ("val", []), ("test", [["001", "000"]])):
        (root / "splits" / f"{split}.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture(scope="module")
def served(tmp_path_factory, write_manifest, captions, faceforensics):
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
        "FFPP_ROOT": str(faceforensics),
    }
    env.pop("CELEB_DF_ROOT", None)
    log = (folder / "log").open("wb")
    manifest = write_manifest(folder, mllms__local__base_url=captions.url)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.deployments", str(manifest)],
        cwd=PROJECT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip

    (folder / "pid").write_text(str(process.pid))

    def both_are_there():
        assert process.poll() is None, (folder / "log").read_text()
        if not is_healthy(url):
            return False
        found = httpx.post(f"{url}/deployments/filter", json={}).json()
        names = [one["name"] for one in found]
        return Counter(names) == Counter(2 * list(load_manifest(manifest).datasets))

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
    assert f"`{page.resolve()}`" in told["annotate-toy"][1]
    assert "annotate-toy-report" not in told  # nobody serves the output folder


def test_a_run_of_the_release_deployment_leaves_a_version_and_the_second_one_fails(served):
    folder, env = served
    command = ("release/toy", env, "--param", "version=0.1.0")
    ran = run_deployment(*command)
    assert ran.returncode == 0, ran.stdout + ran.stderr + (folder / "log").read_text()
    assert (folder / "out/toy/releases/0.1.0/README.md").is_file()
    assert run_deployment(*command).returncode == 1
    assert "a version is released once" in (folder / "log").read_text()


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
    ran = run_deployment("annotate/celeb-df", env)
    assert ran.returncode == 1
    log = (folder / "log").read_text()
    assert "needs the environment variable CELEB_DF_ROOT" in log


def test_faceforensics_in_miniature_is_annotated_with_its_splits_and_masks(served):
    folder, env = served
    ran = run_deployment("annotate/ff++", env)
    assert ran.returncode == 0, ran.stdout + ran.stderr + (folder / "log").read_text()
    run = make_run("ff++", folder / "manifest.yaml")
    rows = rows_of(run)
    assert {row.split for row in rows} == {"test"}
    assert {(row.pair, row.identities) for row in rows} >= {("000_001", ("000", "001"))}
    masks = {(row.method, row.pair): row.mask_path for row in rows}
    path = "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4"
    assert masks["Deepfakes", "000_001"] == path
    assert not any(mask for pair, mask in masks.items() if pair != ("Deepfakes", "000_001"))
    missing = {one.method: one.reason for one in rejects_of(run) if one.stage == "plan"}
    assert missing == dict.fromkeys(("FaceSwap", "FaceShifter", "Face2Face"), "no_videos")


# ---- work pools ----


def test_prefect_yaml_deploys_to_each_kind_of_pool_in_words_that_the_pool_knows(served):
    _, env = served
    url = env["PREFECT_API_URL"]
    packages = json.loads(POOLS.read_text())
    schemas = {}
    for package, kind in KINDS.items():
        template = packages[package][kind]["default_base_job_configuration"]
        schemas[f"facext-{kind}"] = template["variables"] | {"additionalProperties": False}
        pool = {"name": f"facext-{kind}", "type": kind, "base_job_template": template}
        assert httpx.post(f"{url}/work_pools/", json=pool).status_code == httpx.codes.CREATED
    ran = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = httpx.post(f"{url}/deployments/filter", json={}).json()
    pooled = {one["name"]: one for one in found if one["work_pool_name"]}
    assert set(pooled) == {*KINDS.values(), "release"}
    for name, one in pooled.items():
        flow = "release" if name == "release" else "annotate"
        assert one["entrypoint"] == f"flows.{flow}.{flow}"
        jsonschema.validate(one["job_variables"], schemas[one["work_pool_name"]])
    for name in ("process", "release"):
        [pull] = pooled[name]["pull_steps"]
        assert list(pull.values()) == [{"directory": str(PROJECT)}]


# ---- clusters ----


def started(env: dict[str, str], manifest: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "prefect", "deployment", "run", "annotate/toy", "--watch"]
    command += ["--param", f"manifest={manifest}", "--param", f"workers={workers}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=PROJECT, env=env, text=True, **pipes)


def below(server: int, word: str) -> list[psutil.Process]:
    """Gives the processes of a server's runs whose command line has a word."""
    found = []
    for process in psutil.Process(server).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [process] * (word in " ".join(process.cmdline()))
    return found


def test_a_dask_cluster_that_loses_a_worker_gives_the_bytes_of_a_local_run(
    served, annotated, write_manifest, tmp_path
):
    folder, env = served
    run = make_run("toy", write_manifest(tmp_path, run__runner="dask", run__batch=6))
    process = started(env, tmp_path / "manifest.yaml", 2)
    committed = lambda: list(run.measured.folder.glob("*.json"))  # noqa: E731
    wait(lambda: committed() or process.poll() is not None, 240, "a first unit")
    [engine] = below(int((folder / "pid").read_text()), "prefect.engine")
    worker = next(one for one in engine.children() if one.children())
    before = {path: path.stat().st_mtime_ns for path in committed()}
    worker.kill()
    told, _ = process.communicate(timeout=400)
    assert process.returncode == 0, told + (folder / "log").read_text()
    assert 0 < len(before) < 12
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was repeated
    assert all_bytes(run) == all_bytes(annotated[0])


def test_a_ray_cluster_on_loopback_gives_the_bytes_of_a_local_run(
    served, annotated, write_manifest, tmp_path
):
    folder, env = served
    run = make_run("toy", write_manifest(tmp_path, run__runner="ray", run__batch=6))
    process = started(env, tmp_path / "manifest.yaml", 2)
    wait(lambda: run.measured.folder.exists() or process.poll() is not None, 240, "a first unit")
    ray = below(int((folder / "pid").read_text()), "ray")
    places = {at.laddr.ip for one in ray for at in listening(one)}
    told, _ = process.communicate(timeout=400)
    assert process.returncode == 0, told + (folder / "log").read_text()
    assert places
    assert places <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert len(ray) >= 3
    assert all_bytes(run) == all_bytes(annotated[0])


def listening(process: psutil.Process) -> list[Any]:
    try:
        found = process.net_connections("tcp")
    except psutil.Error:
        return []
    return [one for one in found if one.status == psutil.CONN_LISTEN]


def test_each_dataset_of_the_manifest_has_a_deployment(tmp_path, write_manifest):
    manifest = write_manifest(tmp_path)
    found = {(one.flow_name, one.name): one for one in deployments(manifest)}
    datasets = set(load_manifest(manifest).datasets)
    assert set(found) == {(flow, name) for flow in ("annotate", "release") for name in datasets}
    assert {"toy", "ff++", "celeb-df", "dfdc", "pairs"} <= datasets
    assert found["annotate", "toy"].entrypoint == "flows.annotate.annotate"
    assert found["release", "toy"].entrypoint == "flows.release.release"
    assert found["annotate", "ff++"].parameters["dataset"] == "ff++"
