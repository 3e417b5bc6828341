import pytest

from qa.index import Index, prepare
from qa.lookup import KEPT, Lookup
from schemas import shards
from schemas.errors import OutputError
from schemas.records import Picture
from schemas.reviews import labels_hash


@pytest.fixture
def opened(write_source, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 4)
    source = write_source(tmp_path, rows)
    index = Index(prepare(source, tmp_path / "qa"))
    return source, Lookup(index, source.shards)


def test_a_frame_is_read_whole_but_for_its_pictures(opened, rows):
    _, lookup = opened
    none = dict.fromkeys(("real", "fake", "label_map"), Picture(bytes=None, path=""))
    for row in (rows[0], rows[5], rows[-1]):
        assert lookup.frame(row.id) == row.model_copy(update=none)
        for side in ("real", "fake"):
            for _ in range(2):  # read, then kept
                assert lookup.picture(row.id, side) == getattr(row, side).bytes


def test_labels_are_hashed_as_a_release_hashes_them(opened, rows):
    source, lookup = opened
    some = [rows[0].id, rows[1].id, rows[5].id, rows[-1].id]
    expected = {row.id: labels_hash(row.model_dump()) for row in rows}
    assert lookup.labels([*some, "toy/gone"]) == {name: expected[name] for name in some}
    source.shards[0].unlink()
    assert lookup.labels(some[:2]) == {name: expected[name] for name in some[:2]}  # kept
    with pytest.raises(OutputError, match="changed or is damaged"):
        lookup.labels([rows[2].id])


def test_nothing_is_kept_of_shards_that_were_written_anew(opened, rows, write_source, tmp_path):
    _, lookup = opened
    old = lookup.labels([rows[0].id]), lookup.picture(rows[0].id, "fake"), lookup.version
    lookup.renew()
    assert lookup.version == old[-1]
    other = rows[0].model_copy(update={"explanation": "Another text.", "fake": rows[0].real})
    write_source(tmp_path, [other, *rows[1:]])
    assert lookup.labels([other.id]) == old[0]
    lookup.renew()
    assert lookup.labels([other.id]) == {other.id: labels_hash(other.model_dump())} != old[0]
    assert lookup.picture(other.id, "fake") == rows[0].real.bytes
    assert lookup.version != old[-1]


def test_an_unknown_id_is_nothing_whatever_it_looks_like(opened):
    _, lookup = opened
    for row in ("", "toy", "../../etc/passwd", "' OR 1=1 --", "x" * 100_000):
        assert lookup.frame(row) is None
        assert lookup.picture(row, "fake") is None


def test_only_the_last_pictures_are_kept(opened, rows):
    _, lookup = opened
    for row in rows:
        for side in ("real", "fake"):
            lookup.picture(row.id, side)
    assert len(lookup._pictures) == min(KEPT, 2 * len(rows))


def test_shards_that_changed_or_went_are_told(opened, rows, write_source, tmp_path):
    source, lookup = opened
    shard, old = source.shards[0], source.shards[0].read_bytes()
    write_source(tmp_path, rows[::-1])
    with pytest.raises(OutputError, match="changed since the index was made"):
        lookup.frame(rows[0].id)
    shard.write_bytes(old[: len(old) // 2])
    with pytest.raises(OutputError, match="changed or is damaged"):
        lookup.frame(rows[0].id)
    shard.unlink()
    with pytest.raises(OutputError, match="changed or is damaged"):
        lookup.picture(rows[0].id, "fake")
