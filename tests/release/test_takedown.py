from dataclasses import replace

import pytest

from release.takedown import read_list, taken_down
from schemas.records import Pair, Reject
from schemas.shards import write_records

NEVER = "toy/New/c23/lost"


@pytest.fixture
def asked(tmp_path, ready):
    """Gives the small dataset with a pair of which no frame was annotated, and a list."""
    pair = Pair(dataset="toy", method="New", compression="c23", pair="ada_bob", split="",
                real_path="ada.mp4", fake_path="clip#7.mp4", identities=("Ada", "Bob"))  # fmt: skip
    facts = {"dataset": "toy", "method": "New", "compression": "c23", "reason": "no_face"}
    frame = Reject(id=f"{pair.key}/000006", pair=pair.pair, frame_index=6, stage="measure",
                   detail="no face in frame 6", **facts)  # fmt: skip
    whole = Reject(id=NEVER, pair="lost", frame_index=None, stage="plan",
                   detail="videos/eve.mp4 is no video", **facts)  # fmt: skip
    write_records(tmp_path / "rejects.parquet", [frame, whole], Reject)
    source = replace(
        ready, pairs=[*ready.pairs, pair], hashes=ready.hashes | {pair.key: ("aa11", "bb22")},
        rejects=tmp_path / "rejects.parquet",
    )  # fmt: skip

    def asked(*entries):
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{entry}\n" for entry in entries), encoding="utf-8")
        settings = ready.settings.model_copy(update={"take_down": str(path)})
        return taken_down(replace(source, settings=settings))

    return asked


@pytest.mark.parametrize(
    "entry", ["toy/New/c23/ada_bob/000006", "toy/New/c23/ada_bob", "Ada", "clip#7.mp4", "bb22"]
)
def test_a_reject_is_found_by_all_that_its_pair_is_called(asked, entry):
    found = asked(entry)
    assert found.rejects == {"toy/New/c23/ada_bob/000006"}
    assert (found.rows, found.unmatched) == (set(), ())


@pytest.mark.parametrize("entry", [NEVER, "lost", "videos/eve.mp4"])
def test_a_pair_that_was_never_planned_is_found_by_what_its_reject_says(asked, entry):
    assert asked(entry).rejects == {NEVER}


def test_a_number_in_a_sentence_is_nobody(asked):
    assert asked("6") == replace(asked(), unmatched=("6",))


def test_a_row_is_found_by_the_hash_of_its_video(asked, rows):
    found = asked(rows[0].fake_sha256, "nobody", "eve")
    assert found.rows == {row.id for row in rows if row.fake_sha256 == rows[0].fake_sha256}
    assert found.rejects == {NEVER}
    assert found.unmatched == ("nobody",)


def test_a_list_is_read_as_people_write_it(tmp_path):
    path = tmp_path / "list.txt"
    text = "first/of a file.mp4\r\n# by letter\n  clip#7.mp4  # by mail\n\n\t#8\nname\t# tab\n"
    path.write_text(text, encoding="utf-8-sig")
    assert read_list(str(path)) == {"first/of a file.mp4", "clip#7.mp4", "name"}
    assert read_list("") == set()
