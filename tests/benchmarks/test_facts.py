"""The truth of regions: known changes have known values, and statements are judged by them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from annotators.evidence import LIGHTNESS, SEAM, SHARPNESS, SIZE, VERTICAL, YELLOW_BLUE
from benchmarks.facts import Facts, KnownGauge, facts_of, in_crop
from benchmarks.stated import Stated
from schemas import rle
from schemas.manifest import EvidenceSettings
from schemas.records import EvidenceKind as Kind
from sources.crop import CropPair
from sources.forge import Case, film_case
from sources.forge.cases import still_of
from sources.forge.movement import movement_of
from sources.forge.still import default_pictures

SETTINGS = EvidenceSettings()


def lighter(image, by):
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) + np.float32([by, 0, 0])
    return np.rint(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255).astype(np.uint8)


def shifted(image, x, y):
    affine = np.float32([[1, 0, x], [0, 1, y]])
    return cv2.warpAffine(image, affine, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture
def facts(unforged, labels, tree):
    """Truth of a crop whose fake side is given, within a mask."""

    def of(fake, mask, flow=(0, 0), known=None, aims=()):
        crop = replace(unforged, fake=np.where(mask[..., None], fake, unforged.real))
        field = np.where(mask[..., None], np.float32(flow), 0).astype(np.float32)
        known = np.ones_like(mask) if known is None else known
        aims = [Stated(tree.by_name[name].id, kind, how) for name, kind, how in aims]
        return Facts(KnownGauge(crop, mask, field), known, labels, aims, tree, SETTINGS)

    return of


@pytest.fixture
def said(tree):
    return lambda name, kind, direction: Stated(tree.by_name[name].id, kind, direction)


def test_a_lighter_forehead_is_that_and_nothing_else(facts, unforged, where, tree):
    truth = facts(lighter(unforged.real, 6), where("forehead"))
    forehead, nose = tree.by_name["forehead"].id, tree.by_name["nose"].id
    assert truth.value(forehead, LIGHTNESS) == pytest.approx(6, abs=0.4)
    assert abs(truth.value(forehead, YELLOW_BLUE)) < 0.4
    assert truth.value(forehead, VERTICAL) == 0
    assert truth.value(forehead, SIZE) == 0
    assert truth.value(nose, LIGHTNESS) == 0


def test_claims_are_judged_by_half_of_the_least_reported(facts, unforged, where, said):
    for by, outcome, false in ((6, "right", False), (0.8, "right", False), (0.4, "wrong", False)):
        truth = facts(lighter(unforged.real, by), where("forehead"))
        assert truth.outcome(said("forehead", Kind.LIGHTNESS, "lighter")) == (outcome, "value")
        assert truth.is_false(said("forehead", Kind.LIGHTNESS, "lighter")) is false
        assert truth.outcome(said("forehead", Kind.LIGHTNESS, "darker"))[0] == "wrong"
        assert truth.is_false(said("forehead", Kind.LIGHTNESS, "darker"))
        assert truth.outcome(said("nose", Kind.LIGHTNESS, "lighter"))[0] == "wrong"
        assert truth.outcome(said("forehead", Kind.POSITION, "moved up"))[0] == "wrong"
    assert truth.outcome(said("forehead", Kind.CHANGE, "altered"))[0] == "right"
    assert truth.outcome(said("nose", Kind.CHANGE, "altered"))[0] == "wrong"


def test_a_moved_mouth_keeps_its_colours(facts, unforged, where, tree, said):
    truth = facts(shifted(unforged.real, 0, 6), where("mouth"), flow=(0, 6))
    mouth = tree.by_name["mouth"].id
    assert truth.value(mouth, VERTICAL) == pytest.approx(6 / unforged.eye_distance, rel=1e-3)
    in_place = float(np.abs(truth.gauge.signed[where("mouth")][:, 0]).mean())
    assert abs(truth.value(mouth, LIGHTNESS)) < 0.3 * in_place
    assert np.isnan(truth.value(mouth, SHARPNESS))
    assert np.isnan(truth.value(mouth, SEAM))
    assert truth.outcome(said("mouth", Kind.POSITION, "moved down"))[0] == "right"
    assert truth.outcome(said("mouth", Kind.SHARPNESS, "smoother")) == ("unknown", "undefined")


def test_size_is_the_scale_of_the_movement(facts, unforged, where, tree):
    mask = where("nose")
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]]
    flow = 0.1 * np.dstack([x - columns.mean(), y - rows.mean()])
    truth = facts(unforged.real, mask, flow=flow)
    assert truth.value(tree.by_name["nose"].id, SIZE) == pytest.approx(0.1, rel=0.01)


def test_what_is_unknown_is_said_by_aims_alone(facts, unforged, where, said):
    mask = where("lips")
    args = (lighter(unforged.real, 5), mask, (0, 0), np.zeros_like(mask))
    down, up = (said("upper lip", Kind.POSITION, f"moved {way}") for way in ("down", "up"))
    assert facts(*args).outcome(down) == ("unknown", "undefined")
    assert not facts(*args).is_false(down)
    truth = facts(*args, aims=[("lips", Kind.POSITION, "moved down")])
    assert truth.outcome(down) == ("right", "aim")
    assert truth.outcome(up) == ("wrong", "aim")
    assert truth.is_false(up)
    assert truth.outcome(said("lips", Kind.LIGHTNESS, "lighter")) == ("right", "value")


def test_aims_hold_above_and_below_where_pixels_changed(facts, unforged, where, tree):
    aims = [("lips", Kind.LIGHTNESS, "darker")]
    truth = facts(lighter(unforged.real, -5), where("upper lip"), aims=aims)
    told = {name: bool(truth.aims_of(tree.by_name[name].id)) for name in
            ("lips", "mouth", "upper lip", "lower lip", "nose")}  # fmt: skip
    assert told == {
        "lips": True, "mouth": True, "upper lip": True, "lower lip": False, "nose": False,
    }  # fmt: skip


def test_a_statement_knows_its_opposite(said):
    assert said("lips", Kind.COLOUR, "bluer").opposite.direction == "yellower"
    assert said("lips", Kind.COLOUR, "bluer").sign == -1
    seam = said("lips", Kind.SEAM, "blending edge")
    assert seam.opposite == seam


def test_the_movement_of_a_film_arrives_in_crop_pixels(tree):
    pictures = default_pictures()
    case = Case("brows", pictures[0], pictures[1], "plain", (("raise_brows", 1.0),), "", "stable",
                None, "c0", 5, frames=2)  # fmt: skip
    film, donor = film_case(case), still_of(case, donor=True)
    turn, zoom = np.deg2rad(20), 1.5
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = np.hstack([linear, [[256], [256]] - linear @ film.points[1].mean(0)[:, None]])
    blank = np.zeros((512, 512, 3), np.uint8)
    points = np.column_stack([film.points[1] @ linear.T + affine[:, 2], np.zeros(478)])
    crop = CropPair(1, 0.04, case.size, blank, blank, np.ones((512, 512), np.bool_), affine,
                    affine, points.astype(np.float32), 20, 1, 0)  # fmt: skip
    facts = facts_of(film, donor, crop, np.zeros((512, 512), np.uint8), tree, SETTINGS)
    truth = in_crop(rle.decode(film.truth[1].segmentation), crop)
    np.testing.assert_array_equal(facts.gauge.changed, truth)
    frame_flow = movement_of(film.mixture.parts, film.reals[1], film.points[1], donor).flow
    for brow in (52, 105, 334):
        x, y = np.rint(film.points[1][brow]).astype(int)
        wanted = linear @ frame_flow[y, x]
        across, down = np.rint(affine @ [x, y, 1]).astype(int)
        assert np.linalg.norm(wanted) > 5
        np.testing.assert_allclose(facts.gauge.motion.flow[down, across], wanted, atol=0.3)
