import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from model.vocabulary import MARKS, Vocabulary, learn_tokenizer, load_tokenizer
from schemas.errors import UsageError

PROMPT = "<image>{question}\n"


def words(**special):
    known = {word: k for k, word in enumerate(["?", "<end>", "a", "b", ".", *special.values()])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="?", eos_token="<end>", **special
    )


class Stubborn(PreTrainedTokenizerFast):
    """Takes no new tokens, as a tokenizer with a fixed vocabulary would."""

    def _add_tokens(self, *args, **kwargs):
        return 0


def test_texts_come_back_as_they_were(rows):
    texts = [t for row in rows for q in row.questions for t in (q.question, q.answer)]
    vocabulary = Vocabulary(learn_tokenizer(texts, 800), PROMPT)
    for row in rows:
        for question in row.questions:
            encoded = vocabulary.encode(question.question, question.answer, 4)
            assert vocabulary.decode(encoded.ids[encoded.answer_from :]) == question.answer
            assert encoded.ids.count(vocabulary.id_of["[SEG]"]) == len(question.masks)
            assert encoded.ids[-1] == vocabulary.end_id
    odd = "Ünknown wörds, 表情 and  two spaces"
    assert vocabulary.decode(vocabulary.encode("x", odd, 0).ids[vocabulary.encode("x", None, 0)
                             .answer_from :]) == odd  # fmt: skip


def test_each_mark_is_one_token_and_survives_saving(tmp_path):
    vocabulary = Vocabulary(learn_tokenizer(["an answer"], 400), PROMPT)
    assert len(set(vocabulary.id_of.values())) == len(MARKS)
    vocabulary.save(tmp_path)
    again = Vocabulary(load_tokenizer(tmp_path), PROMPT)
    assert again.id_of == vocabulary.id_of
    assert again.encode("q <region>", "a [SEG]", 3) == vocabulary.encode("q <region>", "a [SEG]", 3)


def test_a_tokenizer_that_splits_a_mark_is_refused():
    plain = words(pad_token="<pad>")
    stubborn = Stubborn(tokenizer_object=plain.backend_tokenizer, unk_token="?", eos_token="<end>")
    with pytest.raises(UsageError, match=r"splits <image> into several tokens"):
        Vocabulary(stubborn, PROMPT)


def test_a_language_model_without_a_pad_token_gets_one():
    tokenizer = words()
    assert tokenizer.pad_token is None
    vocabulary = Vocabulary(tokenizer, PROMPT)
    assert vocabulary.pad_id not in (vocabulary.end_id, *vocabulary.id_of.values())
    assert vocabulary.pad_id in vocabulary.new_ids


def test_a_tokenizer_that_pads_with_its_end_token_may_still_end_an_answer():
    tokenizer = words(pad_token="<end>")
    vocabulary = Vocabulary(tokenizer, PROMPT)
    assert vocabulary.pad_id == vocabulary.end_id
    assert vocabulary.end_id not in vocabulary.unsaid_ids
    assert vocabulary.id_of["<box>"] in vocabulary.unsaid_ids


@pytest.mark.parametrize("question", ["what is [SEG]?", "<image> again", "<region> and <box>"])
def test_questions_may_not_hold_what_the_model_would_misread(question):
    vocabulary = Vocabulary(words(), PROMPT)
    with pytest.raises(UsageError, match=r"may (not )?hold"):
        vocabulary.encode(question, None, 1)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{question} b <image>", "a . b <image> <image>"),
        ("b <image> {question}", "b <image> <image> a ."),
        ("{b} <image> {question} { }", "? b ? <image> <image> a . ? ?"),
    ],
)
def test_a_template_may_have_the_question_first_and_braces(prompt, expected):
    vocabulary = Vocabulary(words(), prompt)
    ids = vocabulary.encode("a .", None, 2).ids
    assert vocabulary.tokenizer.convert_ids_to_tokens(list(ids)) == expected.split()


def test_a_missing_folder_and_a_wrong_template_are_named(tmp_path):
    with pytest.raises(UsageError, match="no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(UsageError, match=r"language\.prompt"):
        Vocabulary(words(), "no place for the picture: {question}")
