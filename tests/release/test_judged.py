"""A review is of the labels that were seen: of others it says nothing."""

from dataclasses import replace

import pytest

from release.judged import judge
from schemas.errors import OutputError
from schemas.reviews import labels_hash
from tests.conftest import review


def test_a_row_that_was_annotated_again_is_not_held_back_for_ever(tmp_path, make, ready, rows):
    before = rows[0].model_copy(update={"explanation": "Another text."})
    source = replace(ready, reviews=[review(before, "fix"), review(rows[1], "reject")])
    outcome = make(tmp_path, source)
    assert outcome.withheld == {"reject": 1}
    assert outcome.remarks == ["1 rows were reviewed before their labels changed: again?"]


def test_an_acceptance_does_not_count_for_new_labels(tmp_path, make, ready, rows):
    said = [review(row.model_copy(update={"questions": ()}), "accept") for row in rows]
    settings = ready.settings.model_copy(update={"max_unreviewed": 0.5})
    outcome = make(tmp_path, replace(ready, settings=settings, reviews=said))
    assert {one.name for one in outcome.results if one.failed} == {"reviews"}


def test_a_later_review_of_what_is_no_more_does_not_hide_an_earlier_one(ready, rows):
    now, before = rows[0], rows[0].model_copy(update={"regions": ()})
    later = review(before, "accept").model_copy(update={"at": 9.0})
    found = judge(replace(ready, reviews=[review(now, "reject"), later]))
    assert (found.decisions, found.outdated) == ({now.id: "reject"}, frozenset())


def test_a_review_of_unknown_labels_is_outdated(ready, rows):
    unknown = review(rows[0], "accept").model_copy(update={"labels_hash": ""})
    found = judge(replace(ready, reviews=[unknown]))
    assert (found.decisions, found.outdated) == ({}, {rows[0].id})


def test_other_settings_with_the_same_labels_are_the_same_row(rows):
    row = rows[0].model_dump()
    assert labels_hash(row | {"config_hash": "x", "code_version": "x"}) == labels_hash(row)
    assert labels_hash(row | {"frame_index": -1}) != labels_hash(row)


def test_a_damaged_shard_is_named(copied, rows):
    path = copied.shards[0]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(OutputError, match=path.name):
        judge(replace(copied, reviews=[review(rows[0], "accept")]))
