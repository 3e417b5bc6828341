"""Every operation: local, monotone, deterministic, and its aims are true of the pixels."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fict.labelmap import label_map
from fict.landmarks import MeshLandmarks
from fict.tree import load_tree
from schemas.errors import UsageError
from schemas.records import DIRECTIONS, EvidenceKind
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.face import axes_of
from sources.forge.mixture import mixture_of
from sources.forge.operation import Operation
from sources.forge.operations import OPERATIONS
from sources.forge.still import Still, default_pictures, load_stills
from sources.forge.truth import changed_pixels
from sources.forge.zones import concept_mask

SIZE = (480, 640)
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
MARGIN = 0.15
"""How far a concept's change may reach beyond it, in distances between the eyes' corners."""
MOVES = {EvidenceKind.POSITION, EvidenceKind.SIZE}
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

ALL = [pytest.param(operation, id=name) for name, operation in OPERATIONS.items()]


def aiming(*kinds: EvidenceKind) -> list[object]:
    """The operations with an aim of some kinds."""
    return [one for one in ALL if any(kind in kinds for _, kind, _ in one.values[0].aims)]  # type: ignore[attr-defined]


@functools.cache
def stills() -> list[Still]:
    return load_stills(default_pictures(), SIZE)


@functools.cache
def filmed(target: int) -> tuple[Image, NDArray[np.float32]]:
    camera = Camera(SIZE, 5, (0, target))
    still = stills()[target]
    return real_frame(still, path_of(still, camera)[4], camera, 4)


@functools.cache
def fakes(name: str, target: int) -> list[Image]:
    real, points = filmed(target)
    donor = stills()[1 - target]
    return [OPERATIONS[name].edit(real, points, donor, strength) for strength in STRENGTHS]


@functools.cache
def targets(operation: Operation) -> list[int]:
    found = [k for k in (0, 1) if operation.fits(stills()[k].landmarks, stills()[k].image)]
    assert found, "fits neither face"
    return found


@functools.cache
def labels_of(target: int) -> NDArray[np.uint8]:
    """The label map of a frame, from landmarks found in the frame itself."""
    face = MeshLandmarks().detect(filmed(target)[0])[0]
    return label_map(face.landmarks, max(SIZE), load_tree())[: SIZE[0], : SIZE[1]]


def region(target: int, names: tuple[str, ...], margin: float) -> Mask:
    tree = load_tree()
    nodes = [tree.by_name[name] for name in names]
    wanted = {one.id for node in nodes for one in (node, *tree.descendants_of(node))}
    wanted |= {node.id for node in (tree.by_name["inner mouth"],) if "teeth" in names}
    mask = np.isin(labels_of(target), list(wanted))
    reach = margin * axes_of(filmed(target)[1]).unit
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= reach)


def test_registry_names_classes_and_aims() -> None:
    tree = load_tree()
    assert len(OPERATIONS) >= 60
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.aims
        for concept, kind, direction in operation.aims:
            assert tree.by_name[concept]
            assert direction in (DIRECTIONS[kind] if kind else ("",))
    classes = {operation.forgery for operation in OPERATIONS.values()}
    assert classes == {"identity swap", "expression reenactment", "attribute edit"}


@pytest.mark.parametrize("operation", ALL)
def test_changes_are_near_the_concepts_and_grow(operation: Operation) -> None:
    for target in targets(operation):
        real, _ = filmed(target)
        near = region(target, operation.concepts, MARGIN)
        area, size = 0.0, 0.0
        for fake in fakes(operation.name, target):
            changed = changed_pixels(real, fake)
            mean = float(cv2.absdiff(real, fake).mean())
            assert (changed & near).sum() >= 0.9 * changed.sum()
            assert changed.sum() >= 0.98 * area
            assert mean >= size
            area, size = float(changed.sum()), mean
        assert area >= 60


@pytest.mark.parametrize("operation", ALL)
def test_same_input_same_pixels_and_the_real_frame_is_left_alone(operation: Operation) -> None:
    real, points = filmed(1)
    before, donor = real.copy(), stills()[0]
    first, second = (operation.edit(real, points, donor, 0.5) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(real, before)


def lab(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def detail(image: Image) -> NDArray[np.float32]:
    """High-pass strength of the light; not squared, so that a few hairs do not decide."""
    light = lab(image)[..., 0]
    return np.abs(light - cv2.GaussianBlur(light, (0, 0), 2.0))


CHANNELS = {"darker": (0, -1), "lighter": (0, 1), "redder": (1, 1), "greener": (1, -1)}
CHANNELS |= {"yellower": (2, 1), "bluer": (2, -1)}


@pytest.mark.parametrize("operation", aiming(EvidenceKind.LIGHTNESS, EvidenceKind.COLOUR))
def test_colour_and_light_aims_are_true(operation: Operation) -> None:
    for target in targets(operation):
        real, points = filmed(target)
        for fake in fakes(operation.name, target):
            for concept, _, direction in operation.aims:
                if direction in CHANNELS:
                    channel, sign = CHANNELS[direction]
                    inside = concept_mask(SIZE, points, (concept,)) > 0.5
                    where = inside & (real != fake).any(axis=2)
                    change = (lab(fake) - lab(real))[where].mean(axis=0)
                    assert sign * change[channel] > 0.4, (concept, direction, change)
                    if channel:  # the hue that is named is the one that changed most
                        assert abs(change[channel]) >= np.abs(change[1:]).max()


@pytest.mark.parametrize("operation", aiming(EvidenceKind.TEXTURE, EvidenceKind.SHARPNESS))
def test_texture_and_sharpness_aims_are_true(operation: Operation) -> None:
    signs = {"more textured": 1, "sharper": 1, "less textured": -1, "smoother": -1}
    for target in targets(operation):
        real, points = filmed(target)
        was = detail(real)
        for fake in fakes(operation.name, target):
            gain, differs = detail(fake) - was, (real != fake).any(axis=2)
            for concept, _, direction in operation.aims:
                if direction in signs:
                    inside = differs & (concept_mask(SIZE, points, (concept,)) > 0.5)
                    assert signs[direction] * gain[inside].mean() > 0.01 * was[inside].mean()


def seen_shift(
    operation: Operation, target: int, strength: float, inside: Mask
) -> NDArray[np.float64]:
    """(N, 2) how far pixels of a concept came, read from a frame whose colours are places."""
    _, points = filmed(target)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    middle = np.argwhere(inside).mean(0)
    place = np.stack([x - middle[1], y - middle[0], np.zeros(SIZE)], axis=2)
    ramp = np.clip(np.rint(128 + 2 * place), 0, 255).astype(np.uint8)
    fake = operation.edit(ramp, points, stills()[1 - target], strength)
    clear = inside & (np.abs(place[..., :2]).max(axis=2) < 50)
    return ((ramp.astype(float) - fake)[clear] / 2)[:, :2], place[clear][:, :2]  # type: ignore[return-value]


@pytest.mark.parametrize("operation", aiming(*MOVES))
def test_position_and_size_aims_are_true(operation: Operation) -> None:
    for target in targets(operation):
        _, points = filmed(target)
        for strength in (0.25, 1.0):
            for concept, kind, direction in operation.aims:
                if kind not in MOVES:
                    continue
                inside = concept_mask(SIZE, points, (concept,)) > 0.5
                shift, place = seen_shift(operation, target, strength, inside)
                if kind == EvidenceKind.SIZE:
                    scale = (shift * place).sum() / (place**2).sum()
                    assert (scale > 0.002) == (direction == "larger"), (concept, scale)
                    assert abs(scale) > 0.002
                    continue
                axis, sign = {
                    "moved up": (1, -1),
                    "moved down": (1, 1),
                    "moved left": (0, 1),  # the subject's left is the picture's right
                    "moved right": (0, -1),
                }[direction]
                assert sign * shift.mean(axis=0)[axis] > 0.3, (concept, shift.mean(axis=0))


def test_teeth_that_are_not_shown_do_not_fit() -> None:
    fits = [OPERATIONS["whiten_teeth"].fits(still.landmarks, still.image) for still in stills()]
    assert fits == [True, False]  # one smiles, the other's lips are closed


def test_mixture_is_the_union_and_keeps_regions_apart() -> None:
    mixture = mixture_of([("paste_nose", 1.0), ("frown", 0.5), ("blue_irises", 0.75)])
    real, points = filmed(0)
    fake = mixture.edit(real, points, stills()[1])
    for operation, strength in mixture.parts:
        alone = operation.edit(real, points, stills()[1], strength)
        where = changed_pixels(real, alone)
        assert (changed_pixels(real, fake) & where).sum() > 0.9 * where.sum()
        assert set(operation.aims) <= set(mixture.aims)
    weaker = mixture.edit(real, points, stills()[1], 0.4)
    assert 0 < cv2.absdiff(real, weaker).mean() < cv2.absdiff(real, fake).mean()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("smile", 1.0), ("frown", 1.0)], "share a region"),
        ([("swap_hard", 1.0), ("blue_irises", 1.0)], "share a region"),
        ([("smlie", 1.0)], "did you mean 'smile'"),
        ([("smile", 0.0)], "strength"),
        ([("smile", 1.1)], "strength"),
        ([], "1 to 4"),
    ],
)
def test_mixtures_that_cannot_be(parts: list[tuple[str, float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mixture_of(parts)
