"""The whole evaluation on real shards: an oracle has every figure at its maximum."""

import pytest
import torch

from flows.evaluation import as_json, forge_knows, markdown
from model.answer import Answer, Seen
from model.baselines import Blank, Constant
from model.config import load_config
from model.evaluate import CONSTANT, SEES, checked, evaluate, with_baselines
from model.metrics.rows import EvaluationSet
from schemas.errors import OutputError, SourceMissing, UsageError
from schemas.records import AnnotatedFrame
from schemas.shards import read_metadata, read_records, write_records
from tests.model.oracle import Oracle

TASKS = {
    "Det", "Cls", "I-TOE", "I-Loc", "I-AGE", "R-TOE", "R-Loc", "R-AGE", "B-TOE", "B-Loc", "B-AGE",
}  # fmt: skip
MOST = {"cider": 10.0}
ALMOST = {"meteor_exact_stem": 0.02}
"""METEOR's penalty of a perfect text is not quite 0."""


@pytest.fixture(scope="module")
def data(annotated):
    return EvaluationSet(annotated[0].output, limit=4)


@pytest.fixture(scope="module")
def report(data):
    return evaluate(data, with_baselines(Oracle(data), data) | {"blank": Nothing()})


class Nothing:
    """Says nothing."""

    def answer(self, image, prompts):
        return [Answer("", torch.zeros(0, *image.shape[1:]).bool()) for _ in prompts]

    def see(self, image):
        return Seen(0.5)


def test_the_rows_own_answers_have_every_figure_at_its_maximum(report):
    assert set(report.figures) == TASKS | {SEES}
    for task, figures in report.figures.items():
        for name, values in figures.items():
            if values["model"] is None:
                assert name in ("unread_sentences", "swap_gap"), (task, name)
                continue
            most, slack = MOST.get(name, 1.0), ALMOST.get(name, 1e-6)
            assert values["model"] == pytest.approx(most, abs=slack), (task, name)


def test_the_baselines_are_beside_every_figure_and_below_the_oracle(report):
    for task, figures in report.figures.items():
        for name, values in figures.items():
            assert set(values) == {"model", "constant", "blank"}, (task, name)
    assert report.figures["Det"]["accuracy"][CONSTANT] == 0.5
    assert report.figures[SEES]["auc"][CONSTANT] == 0.5
    for task in ("I-TOE", "R-Loc", "B-AGE"):
        assert report.figures[task]["change_accuracy"][CONSTANT] == 0.5
    for task in ("I-Loc", "I-AGE"):
        assert 0 < report.figures[task]["miou_strict"][CONSTANT] < 0.9


def test_saying_nothing_gets_nothing(report):
    for task in TASKS - {"Det", "Cls"}:
        for name, values in report.figures[task].items():
            if name not in ("change_accuracy", "unread_sentences"):
                assert values["blank"] in (None, 0.0), (task, name)


def test_all_questions_are_asked_of_both_sides(report, data):
    assert report.images == 2 * len(data) == 8
    assert report.questions["Det"] == 8
    assert report.questions["R-Loc"] == 16
    assert report.truth == "row"


def test_a_blank_image_is_blank_and_as_large():
    seen = []

    class Looks(Nothing):
        def answer(self, image, prompts):
            seen.append(image)
            return super().answer(image, prompts)

    Blank(Looks()).answer(torch.arange(48).reshape(3, 4, 4).to(torch.uint8), [])
    assert seen[0].shape == (3, 4, 4)
    assert seen[0].unique().tolist() == [127]


def test_a_constant_answer_is_the_most_frequent_one_that_tells_of_a_change(data):
    cases = [case for shown in data.shown() for case in shown.cases]
    constant = Constant(cases)
    image = torch.zeros(3, 512, 512, dtype=torch.uint8)
    for case in cases:
        [answer] = constant.answer(image, [case.prompt])
        assert checked(answer, (512, 512)) is answer
        if case.task.endswith(("Loc", "AGE")):
            assert answer.masks.any()
    assert constant.answer(image, [cases[0].prompt])[0].text in ("real", "fake")


def test_an_answer_with_more_seg_than_masks_is_counted_and_never_cut_to_fit(data):
    class Careless(Oracle):
        def answer(self, image, prompts):
            right = super().answer(image, prompts)
            return [Answer(one.text, one.masks[:-1], truncated=True) for one in right]

    report = evaluate(data, {"model": Careless(data)})
    grounded = sum(bool(len(case.masks)) for s in data.shown() for case in s.cases)
    counts = report.answers["model"]
    assert counts["malformed"] == grounded > 0
    assert counts["truncated"] == counts["answers"] == sum(report.questions.values())
    assert report.figures["I-AGE"]["miou_strict"]["model"] == 0.0
    assert report.figures["I-AGE"]["region_recall"]["model"] == 1.0  # its words stand


def test_masks_that_are_no_masks_of_the_image_are_a_programmers_error():
    with pytest.raises(TypeError, match="bool"):
        checked(Answer("[SEG]", torch.full((1, 4, 4), 2)), (4, 4))
    with pytest.raises(ValueError, match="image of"):
        checked(Answer("[SEG]", torch.ones(1, 2, 2).bool()), (4, 4))


def test_whole_images_are_held_against_what_the_forge_did(annotated, source):
    data = EvaluationSet(annotated[0].output, limit=4, known=forge_knows(source))
    report = evaluate(data, {"model": Oracle(data)})
    assert report.truth == "forge"
    claims = {(case.task, case.truth.is_exact) for s in data.shown() for case in s.cases}
    assert ("I-AGE", False) in claims
    assert ("R-AGE", True) in claims
    whole = report.figures["I-AGE"]
    assert whole["region_recall"]["model"] > 0.5  # lips and cheeks were changed, and are told of
    assert 0 < whole["claim_precision"]["model"] < 1  # the forge changes more than it aims at
    assert report.figures["R-AGE"]["claim_precision"]["model"] == 1.0
    assert "what the forge did" in markdown(report, "t")
    assert as_json(report)["truth"] == "forge"


def test_a_split_that_is_not_there_and_a_folder_without_shards_are_named(annotated, tmp_path):
    with pytest.raises(UsageError, match="no row of the split 'test'; there are"):
        EvaluationSet(annotated[0].output, split="test")
    with pytest.raises(UsageError, match="no shards"):
        EvaluationSet(tmp_path)


def test_rows_that_were_trained_on_are_left_out_or_counted(annotated):
    tiny = load_config("tiny", {"data.val_share": 0.3})
    folder, rows = annotated[0].output, len(EvaluationSet(annotated[0].output))
    unseen = EvaluationSet(folder, learner=tiny)
    assert 0 < len(unseen) < rows
    assert (unseen.chosen, unseen.learnt) == ("held out", 0)
    everything = EvaluationSet(folder, "all", learner=tiny)
    assert (len(everything), everything.chosen) == (rows, "all")
    assert everything.learnt == rows - len(unseen)
    none_out = EvaluationSet(folder, limit=4, learner=load_config("tiny", {"data.val_share": 0}))
    assert (none_out.chosen, none_out.learnt, len(none_out)) == ("all", 4, 4)
    report = evaluate(none_out, {"model": Nothing()})
    assert "4 of 4 rows were trained on" in markdown(report, "t")
    stored = as_json(report)
    assert (stored["rows"], stored["chosen"], stored["learnt"]) == (4, "all", 4)


def test_a_release_without_pixels_says_to_rehydrate(annotated, tmp_path):
    [path] = annotated[0].shards.glob("*.parquet")
    rows = read_records(path, AnnotatedFrame)[:1]
    bare = rows[0].model_copy(update={"fake": rows[0].fake.model_copy(update={"bytes": None})})
    facts = read_metadata(path)
    write_records(tmp_path / "a.parquet", [bare], AnnotatedFrame, {"fict": facts["fict"]})
    with pytest.raises(SourceMissing, match="facext rehydrate"):
        evaluate(EvaluationSet(tmp_path), {"model": Nothing()})


def test_a_truth_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"truth\.parquet"):
        forge_knows(tmp_path)
