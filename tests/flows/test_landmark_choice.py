"""The landmark backend is chosen in the manifest; what it lacks stops a run before any work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_alignment.models import FAN

from annotators.pipeline import Measurer, PairJob
from fict.fan import FanLandmarks
from fict.landmarks import MeshLandmarks
from fict.weights import WEIGHTS
from flows import cli, doctor, stages
from flows.resume import settle
from flows.run import make_run
from schemas.manifest import Measure, load_manifest
from sources.layouts import find_pairs
from tests.knowing_fan import Knowing

torch.set_num_threads(1)
KINDS = pytest.mark.parametrize("kind", ["2d", "3d"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the user's weights, empty."""
    monkeypatch.setenv("FACEXT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@KINDS
def test_a_missing_weight_file_stops_the_run_before_any_work(folder, write_manifest, capsys, kind):
    manifest = write_manifest(folder.parent, measure__landmarks=f"face_alignment_{kind}")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["annotate", "toy", "--manifest", str(manifest)])
    told = capsys.readouterr().err.strip()
    assert stopped.value.code == cli.FAILED
    assert told.startswith("error: ")
    assert "\n" not in told
    assert WEIGHTS[f"fan_{kind}"].file in told
    assert not list((folder.parent / "out").rglob("*.parquet")), "not even a plan was made"


def test_a_damaged_weight_file_stops_it_too(folder, write_manifest, capsys):
    (folder / WEIGHTS["fan_2d"].file).write_bytes(b"<html>not found</html>")
    manifest = write_manifest(folder.parent, measure__landmarks="face_alignment_2d")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["annotate", "toy", "--manifest", str(manifest)])
    assert stopped.value.code == cli.FAILED
    assert "cannot be read as a weight file" in capsys.readouterr().err


@KINDS
def test_a_pair_is_measured_with_the_backend_of_the_manifest(folder, write_manifest, kind):
    """As with the mesh: the same frames, and crops that lie within a few pixels of its."""
    torch.save(FAN(4).state_dict(), folder / WEIGHTS[f"fan_{kind}"].file)
    manifest = load_manifest(write_manifest(folder.parent))
    dataset = manifest.dataset("toy")
    root = dataset.folder("toy")
    pair = next(one for one in find_pairs("toy", dataset, root)[0] if one.method == "LipRecolour")
    job = PairJob(root, pair, dataset.methods[pair.method], "", "", "")
    short = {"frames": 2, "context": 1}
    measurer = Measurer(Measure(landmarks=f"face_alignment_{kind}", **short))
    assert isinstance(backend_of(measurer), FanLandmarks)
    backend_of(measurer).network = Knowing()
    by_mesh = Measurer(Measure(**short))
    assert isinstance(backend_of(by_mesh), MeshLandmarks)
    (rows, rejects, _), (expected, *_) = measurer.measure_pair(job), by_mesh.measure_pair(job)
    assert rejects == []
    assert [row.frame_index for row in rows] == [row.frame_index for row in expected]
    for row, other in zip(rows, expected, strict=True):
        ours, theirs = (np.array(one.affine).reshape(2, 3) for one in (row, other))
        assert np.abs(ours[:, :2] - theirs[:, :2]).max() < 0.04 * np.abs(theirs[:, :2]).max()
        middle = np.linalg.solve(theirs[:, :2], 256 - theirs[:, 2])
        assert np.abs(ours[:, :2] @ middle + ours[:, 2] - 256).max() < 10
        assert {region.name for region in row.regions} & {one.name for one in other.regions}


def backend_of(measurer):
    """The landmark backend behind the clock."""
    return measurer.search.finder.detect.__wrapped__.__self__


def squeezed(table):
    """The text of a table without its lines."""
    return " ".join(table.replace("│", " ").split())


def test_doctor_tells_what_a_backend_lacks(folder, capsys):
    assert doctor.examine(), "a backend that is not needed may be absent"
    told = capsys.readouterr().out.replace("\n", "")
    for name in ("2DFAN4", "3DFAN4"):
        assert f"needs the weight file {name}" in squeezed(told)
    torch.save(FAN(4).state_dict(), folder / WEIGHTS["fan_3d"].file)
    doctor.examine()
    told = capsys.readouterr().out.replace("\n", "")
    assert "needs the weight file 2DFAN4" in squeezed(told)
    assert "needs the weight file 3DFAN4" not in squeezed(told)
    assert "package and weights load" in told


def test_a_run_loads_the_networks_once_to_check_them(folder, write_manifest, monkeypatch):
    """Beside the workers' own: whoever settled a run need not check it again for the plan."""
    torch.save(FAN(4).state_dict(), folder / WEIGHTS["fan_2d"].file)
    path = write_manifest(folder.parent, measure__landmarks="face_alignment_2d")
    loaded = []
    monkeypatch.setattr("fict.fan.fill", lambda network, name: loaded.append(name) or network)
    run = make_run("toy", path)
    settle(run)
    assert stages.freeze_plan(run)
    assert loaded == ["fan_2d"]
