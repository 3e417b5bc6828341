"""The page of a run says what its figures say, and docs/truth.md is made from docs/truth.json."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotators.diff import POLICIES
from benchmarks.figures import figures
from benchmarks.goals import GOALS, limits
from benchmarks.publish import publish
from benchmarks.report import FOLDER, PICTURE, page, read
from benchmarks.scores import FrameScore
from benchmarks.strips import EXTRA, GAP, HIT, MISSED, PANEL, overlaid, window
from benchmarks.truth import CASES, SEED, provenance
from flows.cli import facext
from flows.commands import DONE
from sources.forge import Case
from sources.forge.still import default_pictures


@pytest.fixture
def found():
    """Figures that meet the goals of masks and miss the others."""
    scores = [
        FrameScore(level, level, True, {**dict.fromkeys(POLICIES, 0.2), "calibrated": 0.9}, 0.9,
                   {"4": (9, 1, 1)}, difference=5.0, noise=1.0, confidence=0.9, changed=0.9,
                   recall=0.9, operations=(("tan_forehead", 0.5),))
        for level in ("c0", "c23", "c40")
    ]  # fmt: skip
    scores += [FrameScore(f"n{c}", c, False, control="reencoded") for c in ("c0", "c23", "c40")]
    return json.loads(json.dumps(figures(scores) | provenance(2, 6, ())))


def test_the_page_of_the_last_run_is_made_from_its_figures():
    assert (FOLDER / "truth.md").read_text() == page(read()), "run: python -m benchmarks.report"


def test_the_picture_shows_the_worst_cases_and_is_small():
    path = FOLDER / PICTURE
    assert path.stat().st_size < 500_000
    assert cv2.imread(str(path)).shape[0] == len(read()["worst"]) * (PANEL + GAP)


def test_verdicts_follow_the_figures(found):
    told = page(found)
    assert "| mask IoU, c23 | >= 0.65 | 0.900 [0.900, 0.900] | met |" in told
    assert "| region F1, 4 groups, c23 | >= 0.95 | 0.900 [0.900, 0.900] | not met |" in told
    assert "| claim precision, c23 | >= 0.97 | - | no figure |" in told
    worse = copy.deepcopy(found)
    worse["mask_iou"]["calibrated"]["c23"]["value"] = 0.6499
    worse["false_mask_rate"]["c0"]["value"] = 0.02
    told = page(worse)
    assert "| mask IoU, c23 | >= 0.65 | 0.650 [0.900, 0.900] | not met |" in told
    assert "| masks of unforged frames, c0 | <= 0.01 | 0.020 [0.000, 0.000] | not met |" in page(
        worse
    )


def test_goals_out_of_reach_are_told_from_the_figures(found):
    assert not [note for note in limits(found) if "three times" in note]  # they are met
    found["top_fraction_ratio"]["c23"]["value"] = 2.0
    assert "c23: three times the top 5 % asks for an IoU of 3 x 0.20 = 0.60." in limits(found)
    found["mask_iou"]["top_fraction"]["c23"]["value"] = 0.4
    (note,) = [note for note in limits(found) if "cannot be reached" in note]
    assert note.startswith("c23: ")
    assert "3 x 0.40 = 1.20" in note


def test_goals_above_the_oracle_are_told(found):
    found["oracle_iou"]["c0"]["value"] = 0.7
    assert not [note for note in limits(found) if "best single cut" in note]
    found["mask_iou"]["calibrated"]["c0"]["value"] = 0.6
    (note,) = [note for note in limits(found) if "best single cut" in note]
    assert note.startswith("c0: ")


def test_no_false_mask_of_few_clips_proves_little(found):
    notes = [note for note in limits(found) if "rule of three" in note]
    assert len(notes) == 3
    found["counts"]["c23"]["unforged_cases"] = 300
    assert len([note for note in limits(found) if "rule of three" in note]) == 2


def test_recall_is_bounded_by_rejected_frames(found):
    found["claim_recall"]["c23"] = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert not [note for note in limits(found) if "claim recall" in note]
    found["claims_by_kind"]["lightness"] |= {"stated": 5, "missed": 1, "rejected": 4}
    (note,) = [note for note in limits(found) if "claim recall" in note]
    assert "4 of 10 aims" in note
    assert note.endswith("at most 0.60.")


def test_every_goal_is_a_figure_of_the_run():
    last = read()
    for goal in GOALS:
        assert goal.path[0] in last, goal.path


def test_every_figure_of_the_run_is_on_the_page(found):
    told = page(found)
    for name, each in (("IoU, otsu", "0.20 [0.20, 0.20]"), ("IoU, oracle", "0.90 [0.90, 0.90]"),
                       ("calibrated over top 5 %", "4.50 [4.50, 4.50]"),
                       ("4 groups: f1", "0.90 [0.90, 0.90]"), ("flickering", "")):  # fmt: skip
        line = next((line for line in told.splitlines() if line.startswith(f"| {name} ")), "")
        assert bool(line) == bool(each)
        assert each in line


def test_the_overlay_has_three_colours():
    grey = np.zeros((2, 2, 3), np.uint8)
    truth, mask = np.array([[1, 1], [0, 0]], bool), np.array([[1, 0], [1, 0]], bool)
    seen = overlaid(grey, truth, mask).astype(int)
    for place, colour in (((0, 0), HIT), ((0, 1), MISSED), ((1, 0), EXTRA), ((1, 1), (0, 0, 0))):
        np.testing.assert_allclose(seen[place], 0.55 * np.array(colour), atol=1)


def test_a_window_holds_the_mask_and_stays_in_the_crop():
    mask = np.zeros((100, 100), np.bool_)
    mask[2:6, 90:95] = True
    assert window(mask) == (slice(0, 42), slice(58, 100))
    mask[10:90, 20:30] = True
    rows, columns = window(mask)
    assert mask[rows, columns].sum() == mask.sum()
    assert window(np.zeros_like(mask)) == (slice(0, 100), slice(0, 100))


def test_a_run_is_published_with_its_picture(found, tmp_path, monkeypatch):
    hopper, astronaut = default_pictures()
    case = Case("c0", hopper, astronaut, "plain", (("paint_lips_blue", 1.0),), "", "stable", None,
                "c0", 5, frames=3)  # fmt: skip
    monkeypatch.setattr("benchmarks.publish.sample_cases", lambda *_: [case])
    found["worst"] = [{**found["worst"][0], "case": case.name, "frame": 1}]
    publish(found, tmp_path)
    assert (tmp_path / "truth.md").read_text() == page(found)
    assert read(tmp_path) == found
    strip = cv2.imread(str(tmp_path / PICTURE))[..., ::-1].astype(int)
    assert strip.shape == (PANEL + GAP, 4 * (PANEL + GAP), 3)
    real, fake, truth, mask = (strip[30:PANEL, k * (PANEL + GAP) :][:, :PANEL] for k in range(4))
    lips = (truth > 250).all(axis=2)
    assert 0.02 < lips.mean() < 0.5
    assert np.abs(real - fake)[lips].mean() > 15
    assert np.abs(real - fake)[~lips].mean() < 3
    assert (mask[lips][:, 0] > mask[lips][:, 2] + 60).mean() > 0.8  # yellow: it was found


def test_the_command_writes_the_page_where_it_is_asked_to(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("benchmarks.truth.run", lambda *given: asked.append(given) or {})
    monkeypatch.setattr("benchmarks.tables.lines", lambda found: [])
    monkeypatch.setattr("benchmarks.publish.publish", lambda _, folder, *__: asked.append(folder))
    for options, folder in (((), None), (("--docs",), Path("docs")),
                            (("--docs", str(tmp_path)), tmp_path)):  # fmt: skip
        asked.clear()
        arguments = ["bench", "truth", *options, "--workers", "3"]
        assert facext.main(arguments, standalone_mode=False) == DONE
        assert asked[0][:4] == (SEED, CASES, 3, [])
        assert asked[1:] == ([folder] if folder else [])
