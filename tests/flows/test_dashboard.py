import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.dashboard import compare_folders, compare_with, serve_dashboard
from flows.release import source_of as releasable
from flows.run import make_run
from flows.source import other_source, source_of
from qa.drift import Drift
from qa.index import Filter, Index, prepare
from qa.lookup import Lookup
from release.make import Order, make_release
from schemas.errors import OutputError, UsageError
from schemas.records import AnnotatedFrame
from schemas.shards import read_metadata, read_records, write_records
from tests.conftest import silent


@pytest.fixture(scope="module")
def rows(annotated):
    return read_records(source_of(annotated[0]).shards, AnnotatedFrame)


@pytest.fixture(scope="module")
def released(annotated, rows, tmp_path_factory):
    """A release without pixels whose splits are the methods, so that two files have one name."""
    source = releasable(annotated[0])
    facts = read_metadata(source.shards[0])
    given = {key: facts[key] for key in facts.keys() - {"format_version", "record"}}
    splits = {"LipRecolour": "train", "SkinSmoothing": "test"}
    split = [row.model_copy(update={"split": splits[row.method]}) for row in rows]
    folder = tmp_path_factory.mktemp("released")
    shard = write_records(folder / "toy-00000.parquet", split, AnnotatedFrame, given)
    leaky = source.dataset.model_copy(update={"splits_may_leak": True})
    source = replace(source, shards=[shard], dataset=leaky)
    assert make_release(source, Order("1.0.0", folder / "1.0.0", with_pixels=False), silent).passed
    return folder / "1.0.0"


def test_a_release_is_compared_and_stays_as_it_is(
    annotated, rows, write_manifest, released, tmp_path
):
    manifest = write_manifest(tmp_path, output=annotated[0].manifest.output)
    run = make_run("toy", manifest)
    before = {path: path.stat().st_mtime_ns for path in released.rglob("*")}
    lines = compare_with(run, manifest, str(released))
    assert any(line.split()[:1] == ["train"] for line in lines)
    source, folder = other_source(run, manifest, str(released))
    drift = read_records(run.output / "qa" / f"drift-{source.name}.parquet", Drift)
    shares = {(row.distribution, row.category): (row.share_a, row.share_b) for row in drift}
    assert all(a == b for (what, _), (a, b) in shares.items() if what == "method")
    assert {name for what, name in shares if what == "split"} >= {"train", "test"}
    assert {path: path.stat().st_mtime_ns for path in released.rglob("*")} == before
    index = Index(folder / "index.parquet")
    lookup = Lookup(index, source.shards)
    assert index.count(Filter(split="test")) == sum(r.method == "SkinSmoothing" for r in rows)
    for row in rows:
        assert lookup.frame(row.id).explanation == row.explanation
        assert lookup.picture(row.id, "fake") is None


def test_two_releases_are_compared(annotated, write_manifest, released, tmp_path):
    manifest = write_manifest(tmp_path)
    other = tmp_path / "2.0.0"
    shutil.copytree(released / "data" / "train", other / "data" / "train")
    lines = compare_folders(manifest, str(released), [str(other)])
    assert any(line.split()[:1] == ["SkinSmoothing"] for line in lines)
    assert any(line.split()[:2] == ["evidence:", "rows"] for line in lines)
    path = Path(lines[-1])
    assert path.is_relative_to(tmp_path / "out" / "against")
    drift = read_records(path, Drift)
    found = [r for r in drift if (r.distribution, r.category) == ("split", "test")]
    assert [row.count_b for row in found] == [0]
    with pytest.raises(UsageError, match="no dataset of the manifest and no folder of shards"):
        compare_folders(manifest, str(tmp_path / "gone"), [str(other)])


def test_the_output_of_another_run_counts_each_frame_once(
    annotated, rows, write_manifest, tmp_path
):
    run, _ = annotated
    folder = tmp_path / "old" / "toy"
    for name in ("annotations", "rejects", "units"):
        shutil.copytree(run.output / name, folder / name)
    source, kept = other_source(run, write_manifest(tmp_path), str(folder))
    assert Index(prepare(source, tmp_path / "qa")).count(Filter()) == len(rows)
    assert source.rejects == folder / "rejects" / "toy.parquet"
    assert source.name != "toy"
    assert kept == run.output / "qa" / "against" / source.name


def test_folders_of_one_name_are_different_datasets(annotated, write_manifest, tmp_path):
    run, _ = annotated
    manifest = write_manifest(tmp_path)
    found = []
    for place in ("a", "b"):
        folder = tmp_path / place / "0.1.0"
        shutil.copytree(run.shards, folder)
        found.append(other_source(run, manifest, str(folder)))
    assert found[0][0].name != found[1][0].name
    assert found[0][1] != found[1][1]


def test_a_dataset_is_not_shown_twice(annotated, write_manifest, tmp_path):
    run, _ = annotated
    manifest = write_manifest(tmp_path, output=run.manifest.output)
    for against in (["toy"], [str(run.output)] * 2):
        with pytest.raises(UsageError, match="is shown already"):
            serve_dashboard(run, manifest, against, "127.0.0.1", 0, "")


def test_what_is_no_dataset_and_no_folder_of_shards_is_told(annotated, write_manifest, tmp_path):
    run, _ = annotated
    manifest = write_manifest(tmp_path)
    for name in ("tyo", str(tmp_path)):
        with pytest.raises(UsageError, match="no dataset of the manifest and no folder of shards"):
            other_source(run, manifest, name)
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "a.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(OutputError, match=r"a\.parquet cannot be read as Parquet"):
        other_source(run, manifest, str(tmp_path / "v2"))
