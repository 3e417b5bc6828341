"""The block of a dataset: what it may say, and where its folders are."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.datasets import Dataset, Licence
from schemas.errors import SourceMissing


def dataset(**changes: object) -> Dataset:
    block = {
        "title": "t", "root": "/x", "methods": {"m": "identity swap"},
        "licence": Licence(name="none"), "real": "r/{a}.mp4", "fake": "f/{a}_{b}.mp4",
    }  # fmt: skip
    return Dataset.model_validate({**block, **changes})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fake": ""}, "fake\n  Field required"),
        ({"layout": "json"}, "'patterns', 'metadata_json' or 'csv'"),
        ({"frames": "movie"}, "'video', 'folder' or 'picture'"),
        ({"fps": 0}, "greater than 0"),
        ({"mask": "../m/{a}.mp4"}, "path below root"),
        ({"lists": "/pairs.csv"}, "path below root"),
        ({"identities": ["c"]}, r"names \{c\}, which fake does not give"),
        ({"unmasked": ["FaceShifter"]}, "unmasked names the method FaceShifter"),
        ({"split_shares": {"train": 0.8, "test": 0.1}}, "sum to 1"),
        ({"split_shares": {"train": 1.2, "test": -0.2}}, "0 or more"),
        ({"splits": {"train": "rest", "val": "rest"}}, "only one of the splits can be 'rest'"),
    ],
)
def test_wrong_values_are_told(change, said):
    with pytest.raises(ValidationError, match=said):
        dataset(**change)


@pytest.mark.parametrize(
    ("layout", "lists"), [("metadata_json", "**/metadata.json"), ("csv", "pairs.csv")]
)
def test_other_layouts_need_no_pattern_and_have_a_usual_list(layout, lists):
    made = dataset(layout=layout, real="", fake="")
    assert made.list_glob == lists
    assert made.expected_layout("/data") == f"  /data/{lists}"
    assert dataset(layout=layout, lists="all.csv").list_glob == "all.csv"


def test_names_and_their_aliases():
    made = dataset(aliases={"c23": ("hq", "HQ"), "val": ("validation",)})
    assert made.names_of("c23") == ("c23", "hq", "HQ")
    assert made.names_of("c40") == ("c40",)
    assert [made.plain(name) for name in ("HQ", "validation", "c40", "")] == [
        "c23", "val", "c40", "",
    ]  # fmt: skip


def test_the_real_sides_may_lie_in_another_datasets_folder(tmp_path: Path, monkeypatch):
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes/x").touch()
    made = dataset(root=str(tmp_path / "fakes"), real_root="${FF_TEST_ROOT}")
    assert made.folder("d") == tmp_path / "fakes"
    monkeypatch.delenv("FF_TEST_ROOT", raising=False)
    with pytest.raises(SourceMissing, match=r"FF_TEST_ROOT.*holds\n  \$FF_TEST_ROOT/r/\{a\}\.mp4$"):
        made.real_folder("d")
    monkeypatch.setenv("FF_TEST_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(SourceMissing, match="nowhere, does not exist"):
        made.real_folder("d")
    monkeypatch.setenv("FF_TEST_ROOT", str(tmp_path))
    assert made.real_folder("d") == tmp_path
    assert dataset(root=str(tmp_path)).real_folder("d") == tmp_path
