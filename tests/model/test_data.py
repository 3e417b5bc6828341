import pytest
import torch
from torch.utils.data import DataLoader

from model.data import FramePairs, to_item
from qa.pictures import decode
from schemas import rle
from schemas.errors import UsageError
from schemas.records import AnnotatedFrame, Picture
from schemas.shards import read_records, write_records


@pytest.fixture(scope="module")
def rows(annotated):
    run, _ = annotated
    return read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)


def test_items_are_the_rows_in_order(annotated, rows):
    items = FramePairs(annotated[0].shards)
    assert len(items) == len(rows)
    assert [items[index].id for index in range(len(items))] == [row.id for row in rows]


def test_pixels_and_masks_are_those_of_the_row(annotated, rows):
    item, row = FramePairs(annotated[0].shards)[3], rows[3]
    assert torch.equal(item.real.permute(1, 2, 0), torch.from_numpy(decode(row.real)))
    assert int(item.artifact.sum()) == row.artifact.area
    assert item.label_map.shape == item.artifact.shape
    for asked, question in zip(item.questions, row.questions, strict=True):
        assert len(asked.masks) == asked.answer.count("[SEG]")
        for mask, stored in zip(asked.masks, question.masks, strict=True):
            assert torch.equal(mask, torch.from_numpy(rle.decode(stored)))
        assert (asked.query is None) == (question.task[:2] not in ("R-", "B-"))


def test_workers_give_the_same_items(annotated, rows):
    items = FramePairs(annotated[0].shards)
    loader = DataLoader(
        items, batch_size=None, num_workers=2, multiprocessing_context="spawn", sampler=[5, 0, 3]
    )
    assert [item.id for item in loader] == [rows[n].id for n in (5, 0, 3)]


def test_rows_are_found_over_groups_and_shards(tmp_path, rows):
    many = [rows[0].model_copy(update={"id": f"row {n}"}) for n in range(230)]
    write_records(tmp_path / "a.parquet", many[:120], AnnotatedFrame)
    write_records(tmp_path / "b.parquet", many[120:], AnnotatedFrame)
    items = FramePairs(tmp_path)
    assert len(items) == 230
    assert [items[n].id for n in (229, 0, 99, 100, 119, 120)] == [
        f"row {n}" for n in (229, 0, 99, 100, 119, 120)
    ]
    with pytest.raises(IndexError, match="row 230 of 230"):
        items[230]


def test_a_row_without_pixels_says_so(rows):
    bare = rows[0].model_copy(update={"fake": Picture(bytes=None, path="x.jpg")})
    with pytest.raises(ValueError, match="holds no pixels"):
        to_item(bare)


def test_an_answer_with_a_mask_too_few_is_refused(rows):
    row = rows[0]
    broken = [q.model_copy(update={"masks": q.masks[:-1]}) if q.masks else q for q in row.questions]
    with pytest.raises(ValueError, match=r"1 \[SEG\] but 0 masks"):
        to_item(row.model_copy(update={"questions": tuple(broken)}))


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="no shards"):
        FramePairs(tmp_path)
