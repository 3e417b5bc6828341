import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.mllm.request import assistant, response_format, user
from tests.annotators.mllm.asking import PIXEL, SCHEMA, question, server

SERVER = server("http://127.0.0.1:1/v1", image_tokens=1600, max_tokens=500)


def test_lone_surrogates_of_a_model_can_be_quoted():
    quoted = assistant("a\ud800b")
    assert quoted["content"] == "a?b"
    assert question(SERVER, messages=(user("x"), quoted)).hash


def test_the_hash_does_not_depend_on_the_order_of_the_manifests_keys():
    ab, ba = {"seed": 1, "top_p": 0.5}, {"top_p": 0.5, "seed": 1}
    assert (
        question(server("http://x/v1", extra=ab)).hash
        == question(server("http://x/v1", extra=ba)).hash
    )


@pytest.mark.parametrize(
    "change",
    [
        {"schema": None},
        {"schema": {"type": "array"}},
        {"subject": "another frame"},
        {"step": "ask again 1"},
        {"recipe": "another"},
    ],
)
def test_who_asks_and_in_what_form_is_no_other_request(change):
    assert question(SERVER, **change).hash == question(SERVER).hash


@pytest.mark.parametrize(
    "change",
    [
        {"structured": "none"}, {"timeout_s": 1.0}, {"retries": 0}, {"patience_s": 1.0},
        {"in_flight": 1}, {"price_in": 5.0}, {"api_key_env": "OTHER"}, {"batch": True},
        {"requests_per_minute": 1.0}, {"image_tokens": 5},
    ],
)  # fmt: skip
def test_speed_and_money_are_no_other_request(change):
    changed = SERVER.model_copy(update=change)
    assert question(changed).hash == question(SERVER).hash


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://127.0.0.1:2/v1"}, {"model": "n"}, {"temperature": 0.5},
        {"max_tokens": 501}, {"extra": {"seed": 1}},
    ],
)  # fmt: skip
def test_what_the_answer_depends_on_is_another_request(change):
    changed = SERVER.model_copy(update=change)
    assert question(changed).hash != question(SERVER).hash


def test_words_pictures_and_their_order_are_another_request():
    other = PIXEL.replace("AAAA", "AAAB")
    hashes = {
        question(SERVER, messages=messages).hash
        for messages in (
            (user("a", [PIXEL, other]),),
            (user("a", [other, PIXEL]),),
            (user("a", [PIXEL]),),
            (user("a"),),
            (user("b"),),
            (assistant("a"),),
            (user("a"), user("b")),
            (user("b"), user("a")),
        )
    }
    assert len(hashes) == 8


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, st.integers(0, 3), st.booleans()), min_size=1, max_size=8))
def test_the_highest_tokens_bound_every_tokeniser(said):
    messages = tuple(
        assistant(text) if is_answer else user(text, [PIXEL] * pictures)
        for text, pictures, is_answer in said
    )
    asked = question(SERVER, messages=messages)
    # no byte-level tokeniser makes more tokens than bytes; a template adds a few to each message
    most_text = sum(len(text.encode()) for text, *_ in said)
    images = sum(pictures for _, pictures, is_answer in said if not is_answer)
    prompt, answer = asked.highest_tokens
    assert prompt >= most_text + 1600 * images + 8 * len(said)
    assert answer == 500
    assert asked.expected_tokens <= prompt + answer


def test_the_highest_tokens_do_not_count_the_bytes_of_pictures():
    large = "data:image/png;base64," + "A" * 1_000_000
    asked = question(SERVER, messages=(user("a", [large]),))
    assert asked.highest_tokens == (1 + 1600 + 16, 500)


@pytest.mark.parametrize(
    ("structured", "expected"),
    [
        ("none", None),
        ("json_object", {"type": "json_object"}),
        (
            "json_schema",
            {
                "type": "json_schema",
                "json_schema": {"name": "explanation", "strict": True, "schema": SCHEMA},
            },
        ),
    ],
)
def test_the_form_of_the_answer(structured, expected):
    assert response_format(SCHEMA, structured) == expected
    assert response_format(None, structured) is None


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens", "temperature"])
def test_extra_keys_cannot_raise_the_price_or_hide_a_setting(key):
    with pytest.raises(ValueError, match="cannot be set here"):
        server("http://x/v1", extra={key: 100_000})
