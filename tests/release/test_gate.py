"""Each check of the gate fails on what it is for, and names it."""

from dataclasses import replace

import pytest

from release.gate import CHECKS, Scene, check_text
from release.held import hold
from release.source import open_tables
from schemas.datasets import Licence
from schemas.records import AnnotatedFrame, Pair, Reject
from schemas.releasing import Bound
from schemas.shards import read_records, write_records
from tests.conftest import review


def failures(source, check, with_pixels=False):
    with open_tables(source.shards, source.rejects) as tables:
        return list(CHECKS[check](Scene(source, tables, with_pixels, hold(source))))


def without(source, folder, *entries):
    """The same dataset with entries on its take-down list."""
    path = folder / "taken.txt"
    path.write_text("".join(f"{entry}\n" for entry in entries))
    settings = source.settings.model_copy(update={"take_down": str(path)})
    return replace(source, settings=settings)


def subjects(source, check, **more):
    return [one.subject for one in failures(source, check, **more)]


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_dataset_passes(ready, check):
    assert failures(ready, check) == []


def test_shards_of_two_origins(ready, like, rows, tmp_path):
    one = like(rows[:2])
    other = tmp_path / "shards" / "b.parquet"
    write_records(other, rows[2:], AnnotatedFrame, {"dataset": "other"})
    found = failures(replace(one, shards=[*one.shards, other]), "one origin")
    assert [one.subject for one in found] == ["b.parquet"]
    assert "dataset" in found[0].reason


def test_ids_that_are_there_twice_or_rejected_too(like, rows, ready, tmp_path):
    rejects = read_records(ready.rejects, Reject)
    path = tmp_path / "rejects.parquet"
    taken = Reject(id=rows[1].id, dataset="toy", method=rows[1].method, compression="c23",
                   pair=rows[1].pair, frame_index=1, stage="measure", reason="no_face",
                   detail="x")  # fmt: skip
    write_records(path, [*rejects, taken], Reject)
    source = like([*rows, rows[0]], rejects=path)
    assert subjects(source, "unique ids") == [rows[0].id, rows[1].id]


def test_rows_that_are_lost_or_were_never_planned(like, rows, ready):
    found = failures(like(rows[1:]), "counts")
    assert [one.subject for one in found] == [f"{rows[0].method}/{rows[0].compression}"]
    assert "were counted at compaction" in found[0].reason
    pairs = [pair for pair in ready.pairs if not rows[0].id.startswith(f"{pair.key}/")]
    assert subjects(replace(ready, pairs=pairs), "counts") == [rows[0].id.rpartition("/")[0]]
    fewer = {**ready.counted, "rejects": {}}
    assert {one.reason for one in failures(replace(ready, counted=fewer), "counts")}


def test_pairs_that_are_open_and_frames_that_failed(ready, tmp_path):
    pair = Pair(dataset="toy", method="New", compression="c23", pair="1_2", split="",
                real_path="a", fake_path="b")  # fmt: skip
    open_one = replace(ready, pairs=[*ready.pairs, pair])
    assert subjects(open_one, "nothing open or failed") == ["toy/New/c23/1_2"]
    failed = Reject(id="toy/New/c23/1_2", dataset="toy", method="New", compression="c23",
                    pair="1_2", frame_index=None, stage="measure", reason="internal_error",
                    detail="KeyError")  # fmt: skip
    path = tmp_path / "rejects.parquet"
    write_records(path, [*read_records(ready.rejects, Reject), failed], Reject)
    broken = replace(open_one, rejects=path)
    found = failures(broken, "nothing open or failed")
    for source in (open_one, broken):
        gone = without(source, tmp_path, pair.key)
        assert failures(gone, "nothing open or failed") == []
    assert [(one.subject, one.reason) for one in found] == [
        ("toy/New/c23/1_2", "internal_error: KeyError")
    ]


def test_a_person_in_two_splits(like, rows, ready, tmp_path):
    splits = ["train", "test"]
    leaky = [
        row.model_copy(update={"split": splits[k % 2], "identities": ("ada",)})
        for k, row in enumerate(rows)
    ]
    source = like(leaky)
    assert "ada" in subjects(source, "no split leaks")[0]
    last = leaky[-1].id.rpartition("/")[0]
    taken = [row.id for row in leaky if row.split == "test"]
    assert failures(without(source, tmp_path, *taken), "no split leaks") == []
    said = [review(row, "reject") for row in leaky if row.split == "test"]
    assert failures(replace(source, reviews=said), "no split leaks") == []
    assert failures(without(source, tmp_path, last), "no split leaks") != []
    kept = ready.dataset.model_copy(update={"splits_may_leak": True})
    assert failures(replace(source, dataset=kept), "no split leaks") == []


def test_pixels_only_where_the_licence_lets_them(ready):
    closed = Licence(name="closed", redistribute_pixels=False)
    source = replace(ready, dataset=ready.dataset.model_copy(update={"licence": closed}))
    assert subjects(source, "licence") == ["closed"]  # the shards tell another one
    assert len(failures(source, "licence", with_pixels=True)) == 2
    assert failures(ready, "licence", with_pixels=True) == []


def test_too_few_reviews(ready, rows, tmp_path):
    settings = ready.settings.model_copy(update={"max_unreviewed": 0.5})
    asked = replace(ready, settings=settings)
    assert subjects(asked, "reviews") == ["max_unreviewed"]
    half = [review(row, "accept") for row in rows[: len(rows) // 2 + 1]]
    assert failures(replace(asked, reviews=half), "reviews") == []
    few = replace(asked, reviews=half[:2])
    assert subjects(few, "reviews") == ["max_unreviewed"]
    gone = [row.id for row in rows[4:]]
    assert failures(without(few, tmp_path, *gone), "reviews") == []


def test_figures_out_of_bounds(ready):
    bounds = {"mask_iou.calibrated.c23": Bound(at_least=0.99), "no.such": Bound(at_most=1)}
    settings = ready.settings.model_copy(update={"truth": bounds})
    assert subjects(replace(ready, settings=settings), "truth figures") == list(bounds)


def test_text_figures_out_of_bounds(ready):
    settings = ready.settings.model_copy(
        update={"text": {"refuted": Bound(at_most=0.1), "no such": Bound(at_most=1)}}
    )
    figures = {"evidence": {"refuted": 0.0}, "fifa": {"refuted": 0.2}}
    found = check_text(replace(ready, settings=settings), figures)
    assert [one.subject for one in found.first] == ["refuted, written by fifa", "no such"]
    assert found.failed == 2


def test_a_complaint_does_not_round_a_figure_to_its_bound():
    assert Bound(at_least=1.0).complaint(0.999975) == "is 0.999975, must be 1 or more"
