"""The worst frames, their causes from numbers, and the IoU by what was done."""

import pytest

from annotators.diff import POLICIES
from benchmarks.breakdown import FAMILY_OF, causes, iou_by
from benchmarks.scores import FrameScore
from benchmarks.worst import SHOWN, cause, worst
from sources.forge import OPERATIONS


def score(case, iou=0.5, **rest):
    rest = {"difference": 6.0, "noise": 2.0, "confidence": 0.9, "changed": 0.9, "recall": 0.6,
            "operations": (("tan_forehead", 0.5),)} | rest  # fmt: skip
    return FrameScore(case, "c23", True, dict.fromkeys(POLICIES, iou), **rest)


def control(case, found, marked=0.1):
    found = dict.fromkeys(POLICIES, found)
    return FrameScore(case, "c40", False, found, control="reencoded", marked=marked, confidence=0.7)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"confidence": None, "difference": 1.3, "noise": 2.4, "rejected": "no_artifact"},
         "change below the noise: mean true difference 1.3 CIELAB against noise 2.4; no_artifact"),
        ({"confidence": None, "rejected": "no_artifact"},
         "abstained: mean true difference 6.0 CIELAB against noise 2.0; no_artifact"),
        ({"changed": 0.95, "recall": 0.2},
         "found but not grown: precision 0.95, recall 0.20; "
         "mean true difference 6.0 CIELAB against noise 2.0"),
        ({"changed": 0.4, "recall": 0.9}, "spilled: precision 0.40, recall 0.90; "
         "mean true difference 6.0 CIELAB against noise 2.0"),
        ({"changed": 0.1, "recall": 0.1}, "found elsewhere: precision 0.10, recall 0.10; "
         "mean true difference 6.0 CIELAB against noise 2.0"),
        ({"difference": None, "noise": None, "confidence": None, "rejected": "poor_face"},
         "no crop: poor_face"),
    ],
)  # fmt: skip
def test_causes_are_read_off_the_numbers(made, told):
    assert cause(score("a", **made)) == told


def test_false_masks_come_first_then_the_lowest_iou_of_each_case():
    scores = [
        score("a", 0.3), score("a", 0.1, index=2), score("b", 0.2), score("c", 0.9),
        control("d", 1.0), control("e", 0.0), control("f", 1.0, marked=0.2),
    ]  # fmt: skip
    shown = worst(scores)
    assert [one["case"] for one in shown] == ["f", "d", "a", "b", "c"]
    assert shown[0]["cause"] == "false mask: 20.0% of the crop, confidence 0.70"
    assert (shown[0]["iou"], shown[0]["done"]) == (None, "reencoded")
    assert (shown[2]["iou"], shown[2]["frame"]) == (0.1, 2)
    assert len(worst([score(str(k)) for k in range(20)])) == SHOWN


def test_among_equals_the_most_visible_is_worst():
    faint = score("a", 0.0, confidence=None, difference=0.5)
    plain = score("b", 0.0, confidence=None, difference=9.0)
    assert [one["case"] for one in worst([faint, plain])] == ["b", "a"]


def test_causes_count_bad_frames_only():
    counted = causes([score("a", 0.2, recall=0.2), score("b", 0.8), control("c", 1.0)])
    assert counted == {
        "false mask": {"c23": 0, "c40": 1},
        "found but not grown": {"c23": 1, "c40": 0},
    }


def test_every_operation_has_a_family():
    assert set(FAMILY_OF) == set(OPERATIONS)


def test_iou_by_what_was_done():
    both = (("tan_forehead", 0.25), ("mole_right_cheek", 1.0))
    found = iou_by(
        [score("a", 0.4), score("b", 0.8, operations=both, occluder="glasses", profile="flicker"),
         control("c", 1.0)]
    )  # fmt: skip
    assert found["family"]["marks"]["all"]["value"] == 0.8
    shared = found["family"][FAMILY_OF["tan_forehead"]]
    assert (shared["cases"], shared["c23"]["value"]) == (2, pytest.approx(0.6))
    assert set(found["strongest operation"]) == {"0.50", "1.00"}
    assert found["operations in one face"]["2"]["cases"] == 1
    assert found["occluder"]["occluded"]["all"]["value"] == 0.8
    assert found["course"]["flickering"]["all"]["value"] == 0.8
