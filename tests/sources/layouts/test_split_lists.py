"""Where a pair's split comes from: official lists, the dataset's entries, or a draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.datasets import Licence
from schemas.errors import SourceMissing, UsageError
from schemas.manifest import Dataset
from sources.layouts import find_pairs

PAIRS = ("1_2", "2_1", "3_4", "4_5", "6_7", "8_8")


def dataset(**changes: object) -> Dataset:
    block = {
        "title": "t", "root": "unused", "methods": {"m": "identity swap"},
        "licence": Licence(name="none"), "real": "real/{target}.mp4",
        "fake": "fake/{target}_{source}.mp4", "identities": ["target", "source"],
    }  # fmt: skip
    return Dataset.model_validate({**block, **changes})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("real", "fake"):
        (tmp_path / folder).mkdir()
    for name in PAIRS:
        (tmp_path / f"fake/{name}.mp4").touch()
        (tmp_path / f"real/{name.split('_')[0]}.mp4").touch()
    return tmp_path


def splits(root: Path, block: Dataset) -> dict[str, str]:
    return {pair.pair: pair.split for pair in find_pairs("d", block, root)[0]}


def lists(root: Path, **texts: str) -> dict[str, str]:
    for split, text in texts.items():
        (root / f"{split}.txt").write_text(text)
    return {split: f"{split}.txt" for split in texts}


SHARES = {"train": 0.5, "test": 0.5}


def test_drawn_splits_keep_people_together_and_stay_when_pairs_come(root: Path) -> None:
    found = splits(root, dataset(split_shares=SHARES))
    assert set(found.values()) == {"train", "test"}
    assert found["1_2"] == found["2_1"]
    assert found["3_4"] == found["4_5"]
    (root / "fake/3_5.mp4").touch()
    assert splits(root, dataset(split_shares=SHARES)) == {**found, "3_5": found["3_4"]}


def test_every_compression_and_method_of_a_pair_is_in_one_split(root: Path) -> None:
    for level in ("c23", "c40"):
        for name in PAIRS:
            for path in (f"{level}/A/{name}", f"{level}/B/{name}", f"{level}/{name[0]}"):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / f"{path}.mp4").touch()
    block = dataset(
        real="{compression}/{target}.mp4", fake="{compression}/{method}/{target}_{source}.mp4",
        methods={"A": "a", "B": "b"}, compressions=["c23", "c40"], split_shares=SHARES,
        identities=[],
    )  # fmt: skip
    pairs, _ = find_pairs("d", block, root)
    assert len(pairs) == 4 * len(PAIRS)
    of_a_recording = {(pair.pair[0], pair.split) for pair in pairs}
    assert len(of_a_recording) == len({name[0] for name in PAIRS})


def test_an_official_list_goes_before_a_draw(root: Path) -> None:
    block = dataset(splits=lists(root, test="6_7.mp4\n"), split_shares=SHARES)
    assert {pair for pair, split in splits(root, block).items() if split} == {"6_7"}
    (root / "test.txt").unlink()
    assert all(splits(root, block).values())


@pytest.mark.parametrize(
    "text",
    [
        "fake/6_7.mp4\nfake/8_8.mp4",
        "6_7.mp4\n8_8.mp4\n",
        "6_7\r\n\r\n8_8\r\n",
        "0 fake/6_7.mp4\n0 8_8",
        "\ufefffake/6_7.mp4\n8_8.mp4",
    ],
)
def test_a_list_may_name_files_by_path_name_or_stem(root: Path, text: str) -> None:
    block = dataset(splits={**lists(root, test=text), "train": "rest"})
    found = splits(root, block)
    assert {pair for pair, split in found.items() if split == "test"} == {"6_7", "8_8"}
    assert {split for pair, split in found.items() if pair not in {"6_7", "8_8"}} == {"train"}


def test_a_leaking_list_is_refused_with_the_chain_unless_it_may(root: Path) -> None:
    block = dataset(splits=lists(root, train="3_4.mp4", test="4_5.mp4"))
    with pytest.raises(UsageError, match=r"'d' leak: (train 3_4 - 4 - test 4_5)\. Correct its"):
        find_pairs("d", block, root)
    found = splits(root, block.model_copy(update={"splits_may_leak": True}))
    assert (found["3_4"], found["4_5"]) == ("train", "test")


def test_given_rows_stay_and_the_rest_is_drawn_around_them(root: Path) -> None:
    def found(given: dict[str, str]) -> dict[str, str]:
        rows = ["real,fake,split,identity_real,identity_fake"]
        for name in PAIRS:
            target, source = name.split("_")
            sides = f"real/{target}.mp4,fake/{name}.mp4"
            rows.append(f"{sides},{given.get(name, '')},{target},{source}")
        (root / "pairs.csv").write_text("\n".join(rows))
        block = dataset(layout="csv", real="", fake="", identities=[], split_shares=SHARES)
        return {name.removeprefix("fake-"): split for name, split in splits(root, block).items()}

    drawn = found({})
    other = "train" if drawn["3_4"] == "test" else "test"
    assert found({"4_5": other}) == {**drawn, "3_4": other, "4_5": other}
    assert found({"8_8": "val"}) == {**drawn, "8_8": "val"}
    with pytest.raises(UsageError, match="leak: "):
        found({"3_4": "train", "4_5": "test"})


def test_a_leaking_column_is_refused_too(root: Path) -> None:
    rows = ["real,fake,split,identity_real,identity_fake"]
    rows += ["real/1.mp4,fake/1_2.mp4,train,ann,bob", "real/3.mp4,fake/3_4.mp4,test,cy,bob"]
    (root / "pairs.csv").write_text("\n".join(rows))
    with pytest.raises(UsageError, match="train fake-1_2 - bob - test fake-3_4"):
        find_pairs("d", dataset(layout="csv", real="", fake="", identities=[]), root)


def test_metadata_splits_that_share_an_original_are_refused(root: Path) -> None:
    listed = {
        "1_2.mp4": {"label": "FAKE", "original": "r.mp4", "split": "train"},
        "2_1.mp4": {"label": "FAKE", "original": "r.mp4", "split": "test"},
    }
    (root / "fake/r.mp4").touch()
    (root / "fake/metadata.json").write_text(json.dumps(listed))
    block = dataset(layout="metadata_json", real="", fake="", identities=[])
    with pytest.raises(UsageError, match=r"- fake/r\.mp4 -"):
        find_pairs("d", block, root)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"train": "1_2.mp4", "test": "1_2.mp4"}, r"in the splits train and test \(line 1"),
        ({"test": "0 1_2.mp4\n1 3_4.mp4"}, r"labels the fake fake/1_2\.mp4 with 0, and fake/3_4"),
        ({"test": "1 real/1.mp4\n1 1_2.mp4"}, r"labels the fake fake/1_2\.mp4 with 1, and real/1"),
        ({"test": "1_2\0.mp4"}, r"test\.txt is no text: line 1"),
    ],
)  # fmt: skip
def test_wrong_lists_are_told(root: Path, texts: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_pairs("d", dataset(splits=lists(root, **texts)), root)


def test_some_of_the_lists_are_not_enough(root: Path) -> None:
    block = dataset(splits={**lists(root, test="1_2.mp4"), "val": "val.txt", "train": "rest"})
    with pytest.raises(SourceMissing, match=r"some of its split files, but not val\.txt"):
        find_pairs("d", block, root)


def test_a_list_in_another_encoding_is_one_error(root: Path) -> None:
    (root / "test.txt").write_bytes("é.mp4".encode("latin-1"))
    with pytest.raises(UsageError, match=r"test\.txt is not UTF-8 text"):
        find_pairs("d", dataset(splits={"test": "test.txt"}), root)
