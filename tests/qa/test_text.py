"""The text figures on hand-made rows whose figures are known, and on the annotated set."""

import random
from dataclasses import astuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa.leaks import names_label, names_method, names_real_side, verdict
from qa.report import write_report
from qa.statistics import collect
from qa.sums import COLUMNS, LISTS, template
from qa.text import Sums, add_up, figures, measure, read
from qa.wording import wording
from schemas.records import Claim, DroppedClaim

BASE = {
    "method": "FaceSwap", "forgery": "identity swap", "explainer": "evidence", "recipe": None,
    "fallback_reason": None, "claims_supported": 0, "claims_contradicted": 0,
    "claims_untestable": 0, "claims_refused": 0, "questions": [], "regions": [], "dropped": [],
}  # fmt: skip
SCHEMA = pa.schema(
    [
        *((n, pa.string()) for n in ("method", "forgery", "explanation", "explainer", "recipe")),
        ("fallback_reason", pa.string()),
        *((n, pa.int32()) for n in BASE if n.startswith("claims_")),
        *(
            (name, pa.list_(pa.struct([(f, pa.int32() if f in ("category_id", "area") else
                                        pa.string()) for f in fields])))
            for name, fields in LISTS.items()
        ),
    ]
)  # fmt: skip


def row(*claims, **changes):
    """A row of the needed columns; each claim is a region's id and a sentence."""
    told = [{"category_id": concept, "sentence": sentence} for concept, sentence in claims]
    text = " ".join(sentence for _, sentence in claims)
    return {**BASE, "claims": told, "explanation": text, **changes}


def table(*rows):
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def region(concept, area):
    return {"category_id": concept, "area": area}


def det(image, answer):
    return {"task": "Det", "image": image, "answer": answer}


def lost(*fates):
    return [{"fate": fate} for fate in fates]


WRITTEN = [
    row(
        (1, "The <p>nose</p> is redder, by 12 steps."),
        (2, "The <p>left cheek</p> is redder, by 3.5 steps."),
        regions=[region(1, 30), region(2, 50), region(3, 20)],
        questions=[
            det("fake", "fake"),
            det("real", "real"),
            {**det("fake", "real"), "task": "Cls"},
        ],
        claims_supported=2,
        claims_contradicted=1,
        claims_refused=1,
    ),
    row(
        (1, "The <p>nose</p> is redder, by 12 steps."),
        (1, "It looks forged. It was altered."),
        regions=[region(1, 100)],
        questions=[det("fake", "It is real."), det("real", "It is a genuine face.")],
        claims_supported=1,
        claims_untestable=1,
    ),
]


def test_figures_of_hand_made_rows():
    found = measure([table(*WRITTEN)]).quality
    assert found.index.tolist() == ["evidence"]
    expected = {
        "rows": 2,
        "sentences": 5,
        "distinct sentences": 0.8,  # the nose's sentence is there twice
        "distinct templates": 0.6,  # and the cheek's follows its template
        "top 50 share": 1.0,
        "words per sentence": 5.6,  # 7, 8, 7, 3 and 3
        "claims per row": 2.0,
        "label named": 0.5,
        "real side named": 0.0,
        "method named": 0.0,
        "verdict equals label": 0.75,
        "region coverage": 5 / 6,  # two of three, one of one
        "area coverage": 0.9,  # 80 of 100, 100 of 100
        "refuted": 1 / 6,
        "untestable": 1 / 6,
        "refused": 1 / 6,
    }
    assert found.loc["evidence"].to_dict() == pytest.approx(expected)


def test_a_figure_is_not_rounded_to_a_bound():
    """Five wrong answers of 200,000 are not all right, and all right is exactly one."""
    parts = [add_up([table(row(questions=[det("fake", said)]))]) for said in ("fake", "real")]
    right, wrong = (part.rows for part in parts)
    many = Sums(pd.concat([right * 199_995, wrong * 5]), {})
    assert figures([many]).quality.loc["evidence", "verdict equals label"] == 0.999975
    assert figures([parts[0]]).quality.loc["evidence", "verdict equals label"] == 1.0


def test_only_the_fifty_most_frequent_templates_count():
    words = [f"the {'x' * n}" for n in range(1, 61)]
    twice = [row(*((1, word) for word in words)), row(*((1, word) for word in words[:10]))]
    found = measure([table(*twice)]).quality.loc["evidence"]
    assert found["sentences"] == 70
    assert found["distinct templates"] == pytest.approx(60 / 70)
    assert found["top 50 share"] == pytest.approx((10 * 2 + 40) / 70)


def test_a_template_has_no_region_no_number_no_case():
    assert template("The <p>Nose</p>  is 12% redder") == "the <region> is <number>% redder"
    assert template("1,234.5 of\n<p>ß</p>: STRASSE 3") == "<number> of <region>: strasse <number>"
    assert template("The nose is redder") != template("The <p>nose</p> is redder")


def mixed():
    fifa = {"explainer": "mllm", "recipe": "fifa"}
    asked = {"recipe": "fifa", "claims_supported": 1}
    return [
        row((1, "A."), claims_supported=3, claims_contradicted=1, **fifa),
        row((1, "A."), claims_supported=0, dropped=lost("contradicted"), **fifa),
        row((1, "B."), fallback_reason="server_error: Timeout", **asked),
        row(
            (1, "B."),
            fallback_reason="all_contradicted: the pixels refute every claim",
            dropped=lost("contradicted", "contradicted", "untestable", "refused"),
            **asked,
        ),
        row((1, "C."), explainer="mllm", claims_untestable=1),
        row((1, "D."), fallback_reason="cannot_tell", recipe="plain", claims_supported=1),
        row((1, "E."), claims_supported=1),
        row((1, "F."), claims_supported=1),
    ]


def test_each_writer_has_a_row_of_its_own():
    found = measure([table(*mixed())]).quality
    assert found["rows"].to_dict() == {
        "evidence": 2, "evidence (fallback)": 3, "fifa": 2, "mllm": 1, "plain": 0,
    }  # fmt: skip
    assert found["distinct sentences"].drop("plain").to_dict() == pytest.approx(
        {"evidence": 1.0, "evidence (fallback)": 2 / 3, "fifa": 0.5, "mllm": 1.0}
    )
    assert found.loc["plain"].drop(["rows", "sentences"]).isna().all()


def test_what_a_model_said_in_rows_that_fell_back_is_its_own():
    """Else a recipe whose every statement is refuted would look faultless."""
    found = measure([table(*mixed())]).quality
    # 3 supported and 1 refuted as counted, 4 more in the row that fell back
    assert found.loc["fifa", ["refuted", "untestable", "refused"]].tolist() == [0.375, 0.125, 0.125]
    assert found.loc["evidence (fallback)", "refuted"] == 0
    assert found.loc["mllm", "untestable"] == 1


def test_fallbacks_are_shares_of_what_a_writer_was_asked():
    found = measure([table(*mixed())]).fallbacks
    assert found.index.name == "writer asked"
    assert found.to_dict("index") == {
        "fifa": {"rows asked": 4, "fallbacks": 0.5, "all_contradicted": 0.25, "cannot_tell": 0.0,
                 "server_error": 0.25},
        "mllm": {"rows asked": 1, "fallbacks": 0.0, "all_contradicted": 0.0, "cannot_tell": 0.0,
                 "server_error": 0.0},
        "plain": {"rows asked": 1, "fallbacks": 1.0, "all_contradicted": 0.0, "cannot_tell": 1.0,
                  "server_error": 0.0},
    }  # fmt: skip


def test_neither_order_nor_cutting_matters():
    rows = WRITTEN * 3 + mixed()
    whole = measure([table(*rows)])
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        pieces = [table(*rows[start : start + 1 + seed]) for start in range(0, len(rows), 1 + seed)]
        for one, other in zip(astuple(whole), astuple(measure(pieces)), strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_nothing_has_figures_of_no_rows():
    for nothing in ([], [table()]):
        found = measure(nothing)
        assert found.quality.empty
        assert list(found.quality.columns) == list(wording()["text"])
        assert list(found.fallbacks.columns) == list(wording()["fallbacks"])


def test_a_row_without_regions_claims_or_questions_has_no_such_figure():
    found = measure([table(row(), WRITTEN[1])]).quality.loc["evidence"]
    assert found["region coverage"] == 1.0
    assert found["verdict equals label"] == 0.5
    alone = measure([table(row())]).quality.loc["evidence"]
    assert alone["rows"] == 1
    assert alone["claims per row"] == 0
    gone = ["region coverage", "area coverage", "verdict equals label", "words per sentence"]
    assert alone[gone].isna().all()


@pytest.mark.parametrize(
    "text",
    [
        "This face is FAKE.", "a forgery", "It was digitally manipulated", "tampered-with skin",
        "an AI-generated face", "looks like a deepfake", "synthetic skin", "This face is real.",
        "The image is authentic", "a real face", "This is the real face.", "not genuine",
        "darker than in the real face, so it is fake",
    ],
)  # fmt: skip
def test_words_for_the_verdict_leak_the_label(text):
    assert names_label(text)


@pytest.mark.parametrize(
    "text",
    [
        "The nose was altered.", "an unnatural, artificial look", "edited and retouched",
        "It is really unrealistic", "a reality show", "an artifact", "surreal colours",
        "redder than in the real face", "a seam that the real face does not have",
        "It differs from The Original.", "genuinely smooth", "",
    ],
)  # fmt: skip
def test_description_and_comparison_leak_no_label(text):
    assert not names_label(text)


def test_the_real_side_is_named_where_it_is_compared_with():
    assert names_real_side("redder than in the real face")
    assert names_real_side("The original mouth was closed.")
    assert not names_real_side("This is the real face.")
    assert not names_real_side("a real face")


def test_a_method_is_found_however_it_is_spelt():
    for text in ("a FaceSwap", "face-swaps", "By face swap.", "an Identity Swap"):
        assert names_method(text, "FaceSwap", "identity swap")
    assert names_method("a deepfake", "Deepfakes", "identity swap")
    assert names_method("face 2 face", "Face2Face", "")
    assert not names_method("a surface swap, facets", "FaceSwap", "identity swap")
    assert not names_method("none of it is", "Unforged", "none")
    assert not names_method("any text", "", "")


@pytest.mark.parametrize(
    ("answer", "side"),
    [("fake", "fake"), ("Real.", "real"), ("It was forged.", "fake"), ("real or fake?", None),
     ("I cannot tell.", None), ("", None)],
)  # fmt: skip
def test_the_verdict_of_an_answer(answer, side):
    assert verdict(answer) == side


# ---- on real rows ------------------------------------------------------------------------------


@pytest.fixture
def page_of(write_source):
    def page(rows, folder):
        path = write_report(write_source(folder, rows), folder / "qa")
        return path.read_text(encoding="utf-8")

    return page


def test_the_evidence_explainers_figures_are_those_of_a_loop_over_its_rows(annotated, rows):
    run, _ = annotated
    counted = collect(run.output / "qa" / "tables").text
    share, weighted = [], []
    for one in rows:
        about = {claim.category_id for claim in one.claims}
        told = [region.area for region in one.regions if region.category_id in about]
        share.append(len(told) / len(one.regions))
        weighted.append(sum(told) / sum(region.area for region in one.regions))
    found = counted.quality.loc["evidence"]
    assert 0 < found["region coverage"] < found["area coverage"] <= 1
    assert found["region coverage"] == pytest.approx(sum(share) / len(rows), abs=1e-4)
    assert found["area coverage"] == pytest.approx(sum(weighted) / len(rows), abs=1e-4)
    said = [claim.sentence for one in rows for claim in one.claims]
    assert found["sentences"] == len(said)
    assert found["distinct sentences"] == pytest.approx(
        len({s.replace("<p>", "").replace("</p>", "") for s in said}) / len(said)
    )
    assert found["distinct templates"] == pytest.approx(
        len({template(s) for s in said}) / len(said)
    )
    assert found[["label named", "method named"]].tolist() == [0, 0]
    assert found[["verdict equals label", "real side named"]].tolist() == [1, 1]
    assert counted.fallbacks.empty


def test_neither_pixels_nor_masks_are_read(annotated):
    run, _ = annotated
    shards = sorted(run.shards.glob("*.parquet"))
    read_columns = next(read(shards))
    leaves = pq.read_metadata(shards[0]).schema
    paths = {leaves.column(number).path for number in range(len(leaves))}
    assert set(COLUMNS) <= paths
    assert not [path for path in COLUMNS if "segmentation" in path or "bytes" in path]
    assert read_columns.schema.field("regions").type.value_type.num_fields == 2


def test_the_page_shows_each_writer_and_what_each_figure_means(rows, page_of, tmp_path):
    lost = DroppedClaim(
        region="nose", category_id=None, kind="colour", direction="blue", sentence="x",
        fate="refused", reason="y", round=0,
    )  # fmt: skip
    fell = {"recipe": "<b>fifa</b>", "fallback_reason": "<i>why</i>: no", "dropped": (lost,)}
    claim = rows[1].claims[0]
    odd = claim.model_copy(update={"sentence": "<img src=x> <p>ñose</p> – 鼻 & <u>fake</u>."})
    written = {"explainer": "mllm", "recipe": "später", "claims": (Claim(**dict(odd)),)}
    written |= {"explanation": odd.sentence, "method": "Other"}  # so that both rows are samples
    page = page_of([rows[0].model_copy(update=fell), rows[1].model_copy(update=written)], tmp_path)
    for tag in ("<b>", "<i>", "<u>", "<img src=x>"):
        assert tag not in page
    for word in ("&lt;b&gt;fifa&lt;/b&gt;", "&lt;i&gt;why&lt;/i&gt;", "später", "鼻"):
        assert word in page
    section = page[page.index('id="text"') : page.index('id="rejects"')]
    for figure in [*wording()["text"], *wording()["fallbacks"]]:
        assert f"<td>{figure}</td>" in section
    cells = "<td>label named</td><td>–</td><td>0.0 %</td><td>100.0 %</td>"
    assert cells in section
    assert "<td>refused</td><td>100.0 %</td><td>0.0 %</td><td>0.0 %</td>" in section


def test_the_page_of_no_rows_has_the_sections(page_of, tmp_path):
    page = page_of([], tmp_path)
    section = page[page.index('id="text"') : page.index('id="rejects"')]
    assert section.count("None.") == 3


def test_each_figure_is_explained():
    words = wording()
    for figure in [*words["text"].values(), *words["fallbacks"].values()]:
        assert figure["show"] in ("count", "mean", "share")
        assert figure["means"].endswith(".")
        assert figure.get("good") in (None, "more", "less")
