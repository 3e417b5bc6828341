import json
import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.data import Shards, asked, box_mask, soft, soft_mask, view
from qa.pictures import decode
from schemas import rle
from schemas.errors import OutputError, SourceMissing, UsageError
from schemas.records import Picture


def test_rows_are_those_of_the_shards_in_order(shards, rows):
    assert len(shards) == len(rows)
    assert [shards.row(k)["id"] for k in range(len(shards))] == [row.id for row in rows]


def test_rows_are_found_over_groups_and_shards(tmp_path, rows, write_shard):
    many = [rows[0].model_copy(update={"id": f"row {n}"}) for n in range(230)]
    write_shard(tmp_path / "a.parquet", many[:120])
    shards = Shards(write_shard(tmp_path / "b.parquet", many[120:]))
    assert len(shards) == 230
    for n in (229, 0, 99, 100, 119, 120):
        assert shards.row(n)["id"] == f"row {n}"
    assert [shards.group_of(n) for n in (0, 99, 100, 119, 120, 219, 220)] == [0, 0, 1, 1, 2, 2, 3]
    with pytest.raises(IndexError, match="row 230 of 230"):
        shards.row(230)


def test_a_row_is_read_once_for_both_sides(shards):
    first = shards.row(2)
    real, fake = (view(first, side, 64) for side in ("real", "fake"))
    assert shards.row(2) is first
    assert real.labels is fake.labels
    assert not torch.equal(real.image, fake.image)


def test_what_the_forgery_added_makes_the_fake_of_the_real(shards):
    real, fake = (view(shards.row(2), side, 64) for side in ("real", "fake"))
    assert torch.allclose(real.image / 255 + fake.shift, fake.image / 255, atol=1e-6)
    assert not real.shift.any()
    assert fake.shift.any()


def test_a_copy_for_a_worker_reads_the_same(shards):
    assert pickle.loads(pickle.dumps(shards)).row(3)["id"] == shards.row(3)["id"]


def test_a_copy_for_a_worker_holds_as_many_row_groups(folder):
    copied = pickle.loads(pickle.dumps(Shards(folder, held=7)))
    assert copied._group.cache_parameters()["maxsize"] == 7


def test_pixels_and_masks_are_those_of_the_row(shards, rows):
    row, size = rows[3], rows[3].artifact.segmentation.size[0]
    seen = view(shards.row(3), "fake", size)
    assert torch.equal(seen.image.permute(1, 2, 0), torch.from_numpy(decode(row.fake)))
    assert int(seen.artifact.sum()) == row.artifact.area
    assert int(view(shards.row(3), "real", size).artifact.sum()) == 0
    for raw, question in zip(shards.row(3)["questions"], row.questions, strict=True):
        one = asked(raw, (size, size), size)
        for mask, stored in zip(one.masks, question.masks, strict=True):
            assert torch.equal(mask > 0, torch.from_numpy(rle.decode(stored)))
        assert (one.query is None) == (question.task[:2] not in ("R-", "B-"))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_mask_keeps_its_area_however_small_it_becomes(height, width, top, left):
    mask = np.zeros((128, 128), np.bool_)
    mask[top : top + height, left : left + width] = True
    small = soft(mask.astype(np.float32), 16)
    assert float(small.sum()) * 64 == pytest.approx(mask.sum(), rel=1e-4)
    stored = rle.encode(mask)
    again = soft_mask({"size": stored.size, "counts": stored.counts}, 16)
    assert torch.equal(small, again)


def test_a_box_that_leaves_the_crop_is_cut(shards):
    assert box_mask((-3, 2, 5, 4), (10, 10)).sum() == 2 * 4
    assert box_mask((8, 8, 5, 5), (10, 10)).sum() == 2 * 2


def test_an_answer_with_a_mask_too_few_is_refused(shards):
    question = next(q for q in shards.row(0)["questions"] if q["masks"])
    with pytest.raises(ValueError, match=r"1 \[SEG\] but 0 masks"):
        asked({**question, "masks": []}, (512, 512), 48)


def test_a_release_without_crops_says_what_to_do(tmp_path, rows, write_shard):
    bare = rows[0].model_copy(update={"fake": Picture(bytes=None, path="x.jpg")})
    shards = Shards(write_shard(tmp_path / "a.parquet", [bare]))
    with pytest.raises(SourceMissing, match="facext rehydrate"):
        view(shards.row(0), "fake", 48)


def test_a_shard_of_another_format_is_named(tmp_path, rows, folder, write_shard):
    write_shard(tmp_path / "old.parquet", rows[:1])
    table = pq.read_table(tmp_path / "old.parquet")
    facts = json.loads(table.schema.metadata[b"facext"]) | {"format_version": "0.9.0"}
    old = table.replace_schema_metadata({b"facext": json.dumps(facts)})
    pq.write_table(old, tmp_path / "old.parquet")
    with pytest.raises(OutputError, match=r"old\.parquet is of shard format 0\.9\.0"):
        Shards(tmp_path)
    pq.write_table(table.drop_columns(["questions"]), tmp_path / "old.parquet")
    with pytest.raises(OutputError, match="missing or of another type: questions"):
        Shards(tmp_path)
    (tmp_path / "old.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(OutputError, match="cannot be read as Parquet"):
        Shards(tmp_path)


def test_no_shards_and_no_rows_are_named(tmp_path, rows, write_shard):
    with pytest.raises(UsageError, match="no shards"):
        Shards(tmp_path)
    write_shard(tmp_path / "none.parquet", [])
    with pytest.raises(UsageError, match="hold no row"):
        Shards(tmp_path)
