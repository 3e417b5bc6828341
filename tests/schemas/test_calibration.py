import numpy as np
import pytest
from pydantic import ValidationError

from annotators.evidence import PROBES, WINDOWS
from schemas.calibration import Calibration, load_calibration
from schemas.manifest import DiffSettings, LocaliseSettings
from sources.encode import CRF

FITTED = load_calibration()


def test_the_shipped_calibration_says_where_it_comes_from():
    assert FITTED.provenance["seed"] == 1
    assert FITTED.provenance["cases"] >= 100
    assert FITTED.provenance["controls_near_a_mask"] == 0
    assert FITTED.provenance["mean_iou"] > 0.6
    assert FITTED.provenance["code"]


def test_the_settings_take_it_as_their_defaults():
    settings = DiffSettings().model_dump()
    assert {key: settings[key] for key in FITTED.diff.model_dump()} == FITTED.diff.model_dump()
    assert LocaliseSettings().model_dump() == FITTED.localise.model_dump()


def test_it_has_a_null_for_every_level_probe_and_window():
    assert tuple(FITTED.windows) == WINDOWS
    assert set(FITTED.null) == set(CRF)
    for null in FITTED.null.values():
        assert set(null.spread) == {probe.name for probe in PROBES}
        assert all(len(each) == len(WINDOWS) for each in null.spread.values())


def test_chance_grows_with_compression_and_averages_out_over_larger_windows():
    lightness = [FITTED.null[level].spread["lightness lighter"] for level in ("c0", "c23", "c40")]
    assert (np.diff(lightness, axis=0) > 0).all()
    assert (np.diff(lightness, axis=1) < 0).all()
    floors = [FITTED.null[level].noise_floor for level in ("c0", "c23", "c40")]
    assert floors == sorted(floors)


def test_an_unknown_level_takes_the_null_of_its_noise():
    assert FITTED.null_of("c23", 99) is FITTED.null["c23"]
    for null in FITTED.null.values():
        assert FITTED.null_of("", null.noise_floor + 0.01) is null


def test_confidence_never_falls_with_what_noise_leaves_unexplained():
    values = [FITTED.confidence_of(share) for share in np.linspace(0, 1, 50)]
    assert values == sorted(values)
    assert 0 <= values[0] <= values[-1] <= 1


def test_a_damaged_file_is_an_error():
    content = FITTED.model_dump()
    with pytest.raises(ValidationError, match="low"):
        Calibration.model_validate(content | {"diff": content["diff"] | {"low": -1}})
    with pytest.raises(ValidationError, match="lows"):
        Calibration.model_validate(content | {"diff": content["diff"] | {"lows": 1}})
