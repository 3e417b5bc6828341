"""Pairing by path patterns, splits, and reading two videos side by side."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ManifestError, Rejected, RejectReason, SourceMissing, UsageError
from schemas.manifest import Dataset, Licence
from schemas.records import Pair
from sources.encode import write_video
from sources.layouts import find_pairs
from sources.pairs import MIRRORED, SHIFTED, PairReader, common_indices, spaced_indices

FFPP = {
    "real": "original_sequences/youtube/{compression}/videos/{target}.mp4",
    "fake": "manipulated_sequences/{method}/{compression}/videos/{target}_{source}.mp4",
}


def dataset(**changes: object) -> Dataset:
    block: dict[str, object] = {
        "title": "test",
        "root": "unused",
        "methods": {"Face2Face": "expression reenactment", "Deepfakes": "identity swap"},
        "compressions": ("c23", "c40"),
        "licence": Licence(name="none"),
        **FFPP,
        **changes,
    }
    return Dataset.model_validate(block)


DEEPFAKES_C23 = dataset(methods={"Deepfakes": "identity swap"}, compressions=("c23",))


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def real(target: str, compression: str = "c23") -> str:
    return FFPP["real"].format(target=target, compression=compression)


def fake(stem: str, method: str = "Deepfakes", compression: str = "c23") -> str:
    return f"manipulated_sequences/{method}/{compression}/videos/{stem}.mp4"


def test_each_fake_gets_the_real_video_of_its_target(tmp_path: Path) -> None:
    touch(tmp_path, real("000"), real("003"), real("000", "c40"))
    touch(tmp_path, fake("003_000"), fake("000_003"), fake("000_003", "Face2Face", "c40"))
    pairs, rejects = find_pairs("ff", dataset(), tmp_path)
    assert {one.id for one in rejects} == {"ff/Face2Face/c23", "ff/Deepfakes/c40"}
    assert {one.reason for one in rejects} == {"no_videos"}
    assert [pair.key for pair in pairs] == [
        "ff/Face2Face/c40/000_003",
        "ff/Deepfakes/c23/000_003",
        "ff/Deepfakes/c23/003_000",
    ]
    assert [pair.real_path for pair in pairs] == [real("000", "c40"), real("000"), real("003")]
    assert pairs[2].fake_path == fake("003_000")
    assert {pair.split for pair in pairs} == {""}


def test_a_method_without_any_video_is_no_silence(tmp_path: Path) -> None:
    touch(tmp_path, real("000"), fake("000_003"))
    block = dataset(methods={"Deepfakes": "x", "FaceSwop": "x"}, compressions=("c23",))
    pairs, (reject,) = find_pairs("ff", block, tmp_path)
    assert len(pairs) == 1
    assert (reject.id, reject.reason, reject.stage) == ("ff/FaceSwop/c23", "no_videos", "plan")
    assert "manipulated_sequences/FaceSwop/c23" in reject.detail


def test_names_are_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, *(real(name) for name in ("2", "10")))
    touch(tmp_path, *(fake(name) for name in ("10_2", "2_10", "2_9")))
    pairs, _ = find_pairs("ff", dataset(), tmp_path)
    assert [pair.pair for pair in pairs] == ["2_9", "2_10", "10_2"]


def test_fake_without_partner_becomes_a_reject(tmp_path: Path) -> None:
    touch(tmp_path, real("000"), real("007", "c40"), fake("000_003"), fake("007_000"))
    pairs, rejects = find_pairs("ff", DEEPFAKES_C23, tmp_path)
    assert [pair.pair for pair in pairs] == ["000_003"]
    (reject,) = rejects
    assert (reject.stage, reject.reason) == ("plan", "missing_partner")
    assert reject.id == "ff/Deepfakes/c23/007_000"
    assert real("007") in reject.detail  # not the one of another compression


def test_odd_videos_are_reported_and_other_files_ignored(tmp_path: Path) -> None:
    folder = fake("x").removesuffix("x.mp4")
    touch(tmp_path, real("000"), fake("000_003"), fake("trailer"), folder + "A_B.mkv")
    touch(tmp_path, folder + "notes.txt", folder + "._000_003.mp4", folder + "deeper/1_2.mp4")
    touch(tmp_path, fake("000_003", "NotListed"), fake("000_003", compression="c0"))
    pairs, rejects = find_pairs("ff", DEEPFAKES_C23, tmp_path)
    assert len(pairs) == 1
    assert [reject.pair for reject in rejects] == ["A_B", "trailer"]
    assert all("does not fit" in reject.detail for reject in rejects)


def test_other_layouts_need_no_code(tmp_path: Path) -> None:
    """DeepFakeDetection: the scene is shared; Celeb-DF: the key stands in the middle."""
    touch(tmp_path, "real/01__exit_room.mp4", "FaceSwap/01_02__exit_room__YVGY8LOK.mp4")
    block = dataset(
        real="real/{target}__{scene}.mp4",
        fake="{method}/{target}_{source}__{scene}__{code}.mp4",
        methods={"FaceSwap": "identity swap"},
        compressions=("",),
    )
    pairs, rejects = find_pairs("dfd", block, tmp_path)
    assert ([pair.real_path for pair in pairs], rejects) == (["real/01__exit_room.mp4"], [])
    assert pairs[0].key == "dfd/FaceSwap/01_02__exit_room__YVGY8LOK"


def test_method_in_the_file_name(tmp_path: Path) -> None:
    touch(tmp_path, "real/1.mp4", "all/1-A.mp4", "all/1-B.mp4", "all/1-C.mp4")
    block = dataset(
        real="real/{id}.mp4", fake="all/{id}-{method}.mp4", methods={"A": "a", "B": "b"}
    )
    pairs, rejects = find_pairs("d", block, tmp_path)
    assert [(p.method, p.pair) for p in pairs if p.compression == "c23"] == [
        ("A", "1-A"),
        ("B", "1-B"),
    ]
    assert rejects == []  # 1-C is a method that nobody asked for, not an odd name


def test_folder_keys_keep_pair_names_apart(tmp_path: Path) -> None:
    touch(tmp_path, "r/ann/1.mp4", "r/bob/1.mp4", "f/M/ann/1.mp4", "f/M/bob/1.mp4")
    block = dataset(
        real="r/{actor}/{clip}.mp4",
        fake="f/{method}/{actor}/{clip}.mp4",
        methods={"M": "m"},
        compressions=("",),
    )
    pairs, _ = find_pairs("d", block, tmp_path)
    assert [(p.pair, p.real_path) for p in pairs] == [
        ("ann-1", "r/ann/1.mp4"),
        ("bob-1", "r/bob/1.mp4"),
    ]


def test_nothing_found_shows_the_expected_layout(tmp_path: Path) -> None:
    touch(tmp_path, "readme.txt")
    with pytest.raises(SourceMissing, match=r"manipulated_sequences/\{method\}"):
        find_pairs("ff", dataset(), tmp_path)
    touch(tmp_path, fake("000_003"))
    with pytest.raises(SourceMissing, match=f"1 fakes cannot be paired.*{real('000')}"):
        find_pairs("ff", dataset(), tmp_path)


def test_real_pattern_with_an_unknown_key(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"\{actor\}"):
        find_pairs("ff", dataset(real="{actor}.mp4"), tmp_path)


def with_splits(root: Path, **lists: object) -> Dataset:
    touch(root, real("000"), real("003"), real("004"))
    touch(root, fake("000_003"), fake("003_000"), fake("004_000"))
    for name, entries in lists.items():
        (root / f"{name}.json").write_text(json.dumps(entries))
    return dataset(splits={"train": "train.json", "test": "test.json"})


def test_both_orders_belong_to_the_split(tmp_path: Path) -> None:
    block = with_splits(tmp_path, train=[["003", "000"]], test=[["001", "002"]])
    pairs, _ = find_pairs("ff", block, tmp_path)
    assert {pair.pair: pair.split for pair in pairs} == {
        "000_003": "train",
        "003_000": "train",
        "004_000": "",
    }


def test_absent_split_files_leave_the_split_empty_but_half_of_them_do_not(tmp_path: Path) -> None:
    block = with_splits(tmp_path)
    assert {pair.split for pair in find_pairs("ff", block, tmp_path)[0]} == {""}
    with_splits(tmp_path, train=[["000", "003"]])
    with pytest.raises(SourceMissing, match=r"test\.json"):
        find_pairs("ff", block, tmp_path)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([["000", "003"]], [["003", "000"]], "train and test"),
        ([["000", 3]], [], "list of id lists"),
        ({"000": "003"}, [], "list of id lists"),
    ],
)
def test_wrong_splits(tmp_path: Path, train: object, test: object, message: str) -> None:
    block = with_splits(tmp_path, train=train, test=test)
    with pytest.raises(UsageError, match=message):
        find_pairs("ff", block, tmp_path)


@given(frames=st.integers(1, 2000), count=st.integers(1, 300))
def test_spaced_indices_are_distinct_inside_and_even(frames: int, count: int) -> None:
    indices = spaced_indices(frames, count)
    assert len(indices) == min(frames, count)
    assert 0 <= indices[0] <= indices[-1] < frames
    steps = np.diff(indices)
    if steps.size:
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1
    assert (
        abs(indices[0] - (frames - 1 - indices[-1])) <= 1
    )  # as far from the start as from the end


def test_spaced_indices_by_example() -> None:
    assert spaced_indices(50, 4) == [6, 18, 31, 43]
    assert spaced_indices(3, 8) == [0, 1, 2]
    assert spaced_indices(0, 4) == []
    with pytest.raises(ValueError, match="0"):
        spaced_indices(10, 0)


def clip(path: Path, frames: int, size: tuple[int, int] = (64, 80), fps: float = 25) -> Path:
    """Flat frames whose level is 5 * index, plus 2 on a video called `fake`."""
    offset = 2 if path.stem == "fake" else 0
    images = [np.full((*size, 3), 5 * k + offset, np.uint8) for k in range(frames)]
    write_video(path, images, fps, crf=0)
    return path


PAIR = Pair(
    dataset="d",
    method="m",
    compression="c0",
    pair="p",
    split="",
    real_path="real.mp4",
    fake_path="fake.mp4",
)


def test_frames_are_paired_by_index_up_to_the_shorter(tmp_path: Path) -> None:
    clip(tmp_path / "real.mp4", 30)
    clip(tmp_path / "fake.mp4", 20)
    frames = PairReader().read(tmp_path, PAIR, 4)
    assert [frame.index for frame in frames] == spaced_indices(20, 4)
    for frame in frames:
        assert frame.timestamp_s == pytest.approx(frame.index / 25)
        assert abs(frame.real.mean() - 5 * frame.index) < 1.5
        assert abs(frame.fake.mean() - frame.real.mean() - 2) < 1.5


def test_the_real_side_of_several_forgeries_is_read_once(tmp_path: Path) -> None:
    reader = PairReader()
    for name in ("real.mp4", "fake.mp4", "other.mp4"):
        clip(tmp_path / name, 30)
    first = reader.read(tmp_path, PAIR, 4)
    second = reader.read(tmp_path, PAIR.model_copy(update={"fake_path": "other.mp4"}), 4)
    assert all(a.real is b.real for a, b in zip(first, second, strict=True))
    for own, alone in zip(second, PairReader().read(tmp_path, PAIR, 4), strict=True):
        np.testing.assert_array_equal(own.real, alone.real)
    fewer = reader.read(tmp_path, PAIR, 2)
    assert [frame.index for frame in fewer] == spaced_indices(30, 2)
    clip(tmp_path / "real.mp4", 20)  # another file of the same name
    anew = reader.read(tmp_path, PAIR, 2)
    assert [frame.index for frame in anew] == spaced_indices(20, 2)


def test_a_large_real_side_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.pairs.KEPT_BYTES", 4 * 64 * 80 * 3 - 1)
    clip(tmp_path / "real.mp4", 30)
    clip(tmp_path / "fake.mp4", 30)
    reader = PairReader()
    for count, kept in ((4, False), (3, True)):
        first, second = (reader.read(tmp_path, PAIR, count) for _ in range(2))
        assert all((a.real is b.real) == kept for a, b in zip(first, second, strict=True))


def test_one_frame_pair(tmp_path: Path) -> None:
    clip(tmp_path / "real.mp4", 1)
    clip(tmp_path / "fake.mp4", 1)
    assert [frame.index for frame in PairReader().read(tmp_path, PAIR, 4)] == [0]


def test_ntsc_and_30_are_the_same_rate(tmp_path: Path) -> None:
    clip(tmp_path / "real.mp4", 4, fps=30)
    clip(tmp_path / "fake.mp4", 4, fps=30000 / 1001)
    assert len(PairReader().read(tmp_path, PAIR, 2)) == 2


@pytest.mark.parametrize(
    ("size", "fps", "reason", "numbers"),
    [
        ((64, 96), 25, RejectReason.SIZE_MISMATCH, ("80 x 64", "96 x 64")),
        ((64, 80), 30, RejectReason.FRAME_RATE_MISMATCH, ("25.000", "30.000")),
    ],
)
def test_sides_that_do_not_match(
    tmp_path: Path, size: tuple[int, int], fps: float, reason: RejectReason, numbers: tuple[str]
) -> None:
    clip(tmp_path / "real.mp4", 5)
    clip(tmp_path / "fake.mp4", 5, size, fps)
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, PAIR, 2)
    assert caught.value.reason is reason
    assert all(number in caught.value.detail for number in numbers)


@pytest.mark.parametrize("absent", ["real.mp4", "fake.mp4"])
def test_video_that_vanished(tmp_path: Path, absent: str) -> None:
    clip(tmp_path / "real.mp4", 2)
    clip(tmp_path / "fake.mp4", 2)
    (tmp_path / absent).unlink()
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, PAIR, 2)
    assert caught.value.reason is RejectReason.MISSING_PARTNER
    assert absent in caught.value.detail


def test_truncated_fake_names_the_file(tmp_path: Path) -> None:
    clip(tmp_path / "real.mp4", 30)
    path = clip(tmp_path / "fake.mp4", 30)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, PAIR, 2)
    assert caught.value.reason is RejectReason.UNREADABLE_VIDEO
    assert caught.value.detail.startswith("fake.mp4")


@given(
    real=st.integers(1, 300), fake=st.integers(1, 300), offset=st.integers(-10, 10),
    count=st.integers(1, 40),
)  # fmt: skip
def test_common_indices_lie_in_both_videos(real: int, fake: int, offset: int, count: int) -> None:
    shared = [k for k in range(fake) if 0 <= k + offset < real]
    if not shared:
        with pytest.raises(Rejected, match="share no frame") as caught:
            common_indices(real, fake, offset, count)
        assert caught.value.reason is RejectReason.NO_FRAMES
        return
    spaced = spaced_indices(len(shared), count)
    assert common_indices(real, fake, offset, count) == [shared[k] for k in spaced]


def panned(count: int) -> list[np.ndarray]:
    """Films a random grey scene that moves along a curve, `(120, 160, 3) uint8`."""
    rng = np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.normal(128, 500, (200, 240)), (0, 0), 4)
    scene = np.clip(scene, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    paths = [(30 + round(20 * np.sin(k / 6)), 30 + round(20 * np.cos(k / 4))) for k in range(count)]
    return [np.ascontiguousarray(scene[y : y + 120, x : x + 160]) for x, y in paths]


@pytest.mark.parametrize(
    ("late", "mirrored", "repairs"),
    [
        (0, False, ()),
        (4, False, (SHIFTED,)),
        (-3, False, (SHIFTED,)),
        (0, True, (MIRRORED,)),
        (-6, True, (SHIFTED, MIRRORED)),
    ],
)
def test_the_same_frames_are_paired_and_the_same_way_round(
    tmp_path: Path, late: int, mirrored: bool, repairs: tuple[str, ...]
) -> None:
    film = panned(40)
    real, fake = film[max(0, -late) :][:26], film[max(0, late) :][:22]
    fake = [np.ascontiguousarray(frame[:, ::-1]) if mirrored else frame for frame in fake]
    write_video(tmp_path / "real.mp4", real, 25, crf=10)
    write_video(tmp_path / "fake.mp4", fake, 25, crf=14)
    frames = PairReader().read(tmp_path, PAIR, 5)
    shared = min(22, 26 - late) - max(0, -late)
    assert [f.index for f in frames] == [max(0, -late) + k for k in spaced_indices(shared, 5)]
    for frame in frames:
        assert (frame.real_index, frame.frame_offset) == (frame.index + late, late)
        assert frame.timestamp_s == pytest.approx(frame.index / 25)
        assert frame.repairs == repairs
        assert cv2.absdiff(frame.real, frame.fake).mean() < 3


def test_another_recording_is_a_reject(tmp_path: Path) -> None:
    film = panned(12)
    write_video(tmp_path / "real.mp4", film, 25, crf=23)
    write_video(tmp_path / "fake.mp4", [frame[::-1] for frame in film], 25, crf=23)
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, PAIR, 2)
    assert caught.value.reason is RejectReason.DIFFERENT_CONTENT
