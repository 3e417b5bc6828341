import json
import os
import shutil
from collections import Counter
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import schemas.shards
from release.place import new_folder, publish
from release.released import open_release
from release.seal import broken_files
from schemas.errors import OutputError, UsageError
from schemas.provenance import file_hash
from schemas.records import AnnotatedFrame, Cost, Pair, Reject
from schemas.releasing import ReleasedFrame
from schemas.shards import read_records, write_records
from tests.conftest import review, spoil
from tests.release.conftest import released_rows

COST = Cost(
    request="0", subject="toy", step="ask", recipe="fifa", server="http://a", model="m",
    sent_at=0.0, latency_s=1.0, attempts=1, outcome="answered", prompt_tokens=1,
    completion_tokens=1, cost=0.5,
)  # fmt: skip


def hashes(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}


def test_rows_are_the_annotated_ones_with_their_pixels(full, rows):
    released = released_rows(full)
    own = set(AnnotatedFrame.model_fields)
    assert [row.model_dump(include=own) for row in released] == [row.model_dump() for row in rows]


def test_without_pixels_all_but_the_pixels_is_there(bare, full):
    found, others = (released_rows(one) for one in (bare, full))
    for row, other in zip(found, others, strict=True):
        assert row.real.bytes is None
        assert row.fake.bytes is None
        pixels = {"real", "fake"}
        assert row.model_dump(exclude=pixels) == other.model_dump(exclude=pixels)
    assert len({row.fake_pixels_sha256 for row in found}) == len(found)


def test_same_input_same_bytes(tmp_path, make, bare):
    make(tmp_path, formats=("coco",))
    assert hashes(tmp_path / "1.0.0") == hashes(bare)


def test_workers_give_the_same_files(tmp_path, make, like, rows):
    one, two = (like(rows[k::2], name=f"{k}.parquet") for k in (0, 1))
    both = replace(one, shards=[*one.shards, *two.shards])
    exports = ("coco", "instructions")
    assert make(tmp_path / "a", both, formats=exports).passed
    assert make(tmp_path / "b", both, formats=exports, workers=2).passed
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_a_version_is_released_once(make, bare):
    before = hashes(bare)
    with pytest.raises(UsageError, match="is there already; a version is released once"):
        make(bare.parent)
    assert hashes(bare) == before


@pytest.mark.parametrize("version", ["", "1", "1.0", "v1.0.0", "1.0.0/..", "01.0.0", "../1.0.0"])
def test_a_strange_version_is_refused(tmp_path, make, version):
    with pytest.raises(UsageError, match="is no version"):
        make(tmp_path, version=version)


def test_an_unknown_format_is_refused_with_the_nearest(tmp_path, make):
    with pytest.raises(UsageError, match="no format 'cocoo' \\(did you mean 'coco'"):
        make(tmp_path, formats=("cocoo",))


def test_an_empty_dataset_is_refused(tmp_path, make, ready, like):
    with pytest.raises(OutputError, match="nothing is annotated of 'toy'"):
        make(tmp_path, replace(ready, shards=[]))
    with pytest.raises(OutputError, match="no row of 'toy' is left"):
        make(tmp_path, like([]))
    assert list(tmp_path.glob("[!s]*")) == []


def test_a_truncated_shard_is_named(tmp_path, make, copied):
    path = copied.shards[0]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(OutputError, match=rf"the shard .*{path.name} is damaged"):
        make(tmp_path / "out", copied)


def test_a_shard_that_is_damaged_inside_is_named_and_nothing_is_left(tmp_path, make, copied):
    path = copied.shards[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    with pytest.raises(OutputError, match=path.name):
        make(tmp_path / "out", copied)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_shard_of_another_format_is_named(tmp_path, make, like, rows, monkeypatch):
    monkeypatch.setattr(schemas.shards, "FORMAT_VERSION", "1.2.0")
    source = like(rows)
    with pytest.raises(OutputError, match=r"has format 1\.2\.0, this code releases"):
        make(tmp_path / "out", source)


def test_a_failing_gate_leaves_nothing(tmp_path, make, like, rows):
    outcome = make(tmp_path / "out", like([*rows, rows[0]]))
    assert not outcome.passed
    assert {one.name for one in outcome.results if one.failed} == {"unique ids", "counts"}
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_process_left_does_no_harm(tmp_path, make, bare):
    left = tmp_path / ".1.0.0.tmp" / "data" / "train"
    left.mkdir(parents=True)
    (left / "x.parquet").write_text("half")
    make(tmp_path, formats=("coco",))
    assert hashes(tmp_path / "1.0.0") == hashes(bare)
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]


def test_two_at_one_place_do_not_mix_and_one_is_there(tmp_path):
    place = tmp_path / "1.0.0"
    with new_folder(place) as one, new_folder(place) as other:
        (one / "of-one").touch()
        (other / "of-other").touch()
        publish(one, place)
        with pytest.raises(OutputError, match="cannot put the release at"):
            publish(other, place)
    assert [path.name for path in place.iterdir()] == ["of-one"]
    assert [path.name for path in tmp_path.iterdir()] == ["1.0.0"]


def test_splits_become_folders(tmp_path, make, like, rows):
    parts = Counter[str]()
    changed = []
    for row in rows:
        split = "test" if row.pair == rows[0].pair else "train"
        parts[split] += 1
        changed.append(row.model_copy(update={"split": split}))
    outcome = make(tmp_path / "out", like(changed))
    assert outcome.rows == parts
    files = open_release(tmp_path / "out" / "1.0.0").splits
    for split, count in parts.items():
        assert sum(pq.read_metadata(path).num_rows for path in files[split]) == count


def test_rows_that_reviewers_reject_are_held_back_and_listed(tmp_path, make, ready, rows):
    of_long_ago = rows[3].model_copy(update={"id": "a row of long ago"})
    said = [*zip(rows, ("reject", "fix", "accept"), strict=False), (of_long_ago, "reject")]
    reviews = [review(row, decision) for row, decision in said]
    outcome = make(tmp_path, replace(ready, reviews=reviews))
    assert outcome.passed
    assert outcome.remarks == []
    assert outcome.withheld == {"reject": 1, "fix": 1}
    folder = tmp_path / "1.0.0"
    found = [row.id for row in released_rows(folder)]
    assert found == [row.id for row in rows[2:]]
    lines = (folder / "withheld.csv").read_text().splitlines()
    assert sorted(lines[1:]) == sorted([f"{rows[0].id},reject", f"{rows[1].id},fix"])
    text = (folder / "README.md").read_text()
    assert "1 (fix), 1 (reject)" in text
    assert "1 rows were reviewed by people" in text


@pytest.mark.parametrize("entry", ["id", "pair", "fake_path", "fake_sha256"])
def test_the_take_down_list_is_honoured_and_tells_nobody(tmp_path, make, ready, rows, entry):
    named = rows[0].id.rpartition("/")[0] if entry == "pair" else getattr(rows[0], entry)
    taken = tmp_path / "list.txt"
    taken.write_text(f"# asked for in writing\n{named}   # by mail\nno/such/row\n")
    settings = ready.settings.model_copy(update={"take_down": str(taken)})
    outcome = make(tmp_path, replace(ready, settings=settings))
    pair = {row.id for row in rows if row.id.rpartition("/")[0] == rows[0].id.rpartition("/")[0]}
    expected = {rows[0].id} if entry == "id" else pair
    assert outcome.withheld == {"take-down": len(expected)}
    assert outcome.remarks == ["the take-down list names nothing of this dataset: no/such/row"]
    folder = tmp_path / "1.0.0"
    found = {row.id for row in released_rows(folder)}
    assert found == {row.id for row in rows} - expected
    for path in folder.rglob("*"):
        assert not path.is_file() or rows[0].id.encode() not in path.read_bytes(), path


def test_rejects_of_taken_down_people_stay_behind_too(tmp_path, make, ready):
    rejects = read_records(ready.rejects, Reject)
    named = rejects[0].id.rpartition("/")[0]
    (pair,) = (one for one in ready.pairs if one.key == named)
    taken = tmp_path / "list.txt"
    taken.write_text(f"{pair.fake_path}\n", encoding="utf-8-sig")
    settings = ready.settings.model_copy(update={"take_down": str(taken)})
    outcome = make(tmp_path, replace(ready, settings=settings))
    assert outcome.remarks == []
    left = read_records(tmp_path / "1.0.0" / "rejects.parquet", Reject)
    assert left == [one for one in rejects if one.id.rpartition("/")[0] != named] != rejects


@pytest.mark.parametrize(
    ("of", "column"), [("rejects", "reason"), ("costs", "cost"), ("shards", "id")]
)
def test_damage_behind_a_whole_footer_is_one_error(tmp_path, make, ready, copied, of, column):
    costs = write_records(tmp_path / "costs.parquet", [COST] * 3, Cost)
    rejects = tmp_path / "rejects.parquet"
    shutil.copyfile(ready.rejects, rejects)
    source = replace(copied, costs=costs, rejects=rejects)
    path = source.shards[0] if of == "shards" else getattr(source, of)
    spoil(path, column)
    with pytest.raises(OutputError, match=rf"{path.name} is damaged: .*; remove it and run:"):
        make(tmp_path / "out", source)
    assert not any((tmp_path / "out").glob("*"))


def test_a_row_that_lacks_what_each_row_has_stops_the_release(tmp_path, make, like, rows):
    bare = rows[1].model_copy(update={"explanation": None})
    with pytest.raises(OutputError, match=r"is damaged: explanation .* remove it and run"):
        make(tmp_path / "out", like([rows[0], bare, *rows[2:]]))


@pytest.mark.parametrize("what", ["rejects", "costs"])
@pytest.mark.parametrize("content", [None, b"no Parquet", "a table of something else"])
def test_damaged_rejects_or_costs_are_named(tmp_path, make, ready, what, content):
    path = tmp_path / f"{what}.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        write_records(path, [], Pair)
    source = replace(ready, **{what: path})
    if what == "costs" and content is None:
        assert make(tmp_path, source).passed  # nothing was asked of a model
        return
    with pytest.raises(OutputError, match=rf"{what}\.parquet .*facext annotate toy"):
        make(tmp_path, source)
    assert not (tmp_path / "1.0.0").exists()


def test_every_file_is_on_the_disk_before_the_release_is_there(tmp_path, make, monkeypatch):
    synced, place = set(), tmp_path / "1.0.0"
    sync = os.fsync

    def spy(descriptor):
        if not place.exists():
            synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    make(tmp_path, formats=("coco",))
    assert {path.stat().st_ino for path in (place, *place.rglob("*"))} <= synced


def test_a_take_down_list_that_is_not_there_stops_the_release(tmp_path, make, ready):
    settings = ready.settings.model_copy(update={"take_down": str(tmp_path / "gone.txt")})
    with pytest.raises(OutputError, match="cannot read the take-down list"):
        make(tmp_path, replace(ready, settings=settings))


def test_the_checksums_tell_a_changed_file(tmp_path, make):
    make(tmp_path)
    folder = tmp_path / "1.0.0"
    assert broken_files(folder) == []
    (folder / "README.md").write_text("other")
    (folder / "release.json").unlink()
    assert sorted(broken_files(folder)) == ["README.md", "release.json"]


def test_a_release_is_opened_only_if_it_is_one(tmp_path, bare, rows):
    with pytest.raises(OutputError, match="is no release"):
        open_release(tmp_path)
    facts = json.loads((bare / "release.json").read_text())
    (tmp_path / "release.json").write_text(json.dumps(facts | {"format_version": "9.0.0"}))
    with pytest.raises(OutputError, match=r"has format 9\.0\.0"):
        open_release(tmp_path)
    (tmp_path / "release.json").write_text(json.dumps(facts))
    write_records(tmp_path / "data" / "train" / "a.parquet", rows[:1], AnnotatedFrame)
    with pytest.raises(OutputError, match="does not have the schema of a release"):
        open_release(tmp_path)
    assert ReleasedFrame.model_fields.keys() > AnnotatedFrame.model_fields.keys()
