import sqlite3

import pytest

from benchmarks.dashboard import lost_reviews
from qa import reviews as module
from qa.reviews import MAX_NOTE, Reviews, make_review, open_reviews
from schemas.errors import OutputError, UsageError
from schemas.reviews import Review, decided
from schemas.shards import read_records, write_records

HTML = "<script>alert(1)</script> <b>鼻</b> 'quoted' \"twice\"; DROP TABLE reviews; --"


@pytest.fixture
def store(tmp_path):
    return Reviews(tmp_path / "reviews.sqlite")


def test_reviews_come_back_as_written_and_are_exported(store, tmp_path):
    first = make_review("a/1", " Ana ", "accept", note=HTML)
    second = make_review("a/1", "Ben", "fix", label="nose -> chin")
    for one in (first, second, make_review("a/2", "Ben", "reject")):
        store.add(one)
    assert first.reviewer == "Ana"
    assert store.of("a/1") == [first, second]
    assert store.export(tmp_path / "reviews.parquet") == 3
    exported = read_records(tmp_path / "reviews.parquet", Review)
    assert exported == store.all()
    assert decided(exported) == {"a/1": "fix", "a/2": "reject"}


def test_reviews_of_some_rows_are_found_and_all_are_counted(store):
    assert store.count() == 0
    assert store.rows() == []
    made = [make_review(f"a/{n % 3}", "Ana", "accept", note=str(n)) for n in range(6)]
    for one in made:
        store.add(one)
    assert store.of("a/0", "a/2", HTML) == [made[n] for n in (0, 2, 3, 5)]
    assert store.of() == []
    assert store.count() == 6
    assert sorted(store.rows()) == ["a/0", "a/1", "a/2"]


def test_an_export_with_a_decision_that_is_none_is_not_taken_back(store, tmp_path):
    exported = tmp_path / "reviews.parquet"
    strange = make_review("a/1", "Ana", "accept").model_copy(update={"decision": "perhaps"})
    write_records(exported, [strange], Review)
    with pytest.raises(OutputError, match=r"reviews\.parquet is damaged"):
        store.export(exported)
    assert store.all() == []


def test_a_second_thought_is_a_new_row(store):
    for decision in ("accept", "reject"):
        store.add(make_review("a/1", "Ana", decision))
    assert [one.decision for one in store.of("a/1")] == ["accept", "reject"]


def test_nobody_has_reviewed_yet(store, tmp_path):
    assert store.all() == []
    assert not store.path.exists()
    assert store.export(tmp_path / "reviews.parquet") == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reviewer": ""}, "say who you are"),
        ({"note": "x" * 1_000_000}, f"the note has 1,000,000 characters; {MAX_NOTE:,} is the most"),
        ({"label": "x" * (MAX_NOTE + 1)}, "the label has"),
        ({"reviewer": "x" * 61}, "the name has 61 characters"),
        ({"decision": "fix", "label": " "}, "say which label is wrong"),
    ],
)
def test_an_incomplete_or_endless_review_is_refused(store, changes, message):
    made = make_review("a/1", "Ana", "accept").model_copy(update=changes)
    with pytest.raises(UsageError, match=message):
        store.add(made)
    assert store.all() == []


def test_several_processes_lose_no_review(tmp_path):
    found = lost_reviews(tmp_path / "reviews.sqlite", reviewers=2, reviews=60)
    assert (found["reviews"], found["reviews_lost"]) == (120, 0)


def test_a_file_that_stays_locked_is_an_error_and_a_later_try_works(store, monkeypatch):
    store.add(make_review("a/1", "Ana", "accept"))
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutputError, match="locked"):
        store.add(make_review("a/2", "Ana", "accept"))
    holder.execute("COMMIT")
    holder.close()
    store.add(make_review("a/2", "Ana", "accept"))
    assert [one.id for one in store.all()] == ["a/1", "a/2"]


def test_a_file_deleted_meanwhile_is_made_again(store):
    store.add(make_review("a/1", "Ana", "accept"))
    for path in store.path.parent.glob("reviews.sqlite*"):
        path.unlink()
    assert store.all() == []
    store.add(make_review("a/2", "Ana", "accept"))
    assert [one.id for one in store.all()] == ["a/2"]


def test_what_a_deleted_file_held_is_taken_back_from_the_export(store, tmp_path):
    exported = tmp_path / "reviews.parquet"
    first, second, third = (make_review(f"a/{n}", "Ana", "reject", note=HTML) for n in range(3))
    for one in (first, second):
        store.add(one)
    store.export(exported)
    for path in tmp_path.glob("reviews.sqlite*"):
        path.unlink()
    store.add(third)
    for _ in range(2):
        assert store.export(exported) == 3
    assert store.all() == read_records(exported, Review) == [first, second, third]
    store.path.unlink()
    assert open_reviews(exported).all() == [first, second, third]


def test_an_export_that_cannot_be_read_is_not_replaced(store, tmp_path):
    exported = tmp_path / "reviews.parquet"
    exported.write_bytes(b"PAR1 cut off")
    store.add(make_review("a/1", "Ana", "accept"))
    with pytest.raises(OutputError, match=r"reviews\.parquet cannot be read"):
        store.export(exported)
    assert exported.read_bytes() == b"PAR1 cut off"


def test_opening_brings_a_stale_export_up_to_date_and_makes_nothing_of_nothing(store, tmp_path):
    exported = tmp_path / "reviews.parquet"
    assert open_reviews(exported).all() == []
    assert list(tmp_path.iterdir()) == []
    store.add(make_review("a/1", "Ana", "accept"))
    assert open_reviews(exported).all() == read_records(exported, Review) == store.all()


def test_a_damaged_file_is_an_error_that_names_it(store):
    store.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(OutputError, match=r"reviews\.sqlite cannot be used"):
        store.add(make_review("a/1", "Ana", "accept"))
    with pytest.raises(OutputError, match=r"reviews\.sqlite cannot be used"):
        store.all()
