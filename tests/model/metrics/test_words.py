"""Text figures: named variants, without Java and without data that must be fetched."""

import pytest

from model.metrics.words import text_figures, words

RIGHT = ["The nose is clearly darker than before, by 3.5 steps.", "The lips were redder here."]


def test_right_texts_have_every_figure_at_its_maximum():
    found = text_figures(RIGHT, [(text,) for text in RIGHT])
    assert found["rouge_l"] == 1.0
    assert found["cider"] == pytest.approx(10.0)
    assert found["meteor_exact_stem"] == pytest.approx(1.0, abs=0.01)  # its penalty is never 0


def test_marks_and_punctuation_are_no_words():
    marked = "The <p>nose</p> [SEG] is darker, by 3.5 steps!"
    assert words(marked) == ["the", "nose", "is", "darker", "by", "3.5", "steps"]
    assert text_figures([marked], [("the nose is darker by 3.5 steps",)])["rouge_l"] == 1.0


def test_meteor_knows_stems_and_no_synonyms():
    stem = text_figures(["noses darkened"], [("nose darkens",)])["meteor_exact_stem"]
    synonym = text_figures(["nose dim"], [("nose dark",)])["meteor_exact_stem"]
    assert stem > 0.9
    assert synonym == pytest.approx(text_figures(["nose x"], [("nose dark",)])["meteor_exact_stem"])


def test_the_best_of_several_right_texts_counts():
    found = text_figures(RIGHT[:1], [("Something else.", RIGHT[0])])
    assert found["rouge_l"] == 1.0
    assert found["meteor_exact_stem"] > 0.99


def test_an_empty_answer_is_zero_and_too_few_answers_have_no_cider():
    found = text_figures(["", ""], [(text,) for text in RIGHT])
    assert found["rouge_l"] == found["cider"] == found["meteor_exact_stem"] == 0.0
    assert text_figures(RIGHT[:1], [(RIGHT[0],)])["cider"] is None
    assert set(text_figures([], []).values()) == {None}
