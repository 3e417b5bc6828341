"""The tools of the field open a release without our code."""

import shutil
import subprocess

import datasets
import duckdb
import mlcroissant
import pandas as pd
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from model.data import Shards, view
from release.card import page
from release.released import open_release
from schemas.errors import SourceMissing
from schemas.records import Reject
from schemas.shards import read_metadata, read_records, write_records

SPLIT = "unsplit"


@pytest.fixture(params=["full", "bare", "split"])
def folder(request):
    """A release with pixels, one without, and a default one in three splits."""
    return request.getfixturevalue(request.param)


def ids_by_split(folder, rows):
    """What is released in which split, as the rows were given."""
    ids = [row.id for row in rows]
    if folder.parent.name.startswith("split"):
        return {name: ids[k::3] for k, name in enumerate(("train", "val", "test"))}
    return {SPLIT: ids}


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


def test_datasets_loads_rows_with_pictures(full, rows, cache):
    found = datasets.load_dataset(str(full), split=SPLIT, cache_dir=cache)
    assert found["id"] == [row.id for row in rows]
    first = found[0]
    assert isinstance(first["fake"], Image.Image)
    assert first["fake"].size == (512, 512)
    assert coco_mask.decode(first["artifact"]["segmentation"]).sum() == rows[0].artifact.area


def test_datasets_loads_each_split(folder, rows, cache):
    found = datasets.load_dataset(str(folder), cache_dir=cache)
    assert {name: part["id"] for name, part in found.items()} == ids_by_split(folder, rows)


def test_datasets_streams_rows_without_pictures(bare, rows, cache):
    found = datasets.load_dataset(str(bare), split=SPLIT, streaming=True, cache_dir=cache)
    streamed = list(found)
    assert [one["id"] for one in streamed] == [row.id for row in rows]
    assert {one["real"] for one in streamed} == {None}
    assert isinstance(streamed[0]["label_map"], Image.Image)


def test_datasets_loads_rejects_and_instructions(full, rows, cache):
    rejects = datasets.load_dataset(str(full), "rejects", split="rejects", cache_dir=cache)
    assert rejects["id"] == [one.id for one in read_records(full / "rejects.parquet", Reject)]
    asked = datasets.load_dataset(str(full), "instructions", split=SPLIT, cache_dir=cache)
    assert len(asked) == sum(len(row.questions) for row in rows)


def test_what_the_card_of_a_release_without_rejects_names_can_be_loaded(
    bare, rows, cache, tmp_path
):
    folder = shutil.copytree(bare, tmp_path / "release")
    rejects = folder / "rejects.parquet"
    write_records(rejects, [], Reject, read_metadata(rejects))
    (folder / "README.md").write_text(page(open_release(folder)), encoding="utf-8")
    assert '"rejects"' not in (folder / "README.md").read_text()
    assert datasets.get_dataset_config_names(str(folder)) == ["frames"]
    assert len(datasets.load_dataset(str(folder), split=SPLIT, cache_dir=cache)) == len(rows)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_croissant_is_valid_and_its_records_can_be_read(folder, full, rows):
    found = mlcroissant.Dataset(str(folder / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    files = [one for one in found.metadata.distribution if hasattr(one, "sha256") and one.sha256]
    assert {one.id for one in files} == {
        path.relative_to(folder).as_posix() for path in open_release(folder).files
    }
    records = {one["frames/id"].decode(): one for one in found.records("frames")}
    assert sorted(records) == sorted(row.id for row in rows)
    first = records[rows[0].id]
    assert first["frames/frame_index"] == rows[0].frame_index
    assert first["frames/label_map"].size == (512, 512)
    assert ("frames/real" in first) == (folder == full)
    assert folder != full or first["frames/real"].size == (512, 512)


def test_duckdb_and_pandas_read_it(folder, rows):
    query = f"SELECT count(*), sum(artifact.area) FROM '{folder}/data/*/*.parquet'"
    expected = (len(rows), sum(row.artifact.area for row in rows))
    assert duckdb.sql(query).fetchall() == [expected]
    for split, ids in ids_by_split(folder, rows).items():
        assert list(pd.read_parquet(folder / "data" / split)["id"]) == ids


def test_sha256sum_checks_it(folder):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True,
                   capture_output=True)  # fmt: skip


def test_our_torch_reader_reads_a_split(full, bare, rows):
    released = Shards(full / "data" / SPLIT)
    seen = view(released.row(1), "fake", 512)
    assert seen.id == rows[1].id
    assert int(seen.artifact.sum()) == rows[1].artifact.area
    assert seen.image.shape == (3, 512, 512)
    with pytest.raises(SourceMissing, match="rehydrate"):
        view(Shards(bare / "data" / SPLIT).row(0), "fake", 512)
