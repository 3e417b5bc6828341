import asyncio
import json

import pytest

from annotators.explain import NoAnswer
from annotators.mllm.direct import Direct
from annotators.mllm.limits import Limiter
from tests.annotators.mllm.asking import Bill, question, run, server
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.usefixtures("quick")


def openai_refuses(request):
    """Answers as OpenAI does of its newer models."""
    if "max_tokens" in request:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return refused(message, "max_tokens", "unsupported_parameter")
    if "temperature" in request:
        message = (
            "Unsupported value: 'temperature' does not support 0 with this model. "
            "Only the default (1) value is supported."
        )
        return refused(message, "temperature", "unsupported_value")
    form = request.get("response_format", {}).get("type")
    if form == "json_schema":
        message = (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with "
            "this model."
        )
        return refused(message, None, None)
    return "{}"


def vllm_refuses(request):
    """Answers as vLLM does without a grammar backend."""
    form = request.get("response_format", {}).get("type")
    if form == "json_schema":
        message = "Grammar error: The provided JSON schema contains features not supported"
        return 400, json.dumps(
            {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
        )
    if form == "json_object":
        return 422, json.dumps({"detail": [{"loc": ["body", "response_format"], "msg": "bad"}]})
    return "{}"


def ollama_refuses(request):
    """Answers as Ollama and llama.cpp do: an error that is only a text."""
    form = request.get("response_format", {}).get("type")
    if form == "json_schema":
        return 400, json.dumps({"error": "json: cannot unmarshal response_format"})
    return "{}"


def refused(message, param, code):
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return 400, json.dumps({"error": error})


async def send(settings, numbers):
    direct = Direct(settings, "")
    try:
        bills = [Bill() for _ in numbers]
        asked = (
            direct.send(question(settings, n), bill) for n, bill in zip(numbers, bills, strict=True)
        )
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert not any(bill.losses for bill in bills)  # a refusal is not billed
        return ends, direct
    finally:
        await direct.close()


def taken(served):
    """Gives what the last request held."""
    last = served.requests[-1]
    form = last.get("response_format", {}).get("type", "none")
    return {
        key for key in ("max_tokens", "max_completion_tokens", "temperature") if key in last
    }, form


CASES = [
    (openai_refuses, 3, {"max_completion_tokens"}, "json_object"),
    (vllm_refuses, 2, {"max_tokens", "temperature"}, "none"),
    (ollama_refuses, 1, {"max_tokens", "temperature"}, "json_object"),
]


@pytest.mark.parametrize(("refuses", "lessons", "keys", "form"), CASES)
def test_each_lesson_is_learned_once(refuses, lessons, keys, form):
    async def one_by_one(settings):
        direct = Direct(settings, "")
        bills = []
        for number in range(3):
            bills.append(Bill())
            await direct.send(question(settings, number), bills[-1])
        await direct.close()
        return [bill.attempts for bill in bills]

    with ScriptedServer(refuses) as served:
        attempts = run(one_by_one(server(served.url, retries=0)))
    assert attempts == [lessons + 1, 1, 1]
    assert taken(served) == (keys, form)


@pytest.mark.parametrize(("refuses", "lessons", "keys", "form"), CASES)
def test_many_refused_at_the_same_time_learn_no_more_than_is_to_be_learned(
    refuses, lessons, keys, form
):
    with ScriptedServer(refuses) as served:
        ends, _ = run(send(server(served.url, retries=0), range(20)))
    assert {type(end) for end in ends} == {bytes}, ends
    assert len(served.requests) <= 20 * (lessons + 1)
    assert taken(served) == (keys, form)


def test_what_is_said_in_other_words_keeps_to_the_limit_of_requests(monkeypatch):
    admitted = []

    async def admit(limiter, tokens):
        admitted.append(tokens)

    monkeypatch.setattr(Limiter, "admit", admit)
    with ScriptedServer(openai_refuses) as served:
        run(send(server(served.url), range(1)))
        assert len(served.requests) == len(admitted) == 4


@pytest.mark.parametrize(
    "message",
    ["The image is too large.", "Your request was rejected by the safety system.", ""],
)
def test_another_refusal_is_of_this_request_alone(message):
    with ScriptedServer(lambda request: refused(message, None, None)) as served:
        ends, direct = run(send(server(served.url, retries=3), range(1)))
        assert isinstance(ends[0], NoAnswer)
        assert str(ends[0]).startswith("refused_request: HTTP 400")
        assert message in str(ends[0])
        assert len(served.requests) == 1
        body = direct._dialect.body(question(server(served.url)))
    assert body["response_format"]["type"] == "json_schema"
    assert "temperature" in body


def test_a_server_that_refuses_every_form_is_no_endless_loop():
    def always(request):
        return refused(f"temperature max_completion_tokens response_format {request}", None, None)

    with ScriptedServer(always) as served:
        ends, _ = run(send(server(served.url, retries=0), range(5)))
    assert all(isinstance(end, NoAnswer) for end in ends)
    assert len(served.requests) <= 5 * 5


@pytest.mark.parametrize("depth", [*range(850, 1000, 10), 20_000])
def test_a_deep_refusal_is_one(depth):
    body = '{"error": {"message": ' + "[" * depth + "]" * depth + "}}"
    with ScriptedServer(lambda request: (400, body)) as served:
        ends, _ = run(send(server(served.url, retries=0), range(1)))
    assert isinstance(ends[0], NoAnswer)


def test_extra_keys_go_into_the_body_and_a_free_text_has_no_form():
    with ScriptedServer(lambda request: "{}") as served:
        settings = server(served.url, extra={"seed": 7, "top_p": 0.5})

        async def both():
            direct = Direct(settings, "")
            await direct.send(question(settings, schema=None), Bill())
            await direct.close()

        run(both())
    (sent,) = served.requests
    assert (sent["seed"], sent["top_p"]) == (7, 0.5)
    assert "response_format" not in sent
    assert sent["messages"] == list(question(settings).messages)
