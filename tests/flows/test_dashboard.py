import pytest

from flows.dashboard import compare_with
from flows.run import make_run
from flows.source import other_source, source_of
from qa.drift import Drift
from schemas.errors import OutputError, UsageError
from schemas.records import AnnotatedFrame
from schemas.shards import read_metadata, read_records, write_records


@pytest.fixture
def other(annotated, tmp_path):
    """A folder of shards with the frames of one method, as a release could be."""
    run, _ = annotated
    shards = source_of(run).shards
    rows = [r for r in read_records(shards, AnnotatedFrame) if r.method == "LipRecolour"]
    write_records(
        tmp_path / "v1" / "data" / "a.parquet", rows, AnnotatedFrame, read_metadata(shards[0])
    )
    return tmp_path / "v1"


def test_a_dataset_is_compared_with_a_folder_which_stays_as_it_is(
    annotated, write_manifest, other, tmp_path
):
    run, _ = annotated
    manifest = write_manifest(tmp_path, output=run.manifest.output)
    lines = compare_with(make_run("toy", manifest), manifest, str(other))
    assert any("method" in line and "different" in line for line in lines)
    assert any(line.split()[:1] == ["SkinSmoothing"] for line in lines)
    path = run.output / "qa" / "drift-v1.parquet"
    assert {row.distribution for row in read_records(path, Drift)} >= {"method", "region"}
    assert [path.name for path in other.rglob("*.parquet")] == ["a.parquet"]


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
