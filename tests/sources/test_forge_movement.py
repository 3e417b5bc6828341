"""The true movement: warps that are known, pixels that stay, pixels that are gone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from schemas.records import EvidenceKind
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.face import INNER_LIPS, RIGHT_EYE, Frame, Points, axes_of, polygon
from sources.forge.movement import MOVES, Movement, movement_of
from sources.forge.operation import Operation
from sources.forge.operations import OPERATIONS
from sources.forge.reshape import moved, scaled
from sources.forge.still import Still, default_pictures, load_still
from sources.forge.truth import changed_pixels

SIZE = (480, 640)
MOVED = (("nose", EvidenceKind.POSITION, "moved down"),)


@pytest.fixture(scope="module")
def stills() -> list[Still]:
    return [load_still(path, SIZE) for path in default_pictures()]


@pytest.fixture(scope="module")
def shot(stills: list[Still]) -> tuple[Frame, Points]:
    camera = Camera(SIZE, 1, (0, 1))
    return real_frame(stills[1], path_of(stills[1], camera)[0], camera, 0)


@pytest.fixture
def movement(shot: tuple[Frame, Points], stills: list[Still]):
    def of(*operations: Operation | str, share: float = 1.0) -> Movement:
        parts = [(OPERATIONS[o] if isinstance(o, str) else o, 1.0) for o in operations]
        return movement_of(parts, *shot, stills[0], share)

    return of


def test_a_constant_shift_is_found_to_a_tenth_of_a_pixel(movement):
    def push(frame, points, donor, strength):
        shift = strength * np.broadcast_to([7.3, -11.6], (*frame.shape[:2], 2))
        return moved(frame, shift)

    found = movement(Operation("push", "attribute edit", push, MOVED), share=0.5)
    inside = (slice(30, -30), slice(30, -30))
    np.testing.assert_allclose(
        found.flow[inside], np.broadcast_to([3.65, -5.8], (420, 580, 2)), atol=0.1
    )
    assert found.valid[inside].all()


@pytest.mark.parametrize("pull", [-0.3, 0.45])
def test_a_scaling_is_found_to_a_tenth_of_a_pixel(movement, shot, pull):
    _, points = shot
    middle, axes = points[4].astype(float), axes_of(points)

    def scale(frame, points, donor, strength):
        return scaled(frame, points, middle, (60.0, 40.0), (pull, pull))

    found = movement(Operation("scale", "attribute edit", scale, MOVED))
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    went = np.dstack([x, y]) + found.flow - middle
    across, down = went @ axes.across, went @ axes.down
    inside = np.clip(1 - (across / 60) ** 2 - (down / 40) ** 2, 0, 1) ** 2
    read = (pull * across * inside)[..., None] * axes.across
    read = read + (pull * down * inside)[..., None] * axes.down
    clear = np.hypot(*np.moveaxis(read, 2, 0)) > 0.3  # smaller shifts are left out by the warp
    assert clear.sum() > 1000
    assert found.valid[clear].mean() > 0.98
    assert np.abs(found.flow + read)[clear & found.valid].max() < 0.1


def test_pixels_that_no_operation_moves_stay(movement):
    found = movement("paint_lips_red", "smooth_forehead")
    assert (found.flow == 0).all()
    assert found.valid.all()
    eye = movement("enlarge_left_eye")
    assert (eye.flow[:, :300] == 0).all()  # the subject's left is the picture's right
    assert np.abs(eye.flow).max() > 2


@pytest.mark.parametrize(
    "name",
    [name for name, one in OPERATIONS.items() if any(kind in MOVES for _, kind, _ in one.aims)],
)
def test_undoing_the_movement_gives_the_real_frame(movement, shot, stills, name):
    frame, points = shot
    found, fake = movement(name), OPERATIONS[name].edit(frame, points, stills[0], 1.0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    places = np.dstack([x + found.flow[..., 0], y + found.flow[..., 1]])
    undone = cv2.remap(fake, places, None, cv2.INTER_LINEAR)
    changed = changed_pixels(frame, fake)
    where = changed & found.valid
    assert where.sum() > 0.8 * changed.sum()
    left, before = (cv2.absdiff(side, frame)[where].mean() for side in (undone, fake))
    assert left < 0.15 * before  # the grain of the frame is smoothed by the warp


def test_two_operations_add_up(movement):
    both, nose = movement("narrow_nose", "raise_brows"), movement("narrow_nose")
    brows = movement("raise_brows")
    apart = (np.abs(nose.flow).max(2) == 0) | (np.abs(brows.flow).max(2) == 0)
    away = np.abs(both.flow - nose.flow - brows.flow)[apart].max(axis=1)
    assert (away > 0.1).mean() < 1e-4  # but where the two warps touch
    assert min(np.abs(one.flow).max() for one in (nose, brows)) > 3


def test_an_opened_mouth_moves_the_lip_and_shows_what_nothing_came_from(movement, shot):
    frame, points = shot
    found = movement("open_mouth")
    lip = polygon(frame.shape, points[[84, 17, 314, 317, 14, 87]]) > 0.5
    width = float(np.hypot(*(points[291] - points[61])))
    down = found.flow[lip & found.valid] @ axes_of(points).down
    assert found.valid[lip].mean() > 0.7
    assert down.mean() == pytest.approx(0.16 * width, rel=0.2)


def test_narrowed_eyes_keep_their_eyeballs(movement, shot):
    frame, points = shot
    found = movement("narrow_eyes", share=0.5)
    ring = points[RIGHT_EYE]
    heart = polygon(frame.shape, ring.mean(0) + 0.2 * (ring - ring.mean(0))) > 0.5
    assert np.abs(found.flow[heart & found.valid]).max() < 0.3
    lid = polygon(frame.shape, ring - 5 * axes_of(points).down) > 0.5
    lid &= polygon(frame.shape, ring) < 0.5
    assert found.flow[lid & found.valid][:, 1].mean() > 1


def test_pasted_and_swapped_pixels_have_no_known_movement(movement, shot):
    frame, points = shot
    found = movement("paste_mouth", "enlarge_left_eye")
    lips = polygon(frame.shape, points[INNER_LIPS]) > 0.5
    assert not found.valid[lips].any()
    assert (found.flow[~found.valid] == 0).all()
    assert found.valid[:200].mean() > 0.98
