"""Figures of claims by hand, and the table of confidences."""

import pytest

from annotators.diff import POLICIES
from benchmarks.figures import figures, ratio, reliability
from benchmarks.scores import FrameScore, Judged
from benchmarks.tables import lines


def judged(sort, *outcomes, kind="lightness", value=4.0, claimed=4.0):
    return [Judged(sort, "nose", kind, "darker", one, value, claimed) for one in outcomes]


def score(case, *groups, level="c23", **rest):
    said = [one for group in groups for one in group]
    return FrameScore(case, level, True, dict.fromkeys(POLICIES, 0.5), 0.5, judged=said, **rest)


SCORES = [
    score(
        "a",
        judged("published", "right", "right", "wrong", "unknown", claimed=5.0),
        judged("published", "right", kind="size", value=-0.1, claimed=0.05),
        judged("aim", "stated", "missed"),
        judged("true", "supported", "contradicted", "untestable", "supported"),
        judged("direction", "contradicted", "supported"),
        judged("region", "untestable"),
    ),
    score("b", judged("aim", "rejected"), judged("kind", "contradicted"), level="c40"),
]


def test_precision_recall_and_verdicts_by_level():
    found = figures(SCORES)
    assert found["claim_precision"]["c23"]["value"] == 0.75
    assert found["claim_precision"]["c40"] == {}
    assert found["claims_unknown"]["c23"]["value"] == 0.2
    assert found["claim_recall"]["c23"]["value"] == 0.5
    assert found["claim_recall"]["c40"]["value"] == 0
    assert found["false_claims_caught"]["value"] == 0.5
    assert found["false_claims_caught_by_level"]["c23"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["false_claims_caught_by_sort"]["direction"]["c23"]["value"] == 0.5
    assert found["false_claims_caught_by_sort"]["kind"]["c40"]["value"] == 1
    assert found["false_claims_untestable_by_level"]["c23"]["value"] == pytest.approx(0.3333)
    assert found["true_claims_refused"]["value"] == 0.25
    assert found["true_claims_untestable_by_level"]["c23"]["value"] == 0.25


def test_claims_by_kind_at_c23():
    kinds = figures(SCORES)["claims_by_kind"]
    lightness, size = kinds["lightness"], kinds["size"]
    assert (lightness["right"], lightness["wrong"], lightness["unknown"]) == (2, 1, 1)
    assert (lightness["stated"], lightness["missed"], lightness["rejected"]) == (1, 1, 0)
    assert lightness["precision"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert lightness["effect_error"]["value"] == 0.25
    assert size["effect_error"]["value"] == 0.5
    assert size["recall"] == {}
    assert kinds["seam"]["precision"] == {}


def test_an_interval_resamples_whole_cases():
    two = [
        score("a", judged("published", "right")),
        score("a", judged("published", "right")),
        score("b", judged("published", "wrong")),
    ]
    found = figures(two)["claim_precision"]["c23"]
    assert found == {"value": pytest.approx(2 / 3, abs=1e-4), "low": 0, "high": 1}
    assert ratio([], lambda _: (1, 1)) == {}


def test_reliability_by_hand():
    found = reliability(
        [
            score("a", confidence=0.9, changed=0.8),
            score("a", confidence=0.9, changed=0.6),
            score("b", confidence=0.4, changed=0.5),
            score("b"),
        ]
    )
    assert found["bins"] == [
        {"confidence": 0.4, "changed": 0.5, "count": 1},
        {"confidence": 0.9, "changed": 0.7, "count": 2},
    ]
    assert found["expected_calibration_error"] == pytest.approx(0.1 / 3 + 0.4 / 3, abs=1e-3)
    assert reliability([])["bins"] == []


def test_a_full_confidence_falls_into_the_last_bin():
    found = reliability([score("a", confidence=1.0, changed=1.0)])
    assert found["bins"] == [{"confidence": 1.0, "changed": 1.0, "count": 1}]


def test_the_tables_show_every_figure():
    told = "\n".join(lines(figures(SCORES) | {"seed": 1, "cases": 2}))
    assert "expected calibration error" not in told  # no frame has a mask
    with_mask = figures([score("a", confidence=0.9, changed=0.8)]) | {"seed": 1, "cases": 1}
    assert lines(with_mask)[-1] == "expected calibration error 0.100"
    for name in ("claim_precision", "claim_recall", "false_claims_caught direction",
                 "true_claims_refused"):  # fmt: skip
        assert name in told
    assert "0.75 [" in told
