"""The page of a run says what its figures say, and docs/truth.md is made from docs/truth.json."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotators.diff import POLICIES
from annotators.pipeline import Measurer
from benchmarks.figures import figures
from benchmarks.goals import GOALS, limits
from benchmarks.publish import publish
from benchmarks.report import FOLDER, PICTURE, page, read
from benchmarks.scores import FrameScore
from benchmarks.strips import EXTRA, GAP, HIT, MISSED, PANEL, overlaid, row
from benchmarks.truth import provenance
from schemas.manifest import Measure
from sources.forge import sample_cases


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
    worse["false_mask_rate"]["calibrated"]["c0"]["value"] = 0.02
    told = page(worse)
    assert "| mask IoU, c23 | >= 0.65 | 0.650 [0.900, 0.900] | not met |" in told
    assert "| masks of unforged frames, c0 | <= 0.01 | 0.020 [0.000, 0.000] | not met |" in page(
        worse
    )


def test_goals_out_of_reach_are_told_from_the_figures(found):
    assert not [note for note in limits(found) if "cannot be reached" in note]
    assert "c23: three times the top 5 % asks for an IoU of 3 x 0.20 = 0.60." in limits(found)
    found["mask_iou"]["top_fraction"]["c23"]["value"] = 0.4
    (note,) = [note for note in limits(found) if "cannot be reached" in note]
    assert note.startswith("c23: ")
    assert "3 x 0.40 = 1.20" in note
    found["oracle_iou"]["c0"]["value"] = 0.7
    assert [note for note in limits(found) if "c0: the best single cut" in note]


def test_no_false_mask_of_few_clips_proves_little(found):
    notes = [note for note in limits(found) if "rule of three" in note]
    assert len(notes) == 3
    found["counts"]["c23"]["unforged_cases"] = 300
    assert len([note for note in limits(found) if "rule of three" in note]) == 2


def test_recall_is_bounded_by_rejected_frames(found):
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


def test_a_run_is_published_with_its_picture(found, tmp_path):
    case = sample_cases(2, 10)[0]
    found |= {"cases": 10, "worst": [{**found["worst"][0], "case": case.name, "frame": 4}]}
    publish(found, tmp_path)
    assert (tmp_path / "truth.md").read_text() == page(found)
    assert read(tmp_path) == found
    picture = (tmp_path / PICTURE).read_bytes()
    publish(found, tmp_path)
    assert (tmp_path / PICTURE).read_bytes() == picture
    strip = row(case, 4, Measurer(Measure()))
    left, right = strip[:PANEL, :PANEL].astype(int), strip[:PANEL, PANEL + GAP :][:, :PANEL]
    assert 0 < np.abs(left - right).mean() < 10  # the fake is the real face, a little changed
    assert Path(tmp_path / PICTURE).stat().st_size < 60_000
