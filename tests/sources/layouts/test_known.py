"""The project's own blocks of known datasets, on miniatures of them with real media."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from schemas.errors import Rejected, RejectReason, UsageError
from schemas.manifest import Dataset, load_manifest
from schemas.records import Pair, Reject
from sources.layouts import find_pairs
from sources.pairs import MIRRORED, SHIFTED, PairReader
from tests.films import LATE, forged, panned, save, sides

FF, MADE = "original_sequences/youtube", "manipulated_sequences"


def block(name: str, **changes: object) -> Dataset:
    whole = load_manifest().dataset(name).model_dump()
    return Dataset.model_validate({**whole, **changes})


def found(name: str, root: Path, **changes: object) -> tuple[list[Pair], list[Reject]]:
    pairs, rejects = find_pairs(name, block(name, **changes), root)
    return pairs, [one for one in rejects if one.reason != "no_videos"]


def offsets(root: Path, pair: Pair, **more: object) -> set[int]:
    """Reads a pair; its frames must show the same but for the forgery."""
    frames = PairReader().read(root, pair, 4, **more)  # type: ignore[arg-type]
    for frame in frames:
        outside = cv2.absdiff(frame.real, frame.fake)
        outside[45:75, 65:95] = 0
        assert outside.mean() < 4
        assert cv2.absdiff(frame.real, frame.fake)[54:66, 74:86].mean() > 20
    return {frame.frame_offset for frame in frames}


def test_faceforensics_with_masks_splits_and_other_folder_names(tmp_path: Path) -> None:
    for name, seed in (("000", 1), ("003", 2), ("007", 3)):
        save(tmp_path / FF / f"c23/videos/{name}.mp4", sides(seed=seed)[0])
    for method, level in (("Deepfakes", "hq"), ("FaceShifter", "c23")):
        for name, seed in (("000_003", 1), ("003_000", 2)):
            path = tmp_path / MADE / method / level / f"videos/{name}.mp4"
            save(path, sides(seed=seed)[1])
    spot = np.zeros((120, 160, 3), np.uint8)
    save(tmp_path / MADE / "Deepfakes/masks/videos/000_003.mp4", [spot] * 3)
    save(tmp_path / MADE / "FaceShifter/masks/videos/000_003.mp4", [spot] * 3)
    (tmp_path / "splits").mkdir()
    for split, ids in (("train", [["003", "000"]]), ("val", []), ("test", [["007", "001"]])):
        (tmp_path / f"splits/{split}.json").write_text(json.dumps(ids))
    pairs, rejects = found("ff++", tmp_path)
    assert rejects == []
    assert [(p.method, p.pair, p.split, p.identities) for p in pairs] == [
        ("Deepfakes", "000_003", "train", ("000", "003")),
        ("Deepfakes", "003_000", "train", ("003", "000")),
        ("FaceShifter", "000_003", "train", ("000", "003")),
        ("FaceShifter", "003_000", "train", ("003", "000")),
    ]
    masks = [pair.mask_path for pair in pairs]
    assert masks == [f"{MADE}/Deepfakes/masks/videos/000_003.mp4", "", "", ""]
    assert pairs[0].fake_path == f"{MADE}/Deepfakes/hq/videos/000_003.mp4"
    assert pairs[0].real_path == f"{FF}/c23/videos/000.mp4"
    assert pairs[0].compression == "c23"
    for pair in pairs:
        assert offsets(tmp_path, pair) == {LATE}


@pytest.mark.parametrize("level", [("c0", "raw"), ("c23", "hq"), ("c40", "lq")])
def test_each_compression_has_its_other_name(tmp_path: Path, level: tuple[str, str]) -> None:
    own, other = level
    save(tmp_path / FF / other / "videos/000.mp4", panned(3))
    save(tmp_path / MADE / "Deepfakes" / other / "videos/000_003.mp4", panned(3))
    pairs, rejects = found("ff++", tmp_path, compressions=[own])
    assert [(p.compression, p.real_path) for p in pairs] == [(own, f"{FF}/{other}/videos/000.mp4")]
    assert rejects == []


def test_a_video_under_both_names_of_a_compression_is_told(tmp_path: Path) -> None:
    save(tmp_path / FF / "c23/videos/000.mp4", panned(3))
    for level in ("c23", "hq"):
        save(tmp_path / MADE / "Deepfakes" / level / "videos/000_003.mp4", panned(3))
    pairs, rejects = found("ff++", tmp_path)
    twice = f"{MADE}/Deepfakes/hq/videos/000_003.mp4"
    assert [pair.fake_path for pair in pairs] == [f"{MADE}/Deepfakes/c23/videos/000_003.mp4"]
    assert [(one.reason, one.pair) for one in rejects] == [
        ("bad_entry", f"000_003 again with {twice}")
    ]


@pytest.mark.parametrize(("real_first", "fake_first"), [(0, 0), (1, 1), (0, 1)])
def test_extracted_frames_pair_by_place_whatever_their_first_number(
    tmp_path: Path, real_first: int, fake_first: int
) -> None:
    real, fake = sides()
    save(tmp_path / FF / "c23/frames/000", real, real_first)
    save(tmp_path / MADE / "NeuralTextures/c23/frames/000_003", fake, fake_first)
    [pair], rejects = found("ff++-frames", tmp_path)
    assert (pair.pair, pair.real_path, rejects) == ("000_003", f"{FF}/c23/frames/000", [])
    assert offsets(tmp_path, pair, fps=50.0) == {LATE}
    first = PairReader().read(tmp_path, pair, 100, fps=50.0)[1]
    assert (first.index, first.timestamp_s) == (1, 0.02)
    np.testing.assert_array_equal(first.real, real[1 + LATE])


def test_deepfakedetection_keeps_the_scene_and_its_actors(tmp_path: Path) -> None:
    real, fake = sides()
    save(tmp_path / "original_sequences/actors/c23/videos/28__walking_outside.mp4", real)
    save(tmp_path / "original_sequences/actors/c23/videos/28__kitchen_pan.mp4", panned(3, 9))
    name = "28_02__walking_outside__YVGY8LOK.mp4"
    save(tmp_path / MADE / "DeepFakeDetection/c23/videos" / name, fake)
    [pair], rejects = found("dfd", tmp_path)
    assert pair.real_path.endswith("actors/c23/videos/28__walking_outside.mp4")
    assert (pair.identities, rejects) == (("28", "02"), [])
    assert offsets(tmp_path, pair) == {LATE}


@pytest.fixture
def celeb(tmp_path: Path) -> Path:
    real, fake = sides()
    save(tmp_path / "Celeb-real/id0_0000.mp4", real)
    save(tmp_path / "Celeb-real/id2_0003.mp4", panned(4, 5))
    save(tmp_path / "YouTube-real/00000.mp4", panned(3, 7))
    save(tmp_path / "Celeb-synthesis/id0_id1_0000.mp4", fake)
    save(tmp_path / "Celeb-synthesis/id2_id1_0003.mp4", panned(4, 5))
    return tmp_path


def test_celeb_df_takes_its_test_list_with_1_for_real(celeb: Path) -> None:
    lines = [
        "1 YouTube-real/00000.mp4",
        "1 Celeb-real/id2_0003.mp4",
        "0 Celeb-synthesis/id2_id1_0003.mp4",
    ]
    (celeb / "List_of_testing_videos.txt").write_text("\n".join(lines) + "\n")
    pairs, rejects = found("celeb-df", celeb)
    assert [(p.pair, p.real_path, p.split) for p in pairs] == [
        ("id0_id1_0000", "Celeb-real/id0_0000.mp4", "train"),
        ("id2_id1_0003", "Celeb-real/id2_0003.mp4", "test"),
    ]
    assert rejects == []
    assert offsets(celeb, pairs[0]) == {LATE}
    with pytest.raises(UsageError, match=r"leak: train id0_id1_0000 - id1 - test id2_id1_0003\."):
        found("celeb-df", celeb, splits_may_leak=False)


def test_celeb_df_list_with_labels_the_wrong_way_round_is_told(celeb: Path) -> None:
    lines = ["1 Celeb-real/id2_0003.mp4", "1 Celeb-synthesis/id2_id1_0003.mp4"]
    (celeb / "List_of_testing_videos.txt").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"labels the fake .*id2_id1_0003\.mp4 with 1"):
        found("celeb-df", celeb)


def test_celeb_df_plus_plus_has_its_methods_in_folders(tmp_path: Path) -> None:
    real, fake = sides()
    save(tmp_path / "Celeb-real/id0_0000.mp4", real)
    save(tmp_path / "Celeb-synthesis/FaceSwap/SimSwap/id0_id1_0000.mp4", fake)
    save(tmp_path / "Celeb-synthesis/FaceReenact/LivePortrait/id0_id1_0000.mp4", fake)
    [pair], _ = found("celeb-df++", tmp_path)
    assert (pair.method, pair.pair) == ("SimSwap", "FaceSwap-id0_id1_0000")
    assert offsets(tmp_path, pair) == {LATE}


def test_dfdc_is_paired_by_its_metadata(tmp_path: Path) -> None:
    real, fake = sides()
    part = tmp_path / "dfdc_train_part_0"
    save(part / "xyz.mp4", real)
    save(part / "abc.mp4", fake)
    save(tmp_path / "dfdc_train_part_1/xyz.mp4", panned(3, 8))  # the same name, another part
    entry = {"label": "FAKE", "split": "train", "original": "xyz.mp4"}
    listed = {"abc.mp4": entry, "xyz.mp4": {"label": "REAL", "split": "train"}}
    (part / "metadata.json").write_text(json.dumps(listed))
    (tmp_path / "dfdc_train_part_1/metadata.json").write_text(
        json.dumps({"xyz.mp4": {"label": "REAL", "split": "train"}})
    )
    [pair], rejects = found("dfdc", tmp_path)
    assert (pair.real_path, pair.split) == ("dfdc_train_part_0/xyz.mp4", "train")
    assert (pair.key, rejects) == ("dfdc/DFDC/dfdc_train_part_0-abc", [])
    assert offsets(tmp_path, pair) == {LATE}


def test_dfdc_preview_names_its_originals_by_pattern(tmp_path: Path) -> None:
    real, fake = sides()
    path = "method_A/1795659/1795659_B/2059066_1795659_B_001.mp4"
    save(tmp_path / path, fake)
    save(tmp_path / "original_videos/1795659/1795659_B_001.mp4", real)
    entry = {"label": "fake", "set": "test", "target_id": 1795659, "swapped_id": 2059066}
    (tmp_path / "dataset.json").write_text(json.dumps({path: entry}))
    [pair], rejects = found("dfdc-preview", tmp_path)
    assert pair.real_path == "original_videos/1795659/1795659_B_001.mp4"
    assert (pair.method, pair.split, rejects) == ("method_A", "test", [])
    assert pair.identities == ("1795659", "2059066")
    assert offsets(tmp_path, pair) == {LATE}


def test_deeperforensics_takes_its_real_side_from_another_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = sides()
    fakes, reals = tmp_path / "deeper", tmp_path / "ff"
    save(reals / FF / "c23/videos/010.mp4", real)
    save(fakes / "manipulated_videos/end_to_end/010_W006.mp4", fake)
    save(fakes / "manipulated_videos/end_to_end_level_5/010_W006.mp4", fake)
    (fakes / "lists/splits").mkdir(parents=True)
    for split, text in (("train", ""), ("val", ""), ("test", "010_W006.mp4\n")):
        (fakes / f"lists/splits/{split}.txt").write_text(text)
    dataset = block("deeperforensics")
    monkeypatch.setenv("DEEPERFORENSICS_ROOT", str(fakes))
    monkeypatch.setenv("FFPP_ROOT", str(reals))
    roots = dataset.folder("deeperforensics"), dataset.real_folder("deeperforensics")
    [pair], rejects = find_pairs("deeperforensics", dataset, *roots)
    assert (pair.method, pair.split, rejects) == ("end_to_end", "test", [])
    assert pair.real_path == f"{FF}/c23/videos/010.mp4"
    assert offsets(fakes, pair, real_root=reals) == {LATE}


def test_dffd_pairs_pictures(tmp_path: Path) -> None:
    frame = panned(1)
    save(tmp_path / "ffhq/validation/00012.png", frame)
    save(tmp_path / "faceapp/validation/00012_0.png", forged(frame))
    save(tmp_path / "masks/faceapp/validation/00012_0.png", frame)
    [pair], rejects = found("dffd", tmp_path)
    assert (pair.split, pair.pair, rejects) == ("val", "validation-00012_0", [])
    assert pair.mask_path == "masks/faceapp/validation/00012_0.png"
    [one] = PairReader().read(tmp_path, pair, 4)
    assert (one.index, one.timestamp_s, one.frame_offset, one.repairs) == (0, 0.0, 0, ())
    np.testing.assert_array_equal(one.fake, forged(frame)[0])


def test_a_mirrored_picture_is_turned_back(tmp_path: Path) -> None:
    frame = panned(1)
    save(tmp_path / "ffhq/train/1.png", frame)
    mirrored = [np.ascontiguousarray(forged(frame)[0][:, ::-1])]
    save(tmp_path / "faceapp/train/1_0.png", mirrored)
    [pair], _ = found("dffd", tmp_path)
    [one] = PairReader().read(tmp_path, pair, 1)
    assert one.repairs == (MIRRORED,)
    assert SHIFTED not in one.repairs
    np.testing.assert_array_equal(one.fake, forged(frame)[0])


def test_seq_deepfake_keeps_the_list_of_edited_parts(tmp_path: Path) -> None:
    frame = panned(1)
    images = tmp_path / "facial_components/images/train"
    save(images / "original/4711.jpg", frame)
    save(images / "nose-eye-lip/4711.jpg", forged(frame))
    [pair], rejects = found("seq-deepfake", tmp_path)
    assert rejects == []  # the originals are no fakes without a partner
    assert pair.edited == ("nose", "eye", "lip")
    assert (pair.split, pair.pair) == ("train", "train-nose-eye-lip-4711")
    [one] = PairReader().read(tmp_path, pair, 4)
    assert cv2.absdiff(one.real, one.fake)[54:66, 74:86].mean() > 20


def test_pairs_of_a_list_with_given_masks(tmp_path: Path) -> None:
    real, fake = sides()
    save(tmp_path / "in/a.mp4", real)
    save(tmp_path / "out/a.mp4", fake)
    save(tmp_path / "mask/a.mp4", real)
    (tmp_path / "pairs.csv").write_text(
        "real,fake,method,compression,split,identity_real,identity_fake,mask,edited\n"
        "in/a.mp4,out/a.mp4,edit,c23,test,ann,bob,mask/a.mp4,lips-nose\n"
    )
    [pair], rejects = found("pairs", tmp_path)
    assert rejects == []
    assert pair == Pair(
        dataset="pairs", method="edit", compression="c23", pair="out-a", split="test",
        real_path="in/a.mp4", fake_path="out/a.mp4", mask_path="mask/a.mp4",
        identities=("ann", "bob"), edited=("lips", "nose"),
    )  # fmt: skip
    assert offsets(tmp_path, pair) == {LATE}


def test_a_video_and_the_frames_of_another_do_not_pass_as_a_pair(tmp_path: Path) -> None:
    save(tmp_path / FF / "c23/frames/000", panned(8, 1))
    save(tmp_path / MADE / "Deepfakes/c23/frames/000_003", panned(8, 2))
    [pair], _ = found("ff++-frames", tmp_path)
    with pytest.raises(Rejected) as caught:
        PairReader().read(tmp_path, pair, 4)
    assert caught.value.reason is RejectReason.DIFFERENT_CONTENT


def test_every_block_forbids_or_allows_pixels_and_says_whose_terms(tmp_path: Path) -> None:
    datasets = load_manifest().datasets
    assert [name for name, one in datasets.items() if one.licence.redistribute_pixels] == ["toy"]
    for name, one in datasets.items():
        assert one.licence.url or name in {"toy", "pairs"}
