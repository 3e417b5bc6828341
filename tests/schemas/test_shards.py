import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import OutputError
from schemas.records import Pair, Reject
from schemas.shards import read_metadata, read_records, write_records

ROW = Reject(
    id="toy/x", dataset="toy", method="x", compression="c23", pair="000_001", frame_index=None,
    stage="measure", reason="no_face", detail="no face in frame 3",
)  # fmt: skip


def test_rows_and_metadata_come_back(tmp_path):
    path = write_records(tmp_path / "a" / "r.parquet", [ROW] * 3, Reject, {"dataset": "toy"})
    assert read_records(path, Reject) == [ROW] * 3
    assert read_metadata(path)["dataset"] == "toy"
    assert read_metadata(path)["record"] == "Reject"


def test_same_rows_give_the_same_bytes(tmp_path):
    one = write_records(tmp_path / "1.parquet", [ROW], Reject, {"b": 1, "a": 2})
    two = write_records(tmp_path / "2.parquet", [ROW], Reject, {"a": 2, "b": 1})
    assert one.read_bytes() == two.read_bytes()


def test_row_groups_stay_small(tmp_path):
    path = write_records(tmp_path / "r.parquet", [ROW] * 250, Reject)
    assert pq.read_metadata(path).num_row_groups == 3


def test_a_truncated_file_is_named(tmp_path):
    path = write_records(tmp_path / "r.parquet", [ROW], Reject)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OutputError, match=r"r\.parquet cannot be read as Parquet"):
        read_records(path, Reject)


def test_another_schema_is_named(tmp_path):
    path = write_records(tmp_path / "r.parquet", [ROW], Reject)
    with pytest.raises(OutputError, match=r"does not have the schema of Pair .*real_path"):
        read_records(path, Pair)


def test_an_extra_column_is_named(tmp_path):
    path = write_records(tmp_path / "r.parquet", [ROW], Reject)
    table = pq.read_table(path).append_column("error", pa.array(["x"]))
    pq.write_table(table, path)
    with pytest.raises(OutputError, match="error"):
        read_records(path, Reject)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = write_records(tmp_path / "r.parquet", [ROW], Reject)
    before = path.read_bytes()
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write"):
        write_records(blocked / "r.parquet", [ROW], Reject)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "r.parquet"]
