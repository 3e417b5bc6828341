from dataclasses import replace

import yaml

from release.card import cell, page, table
from release.released import open_release
from schemas.records import SEG


def card(folder):
    return (folder / "README.md").read_text()


def test_it_tells_what_the_rows_hold(full, rows):
    text = card(full)
    assert f"{len(rows)} pairs of a real and a forged face crop" in text
    for method in {row.method for row in rows}:
        assert f"| {method} |" in text
    published = sum(len(row.claims) for row in rows)
    assert f"| evidence | {len(rows)} | 0 | {published} | {published} | 0 |" in text
    for row in rows:
        assert row.config_hash in text
    assert "| nan |" not in text.casefold()


def test_its_header_is_what_hugging_face_reads(full, bare):
    header = yaml.safe_load(card(full).split("---\n")[1])
    assert header["license"] == "other"
    assert [one["config_name"] for one in header["configs"]] == [
        "frames", "rejects", "instructions",
    ]  # fmt: skip
    header = yaml.safe_load(card(bare).split("---\n")[1])
    assert [one["config_name"] for one in header["configs"]] == ["frames", "rejects"]


def test_it_answers_the_questions_of_a_datasheet(full):
    text = card(full)
    for heading in ("Composition", "Collection and labelling", "How true it is", "Uses",
                    "Distribution, consent and misuse"):  # fmt: skip
        assert f"\n## {heading}\n" in text
    for word in ("Intended", "Not intended", "Known limits", "Consent", "Take-down", "Misuse",
                 "Maintenance", "Licence"):  # fmt: skip
        assert f"**{word}" in text


def test_it_says_whether_pixels_are_there(full, bare):
    assert "**With pixels.**" in card(full)
    assert "facext rehydrate" not in card(full)
    assert "facext rehydrate THIS_FOLDER --root /your/copy" in card(bare)
    assert "`images/`, which is not here" in card(bare)


def test_it_is_the_same_again(full):
    assert page(open_release(full)) == card(full)


def test_a_figure_that_one_writer_lacks_is_an_empty_cell(tmp_path, make, ready):
    figures = {"evidence": {"refuted": 0.25, "yaw named": 0.5}, "mllm": {"refuted": 0.75}}
    settings = ready.settings.model_copy(update={"text": {}})
    source = replace(ready, settings=settings, measure_text=lambda shards, workers: figures)
    assert make(tmp_path, source).passed
    text = card(tmp_path / "1.0.0")
    assert "| refuted | 0.25 | 0.75 |" in text
    assert "| yaw named | 0.5 |  |" in text


def test_cells_are_no_markup():
    assert cell("a|b <script>\n`x` [y](z)") == r"a\|b \<script\> \`x\` \[y\](z)"
    assert cell(None) == cell(float("nan")) == ""


def test_a_figure_is_one_only_where_it_is():
    assert [cell(1.0), cell(0.999975), cell(2 / 3)] == ["1", "0.999975", "0.6667"]
    assert table([]) == "(none)"
    assert SEG not in table([{"x": SEG}])
