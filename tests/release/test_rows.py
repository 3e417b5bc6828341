import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.rows import ROW_CHECKS, pixel_hash
from schemas import rle
from schemas.records import SEG
from sources.pictures import from_picture

SIZE = (512, 512)


@pytest.fixture
def row(rows):
    return rows[0].model_dump()


def complaints(row, size=SIZE):
    return {name: list(check(row, size)) for name, check in ROW_CHECKS.items()}


def test_annotated_rows_are_sound(rows):
    for row in rows:
        assert complaints(row.model_dump()) == {name: [] for name in ROW_CHECKS}


DAMAGES = {
    "a shortened mask": ("masks", lambda row: row["artifact"]["segmentation"].update(
        counts=row["artifact"]["segmentation"]["counts"][:-2])),
    "a mask of no run lengths": ("masks", lambda row: row["regions"][0]["segmentation"].update(
        counts="")),
    "a mask of another size": ("masks", lambda row: row["explanation_masks"][0].update(
        size=(256, 256))),
    "a wrong area": ("masks", lambda row: row["artifact"].update(area=row["artifact"]["area"] + 1)),
    "a wrong box": ("masks", lambda row: row["regions"][0].update(bbox=(0.0, 0.0, 1.0, 1.0))),
    "a wrong concept": ("masks", lambda row: row["regions"][0].update(concept_area=1)),
    "a mark too many": (SEG, lambda row: row.update(explanation=row["explanation"] + SEG)),
    "a mask too few": (SEG, lambda row: row.update(
        explanation_masks=row["explanation_masks"][1:])),
    "an answer's mark": (SEG, lambda row: row["questions"][0].update(answer=SEG)),
    "a contradicted claim": ("claims", lambda row: row["claims"][0].update(
        verdict="contradicted")),
    "a claim that was dropped": ("claims", lambda row: row.update(dropped=[
        {**row["claims"][0], "fate": "contradicted"}])),
    "no claim": ("claims", lambda row: row.update(claims=[], claims_supported=0)),
    "a wrong count": ("claims", lambda row: row.update(claims_supported=99)),
    "a claim of another region": ("claims", lambda row: row["claims"][0].update(category_id=250)),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_by_its_check(row, damage):
    check, do = DAMAGES[damage]
    for key in ("regions", "claims", "questions", "explanation_masks", "dropped"):
        row[key] = [dict(one) for one in row[key]]
    do(row)
    found = complaints(row)
    assert found.pop(check)
    assert not any(found.values())


@given(arrays(np.bool_, (12, 9)), st.data())
def test_run_lengths_that_are_cut_do_not_pass(mask, data):
    coded = rle.encode(mask)
    cut = data.draw(st.integers(0, len(coded.counts) - 1))
    row = {
        "artifact": {
            "segmentation": {"size": (12, 9), "counts": coded.counts},
            "area": rle.area(mask), "bbox": rle.bbox(mask),
        },
        "regions": [], "explanation_masks": [], "questions": [],
    }  # fmt: skip
    assert list(ROW_CHECKS["masks"](row, (12, 9))) == []
    row["artifact"]["segmentation"]["counts"] = coded.counts[:cut]
    assert list(ROW_CHECKS["masks"](row, (12, 9)))


def test_the_hash_is_that_of_the_decoded_pixels():
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    _, jpeg = cv2.imencode(".jpg", image)
    _, png = cv2.imencode(".png", cv2.cvtColor(from_picture(jpeg.tobytes()), cv2.COLOR_RGB2BGR))
    assert pixel_hash(jpeg.tobytes(), (16, 16)) == pixel_hash(png.tobytes(), (16, 16)) != ""
    assert pixel_hash(jpeg.tobytes(), (8, 8)) == ""
    assert pixel_hash(jpeg.tobytes()[:40], (16, 16)) == ""
    assert pixel_hash(None, (16, 16)) == ""
