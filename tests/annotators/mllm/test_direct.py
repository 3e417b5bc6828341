import asyncio
import json
import socket
import time
import traceback

import pytest

from annotators.explain import NoAnswer
from annotators.mllm import limits
from annotators.mllm.direct import Direct
from annotators.mllm.reply import MOST_BYTES, Invalid, read
from benchmarks.caption_faults import FAULTS, HUGE
from schemas.errors import BackendUnavailable
from tests.annotators.mllm.asking import Bill, is_expected, question, raw_server, run, server
from tests.annotators.mllm.conftest import KEY
from tests.scripted_server import ScriptedServer, completion

pytestmark = pytest.mark.usefixtures("quick")

UNANSWERED = {"server_error", "overloaded", "reset", "echo_key_error", "html"}
THROTTLED = {"rate_limit", "rate_limit_silent"}


async def sent(settings, count=1, key=KEY):
    """Sends questions at once; gives how they ended and their bills."""
    direct = Direct(settings, key)
    bills = [Bill() for _ in range(count)]
    try:
        asked = (direct.send(question(settings, n), bill) for n, bill in enumerate(bills))
        return await asyncio.gather(*asked, return_exceptions=True), bills
    finally:
        await direct.close()


async def sent_raw(reply, count=1, **changes):
    async with raw_server(reply) as url:
        return await sent(server(url, **changes), count)


def told(error):
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_every_fault_ends_in_an_answer_or_none(captioner, fault):
    share = 0.5 if fault in THROTTLED else 1.0
    served = captioner(faults=(fault,), fault_share=share, latency_s=0.01)
    ends, bills = run(sent(server(served.url, retries=2), 3))
    assert all(map(is_expected, ends)), ends
    assert {isinstance(end, NoAnswer) for end in ends} == {fault in UNANSWERED}
    attempts = sum(bill.attempts for bill in bills)
    assert attempts == len(served.journal())
    if fault not in THROTTLED:
        assert attempts == 3 * (3 if fault in UNANSWERED else 1)
    assert sum(bill.losses for bill in bills) == (9 if fault in ("reset", "html") else 0)
    for end in ends:
        if isinstance(end, NoAnswer):
            assert str(end).startswith("server_error: ")
            assert KEY not in told(end)
        else:
            try:
                read(end)
            except Invalid:
                assert fault not in ("slow", "fence", "prose", "no_usage", "unicode")


@pytest.mark.parametrize("retries", [0, 3])
def test_a_storm_of_429_loses_nothing_and_is_no_retry(captioner, retries):
    served = captioner(faults=("rate_limit", "rate_limit_silent"), fault_share=0.7)
    ends, bills = run(sent(server(served.url, retries=retries), 60))
    assert {type(end) for end in ends} == {bytes}, ends
    journal = served.journal()
    assert sum(entry.status == 429 for entry in journal) > 60
    assert sum(entry.billed for entry in journal) == 60
    assert sum(bill.attempts for bill in bills) == len(journal)


@pytest.mark.parametrize(
    ("fault", "message"),
    [("unauthorised", r"refused the key in OPENAI_API_KEY \(HTTP 401\): Incorrect API key"),
     ("quota", r"has no quota left \(HTTP 429\): You exceeded")],
)  # fmt: skip
def test_what_every_request_would_meet_stops_at_once(captioner, fault, message):
    served = captioner(faults=(fault,), fault_share=1.0)
    ends, _ = run(sent(server(served.url)))
    assert len(served.journal()) == 1
    with pytest.raises(BackendUnavailable, match=message):
        raise ends[0]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "refused the key"), (402, "asks for payment"), (403, "refused the key"),
     (404, "does not know the model 'm'")],
)  # fmt: skip
@pytest.mark.parametrize("body", ["", "{}", "[]", "no JSON", '{"error": "text"}', '{"error": 4}'])
def test_a_fatal_status_is_one_whatever_its_body(status, message, body):
    with ScriptedServer(lambda request: (status, body)) as served:
        ends, _ = run(sent(server(served.url)))
        assert len(served.requests) == 1
    with pytest.raises(BackendUnavailable, match=message):
        raise ends[0]


def test_a_429_without_end_ends_with_the_patience():
    with ScriptedServer(lambda request: (429, "{}")) as served:
        ends, _ = run(sent(server(served.url, patience_s=0.3), 3))
    assert {type(end) for end in ends} == {BackendUnavailable}
    assert "has answered nothing for" in str(ends[0])


def test_other_answers_keep_the_patience_with_a_request_that_is_refused_for_long():
    start = time.monotonic()

    def reply(request):
        waits = "picture 0" in str(request) and time.monotonic() < start + 1.0
        return (429, "{}") if waits else "{}"

    async def others(settings):
        direct = Direct(settings, "")
        first = asyncio.ensure_future(direct.send(question(settings, 0), Bill()))
        number = 1
        while not first.done():
            await direct.send(question(settings, number), Bill())
            number += 1
            await asyncio.sleep(0.02)
        await direct.close()
        return await first

    with ScriptedServer(reply) as served:
        assert run(others(server(served.url, patience_s=0.4)))


def header_server(count, *headers):
    """Refuses so many requests, then answers; gives the times of arrival."""
    times = []

    async def reply(reader, writer):
        times.append(asyncio.get_running_loop().time())
        if len(times) <= count:
            lines = ["HTTP/1.1 429 Too Many Requests", "Content-Length: 0", *headers]
            writer.write("\r\n".join([*lines, "", ""]).encode())
        else:
            body = completion("{}").encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    return times, reply


@pytest.mark.parametrize("header", ["Retry-After: 0.4", "retry-after-ms: 400"])
def test_the_server_is_left_alone_for_as_long_as_it_asks(header):
    times, reply = header_server(1, header)
    ends, bills = run(sent_raw(reply, retries=0))
    assert isinstance(ends[0], bytes)
    assert bills[0].attempts == 2
    assert 0.4 <= times[1] - times[0] < 1.5


def test_a_wait_that_one_request_is_told_holds_the_others_too():
    times, reply = header_server(1, "Retry-After: 0.4")

    async def two(url):
        direct = Direct(server(url), "")
        first = asyncio.ensure_future(direct.send(question(server(url), 1), Bill()))
        await asyncio.sleep(0.1)
        await direct.send(question(server(url), 2), Bill())
        await first
        await direct.close()

    async def served():
        async with raw_server(reply) as url:
            await two(url)

    run(served())
    assert all(at - times[0] >= 0.4 for at in times[1:])


def test_a_server_that_asks_for_no_wait_is_not_flooded(monkeypatch):
    monkeypatch.setattr("annotators.mllm.direct.FIRST_BACKOFF_S", 0.1)
    times, reply = header_server(5, "Retry-After: 0")
    ends, _ = run(sent_raw(reply))
    assert isinstance(ends[0], bytes)
    assert times[-1] - times[0] >= 5 * 0.1 * 0.25 * 0.5  # five waits, of which none is nothing


def test_a_wait_beyond_the_patience_stops_the_run():
    times, reply = header_server(1, "Retry-After: 3600")
    ends, _ = run(sent_raw(reply))
    assert len(times) == 1
    with pytest.raises(BackendUnavailable, match="asks to wait 3600 s"):
        raise ends[0]


def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_that_is_not_there_stops_the_run_and_is_no_fallback(monkeypatch):
    monkeypatch.setattr(limits, "UNREACHED_S", 0.3)
    settings = server(f"http://127.0.0.1:{unused_port()}/v1", retries=0)
    start = time.monotonic()
    ends, bills = run(sent(settings, 8))
    assert time.monotonic() - start < 3
    assert {type(end) for end in ends} == {BackendUnavailable}
    assert "cannot be reached" in str(ends[0])
    assert "ConnectError" in str(ends[0])
    assert not any(bill.losses for bill in bills)  # nothing can have been billed


def test_a_server_that_restarts_loses_no_request():
    _, reply = header_server(0)

    async def once(reader, writer):
        await reply(reader, writer)
        writer.close()

    async def restarted():
        async with raw_server(once) as url:
            settings = server(url, retries=0)
            direct = Direct(settings, "")
            await direct.send(question(settings, 1), Bill())
        waiting = asyncio.ensure_future(direct.send(question(settings, 2), Bill()))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        async with raw_server(once, int(url.split(":")[2].split("/")[0])):
            body = await waiting
            await direct.close()
        return body

    assert read(run(restarted())).text == "{}"


def test_huge_bodies_are_not_read_further_and_the_connections_stay_healthy(captioner):
    served = captioner(faults=("huge",), fault_share=0.5)

    async def many(settings):
        direct = Direct(settings, "")
        ends = [await direct.send(question(settings, n), Bill()) for n in range(12)]
        pool = direct._client._client._transport._pool
        busy = [one for one in pool.connections if not one.is_idle()]
        await direct.close()
        return ends, busy

    ends, busy = run(many(server(served.url)))
    sizes = {len(end) for end in ends}
    assert max(sizes) == MOST_BYTES < HUGE
    assert min(sizes) < 1000
    assert busy == []


async def endless(reader, writer, head, part=b"x" * 65536, pause=0.0):
    writer.write(head)
    while True:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause)


ERROR = b"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\n"
WIRE = {
    "endless error": lambda r, w: endless(r, w, ERROR + b"Content-Length: 99999999999\r\n\r\n"),
    "endless refusal": lambda r, w: endless(
        r, w, b"HTTP/1.1 400 No\r\nContent-Length: 99999999999\r\n\r\n"
    ),
    "dribbling answer": lambda r, w: endless(
        r, w, b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ", 0.05
    ),
    "dribbling error": lambda r, w: endless(
        r, w, ERROR + b"Content-Length: 9999\r\n\r\n", b" ", 0.05
    ),
    "dribbling head": lambda r, w: endless(r, w, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
}
BYTES = {
    "cut error": ERROR + b"Content-Length: 500\r\n\r\n{",
    "cut refusal": b"HTTP/1.1 400 No\r\nContent-Length: 500\r\n\r\n{",
    "cut answer": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "strange charset": b"HTTP/1.1 500 Oh\r\nContent-Type: text/plain; charset=hex\r\n"
    b"Content-Length: 3\r\n\r\nxyz",
    "strange charset 2": b"HTTP/1.1 400 Oh\r\nContent-Type: text/plain; charset=base64\r\n"
    b"Content-Length: 3\r\n\r\nxyz",
    "lone surrogate": b"HTTP/1.1 500 Oh\r\nContent-Length: 35\r\n\r\n"
    b'{"error": {"message": "\\ud800 \\u0000"}}'[:35],
    "no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
    "no gzip error": b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
    "circle": b"HTTP/1.1 307 Go\r\nLocation: /v1/chat/completions\r\nContent-Length: 0\r\n\r\n",
    "no place": b"HTTP/1.1 304 Same\r\n\r\n",
    "status 999": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


def writes(content):
    async def reply(reader, writer):
        writer.write(content)
        await writer.drain()
        writer.close()

    return reply


@pytest.mark.parametrize("name", sorted(BYTES | WIRE))
def test_whatever_comes_over_the_wire_ends_in_no_answer(name):
    reply = WIRE.get(name) or writes(BYTES[name])
    ends, bills = run(sent_raw(reply, 2, retries=1, timeout_s=0.4), 10)
    assert {type(end) for end in ends} == {NoAnswer}, ends
    assert all(1 <= bill.attempts <= 2 for bill in bills)


def test_an_answer_that_may_have_been_billed_is_counted_as_lost():
    ends, bills = run(sent_raw(writes(BYTES["cut answer"]), retries=2))
    assert str(ends[0]) == "server_error: RemoteProtocolError"
    assert bills[0].losses == bills[0].attempts == 3
    ends, bills = run(sent_raw(writes(b"HTTP/1.1 504 T\r\nContent-Length: 0\r\n\r\n"), retries=0))
    assert bills[0].losses == 1  # a gateway lost patience, the model perhaps not
    ends, bills = run(sent_raw(writes(b"HTTP/1.1 503 T\r\nContent-Length: 0\r\n\r\n"), retries=0))
    assert bills[0].losses == 0


@pytest.mark.parametrize("times", [1, 60])
def test_the_key_is_not_in_what_the_server_says_however_often(times):
    said = f"a {(KEY + ' ') * times}"
    error = json.dumps({"error": {"message": said, "code": KEY}})
    for body in (error, error.replace("/", r"\/"), said, json.dumps({"error": said})):
        for status in (400, 401, 500):
            with ScriptedServer(lambda request, is_=(status, body): is_) as served:
                ends, _ = run(sent(server(served.url, retries=0, patience_s=0.001)))
            assert KEY[:12] not in told(ends[0])
            assert "[key]" in str(ends[0])


def test_a_word_for_no_key_is_left_in_answers_and_errors():
    with ScriptedServer(lambda request: (400, '{"error": {"message": "EMPTY image"}}')) as served:
        ends, _ = run(sent(server(served.url), key="EMPTY"))
    assert "EMPTY image" in str(ends[0])


def test_when_the_run_stops_nobody_waits_for_a_turn_or_for_a_backoff(monkeypatch):
    monkeypatch.setattr("annotators.mllm.direct.FIRST_BACKOFF_S", 60.0)

    async def stopped(url):
        settings = server(url, requests_per_minute=6.0)
        direct = Direct(settings, "")
        bills = [Bill() for _ in range(5)]
        asked = [direct.send(question(settings, n), bill) for n, bill in enumerate(bills)]
        waiting = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0.3)
        direct.stop(BackendUnavailable("enough"))
        ends = await waiting
        await direct.close()
        return ends, bills

    with ScriptedServer(lambda request: (500, "{}")) as served:
        ends, bills = run(stopped(served.url), 3)
        assert len(served.requests) == 1
    assert [str(end) for end in ends] == ["enough"] * 5
    assert [bill.attempts for bill in bills] == [1, 0, 0, 0, 0]
