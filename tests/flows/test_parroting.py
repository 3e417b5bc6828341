"""The parroting test on real frames, with a model that looks and one that parrots."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from flows.cli import main
from flows.parroting import parroting_path, run_parroting
from flows.run import make_run
from qa.parroting import Parroting
from schemas.errors import UsageError
from schemas.shards import read_records
from tests.conftest import silent
from tests.scripted_server import ScriptedServer, prompt_of, regions_of, true_claims


@pytest.fixture
def manifest(annotated, tmp_path, write_manifest):
    """Points the small dataset, annotated already, at a server."""
    whole, _ = annotated
    shutil.copytree(whole.output, tmp_path / "out/toy")

    def write(url) -> Path:
        path = write_manifest(tmp_path, mllms__local__base_url=url)
        content = yaml.safe_load(path.read_text())
        content["mllms"]["local"] |= {"retries": 0}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def parrot(request):
    """Says of every region what belongs to the method that it was told, and nothing else."""
    direction = "redder" if "LipRecolour" in prompt_of(request) else "greener"
    claims = [
        {
            "region": region, "kind": "colour", "direction": direction,
            "sentence": f"The {region} is {direction}.",
        }
        for region in regions_of(request)
    ]  # fmt: skip
    return json.dumps({"claims": claims})


def test_a_model_that_looks_is_told_from_a_parrot(manifest):
    found = {}
    for model in (true_claims, parrot):
        with ScriptedServer(model) as server:
            asked = {"explainer": "mllm", "recipe": "fifa"}
            run = make_run("toy", manifest(server.url), explain=asked)
            found[model] = run_parroting(run, 6, silent)[-1]
            first = [request for request in server.requests if len(request["messages"]) == 1]
            assert len(first) == 12
            assert sum("LipRecolour" in prompt_of(request) for request in first) == 6
        run.answers_path.unlink()
    assert (found[true_claims].agreement, found[true_claims].followed) == (1.0, 0.0)
    assert found[true_claims].refuted_other == 0.0
    assert found[parrot].agreement == 0.0
    assert found[parrot].refuted_other > 0.0


def test_the_command_puts_the_figures_on_the_report(manifest, capsys):
    with ScriptedServer(true_claims) as server, pytest.raises(SystemExit) as end:
        main(["qa", "toy", "--manifest", str(manifest(server.url)), "--parroting", "4"])
    assert end.value.code == 0
    page = Path(capsys.readouterr().out.strip())
    assert "Statements that are usual of the other method" in page.read_text()
    rows = read_records(page.parent / "parroting.parquet", Parroting)
    assert [row.method for row in rows] == ["LipRecolour", "SkinSmoothing", "all"]
    assert rows[-1].frames == 4


def test_nothing_measured_is_one_error(tmp_path, write_manifest):
    path = write_manifest(tmp_path, mllms__local__base_url="http://127.0.0.1:9/v1")
    run = make_run("toy", path, explain={"explainer": "mllm"})
    with pytest.raises(UsageError, match="run: facext annotate toy"):
        run_parroting(run, 4, silent)
    assert not parroting_path(run).exists()
    with pytest.raises(UsageError, match="add --explainer mllm"):
        run_parroting(make_run("toy", path), 4, silent)
