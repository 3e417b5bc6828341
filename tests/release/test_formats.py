"""Exports against the library that reads them, or the layout that its documentation tells."""

import contextlib
import io
import json
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from release.formats import FORMATS
from release.formats.gcg import ground
from release.formats.images import below
from release.formats.label_studio import CHANNELS, LOCAL, brush_rle
from release.formats.llava import in_words
from release.formats.stream import Pairs, write_array, write_object
from release.released import Released, open_release
from schemas import rle
from schemas.arrow import to_table
from schemas.errors import OutputError
from schemas.records import Picture
from schemas.releasing import ReleasedFrame
from tests.release.conftest import released_rows

SPLIT = "unsplit"
GONE = Picture(bytes=None, path="")


@pytest.fixture(scope="module")
def released(full):
    return released_rows(full)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_format_is_there(full):
    for name in FORMATS:
        assert any((full / name).rglob("*.*")), name
        assert f"`{name}/`" in (full / "README.md").read_text()


def test_pycocotools_reads_regions_and_masks(full, released):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(full / "coco" / f"{SPLIT}.json"))
    assert len(coco.imgs) == 2 * len(released)
    assert len(coco.anns) == sum(1 + len(row.regions) for row in released)
    for one in coco.anns.values():
        assert coco.annToMask(one).sum() == one["area"]
        assert coco.imgs[one["image_id"]]["side"] == "fake"
    names = {one["name"] for one in coco.loadCats(coco.getCatIds())}
    assert {"artifact", *(region.name for row in released for region in row.regions)} <= names
    for image in coco.imgs.values():
        assert (full / "images" / image["file_name"]).stat().st_size > 1000


def test_fiftyone_gets_coco_and_classes(full, released):
    folder = full / "fiftyone" / SPLIT
    coco = (full / "coco" / f"{SPLIT}.json").read_bytes()
    assert (folder / "labels.json").read_bytes() == coco
    found = read(folder / "classes.json")
    assert set(found) == {"classes", "labels"}
    named = {name: found["classes"][place] for name, place in found["labels"].items()}
    for row in released:
        assert named[f"{row.id}-real"] == "none"
        assert named[f"{row.id}-fake"] == row.forgery
        assert (full / "images" / f"{row.id}-fake.jpg").is_file()


def test_glamm_finds_phrases_and_masks(full, released):
    """As GLaMM's loader reads them: the phrase is at its place, the masks decode and add up."""
    for one, row in zip(read(full / "gcg" / f"{SPLIT}.json"), released, strict=True):
        assert (full / "images" / one["file_name"]).is_file()
        assert "<p>" not in one["caption"]
        assert "[SEG]" not in one["caption"]
        masks = [mask for place in one["groundings"].values() for mask in place["rle_masks"]]
        assert len(masks) == len(row.explanation_masks)
        for phrase, place in one["groundings"].items():
            start, end = place["token_positives"]
            assert one["caption"][start:end] == phrase
        assert sum(coco_mask.decode(mask).sum() for mask in masks) == sum(
            rle.decode(mask).sum() for mask in row.explanation_masks
        )


def test_a_phrase_without_a_mark_has_no_mask(released):
    mask = released[0].explanation_masks[0].model_dump()
    caption, groundings = ground("The <p>lips</p> and the <p>nose</p> [SEG] moved.", [mask])
    assert caption == "The lips and the nose moved."
    assert list(groundings) == ["nose"]
    assert groundings["nose"]["token_positives"] == [17, 21]


def test_llava_turns_alternate_and_begin_with_the_image(full, released):
    found = read(full / "llava" / f"{SPLIT}.json")
    assert len(found) == 2 * len(released)
    for one in found:
        turns = one["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert turns[0]["value"].startswith("<image>\n")
        rest = " ".join(turn["value"] for turn in turns)
        assert rest.count("<image>") == 1
        for mark in ("<region>", "<box>", "[SEG]"):
            assert mark not in rest
        assert (full / "images" / one["image"]).is_file()


def test_a_box_is_told_by_its_corners():
    question = {"question": "What is in <box>?", "query_bbox": (10.0, 20.0, 30.0, 60.0)}
    assert in_words(question, (200, 100)) == "What is in [0.100, 0.100, 0.400, 0.400]?"


def test_dd_vqa_has_a_file_for_each_method(full, released):
    folder = full / "dd-vqa" / SPLIT
    methods = {row.method for row in released}
    assert {path.stem for path in folder.iterdir()} == methods | {"Original"}
    real = read(folder / "Original.json")
    assert len(real) == len(released)
    assert all(key.startswith("5_") for key in real)
    for method in methods:
        for questions in read(folder / f"{method}.json").values():
            assert list(questions) == [str(k) for k in range(len(questions))]
            for one in questions.values():
                assert set(one) == {"question", "answer"}
                assert all(isinstance(answer, str) for answer in one["answer"])
            assert questions["0"]["answer"][0].startswith("This face is fake")


def from_brush(coded, size):
    """Decodes a brush mask as its description says; gives alpha, `(H, W) bool`."""
    bits = "".join(f"{byte:08b}" for byte in coded)
    place = 0

    def take(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    length, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values = []
    while len(values) < length:
        if take(1):
            run = take(sizes[take(2)]) + 1
            values += [take(word)] * run
        else:
            values += [take(word) for _ in range(take(sizes[take(2)]) + 1)]
    assert len(values) == length
    assert len(bits) - place < 8
    return np.array(values).reshape(*size, CHANNELS)[..., 3] == 255


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_brush_masks_come_back(mask):
    assert np.array_equal(from_brush(brush_rle(rle.encode(mask).model_dump()), mask.shape), mask)


def test_long_runs_of_a_brush_mask_come_back():
    mask = np.zeros((300, 300), bool)
    mask[120:, 7:] = True
    assert np.array_equal(from_brush(brush_rle(rle.encode(mask).model_dump()), mask.shape), mask)


def asked_for(address):
    """Gives the file that Label Studio serves for an address."""
    return parse_qs(urlsplit(address).query)["d"][0]


@dataclass(frozen=True)
class Given(Released):
    """A release whose rows are given."""

    given: tuple[ReleasedFrame, ...] = ()

    def tables(self, split, columns):
        yield to_table(self.given, ReleasedFrame)


@pytest.fixture
def given(full, released):
    """Gives a release with pixels and the first rows of the small one, changed."""
    facts = open_release(full).facts

    def given(*changes):
        rows = (row.model_copy(update=one) for row, one in zip(released, changes, strict=False))
        return Given(full, facts, tuple(rows))

    return given


def test_label_studio_addresses_lead_to_files_of_any_name(given, tmp_path):
    row = "FF++/Face Swap/c23/a&b=c#1%20/000006"
    FORMATS["label-studio"].write(given({"id": row}), SPLIT, tmp_path)
    (task,) = read(tmp_path / f"{SPLIT}.json")
    assert task["data"]["image"].startswith(LOCAL)
    for name, side in (("image", "fake"), ("real", "real")):
        assert asked_for(task["data"][name]) == f"images/{row}-{side}.jpg"


@pytest.mark.parametrize("method", ["../../outside", "{}/outside", "Original", "original"])
def test_dd_vqa_refuses_a_method_that_is_no_name_of_a_file(given, tmp_path, method):
    folder = tmp_path / "dd-vqa"
    with pytest.raises(OutputError, match=r"not below its folder|no method has its name"):
        FORMATS["dd-vqa"].write(given({"method": method.format(tmp_path)}), SPLIT, folder)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_whose_pictures_could_not_be_rebuilt_is_in_no_export(given, tmp_path, name):
    some = given({}, {"real": GONE, "fake": GONE}, {})
    FORMATS[name].write(some, SPLIT, tmp_path / "some")
    FORMATS[name].write(replace(some, given=some.given[::2]), SPLIT, tmp_path / "whole")
    for path in (tmp_path / "whole").rglob("*.*"):
        assert (tmp_path / "some" / path.relative_to(tmp_path / "whole")).read_bytes() == (
            path.read_bytes()
        )


def test_label_studio_tasks_fit_their_set_up(full, released):
    tasks = read(full / "label-studio" / f"{SPLIT}.json")
    view = ElementTree.parse(full / "label-studio" / f"{SPLIT}.xml").getroot()
    labels = {one.get("value") for one in view.iter("Label")}
    tags = {one.get("name") for one in view.iter() if one.get("name")}
    used = {one.get("value") for one in view if str(one.get("value")).startswith("$")}
    for task, row in zip(tasks, released, strict=True):
        assert {f"${name}" for name in task["data"]} >= used
        assert (full / asked_for(task["data"]["image"])).is_file()
        (prediction,) = task["predictions"]
        assert len(prediction["result"]) == 1 + len(row.regions)
        for one in prediction["result"]:
            assert one["type"] == "brushlabels"
            assert set(one["value"]["brushlabels"]) <= labels
            assert {one["from_name"], one["to_name"]} <= tags
    first = tasks[0]["predictions"][0]["result"][0]["value"]["rle"]
    assert from_brush(first, (512, 512)).sum() == released[0].artifact.area


def test_each_question_is_an_instruction(full, released):
    table = pq.read_table(full / "instructions" / SPLIT).to_pylist()
    assert len({one["id"] for one in table}) == len(table)
    questions = [question for row in released for question in row.questions]
    for one, question in zip(table, questions, strict=True):
        assert (one["task"], one["side"]) == (question.task, question.image)
        assert one["answer"].count("[SEG]") == len(one["masks"])
        assert (full / "images" / one["image"]).is_file()


def test_json_is_whole_also_where_it_is_empty(tmp_path):
    path = tmp_path / "x.json"
    write_array(path, [])
    assert read(path) == []
    write_array(path, iter([{"a": "é"}, 2]))
    assert read(path) == [{"a": "é"}, 2]
    write_object(path, [("a", iter([])), ("b", Pairs([])), ("c", Pairs([("d", iter([1, 2]))]))])
    assert read(path) == {"a": [], "b": {}, "c": {"d": [1, 2]}}
    write_object(path, [])
    assert read(path) == {}


def test_a_picture_stays_below_its_folder(tmp_path):
    assert below(tmp_path, "a/b.jpg") == tmp_path / "a/b.jpg"
    for name in ("../b.jpg", "/etc/passwd", "a/../../b.jpg"):
        with pytest.raises(OutputError, match="not below its folder"):
            below(tmp_path, name)
