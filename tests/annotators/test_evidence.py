import weakref
from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.evidence import PROBES, Gauge, measure, probe_of
from schemas.manifest import EvidenceSettings
from schemas.records import DIRECTIONS, EvidenceKind

SETTINGS = EvidenceSettings()


def shift_lab(lightness=0.0, a=0.0, b=0.0):
    def change(image):
        lab = cv2.cvtColor(image / 255, cv2.COLOR_RGB2LAB) + np.float32([lightness, a, b])
        return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255

    return change


def soften(image):
    return cv2.GaussianBlur(image, (0, 0), 3)


def harden(image):
    return np.clip(2.5 * image - 1.5 * cv2.GaussianBlur(image, (0, 0), 3), 0, 255)


def grain(image):
    return np.clip(image + np.random.default_rng(3).normal(0, 8, image.shape), 0, 255)


def moved(x, y):
    def change(image):
        return cv2.warpAffine(image, np.float32([[1, 0, x], [0, 1, y]]), image.shape[1::-1])

    return change


def found(pair, mask, concept=1):
    evidence = measure(Gauge(pair, mask), [(concept, mask)], SETTINGS)
    return {(one.kind, one.direction) for one in evidence if one.significant}, evidence


CASES = [
    ("forehead", shift_lab(lightness=8), EvidenceKind.LIGHTNESS, "lighter"),
    ("forehead", shift_lab(lightness=-8), EvidenceKind.LIGHTNESS, "darker"),
    ("lips", shift_lab(a=9), EvidenceKind.COLOUR, "redder"),
    ("lips", shift_lab(a=-9), EvidenceKind.COLOUR, "greener"),
    ("cheeks", shift_lab(b=9), EvidenceKind.COLOUR, "yellower"),
    ("cheeks", shift_lab(b=-9), EvidenceKind.COLOUR, "bluer"),
    ("eyes", soften, EvidenceKind.SHARPNESS, "smoother"),
    ("eyes", harden, EvidenceKind.SHARPNESS, "sharper"),
    ("forehead", grain, EvidenceKind.TEXTURE, "more textured"),
]


@pytest.mark.parametrize(("region", "change", "kind", "direction"), CASES)
def test_a_known_change_is_measured_in_its_direction(
    edited, where, region, change, kind, direction
):
    mask = where(region)
    significant, _ = found(edited(mask, change, 0.7), mask)
    assert (kind, direction) in significant
    opposites = {(kind, word) for word in DIRECTIONS[kind]} - {(kind, direction)}
    same_axis = probe_of(kind, direction)
    assert not {(k, d) for k, d in opposites & significant if probe_of(k, d) is same_axis}


@pytest.mark.parametrize(
    ("shift", "direction"),
    [
        ((0, -6), "moved up"),
        ((0, 6), "moved down"),
        ((6, 0), "moved left"),
        ((-6, 0), "moved right"),
    ],
)
def test_a_movement_is_told_from_the_subjects_view(edited, where, shift, direction):
    """+x in the picture is the subject's left."""
    mask = cv2.dilate(where("nose").astype(np.uint8), np.ones((15, 15))).astype(bool)
    significant, _ = found(edited(mask, moved(*shift), 0.7), mask)
    assert (EvidenceKind.POSITION, direction) in significant


def bulge(centre, radius, strength):
    """Enlarges what lies around a centre; the movement dies out at the radius."""

    def change(image):
        rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
        x, y = columns - centre[0], rows - centre[1]
        fade = np.clip(1 - np.hypot(x, y) / radius, 0, 1)
        factor = 1 - strength * fade
        back = np.dstack([centre[0] + x * factor, centre[1] + y * factor]).astype(np.float32)
        return cv2.remap(image, back, None, cv2.INTER_LINEAR)

    return change


@pytest.mark.parametrize(("strength", "direction"), [(0.4, "larger"), (-0.25, "smaller")])
@pytest.mark.parametrize("region", ["left eye", "nose"])
def test_growth_is_told_though_it_dies_out_within_the_region(
    edited, where, region, strength, direction
):
    rows, columns = np.nonzero(where(region))
    centre, radius = (columns.mean(), rows.mean()), 0.75 * np.ptp(columns)
    whole = np.hypot(*(np.indices(where(region).shape)[::-1] - np.array(centre)[:, None, None]))
    mask = whole < radius
    pair = edited(mask, bulge(centre, radius, strength), 0.7)
    significant, _ = found(pair, mask)
    assert (EvidenceKind.SIZE, direction) in significant


def test_the_effect_has_the_size_of_the_change(edited, where):
    mask = where("forehead")
    _, evidence = found(edited(mask, shift_lab(lightness=8), 0.7), mask)
    lighter = next(one for one in evidence if one.kind is EvidenceKind.LIGHTNESS)
    assert lighter.effect == pytest.approx(8, abs=1.5)
    assert lighter.unit == "L*"


@pytest.mark.parametrize("noise", [0.5, 2.0])
@pytest.mark.parametrize("region", ["lips", "forehead", "nose", "left eye", "right cheek"])
def test_noise_alone_is_never_significant(edited, where, region, noise):
    mask = where(region)
    significant, evidence = found(edited(np.zeros_like(mask), soften, noise), mask)
    assert evidence
    assert significant == set()


def test_a_region_of_a_few_pixels_is_not_measured(edited, where):
    mask = np.zeros_like(where("face"))
    mask[200:204, 200:204] = True
    assert measure(Gauge(edited(mask, soften), mask), [(1, mask)], SETTINGS) == []


def test_a_gauge_does_not_outlive_its_frame(edited, where):
    mask = where("lips")
    gauge = Gauge(edited(mask, soften), mask)
    measure(gauge, [(1, mask)], SETTINGS)
    gone = weakref.ref(gauge)
    del gauge
    assert gone() is None


@pytest.mark.parametrize("region", ["lips", "nose", "left eyebrow"])
def test_what_has_only_moved_has_not_changed_its_colour(edited, where, region):
    mask = cv2.dilate(where(region).astype(np.uint8), np.ones((25, 25))).astype(bool)
    significant, _ = found(edited(mask, moved(0, 6), 0.5), where(region))
    assert (EvidenceKind.POSITION, "moved down") in significant
    appearance = {EvidenceKind.LIGHTNESS, EvidenceKind.COLOUR, EvidenceKind.SHARPNESS,
                  EvidenceKind.TEXTURE, EvidenceKind.SEAM}  # fmt: skip
    assert not {kind for kind, _ in significant} & appearance


def test_smoothed_skin_is_told_though_a_sharp_edge_crosses_it(edited, unforged, where):
    """A mean of the energies would tell of the edge alone."""
    mask = where("forehead")
    pair = edited(mask, soften, 0.3)
    row = int(np.nonzero(mask)[0].mean())
    for side in (pair.real, pair.fake):
        side[row : row + 4] = 0
    significant, _ = found(pair, mask)
    assert (EvidenceKind.TEXTURE, "less textured") in significant


@pytest.mark.parametrize("step", [8, 14])
def test_a_hard_border_is_a_seam_of_its_height(unforged, where, step):
    rows, columns = np.nonzero(where("left front cheek"))
    mask = np.zeros(where("face").shape, bool)
    y, x = int(rows.mean()), int(columns.mean())
    mask[y - 22 : y + 22, x - 22 : x + 22] = True
    lab = cv2.cvtColor(unforged.real.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab[mask, 0] += step
    fake = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255, 0, 255).astype(np.uint8)
    _, evidence = found(replace(unforged, fake=fake), mask)
    seam = next(one for one in evidence if one.kind is EvidenceKind.SEAM)
    assert seam.effect == pytest.approx(step, rel=0.3)
    assert seam.significant


def test_every_direction_of_the_vocabulary_has_one_probe():
    for kind, directions in DIRECTIONS.items():
        for direction in directions:
            probe = probe_of(kind, direction)
            assert probe in PROBES
            assert direction in (probe.positive, probe.negative)
    with pytest.raises(KeyError, match="no direction 'louder'"):
        probe_of(EvidenceKind.COLOUR, "louder")
