"""The forge: known truth that is true, FaceForensics++ layout, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas import rle
from schemas.errors import OutputError, UsageError
from schemas.manifest import load_manifest
from schemas.records import DIRECTIONS
from sources.forge import METHODS, ForgeSummary, forge, read_truth
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.face import LEFT_CORNER, OUTER_LIPS, RIGHT_CORNER
from sources.forge.methods import variant_of
from sources.forge.retouch import AREAS
from sources.forge.still import Still, default_pictures, load_stills
from sources.forge.truth import changed_pixels
from sources.layouts import find_pairs
from sources.pairs import PairReader
from sources.video import probe

SMALL = {"frames": 3, "size": (240, 320), "seed": 7}
SIZE = (480, 640)
Image = NDArray[np.uint8]


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def stills() -> list[Still]:
    return load_stills(default_pictures(), SIZE)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ForgeSummary]:
    folder = tmp_path_factory.mktemp("toy")
    return folder, forge(folder, **SMALL)  # type: ignore[arg-type]


def filmed(stills: list[Still], target: int, index: int = 4) -> tuple[Image, NDArray[np.float32]]:
    camera = Camera(SIZE, 5, (0, target))
    return real_frame(stills[target], path_of(stills[target], camera)[index], camera, index)


def forged(stills: list[Still], method: str, target: int) -> tuple[Image, Image]:
    real, points = filmed(stills, target)
    edit = variant_of(method, target).edit
    assert edit is not None
    return real, edit(real, points, stills[1 - target])


EDITS = [(method, target) for method in METHODS if method != "Unforged" for target in (0, 1)]


def test_layout_is_the_toy_dataset_of_the_manifest(toy: tuple[Path, ForgeSummary]) -> None:
    folder, summary = toy
    dataset = load_manifest().dataset("toy")
    assert list(METHODS) == list(dataset.methods)
    pairs, rejects = find_pairs("toy", dataset, folder)
    assert rejects == []
    assert len(pairs) == summary.pairs == 7 * 3 * 2
    assert {pair.pair for pair in pairs} == {"000_001", "001_000"}
    assert summary.videos == len(list(folder.rglob("*.mp4"))) == 8 * 3 * 2
    info = probe(folder / pairs[0].fake_path)
    assert (info.frames, info.height, info.width, info.fps) == (3, 240, 320, 25)


def test_truth_has_a_row_for_each_frame(toy: tuple[Path, ForgeSummary]) -> None:
    folder, summary = toy
    truth = read_truth(folder)
    assert len(truth) == summary.truth_rows == 7 * 2 * 3
    assert len({(row.method, row.pair, row.frame_index) for row in truth}) == len(truth)
    for row in truth:
        mask = rle.decode(row.segmentation)
        assert mask.shape == (240, 320)
        assert row.area == mask.sum()
        known = [] if row.method == "IdentitySwap" else row.concepts
        for _, kind, how in zip(known, row.kinds, row.directions, strict=True):
            assert how in DIRECTIONS[kind]
        assert (row.area == 0) == (row.method == "Unforged") == (row.concepts == ())


def test_concepts_are_in_the_tree() -> None:
    tree = (Path(__file__).parents[2] / "fict" / "fict.yaml").read_text()
    for variants in METHODS.values():
        for variant in variants:
            assert all(f"name: {concept}\n" in tree for concept, _, _ in variant.aims)


def test_videos_show_the_truth(toy: tuple[Path, ForgeSummary]) -> None:
    """At c0 the difference is inside the mask, and next to nothing outside.

    The control is decoded and encoded once more, which softens sharp colour edges a little.
    """
    folder, _ = toy
    pairs, _ = find_pairs("toy", load_manifest().dataset("toy"), folder)
    truth = {(row.method, row.pair, row.frame_index): row for row in read_truth(folder)}
    for pair in pairs:
        if pair.compression != "c0":
            continue
        for frame in PairReader().read(folder, pair, 3):
            difference = cv2.absdiff(frame.real, frame.fake).max(axis=2)
            row = truth[pair.method, pair.pair, frame.index]
            around = cv2.dilate(rle.decode(row.segmentation).astype(np.uint8), np.ones((9, 9)))
            unforged = pair.method == "Unforged"
            assert (difference[around == 0] > 8).mean() < (0.04 if unforged else 0.002), pair.key
            assert difference[around == 0].mean() < 2
            if not unforged:
                assert difference[around == 1].mean() > 1.5


@pytest.mark.parametrize(("method", "target"), EDITS)
def test_edit_is_local_visible_and_inside_the_face(
    stills: list[Still], method: str, target: int
) -> None:
    real, fake = forged(stills, method, target)
    mask = changed_pixels(real, fake)
    _, points = filmed(stills, target)
    face = cv2.fillConvexPoly(
        np.zeros(SIZE, np.uint8), cv2.convexHull(points[:468].astype(np.int32)), 1
    ).astype(bool)
    assert 0.01 < mask.sum() / face.sum() < 0.95
    assert (mask & ~face).sum() < 0.06 * mask.sum()
    outside = cv2.dilate(mask.astype(np.uint8), np.ones((41, 41))) == 0
    np.testing.assert_array_equal(real[outside], fake[outside])  # the very same noise
    assert cv2.absdiff(real, fake)[mask].mean() > 2


def test_changed_pixels_by_example() -> None:
    real = np.full((40, 40, 3), 100, np.uint8)
    fake = real.copy()
    fake[5:15, 5:15, 2] = 104
    fake[20:25, 20:25] = 103  # not enough
    fake[9:11, 9:11] = real[0, 0]  # a hole that noise might leave
    expected = np.zeros((40, 40), bool)
    expected[5:15, 5:15] = True
    np.testing.assert_array_equal(changed_pixels(real, fake), expected)


def lab_inside(image: Image, outline: NDArray[np.float32]) -> NDArray[np.float64]:
    mask = cv2.fillPoly(np.zeros(SIZE, np.uint8), [outline.astype(np.int32)], 1).astype(bool)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab[mask], np.float64).mean(axis=0)


def test_lips_take_the_colour_that_the_truth_says(stills: list[Still]) -> None:
    for target, (channel, sign) in enumerate([(1, 1), (2, -1)]):  # redder, then bluer
        real, fake = forged(stills, "LipRecolour", target)
        outline = filmed(stills, target)[1][OUTER_LIPS]
        change = lab_inside(fake, outline) - lab_inside(real, outline)
        assert change[0] < -1.5  # darker
        assert sign * change[channel] > 4


def test_skin_loses_its_texture(stills: list[Still]) -> None:
    for target in (0, 1):
        real, fake = forged(stills, "SkinSmoothing", target)
        mask = changed_pixels(real, fake)
        real_detail, fake_detail = (
            np.abs(cv2.Laplacian(cv2.cvtColor(side, cv2.COLOR_RGB2GRAY), cv2.CV_32F))[mask].mean()
            for side in (real, fake)
        )
        assert fake_detail < 0.75 * real_detail


def test_smoothed_area_is_the_one_named(stills: list[Still]) -> None:
    for target, area in enumerate(["right cheek", "forehead"]):
        mask = changed_pixels(*forged(stills, "SkinSmoothing", target))
        points = filmed(stills, target)[1]
        middle = points[AREAS[area]].mean(0)
        assert np.abs(np.argwhere(mask).mean(0)[::-1] - middle).max() < 12
        eyes = points[[33, 263]]
        assert (middle[0] < eyes.mean(0)[0] - 20) == (area == "right cheek")  # the subject's right
        assert (middle[1] < eyes.mean(0)[1]) == (area == "forehead")


def landmarks_of(image: Image) -> NDArray[np.float32]:
    from fict.landmarks import MeshLandmarks

    return MeshLandmarks().detect(image)[0].landmarks[:, :2]


def shifts(
    stills: list[Still], method: str, target: int, vertices: list[int]
) -> NDArray[np.float64]:
    """Where an edit moves some points, seen on white dots: (N, 2) across and down, in pixels."""
    points = filmed(stills, target)[1]
    edit = variant_of(method, target).edit
    assert edit is not None
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    moved = []
    for px, py in points[vertices]:
        near = (x - px) ** 2 + (y - py) ** 2
        dot = np.repeat((250 * np.exp(-near / 8))[..., None], 3, axis=2).astype(np.uint8)
        seen = edit(dot, points, stills[1 - target])[..., 0] * (near < 30**2).astype(np.float64)
        moved.append([(seen * x).sum() / seen.sum() - px, (seen * y).sum() / seen.sum() - py])
    return np.array(moved)


def test_warps_move_points_as_the_truth_says(stills: list[Still]) -> None:
    upper, lower = shifts(stills, "EyeReshape", 0, [159, 145])  # right eye: lids part
    assert upper[1] < -1
    assert lower[1] > 1
    upper, lower = shifts(stills, "EyeReshape", 0, [386, 374])  # and left eye
    assert upper[1] < -1
    assert lower[1] > 1
    upper, lower = shifts(stills, "EyeReshape", 1, [159, 145])  # the left eye alone
    assert abs(upper[1]) < 0.2
    assert abs(lower[1]) < 0.2
    right, left = shifts(stills, "NoseReshape", 0, [129, 358])  # narrower
    assert right[0] > 3
    assert left[0] < -3
    right, left = shifts(stills, "NoseReshape", 1, [129, 358])  # wider
    assert right[0] < -2
    assert left[0] > 2
    assert shifts(stills, "MouthWarp", 0, [17])[0][1] > 5  # lower lip down
    right, left = shifts(stills, "MouthWarp", 1, [RIGHT_CORNER, LEFT_CORNER])  # corners up and out
    assert max(right[1], left[1]) < -5
    assert right[0] < -2
    assert left[0] > 2


def test_face_mesh_sees_the_mouth_move(stills: list[Still]) -> None:
    """An independent witness, run on the forged frame itself."""
    real, fake = (landmarks_of(side) for side in forged(stills, "MouthWarp", 0))
    assert np.hypot(*(fake[13] - fake[14])) > np.hypot(*(real[13] - real[14])) + 4
    real, fake = (landmarks_of(side) for side in forged(stills, "MouthWarp", 1))
    assert fake[[RIGHT_CORNER, LEFT_CORNER], 1].mean() < real[[61, 291], 1].mean() - 3


def test_swap_shows_the_source_person(stills: list[Still]) -> None:
    """Grace Hopper's dark glasses appear on one fake and vanish from the other."""
    for target, darker in ((0, True), (1, False)):
        real, fake = forged(stills, "IdentitySwap", target)
        points = filmed(stills, target)[1]
        rims = points[[223, 443, 27, 257]].astype(int)  # upper lids' folds, where the rims run
        levels = [
            np.mean([side[y - 6 : y + 7, x - 12 : x + 13].min(axis=(0, 1)).mean() for x, y in rims])
            for side in (real, fake)
        ]
        assert (levels[1] < levels[0]) == darker


def test_landmarks_follow_the_camera(stills: list[Still]) -> None:
    for target in (0, 1):
        real, points = filmed(stills, target, 2)
        assert np.abs(landmarks_of(real) - points).mean() < 4


def test_same_seed_same_bytes_and_workers_do_not_matter(tmp_path: Path) -> None:
    few = {**SMALL, "methods": ["IdentitySwap", "Unforged"], "compressions": ["c23"]}
    for name, workers in (("a", 1), ("b", 2)):
        forge(tmp_path / name, workers=workers, **few)  # type: ignore[arg-type]
    first = content(tmp_path / "a")
    assert first == content(tmp_path / "b")
    forge(tmp_path / "c", **{**few, "seed": 8})  # type: ignore[arg-type]
    assert not set(first.values()) & set(content(tmp_path / "c").values())


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, dict[str, object]]:
    return tmp_path, {**SMALL, "frames": 1, "methods": ["LipRecolour"], "compressions": ["c40"]}


def test_second_run_changes_nothing_but_repairs(tiny: tuple[Path, dict[str, object]]) -> None:
    folder, few = tiny
    steps: list[tuple[int, int]] = []
    assert forge(folder, progress=lambda *at: steps.append(at), **few).made  # type: ignore[arg-type]
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    before = content(folder)
    assert not forge(folder, **few).made  # type: ignore[arg-type]
    next(folder.rglob("000_001.mp4")).write_bytes(b"")
    (folder / "truth.parquet").unlink()
    assert forge(folder, **few).made  # type: ignore[arg-type]
    assert content(folder) == before


def test_other_settings_replace_what_the_forge_made(tiny: tuple[Path, dict[str, object]]) -> None:
    folder, few = tiny
    forge(folder, **few)  # type: ignore[arg-type]
    (folder / "mine.txt").write_text("kept")
    forge(folder, **{**few, "methods": ["EyeReshape"]})  # type: ignore[arg-type]
    assert {row.method for row in read_truth(folder)} == {"EyeReshape"}
    assert not list(folder.rglob("LipRecolour/**/*.mp4"))
    assert (folder / "mine.txt").read_text() == "kept"


def test_an_interrupted_forge_is_not_taken_for_whole(tiny: tuple[Path, dict[str, object]]) -> None:
    folder, few = tiny

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forge(folder, progress=interrupt, **few)  # type: ignore[arg-type]
    assert not (folder / "forge.json").exists()
    assert forge(folder, **few).made  # type: ignore[arg-type]
    assert json.loads((folder / "forge.json").read_text())["settings"]["seed"] == 7


def test_pictures_that_will_not_do(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300, 3), 127, np.uint8))
    (tmp_path / "notes.png").write_text("no picture")
    good = default_pictures()[0]
    for name, message in [("wall", "no face"), ("notes", "not a picture"), ("absent", "cannot")]:
        with pytest.raises(UsageError, match=message) as caught:
            forge(tmp_path / "out", pictures=[good, tmp_path / f"{name}.png"])
        assert f"{name}.png" in str(caught.value)
    with pytest.raises(UsageError, match="two pictures"):
        forge(tmp_path / "out", pictures=[good])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ["LipRecolor"]}, "did you mean 'LipRecolour'"),
        ({"methods": ["MouthWarp", "MouthWarp"]}, "once"),
        ({"compressions": []}, "none"),
        ({"compressions": ["c24"]}, "c23"),
        ({"frames": 0}, "above 0"),
        ({"size": (241, 320)}, "even"),
    ],
)
def test_wrong_settings(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        forge(tmp_path, **wrong)  # type: ignore[arg-type]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        forge(tmp_path / "file", frames=1, methods=["Unforged"], compressions=["c40"])
