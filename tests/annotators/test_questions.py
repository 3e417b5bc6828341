from typing import get_args

import numpy as np
import pytest

from annotators.questions import ask, wording
from annotators.verify import read_labels
from schemas import rle
from schemas.records import SEG, AnnotatedFrame, Task
from schemas.shards import read_records


@pytest.fixture(scope="module")
def rows(annotated) -> list[AnnotatedFrame]:
    run, _ = annotated
    return read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)


def test_every_task_has_wordings():
    assert set(wording()) == set(get_args(Task))
    for words in wording().values():
        assert len(words["ask"]) >= 2
        assert "fake" in words
        assert ("real" in words) != ("clean" in words)


def test_all_eleven_tasks_are_asked_of_both_sides(rows):
    for row in rows:
        for side in ("real", "fake"):
            assert {q.task for q in row.questions if q.image == side} == set(get_args(Task))


def test_both_sides_get_the_same_queries(rows):
    for row in rows:
        asked = {
            side: {
                (q.task, q.query_category_id, q.query_bbox)
                for q in row.questions
                if q.image == side
            }
            for side in ("real", "fake")
        }
        assert asked["real"] == asked["fake"]


def test_each_seg_has_its_mask(rows):
    for row in rows:
        for question in row.questions:
            assert question.answer.count(SEG) == len(question.masks)
        assert row.explanation.count(SEG) == len(row.explanation_masks)


def test_answers_are_strings_real_or_fake(rows):
    for row in rows:
        det = {q.image: q.answer for q in row.questions if q.task == "Det"}
        assert det == {"real": "real", "fake": "fake"}
        cls = {q.image: q.answer for q in row.questions if q.task == "Cls"}
        assert cls == {"real": "none", "fake": row.forgery}


def test_masks_of_answers_lie_where_the_question_points(rows):
    for row in rows:
        changed = rle.decode(row.artifact.segmentation)
        for question in row.questions:
            where = np.ones_like(changed)
            if question.query_segmentation:
                where = rle.decode(question.query_segmentation)
            if question.query_bbox:
                x, y, w, h = (int(v) for v in question.query_bbox)
                assert 0 <= x < x + w <= changed.shape[1]
                assert 0 <= y < y + h <= changed.shape[0]
                where = np.zeros_like(changed)
                where[y : y + h, x : x + w] = True
            for mask in question.masks:
                pixels = rle.decode(mask)
                assert pixels.any()
                assert not (pixels & ~changed).any()
                assert not (pixels & ~where).any()


def test_region_and_box_queries_carry_what_they_point_at(rows):
    for row in rows:
        for question in row.questions:
            assert (question.query_segmentation is not None) == ("<region>" in question.question)
            assert (question.query_bbox is not None) == ("<box>" in question.question)


def test_an_untouched_region_is_asked_about_and_is_clean(rows):
    for row in rows:
        changed = rle.decode(row.artifact.segmentation)
        touched = {region.category_id for region in row.regions}
        clean = [
            q for q in row.questions
            if q.image == "fake" and q.task == "R-Loc" and q.query_category_id not in touched
        ]  # fmt: skip
        assert len(clean) == 1
        assert clean[0].masks == ()
        assert not (rle.decode(clean[0].query_segmentation) & changed).any()


def test_the_same_row_is_always_asked_the_same(rows, tree):
    row = rows[0]
    assert tuple(ask(row, row.claims, read_labels(row), tree)) == row.questions


def test_no_placeholder_is_left(rows):
    for row in rows:
        for question in row.questions:
            assert "{" not in question.question + question.answer
