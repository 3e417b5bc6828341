from collections import Counter

import pytest

from model.batch import Collate
from model.samples import Samples
from model.vocabulary import IGNORED
from schemas.errors import UsageError
from schemas.records import SEG
from tests.model.conftest import of


def drawn(samples):
    return [samples[(epoch, k)] for epoch in range(2) for k in range(min(8, len(samples)))]


def test_what_is_too_long_is_dropped_and_counted_never_cut(samples):
    whole = {q["answer"] for k in range(len(samples.shards))
             for q in samples.shards.row(k)["questions"]}  # fmt: skip
    short = of(samples, max_tokens=60, questions=40)
    some = drawn(short)
    assert sum((one.dropped for one in some), Counter())["too_long"] > 0
    for one in some:
        for asked, encoded in one.questions:
            assert len(encoded.ids) <= 60
            assert asked.answer in whole
            assert samples.vocabulary.decode(encoded.ids[encoded.answer_from :]) == asked.answer
    kept = sum(len(one.questions) for one in some)
    left_out = sum(one.dropped.total() for one in some)
    assert kept + left_out == sum(
        len(one.questions) for one in drawn(of(samples, questions=40, max_tokens=9999))
    )


def test_an_answer_with_more_seg_than_masks_is_dropped_and_counted(
    samples, tmp_path, rows, write_shard
):
    from model.data import Shards

    broken = [q.model_copy(update={"masks": q.masks[:-1]}) for q in rows[0].questions]
    row = rows[0].model_copy(update={"questions": tuple(broken)})
    bad = of(samples, Shards(write_shard(tmp_path / "bad.parquet", [row])), questions=40)
    told = sum(SEG in q.answer and q.image == "fake" for q in rows[0].questions)
    assert bad[(0, 1)].dropped == {"masks_differ": told}
    assert not any(SEG in asked.answer for asked, _ in bad[(0, 1)].questions)


def test_tasks_are_drawn_by_their_weights(samples):
    only = of(samples, weights={task: 0 for task in TASKS if task != "Det"})
    assert {asked.task for one in drawn(only) for asked, _ in one.questions} == {"Det"}
    often = of(samples, questions=1, weights={"I-Loc": 200.0})
    tasks = Counter(asked.task for one in drawn(often) for asked, _ in one.questions)
    assert tasks["I-Loc"] > 0.8 * tasks.total()


TASKS = ("Det", "Cls", "I-TOE", "I-Loc", "I-AGE", "R-TOE", "R-Loc", "R-AGE", "B-TOE", "B-Loc",
         "B-AGE")  # fmt: skip


def test_the_same_place_draws_the_same_and_epochs_differ(samples):
    def said(place):
        return [asked.question for asked, _ in samples[place].questions]

    assert said((0, 1)) == said((0, 1))
    assert any(said((0, k)) != said((1, k)) for k in range(len(samples)))


def test_a_clip_holds_frames_of_one_pair_and_asks_about_the_whole(samples):
    clips = of(samples, frames=3, questions=40)
    for k in range(len(clips)):
        clip = clips[(0, k)]
        assert len({view.id.rsplit("/", 1)[0] for view in clip.views}) == 1
        assert len({view.id for view in clip.views}) == len(clip.views) <= 3
        assert {asked.task for asked, _ in clip.questions} <= {"Det", "Cls", "I-TOE"}
    assert any(len(clips[(0, k)].views) == 3 for k in range(len(clips)))


def test_a_batch_holds_one_mask_for_each_seg_and_teaches_answers_only(samples):
    some = [of(samples, questions=40)[(0, k)] for k in range(4)]
    batch = Collate(samples.vocabulary)(some)
    seg, image = samples.vocabulary.id_of[SEG], samples.vocabulary.id_of["<image>"]
    assert int((batch.labels_QL == seg).sum()) == len(batch.masks_MSS) > 3
    assert ((batch.ids_QL == image).sum(1) == samples.image_tokens).all()
    assert not (batch.labels_QL == image).any()
    said = [asked.answer for one in some for asked, _ in one.questions]
    for labels, answer in zip(batch.labels_QL, said, strict=True):
        assert samples.vocabulary.decode(labels[labels != IGNORED].tolist()) == answer
    assert float(batch.masks_MSS.max()) <= 1


def test_no_rows_is_an_error(samples):
    with pytest.raises(UsageError, match="no row"):
        Samples(samples.shards, [], samples.vocabulary, samples.config, 48, 4, 0)
