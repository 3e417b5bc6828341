"""Fitting: what is known to be best is found, and chance is measured where nothing was forged."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from annotators.calibrated import Units
from annotators.evidence import PROBES, WINDOWS
from benchmarks import calibrate
from benchmarks.calibrate import (
    Sample,
    chance_in,
    fit_costs,
    fit_cuts,
    fit_trust,
    samples_of,
    write,
)
from fict.tree import load_tree
from schemas.calibration import Calibration, load_calibration
from schemas.manifest import DiffSettings
from sources.forge import sample_cases

TREE = load_tree()


def silent(stage, done, total):
    pass


def sample(labels, truth, strength, noise=1.0, seed=0, forged=True):
    """A face whose changed part stands out of the noise by `strength` of its units."""
    rng = np.random.default_rng(seed)
    size = np.abs(rng.normal(0, noise, labels.shape)).astype(np.float32)
    size[truth] += strength
    face = labels != TREE.by_name["surroundings"].id
    everywhere = np.ones_like(face)
    units = Units(size.astype(np.float16), face, face, hidden=0.5)
    return Sample("c23", forged, units, everywhere, truth, labels)


def test_the_cut_between_noise_and_change_is_found(labels, where, monkeypatch):
    monkeypatch.setattr(calibrate, "TRIED", {"low": (2.0, 4.0, 9.0), "high": (5.0, 30.0)})
    samples = [sample(labels, where(name), 8.0) for name in ("lips", "nose", "left cheek")]
    cuts = fit_cuts(samples, silent)
    assert cuts.low == 4.0  # 2 lets noise in at the rim, 9 loses half of the change
    assert cuts.high < 30.0


def test_a_cut_that_marks_controls_is_refused_however_good_its_masks(labels, where, monkeypatch):
    monkeypatch.setattr(calibrate, "TRIED", {"high": (25.0,)})
    monkeypatch.setattr(calibrate, "ROUNDS", 1)
    forged = [sample(labels, where("lips"), 30.0)]
    control = sample(labels, where("nose"), 13.0, forged=False)
    assert fit_cuts(forged, silent).high < 25.0
    assert fit_cuts([*forged, control], silent).high == 25.0


def test_costs_that_tell_a_region_from_a_rim_are_found(labels, where):
    samples = [sample(labels, where(name), 8.0) for name in ("upper lip", "nose tip", "left cheek")]
    exact = [one.truth for one in samples]
    costs = fit_costs(samples, exact)
    assert 0.2 <= costs.miss <= 0.8
    assert fit_costs(samples, exact) == costs


def test_confidence_is_the_true_share_of_masks(labels, where):
    truth = where("lips")
    wide = truth | where("nose")
    samples = [sample(labels, truth, 8.0, seed=k) for k in range(8)]
    masks = [truth] * 4 + [wide] * 4
    trust = fit_trust(samples, masks, DiffSettings())
    assert list(trust.changed) == sorted(trust.changed)
    share = truth.sum() / wide.sum()
    assert share - 1e-6 <= trust.changed[0] <= trust.changed[-1] <= 1


@pytest.fixture(scope="module")
def drawn():
    return sample_cases(5, 20)


def test_samples_of_a_case_hold_its_truth_and_its_noise(drawn):
    case = next(c for c in drawn if c.compression == "c23" and not c.control)
    one, *_ = samples_of(replace(case, operations=(("paint_lips_red", 1.0),)))
    assert one.forged
    assert one.truth.any()
    units = one.units.size.astype(np.float32)
    around = one.valid & ~one.units.face
    assert np.median(units[one.truth]) > 5
    assert np.quantile(units[around], 0.95) < 3


def test_chance_is_what_a_second_encoding_does(drawn):
    case = next(c for c in drawn if c.control)
    hard, easy = (
        chance_in(replace(case, control="reencoded", occluder=None, compression=c, frames=6))
        for c in ("c40", "c23")
    )
    for found in (hard, easy):
        for noise, spreads in found:
            assert noise > 0
            assert set(spreads) == {probe.name for probe in PROBES}
            assert spreads["lightness lighter"][0] > spreads["lightness lighter"][3] > 0
            assert all(len(each) == len(WINDOWS) for each in spreads.values())
    assert hard[0][1]["lightness lighter"][0] > 1.5 * easy[0][1]["lightness lighter"][0]


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "calibration.yaml"
    write(load_calibration(), path)
    text = path.read_text()
    assert text.startswith("# Written by `facext calibrate`")
    assert Calibration.model_validate(yaml.safe_load(text)) == load_calibration()
