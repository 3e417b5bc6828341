import json
from dataclasses import replace

from annotators.diff import POLICIES
from benchmarks.figures import figures, write
from benchmarks.scores import LEVELS, FrameScore
from benchmarks.tables import lines
from benchmarks.truth import measure_case
from schemas.manifest import DiffSettings, Measure
from sources.forge import Case
from sources.forge.still import default_pictures


def score(case, level="c23", found=0.8, oracle=0.9, regions=(4, 1, 1), forged=True):
    return FrameScore(
        case, level, forged, dict.fromkeys(POLICIES, found), oracle, dict.fromkeys(LEVELS, regions)
    )


def test_figures_are_means_ratios_and_f1():
    scores = [score("a", found=0.6), score("b", found=1.0, oracle=0.7)]
    found = figures(
        [*scores, score("c", forged=False, found=1.0), score("d", forged=False, found=0)]
    )
    assert found["frames"] == 4
    assert found["mask_iou"]["calibrated"]["c23"]["value"] == 0.8
    assert found["oracle_ratio"]["c23"]["value"] == 1.0
    assert found["false_mask_rate_by_policy"]["otsu"]["c23"]["value"] == 0.5
    assert found["region_f1"]["112"]["c23"]["value"] == 0.8


def test_intervals_hold_the_value_and_resample_whole_cases():
    same = [score("a", found=0.5)] * 9 + [score("b", found=0.9)] * 9
    found = figures(same)["mask_iou"]["calibrated"]["c23"]
    assert found["low"] == 0.5  # two cases: both draws may be the first
    assert found["high"] == 0.9
    assert found["value"] == 0.7


def test_a_level_without_frames_has_no_figure():
    found = figures([score("a", level="c40")])
    assert found["false_mask_rate"]["c40"] == {}
    assert list(found["mask_iou"]["calibrated"]) == ["c40"]


def test_the_table_and_the_file_hold_the_figures(tmp_path):
    found = figures([score("a")]) | {"seed": 1, "cases": 1}
    assert any("mask_iou calibrated" in line and "0.80" in line for line in lines(found))
    write(found, tmp_path / "x" / "t.json")
    assert json.loads((tmp_path / "x" / "t.json").read_text()) == found


PICTURES = default_pictures()
GROSS = Case(
    "gross", PICTURES[0], PICTURES[1], "plain", (("paint_lips_blue", 1.0), ("raise_brows", 0.75)),
    "", "stable", None, "c23", 5,
)  # fmt: skip
CONTROL = replace(GROSS, name="control", operations=(), control="reencoded")


def test_a_gross_forgery_is_found_in_the_real_pipeline():
    scores = measure_case(GROSS, Measure())
    assert len(scores) == Measure().frames
    for one in scores:
        assert one.forged
        assert set(one.found) == set(POLICIES)
        assert one.found["calibrated"] > 0.3
        assert one.oracle > 0.3
        assert set(one.regions) == set(LEVELS)
        assert one.rejected == ""
        assert one.confidence is not None
        assert one.changed > 0.3
        sorts = {said.sort for said in one.judged}
        assert {"aim", "true", "kind", "region"} <= sorts
        published = {
            (said.direction, said.outcome) for said in one.judged if said.sort == "published"
        }
        assert {("bluer", "right"), ("moved up", "right")} <= published
        stated = {said.direction for said in one.judged if said.outcome == "stated"}
        assert {"bluer", "moved up"} <= stated
        turned = {said.outcome for said in one.judged if said.sort == "direction"}
        assert "contradicted" in turned
        assert "supported" not in turned


def test_aims_of_a_rejected_frame_are_all_missed():
    blind = DiffSettings(high=1e6)
    for one in measure_case(GROSS, Measure(frames=1, diff=blind)):
        assert one.rejected == "no_artifact"
        assert one.confidence is None
        assert one.judged
        assert {(said.sort, said.outcome) for said in one.judged} == {("aim", "rejected")}


def test_a_control_is_scored_as_one():
    for one in measure_case(CONTROL, Measure()):
        assert not one.forged
        assert one.found["top_fraction"] == 1.0
        assert one.found["calibrated"] == 0.0
        assert one.judged == []
        assert one.rejected == "no_artifact"
