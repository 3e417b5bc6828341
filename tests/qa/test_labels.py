import pytest

from qa.index import prepare
from qa.labels import hash_labels
from qa.lookup import Lookup
from schemas.reviews import labels_hash


@pytest.fixture
def made(write_source, rows, tmp_path):
    source = write_source(tmp_path, rows)
    prepare(source, tmp_path / "qa")
    return source, tmp_path / "qa"


def test_hashes_are_kept_while_the_shards_are_the_same(
    made, rows, write_source, tmp_path, monkeypatch
):
    source, folder = made
    expected = {row.id: labels_hash(row.model_dump()) for row in rows[:3]}
    found = hash_labels(source, folder, [*expected, "toy/gone"])
    assert found == expected
    asked = []
    read = Lookup.labels
    monkeypatch.setattr(Lookup, "labels", lambda self, ids: asked.append(ids) or read(self, ids))
    assert hash_labels(source, folder, list(expected)) == expected
    assert asked == []
    more = hash_labels(source, folder, [rows[3].id])
    assert asked == [{rows[3].id}]
    assert more == expected | {rows[3].id: labels_hash(rows[3].model_dump())}
    other = rows[0].model_copy(update={"explanation": "Another text."})
    write_source(tmp_path, [other, *rows[1:]])
    prepare(source, folder)
    assert hash_labels(source, folder, [other.id]) == {other.id: labels_hash(other.model_dump())}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"made_from": 1, "labels": null}'])
def test_a_damaged_file_is_made_again(made, rows, content):
    source, folder = made
    (folder / "labels.json").write_text(content)
    assert hash_labels(source, folder, [rows[0].id]) == {
        rows[0].id: labels_hash(rows[0].model_dump())
    }
