"""Cases: a balanced design, files that show their truth, controls without any."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fict.landmarks import MeshLandmarks
from schemas import rle
from schemas.errors import UsageError
from schemas.records import DIRECTIONS
from sources.forge.cases import Case, CaseFiles, film_case, fitting, make_case, still_of
from sources.forge.controls import CONTROLS
from sources.forge.design import STRENGTHS, sample_cases
from sources.forge.face import axes_of
from sources.forge.flicker import LOWEST, flicker
from sources.forge.looks import LOOKS, look_of, mirrored, relit, turned
from sources.forge.occlude import OCCLUDERS, Cover
from sources.forge.operations import OPERATIONS
from sources.forge.still import Still, default_pictures, load_still
from sources.forge.truth import CHANGED
from sources.video import read_frames

COUNT = 120
FRAMES = 3

PLAIN = Case(
    name="plain",
    picture=default_pictures()[0],
    donor=default_pictures()[1],
    look="plain",
    operations=(("paint_lips_red", 0.75), ("sharpen_right_cheek", 0.75)),
    control="",
    profile="stable",
    occluder=None,
    compression="c0",
    seed=5,
    frames=FRAMES,
)


def control(name: str) -> Case:
    return replace(PLAIN, name=name, operations=(), control=name)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return sample_cases(0, COUNT)


def sides(files: CaseFiles) -> list[tuple[np.ndarray, np.ndarray]]:
    count = range(len(files.truth))
    both = zip(read_frames(files.real, count), read_frames(files.fake, count), strict=True)
    return [(real.image, fake.image) for real, fake in both]


def digests(files: CaseFiles) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (files.real, files.fake)]


def test_design_covers_every_operation_evenly(cases: list[Case]) -> None:
    used = Counter(name for case in cases for name, _ in case.operations)
    assert set(used) == set(OPERATIONS)
    assert max(used.values()) - min(used.values()) <= 3
    strengths = Counter(strength for case in cases for _, strength in case.operations)
    assert set(strengths) == set(STRENGTHS)
    assert min(strengths.values()) > 0.7 * max(strengths.values())


def test_design_balances_every_factor(cases: list[Case]) -> None:
    for factor in ("look", "compression", "picture", "face"):
        counts = Counter(getattr(case, factor) for case in cases)
        assert max(counts.values()) - min(counts.values()) <= 1, counts
    assert Counter(case.look for case in cases).keys() == set(LOOKS)
    assert sum(bool(case.control) for case in cases) == COUNT // 5
    assert {case.control for case in cases} == {"", *CONTROLS}
    assert sum(case.occluder is not None for case in cases) == COUNT // 5
    assert {case.occluder for case in cases} == {None, *OCCLUDERS}
    regions = Counter(len(case.operations) for case in cases)
    assert all(regions[k] >= COUNT // 10 for k in range(5))
    flickering = sum(case.profile == "flicker" for case in cases)
    assert 0.3 * COUNT < flickering < 0.55 * COUNT


def test_design_gives_cases_that_can_be_made(cases: list[Case]) -> None:
    assert len({case.name for case in cases}) == COUNT
    for case in cases:
        assert bool(case.operations) != bool(case.control)
        assert {name for name, _ in case.operations} <= fitting(case)
        assert case.donor != case.picture
        assert 180 <= case.face <= 260


def test_same_seed_same_cases(cases: list[Case]) -> None:
    assert sample_cases(0, COUNT) == cases
    assert not {case.seed for case in sample_cases(1, COUNT)} & {case.seed for case in cases}


def test_files_show_the_truth(tmp_path: Path) -> None:
    files = make_case(PLAIN, tmp_path)
    assert [row.frame_index for row in files.truth] == list(range(FRAMES))
    for row, (real, fake) in zip(files.truth, sides(files), strict=True):
        mask = rle.decode(row.segmentation).astype(np.uint8)
        assert mask.shape == PLAIN.size
        assert row.area == mask.sum() > 500
        around = cv2.dilate(mask, np.ones((9, 9)))
        difference = cv2.absdiff(real, fake).max(axis=2)
        assert (difference[around == 0] > 8).mean() < 0.001
        assert difference[mask == 1].mean() > 5
        assert set(row.concepts) == {"upper lip", "lower lip", "right cheek"}
        for kind, direction in zip(row.kinds, row.directions, strict=True):
            assert kind is not None
            assert direction in DIRECTIONS[kind]


def test_a_film_is_what_gets_encoded() -> None:
    film = film_case(PLAIN)
    assert film.mixture is not None
    assert [operation.name for operation, _ in film.mixture.parts] == [
        n for n, _ in PLAIN.operations
    ]
    donor = still_of(PLAIN, donor=True)
    for real, fake, truth, points in zip(
        film.reals, film.fakes, film.truth, film.points, strict=True
    ):
        again = film.mixture.edit(real, points, donor, truth.strength)
        np.testing.assert_array_equal(again, fake)
        mask = rle.decode(truth.segmentation)
        assert cv2.absdiff(real, fake)[mask].mean() > 5
        assert not (cv2.absdiff(real, fake)[~mask] > CHANGED).any()
    other = film_case(control("other_crop"))
    assert other.mixture is None
    assert len(other.reals) == len(other.fakes) == len(other.truth) == len(other.points) == FRAMES


def test_same_case_same_bytes(tmp_path: Path) -> None:
    case = replace(PLAIN, profile="flicker", occluder="fingers", look="turned_left")
    first, second = (make_case(case, tmp_path / name) for name in "ab")
    assert digests(first) == digests(second)
    assert first.truth == second.truth
    other = make_case(replace(case, seed=6), tmp_path / "c")
    assert not set(digests(first)) & set(digests(other))


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_differ_but_nothing_was_forged(tmp_path: Path, name: str) -> None:
    files = make_case(control(name), tmp_path)
    assert len(files.truth) == FRAMES
    for row in files.truth:
        assert row.area == rle.decode(row.segmentation).sum() == row.strength == 0
        assert row.concepts == row.kinds == row.directions == ()
    for real, fake in sides(files):
        assert 0.05 < cv2.absdiff(real, fake).mean() < 25


@pytest.mark.parametrize("name", OCCLUDERS)
def test_occluder_hides_the_forgery_on_both_sides(tmp_path: Path, name: str) -> None:
    open_case = replace(PLAIN, operations=(("swap_alpha", 1.0),), frames=2)
    hidden = make_case(replace(open_case, name="hidden", occluder=name), tmp_path)
    seen = make_case(open_case, tmp_path)
    for less, more in zip(hidden.truth, seen.truth, strict=True):
        masks = [rle.decode(row.segmentation).astype(bool) for row in (less, more)]
        assert 0.3 * masks[1].sum() < masks[0].sum() < 0.98 * masks[1].sum()
        assert not (masks[0] & ~masks[1]).any()


def test_what_an_occluder_hides_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wall(frame: np.ndarray, points: np.ndarray, seed: int) -> Cover:
        below = np.arange(frame.shape[0])[:, None] > points[4, 1]  # hides all below the nose's tip
        return Cover(
            np.repeat(below, frame.shape[1], 1).astype(np.float32), 0 * frame + np.float32(90)
        )

    monkeypatch.setitem(OCCLUDERS, "wall", wall)
    operations = (("paint_lips_red", 1.0), ("blue_irises", 1.0))
    for row in make_case(replace(PLAIN, operations=operations, occluder="wall"), tmp_path).truth:
        assert set(row.concepts) == {"right iris", "left iris"}


def test_flicker_by_example(tmp_path: Path) -> None:
    assert {flicker(0.5, k, 3, "stable") for k in range(20)} == {0.5}
    wave = [flicker(0.5, k, 3) for k in range(60)]
    assert wave == [flicker(0.5, k, 3) for k in range(60)]
    assert 0.5 * LOWEST <= min(wave) < 0.25
    assert 0.45 < max(wave) <= 0.5
    assert np.abs(np.diff(wave)).max() < 0.25  # smooth
    files = make_case(replace(PLAIN, profile="flicker", frames=8), tmp_path)
    strengths = [row.strength for row in files.truth]
    changes = [cv2.absdiff(real, fake).mean() for real, fake in sides(files)]
    assert np.corrcoef(strengths, changes)[0, 1] > 0.9


@pytest.fixture(scope="module")
def still() -> Still:
    return load_still(default_pictures()[0], PLAIN.size)


def found(still: Still) -> np.ndarray:
    return MeshLandmarks().detect(still.image)[0].landmarks[:, :2]


@pytest.mark.parametrize("look", LOOKS)
def test_landmarks_follow_the_look(still: Still, look: str) -> None:
    other = look_of(still, look)
    assert other.image.shape == still.image.shape
    away = np.hypot(*(found(other) - other.landmarks).T)
    assert away.mean() < 0.03 * axes_of(still.landmarks).unit
    assert (look == "plain") == np.array_equal(other.image, still.image)


def test_mirrored_twice_is_the_same(still: Still) -> None:
    twice = mirrored(mirrored(still))
    np.testing.assert_array_equal(twice.image, still.image)
    np.testing.assert_allclose(twice.landmarks, still.landmarks, atol=1e-3)


def test_turning_moves_the_nose_between_the_cheeks(still: Still) -> None:
    def place(points: np.ndarray) -> float:
        return float((points[4, 0] - points[234, 0]) / (points[454, 0] - points[234, 0]))

    to_left, to_right = (place(turned(still, yaw).landmarks) for yaw in (-15.0, 15.0))
    assert to_left < place(still.landmarks) - 0.05
    assert to_right > place(still.landmarks) + 0.05


def test_light_grows_to_the_right(still: Still) -> None:
    gain = relit(still, (0.5, 0.0), 1.0).image.astype(float).mean(axis=(0, 2))
    gain -= still.image.mean(axis=(0, 2))
    middle = int(still.landmarks[:, 0].mean())
    assert gain[middle + 60] > gain[middle] > gain[middle - 60]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"operations": ()}, "either operations or a control"),
        ({"control": "brightness"}, "either operations or a control"),
        ({"occluder": "scarf"}, "no occluder 'scarf'"),
        ({"compression": "c24"}, "no compression"),
        ({"look": "upside_down"}, "no look"),
        (
            {"picture": default_pictures()[1], "operations": (("whiten_teeth", 1.0),)},
            "whiten_teeth",
        ),
    ],
)
def test_cases_that_cannot_be(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_case(replace(PLAIN, **wrong), tmp_path)  # type: ignore[arg-type]


def test_face_has_the_width_asked_for() -> None:
    for width in (180, 260):
        points = still_of(replace(PLAIN, face=width)).landmarks
        assert abs(np.ptp(points[:, 0]) - width) < 2
