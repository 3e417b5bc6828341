"""The captioning server plays its script to the real client, and its journal says what it did."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest

from benchmarks.caption_faults import FATAL, FAULTS, HUGE, INJECTION, SORRY, STRANGE
from benchmarks.captioner import Captioner, Script
from benchmarks.captions import Asked, Dice, Stated, body_hash
from schemas.records import DIRECTIONS

KEY = "sk-loopback"
PROMPT = Path("annotators/prompts/fifa.txt").read_text(encoding="utf-8")
REGIONS = ("upper lip", "left iris", "nose")
TRUE = [
    {"region": "upper lip", "kind": "colour", "direction": "redder"},
    {"region": "nose", "kind": "texture", "direction": "less textured"},
    {"region": "left iris", "kind": "change", "direction": "altered"},
]
EVIDENCE = """\
- upper lip: colour redder, 3.20 steps (significant)
- upper lip: lightness darker, 0.40 steps (not significant)
- nose: texture less textured, 0.50 of the contrast (significant)
- left iris: change altered, 4.00 steps (significant)"""
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def question(number=0, evidence=EVIDENCE):
    regions = "\n".join(f"{n}. {name}" for n, name in enumerate(REGIONS, 1))
    text = PROMPT.format(method="", regions=regions, evidence=evidence, vocabulary="")
    content = [{"type": "text", "text": f"{text}\n\n{number}"}, PIXEL, PIXEL]
    return [{"role": "user", "content": content}]


@pytest.fixture
def play(tmp_path):
    """Starts servers on scripts; each with its client, which does not retry."""
    started = []

    def start(retries=0, **script):
        path = tmp_path / f"journal{len(started)}.jsonl"
        captioner = Captioner(Script(**script), path).__enter__()
        client = openai.OpenAI(api_key=KEY, base_url=captioner.url, timeout=20, max_retries=retries)
        started.append((captioner, client))
        return captioner, client

    yield start
    for captioner, client in started:
        client.close()
        captioner.__exit__()


@pytest.fixture
def fault(play):
    """Starts a server that always commits one fault."""
    return lambda name, **script: play(faults=(name,), fault_share=1.0, **script)


def ask(client, number=0, evidence=EVIDENCE, **settings):
    messages = question(number, evidence)
    return client.chat.completions.create(model="m", messages=messages, **settings)


def text_of(response):
    return response.choices[0].message.content


def claims_of(response):
    return [
        {name: value for name, value in claim.items() if name != "sentence"}
        for claim in json.loads(text_of(response))["claims"]
    ]


def only(captioner):
    (entry,) = captioner.journal()
    return entry


def raw(captioner, number=0):
    """Asks without a client; gives all bytes that came, and whether a reset ended them."""
    port = int(captioner.url.split(":")[2].split("/")[0])
    body = json.dumps({"model": "m", "messages": question(number)}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(body)}"
    came = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        try:
            while part := connection.recv(1 << 20):
                came += part
        except ConnectionResetError:
            return came, True
    return came, False


def test_a_perfect_reader_says_each_significant_measurement_once(play):
    captioner, client = play()
    response = ask(client)
    assert claims_of(response) == TRUE
    answer = json.loads(text_of(response))
    assert answer["cannot_tell"] is False
    for claim in answer["claims"]:
        assert f"<p>{claim['region']}</p>" in claim["sentence"]
        assert claim["direction"] in claim["sentence"]
    entry = only(captioner)
    assert (entry.fault, entry.status, entry.billed) == ("", 200, True)
    assert entry.body == body_hash(question(), "m")
    assert entry.prompt_tokens == response.usage.prompt_tokens > 600
    assert entry.completion_tokens == response.usage.completion_tokens


def test_nothing_significant_cannot_be_told(play):
    _, client = play()
    response = ask(client, evidence="- nose: size larger, 0.01 of the width (not significant)")
    assert json.loads(text_of(response)) == {"cannot_tell": True, "claims": []}


def test_no_more_claims_than_asked_for(play):
    _, client = play()
    many = "\n".join(f"- region {n}: colour redder, 3.20 steps (significant)" for n in range(30))
    assert len(claims_of(ask(client, evidence=many))) == 20


def test_a_second_question_about_refuted_claims_is_answered_truly(play):
    _, client = play()
    later = [
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": "The claim 'nose: texture more textured' is refuted."},
    ]
    response = client.chat.completions.create(model="m", messages=question() + later)
    assert claims_of(response) == TRUE


def test_lies_are_false_and_as_many_as_the_script_says(play):
    _, client = play(lies=0.3)
    told = [claim for n in range(150) for claim in claims_of(ask(client, n))]
    lies = [claim for claim in told if claim not in TRUE]
    assert len(lies) / len(told) == pytest.approx(0.3, abs=0.07)
    assert all(claim["region"] in REGIONS for claim in lies)
    assert all(claim["direction"] in DIRECTIONS[claim["kind"]] for claim in lies)


@pytest.mark.parametrize(("kind", "words"), DIRECTIONS.items())
def test_the_reverse_of_a_claim_is_false_or_there_is_none(kind, words):
    for word in words:
        line = f"- nose: {kind} {word}, 1.00 steps (significant)"
        asked = Asked("m", question(evidence=line), KEY, None, Dice("x"))
        (measured,) = asked.measured
        assert measured == Stated("nose", kind, word)
        assert asked.reversed(measured) not in asked.measured
        assert (asked.reversed(measured).region == "nose") == (len(words) > 1)


ERRORS = {
    "rate_limit": (openai.RateLimitError, 429),
    "rate_limit_silent": (openai.RateLimitError, 429),
    "server_error": (openai.InternalServerError, 500),
    "overloaded": (openai.InternalServerError, 503),
    "echo_key_error": (openai.InternalServerError, 500),
    "unauthorised": (openai.AuthenticationError, 401),
    "quota": (openai.RateLimitError, 429),
}


@pytest.mark.parametrize("name", ERRORS)
def test_refusals_come_at_once_and_cost_nothing(fault, name):
    kind, status = ERRORS[name]
    captioner, client = fault(name, latency_s=5.0)
    with pytest.raises(kind) as caught:
        ask(client)
    assert caught.value.status_code == status
    entry = only(captioner)
    assert (entry.fault, entry.status, entry.billed) == (name, status, False)
    assert entry.prompt_tokens == entry.completion_tokens == 0
    assert entry.seconds < 1
    waits = {"retry-after", "retry-after-ms"} & set(caught.value.response.headers)
    assert bool(waits) == (name == "rate_limit")
    assert (caught.value.code == "insufficient_quota") == (name == "quota")
    assert (KEY in str(caught.value)) == (name == "echo_key_error")


def test_the_wait_of_a_rate_limit_comes_in_both_forms(fault):
    _, client = fault("rate_limit")
    found = set()
    for n in range(20):
        with pytest.raises(openai.RateLimitError) as caught:
            ask(client, n)
        headers = caught.value.response.headers
        found.add((headers.get("retry-after"), headers.get("retry-after-ms")))
    assert found == {("0.05", None), (None, "50")}


def test_a_reset_comes_in_the_middle_of_the_body(fault):
    captioner, client = fault("reset")
    came, was_reset = raw(captioner)
    head, _, body = came.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert was_reset
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert len(body) == length // 2 > 0
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    assert [entry.billed for entry in captioner.journal()] == [True, True]


def test_cut_json_is_whole_to_http_only(fault):
    captioner, client = fault("cut_json")
    came, was_reset = raw(captioner)
    head, _, body = came.partition(b"\r\n\r\n")
    assert not was_reset
    assert f"content-length: {len(body)}\r\n".encode() in head.lower() + b"\r\n"
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        ask(client)
    assert all(entry.billed for entry in captioner.journal())


def test_slow_takes_ten_times_as_long_and_is_billed_to_who_left(fault):
    captioner, client = fault("slow", latency_s=0.1)
    assert claims_of(ask(client)) == TRUE
    assert 1.0 <= only(captioner).seconds < 3
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.2), 1)
    until = time.monotonic() + 10
    while len(captioner.journal()) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert [entry.billed for entry in captioner.journal()] == [True, True]


def cut_answer(response):
    assert response.choices[0].finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(text_of(response))


def fence(response):
    assert text_of(response).startswith("```json\n")
    assert json.loads(text_of(response)[8:-4])["claims"]


def prose(response):
    start, end = text_of(response).index("{"), text_of(response).rindex("}")
    assert start > 0
    assert json.loads(text_of(response)[start : end + 1])["claims"]


def wrong_types(response):
    answer = json.loads(text_of(response))
    if isinstance(answer, dict) and isinstance(answer["claims"], list):
        answer = answer["claims"]
    if isinstance(answer, list):
        assert answer[0]["region"] == 1
    else:
        assert answer in ({"claims": "many"}, 42)


def unknown_regions(response):
    assert {claim["region"] for claim in claims_of(response)} == {"tail"}


def unknown_kinds(response):
    assert not {claim["kind"] for claim in claims_of(response)} & set(DIRECTIONS)


def false_claims(response):
    claims = claims_of(response)
    assert len(claims) == 3
    assert [claim["direction"] for claim in claims[:2]] == ["greener", "more textured"]
    assert claims[2]["region"] in {"upper lip", "nose"}


def empty_choices(response):
    assert response.choices == []


def null_content(response):
    assert text_of(response) is None


def no_usage(response):
    assert response.usage is None
    assert claims_of(response) == TRUE


def refusal(response):
    message = response.choices[0].message
    assert (message.content, message.refusal) in ((SORRY, None), (None, SORRY))


def huge(response):
    assert HUGE < len(text_of(response)) < HUGE * 1.01
    assert claims_of(response) == TRUE
    assert response.usage.completion_tokens == 300


def unicode(response):
    assert STRANGE in json.loads(text_of(response))["claims"][0]["sentence"]
    assert {"\u202e", "\u200b", "\x00"} <= set(STRANGE)


def injection(response):
    assert INJECTION in json.loads(text_of(response))["claims"][0]["sentence"]
    assert claims_of(response) == TRUE


def deep(response):
    assert text_of(response) == "[" * 100_000


def html(response):
    assert str(response).startswith("<!DOCTYPE html>")


def echo_key(response):
    assert f"Bearer {KEY}" in json.loads(text_of(response))["claims"][0]["sentence"]
    assert claims_of(response) == TRUE


ANSWERS = (
    cut_answer, fence, prose, wrong_types, unknown_regions, unknown_kinds, false_claims,
    empty_choices, null_content, no_usage, refusal, huge, unicode, injection, deep, html, echo_key,
)  # fmt: skip


@pytest.mark.parametrize("check", ANSWERS, ids=lambda check: check.__name__)
def test_useless_answers_are_what_they_say_and_are_billed(fault, check):
    captioner, client = fault(check.__name__)
    for n in range(1 if check is huge else 6):
        response = ask(client, n, max_tokens=300)
        check(response)
        entry = captioner.journal()[-1]
        assert (entry.fault, entry.status, entry.billed) == (check.__name__, 200, True)
        usage = getattr(response, "usage", None)
        if usage:
            assert entry.prompt_tokens == usage.prompt_tokens
            assert entry.completion_tokens == usage.completion_tokens


def test_every_fault_is_tested():
    wire = {"reset", "cut_json", "slow"}
    assert {check.__name__ for check in ANSWERS} | set(ERRORS) | wire == {*FAULTS, *FATAL}


def test_answers_that_need_a_sentence_have_one_where_nothing_was_measured(fault):
    _, client = fault("injection")
    response = ask(client, evidence="")
    assert INJECTION in json.loads(text_of(response))["claims"][0]["sentence"]


def test_the_choice_of_faults_is_the_seeds(play):
    every = tuple(name for name in FAULTS if name not in {"huge", "slow", "deep"})
    outcomes = []
    for seed in (1, 1, 2):
        captioner, client = play(faults=every, fault_share=0.3, seed=seed)
        for n in range(60):
            try_to_ask(client, n)
        outcomes.append([(entry.body, entry.fault) for entry in captioner.journal()])
    first, again, other = outcomes
    assert first == again
    assert first != other
    assert len({fault for _, fault in first}) > 5


def try_to_ask(client, number):
    try:
        ask(client, number)
    except (openai.OpenAIError, ValueError):
        return


def test_the_share_of_faults_and_that_retries_help(play):
    captioner, client = play(retries=6, faults=("rate_limit",), fault_share=0.25)
    for n in range(200):
        assert claims_of(ask(client, n)) == TRUE
    faults = [bool(entry.fault) for entry in captioner.journal()]
    assert sum(faults) / len(faults) == pytest.approx(0.25, abs=0.07)
    assert len(faults) - sum(faults) == 200


def test_a_script_knows_its_faults():
    with pytest.raises(ValueError, match="sulks"):
        Script(faults=("sulks",))


def test_models_are_listed_and_other_requests_refused(play):
    captioner, client = play()
    assert [model.id for model in client.models.list()] == ["scripted"]
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="m", input="x")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="m", messages=[{"role": "user"}])
    assert captioner.journal() == []


def lines(numbers):
    for n in numbers:
        body = {"model": "m", "messages": question(n)}
        line = {"custom_id": f"row {n}", "method": "POST", "url": "/v1/chat/completions"}
        yield json.dumps(line | {"body": body}) + "\n"


def run_batch(client, content):
    upload = client.files.create(file=("in.jsonl", io.BytesIO(content)), purpose="batch")
    assert upload.bytes == len(content)
    batch = client.batches.create(
        input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h",
        metadata={"run": "7"},
    )  # fmt: skip
    states = [batch.status]
    until = time.monotonic() + 15
    while states[-1] == "in_progress" and time.monotonic() < until:
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
        states.append(batch.status)
    return batch, states


def test_a_batch_goes_round(play):
    captioner, client = play(latency_s=0.2)
    batch, states = run_batch(client, "".join(lines(range(5))).encode())
    assert states.count("in_progress") > 2
    assert states[-1] == "completed"
    assert (batch.error_file_id, batch.metadata) == (None, {"run": "7"})
    answers = [json.loads(line) for line in client.files.content(batch.output_file_id).iter_lines()]
    assert [answer["custom_id"] for answer in answers] == [f"row {n}" for n in range(5)]
    for answer in answers:
        assert answer["error"] is None
        assert answer["response"]["status_code"] == 200
        content = answer["response"]["body"]["choices"][0]["message"]["content"]
        assert len(json.loads(content)["claims"]) == 3
    assert [entry.billed for entry in captioner.journal()] == [True] * 5
    assert [found.id for found in client.batches.list()] == [batch.id]


def test_lines_of_a_batch_fail_one_by_one(play):
    every = ("reset", "server_error", "cut_json", "fence")
    captioner, client = play(faults=every, fault_share=0.6)
    batch, _ = run_batch(client, "".join(lines(range(40))).encode())
    faults = {f"row {n}": entry.fault for n, entry in enumerate(captioner.journal())}
    assert set(faults.values()) == {"", *every}
    failed = [json.loads(line) for line in client.files.content(batch.error_file_id).iter_lines()]
    done = [json.loads(line) for line in client.files.content(batch.output_file_id).iter_lines()]
    assert {faults[one["custom_id"]] for one in done} == {"", "fence"}
    assert len(done) + len(failed) == 40
    for one in failed:
        if faults[one["custom_id"]] == "server_error":
            assert one["response"]["status_code"] == 500
        else:
            assert one["response"] is None
            assert one["error"]["code"] == "server_error"
    assert batch.request_counts.failed == len(failed)
    assert all(entry.billed == (entry.status == 200) for entry in captioner.journal())


def test_a_batch_of_nonsense_fails(play):
    captioner, client = play()
    batch, _ = run_batch(client, b"not json\n")
    assert batch.status == "failed"
    assert captioner.journal() == []
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_99")


ORPHAN = """
import sys, time
from pathlib import Path
from benchmarks.captioner import Captioner, Script
if __name__ == "__main__":
    with Captioner(Script(), Path(sys.argv[1])) as captioner:
        print(captioner.url, flush=True)
        time.sleep(60)
"""


def test_the_server_dies_with_its_parent_and_the_journal_stays(tmp_path):
    program, journal = tmp_path / "parent.py", tmp_path / "journal.jsonl"
    program.write_text(ORPHAN)
    parent = subprocess.Popen(
        [sys.executable, program, journal],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    with parent:
        url = parent.stdout.readline().strip()
        with openai.OpenAI(api_key=KEY, base_url=url, timeout=20) as client:
            ask(client)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    until = time.monotonic() + 10
    while is_served(url) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_served(url)
    with journal.open("a") as file:
        file.write('{"body": "cut by the kill')
    assert only(Captioner(Script(), journal)).billed


def is_served(url):
    try:
        port = int(url.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("name", ["deep", "huge", "unicode"])
def test_nothing_is_billed_beyond_the_limit_of_the_request(fault, name):
    captioner, client = fault(name)
    client.chat.completions.create(model="m", messages=question(), max_tokens=20)
    assert only(captioner).completion_tokens == 20
