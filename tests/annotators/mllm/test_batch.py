import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from annotators.explain import NoAnswer
from annotators.mllm.client import Client
from annotators.mllm.jobs import Ended
from annotators.mllm.reply import MOST_BYTES, read
from annotators.mllm.store import IN_FLIGHT, LOST, AnswerStore
from schemas.arrow import from_table
from schemas.errors import BackendUnavailable, OutputError
from schemas.records import Cost
from tests.annotators.mllm.asking import PRICES, ask_all, billed, question, run, server
from tests.annotators.mllm.conftest import KEY
from tests.scripted_server import completion

pytestmark = pytest.mark.usefixtures("quick")

FAULTS = ("server_error", "rate_limit", "cut_json", "html", "reset", "refusal", "no_usage",
          "echo_key", "echo_key_error", "empty_choices")  # fmt: skip
CHILD = """
import asyncio, sys
from pathlib import Path
from annotators.mllm import batch
from annotators.mllm.store import AnswerStore
from tests.annotators.mllm.asking import ask_all, server
batch.GATHER_S = 0.05
settings = server(sys.argv[1], batch=True, batch_poll_s=0.02, in_flight=40, price_in=1.0)
with AnswerStore(Path(sys.argv[2])) as store:
    asyncio.run(ask_all(settings, store, range(10)))
"""


def batched(url, **changes):
    return server(url, batch=True, **({"batch_poll_s": 0.02, "in_flight": 100} | changes))


def costs(store):
    return from_table(store.costs(), Cost)


def outcomes(store):
    return Counter(row.outcome for row in costs(store))


def test_answers_come_back_and_nothing_is_asked_again(captioner, store):
    served = captioner(latency_s=0.1)
    settings = batched(served.url, **PRICES)
    ends = run(ask_all(settings, store, range(20)))
    assert {read(end).was_cut for end in ends} == {False}
    assert len(served.journal()) == 20
    assert sum(row.cost for row in costs(store)) == pytest.approx(billed(served, settings))
    assert run(ask_all(settings, store, range(20))) == ends
    assert len(served.journal()) == 20


def test_batches_are_no_larger_than_the_settings_say(captioner, store):
    served = captioner()
    run(ask_all(batched(served.url, batch_size=8), store, range(20)))
    of = {store.batch_of(question(batched(served.url), number).hash) for number in range(20)}
    assert len(of) == 3


def test_what_fails_in_a_batch_is_asked_by_the_next_run(captioner, store):
    served = captioner(faults=FAULTS, fault_share=0.7, seed=2)
    settings = batched(served.url, **PRICES)
    ends = run(ask_all(settings, store, range(60)))
    assert {type(end) for end in ends} == {bytes, NoAnswer}
    failed = [end for end in ends if isinstance(end, NoAnswer)]
    assert all(str(end).startswith("server_error: ") for end in failed)
    assert outcomes(store) == {"answered": 60 - len(failed), "server_error": len(failed)}
    assert sum(row.cost for row in costs(store)) >= billed(served, settings) - 1e-12
    assert not any(KEY in end.decode() for end in ends if isinstance(end, bytes))
    run(ask_all(settings, store, range(60)))
    assert len(served.journal()) == 60 + len(failed)


def killed_while_a_batch_is_under_way(served, path):
    log = path.with_name(f"{path.name}-wal")
    with subprocess.Popen([sys.executable, "-c", CHILD, served.url, str(path)]) as killed:
        end = time.monotonic() + 20
        while not log.exists() or b"batch_" not in log.read_bytes():
            assert killed.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(killed.pid, signal.SIGKILL)


def test_a_killed_run_is_followed_by_one_that_waits_for_the_same_batch(captioner, tmp_path):
    served = captioner(latency_s=0.5)
    path = tmp_path / "answers.sqlite"
    killed_while_a_batch_is_under_way(served, path)
    settings = batched(served.url, **PRICES)
    with AnswerStore(path) as store:
        assert outcomes(store) == {IN_FLIGHT: 10}
        ends = run(ask_all(settings, store, range(10)))
        assert all(isinstance(end, bytes) for end in ends)
        assert outcomes(store) == {"answered": 10}
    assert len(served.journal()) == 10


def test_requests_of_an_ended_batch_may_be_asked_one_after_the_other(captioner, tmp_path):
    served = captioner(latency_s=0.6)
    path = tmp_path / "answers.sqlite"
    killed_while_a_batch_is_under_way(served, path)
    settings = batched(served.url, in_flight=1)
    with AnswerStore(path) as store:
        ends = run(ask_all(settings, store, range(10)), 5)
        assert all(isinstance(end, bytes) for end in ends)
    assert len(served.journal()) == 10


def test_who_asks_at_once_what_a_batch_holds_pays_for_both(captioner, tmp_path):
    served = captioner(latency_s=0.5)
    path = tmp_path / "answers.sqlite"
    killed_while_a_batch_is_under_way(served, path)
    settings = server(served.url, in_flight=10, **PRICES)
    with AnswerStore(path) as store:
        ends = run(ask_all(settings, store, range(10)))
        assert all(isinstance(end, bytes) for end in ends)
        assert outcomes(store) == {LOST: 10, "answered": 10}
        assert store.spent >= billed(served, settings) / 2 - 1e-12
        assert len(store.costs()) == 20


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_is_stopped_does_not_wait_for_its_batches(captioner, tmp_path, error):
    served = captioner(latency_s=1.0)
    path = tmp_path / "answers.sqlite"
    settings = batched(served.url, **PRICES)

    async def stopped(store):
        async with Client(settings, store) as client:
            asked = asyncio.gather(
                *(client.ask(question(settings, number)) for number in range(10)),
                return_exceptions=True,
            )
            while not store.batch_of(question(settings).hash):
                await asyncio.sleep(0.01)
            start = time.monotonic()
            if error:
                asked.add_done_callback(lambda done: done.result())
                raise error
            asyncio.current_task().cancel()
            try:
                await asked
            finally:
                assert time.monotonic() - start < 0.6

    with AnswerStore(path) as store, pytest.raises(error or asyncio.CancelledError):
        run(stopped(store), 5)
    with AnswerStore(path) as store:
        assert outcomes(store) == {IN_FLIGHT: 10}  # still to be paid, so still counted
        highest = settings.price(*question(settings).highest_tokens)
        assert store.spent == pytest.approx(10 * highest)
        ends = run(ask_all(settings, store, range(10)))
        assert all(isinstance(end, bytes) for end in ends)
    assert len(served.journal()) == 10


def test_what_was_only_gathered_is_not_sent_after_a_stop(captioner, store):
    served = captioner()
    settings = batched(served.url, **PRICES)

    async def stopped():
        async with Client(settings, store) as client:
            asked = asyncio.ensure_future(client.ask(question(settings)))
            asked.add_done_callback(lambda done: done.exception())
            await asyncio.sleep(0.01)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(stopped())
    assert served.journal() == []
    assert outcomes(store) == {"stopped": 1}
    assert store.spent == 0.0


class Api:
    """A Batch API of which each route can be replaced by a function of the request's body."""

    def __init__(self, routes):
        self.calls = Counter()
        self.lines = []
        self.status = "completed"
        self.routes = {
            "POST files": self.upload,
            "POST batches": lambda body: {"id": "b1", "status": "in_progress"},
            "GET batches/b1": lambda body: {
                "id": "b1", "status": self.status, "output_file_id": "out", "error_file_id": None,
            },
            "GET files/out/content": lambda body: b"\n".join(map(self.good, self.lines)),
        } | routes  # fmt: skip

    def upload(self, body):
        self.lines = [json.loads(one) for one in body.splitlines() if one.startswith(b"{")]
        return {"id": "in"}

    @staticmethod
    def good(line, **changes):
        response = {"status_code": 200, "body": json.loads(completion("{}"))}
        return json.dumps({"custom_id": line["custom_id"], "response": response} | changes).encode()

    def answer(self, method, path, body):
        route = f"{method} {path.removeprefix('/v1/').partition('?')[0]}"
        self.calls[route] += 1
        told = self.routes[route](body) if route in self.routes else (404, b"{}")
        if isinstance(told, tuple):
            return told
        return 200, told if isinstance(told, bytes) else json.dumps(told).encode()


@contextmanager
def api(**routes):
    named = {name.replace("_", " ", 1).replace("__", "/"): told for name, told in routes.items()}
    served = Api(named)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, told = served.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if b"<" in told else "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        thread = Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        served.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        yield served
        listening.shutdown()
        thread.join()


def asked(served, store, count=3, **changes):
    return run(ask_all(batched(served.url, **(PRICES | changes)), store, range(count)), 8)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({"POST_files": lambda body: (404, b"{}")}, r"takes no batches \(HTTP 404\)"),
        ({"POST_files": lambda body: (405, b"no")}, r"takes no batches \(HTTP 405\)"),
        ({"POST_batches": lambda body: (400, b"{}")}, r"takes no batches \(HTTP 400\)"),
        ({"POST_files": lambda body: (401, b"{}")}, r"refused the key in OPENAI_API_KEY"),
        ({"POST_files": lambda body: b"<html></html>"}, "takes no batches: it sent no id"),
        ({"POST_files": lambda body: {"id": None}}, "takes no batches: it sent no id"),
        ({"POST_files": lambda body: []}, "takes no batches: it sent no id"),
        ({"POST_batches": lambda body: b"<html></html>"}, "takes no batches: it sent no id"),
        ({"POST_batches": lambda body: {}}, "takes no batches: it sent no id"),
        ({"POST_files": lambda body: (500, b"")}, "has answered nothing for"),
    ],
)
def test_a_server_without_batches_stops_the_run(store, routes, message):
    with api(**routes) as served:
        ends = asked(served, store, patience_s=0.1)
    for end in ends:
        with pytest.raises(BackendUnavailable, match=message):
            raise end
    assert outcomes(store) == {"stopped": 3}
    assert store.spent == 0.0


@pytest.mark.parametrize("told", [b"<html></html>", b"{}", b"[]", b"4"])
def test_a_server_that_goes_mad_stops_the_run_and_the_batch_stays_known(store, told):
    with api(GET_batches__b1=lambda body: told) as served:
        ends = asked(served, store)
        assert {type(end) for end in ends} == {BackendUnavailable}
        assert outcomes(store) == {IN_FLIGHT: 3}
        assert store.batch_of(question(batched(served.url)).hash) == "b1"
        served.routes["GET batches/b1"] = Api({}).routes["GET batches/b1"]
        assert all(isinstance(end, bytes) for end in asked(served, store))
        assert served.calls["POST batches"] == 1
    assert outcomes(store) == {"answered": 3}


def test_an_outage_while_a_batch_is_under_way_is_waited_out(store):
    fails = iter([(500, b""), (429, b"{}"), (503, b"<html>"), (502, b"")])
    with api() as served:
        fine = served.routes["GET batches/b1"]
        served.routes["GET batches/b1"] = lambda body: next(fails, None) or fine(body)
        assert all(isinstance(end, bytes) for end in asked(served, store, retries=0))
        assert served.calls["POST batches"] == 1


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_batch_that_failed_costs_nothing_and_is_asked_again(store, status):
    with api() as served:
        served.status = status
        served.routes["GET files/out/content"] = lambda body: Api.good(served.lines[0])
        ends = asked(served, store)
        assert sum(isinstance(end, bytes) for end in ends) == 1
        assert sum(str(end) == f"server_error: {status} in the batch" for end in ends) == 2
        assert [row.cost for row in costs(store) if row.outcome == "server_error"] == [0.0, 0.0]
        served.status = "completed"
        served.routes["GET files/out/content"] = lambda body: b"\n".join(
            map(Api.good, served.lines)
        )
        assert all(isinstance(end, bytes) for end in asked(served, store))
        assert len(served.lines) == 2


def lines_of(served, *told):
    served.routes["GET files/out/content"] = lambda body: b"\n".join(
        one if isinstance(one, bytes) else one(served.lines) for one in told
    )


STRANGE = [
    b"", b"null", b"[]", b"4", b"no JSON", b"\xff\xfe", b"{}", b'{"custom_id": null}',
    b"[" * 100_000, b'{"custom_id": ' + b"9" * 5000 + b"}", b'{"custom_id": "other"}',
]  # fmt: skip


def test_a_missing_line_may_have_been_billed_and_strange_ones_break_nothing(store):
    with api() as served:
        lines_of(served, *STRANGE, lambda lines: Api.good(lines[1]))
        ends = asked(served, store)
        highest = batched(served.url, **PRICES).price(*question(batched(served.url)).highest_tokens)
        missing = [end for end in ends if isinstance(end, NoAnswer)]
        assert {str(end) for end in missing} == {"server_error: completed in the batch"}
        unheard = [row for row in costs(store) if row.outcome == "server_error"]
        assert [row.cost for row in unheard] == pytest.approx([highest] * 2)


@pytest.mark.parametrize("response", ["text", [1], {"status_code": 200, "body": None}, 4, True])
def test_a_strange_response_is_no_answer_or_an_invalid_one(store, response):
    with api() as served:
        lines_of(served, lambda lines: Api.good(lines[0], response=response))
        (end,) = asked(served, store, 1)
    assert isinstance(end, NoAnswer) or end == b"null"


def test_of_two_lines_for_one_request_the_first_counts():
    ended = Ended("completed")
    second = json.dumps({"custom_id": "r", "response": {"status_code": 200, "body": "2"}})
    ended.enter(second.replace('2"', '1"').encode())
    ended.enter(second.encode())
    ended.enter(second.replace("200", "500").encode())
    assert ended.bodies == {"r": b'"1"'}


def test_a_body_is_kept_only_as_long_as_a_direct_one():
    ended = Ended("completed")
    body = "x" * (3 * MOST_BYTES)
    ended.enter(
        json.dumps({"custom_id": "r", "response": {"status_code": 200, "body": body}}).encode()
    )
    assert len(ended.bodies["r"]) == MOST_BYTES


@pytest.mark.parametrize("route", ["GET batches/b1", "GET files/out/content"])
def test_a_batch_that_is_gone_is_lost_and_not_waited_for(store, route):
    with api() as served:
        served.routes[route] = lambda body: (404, b"{}")
        ends = asked(served, store)
        assert {str(end) for end in ends} == {"server_error: gone in the batch"}
        highest = batched(served.url, **PRICES).price(*question(batched(served.url)).highest_tokens)
        assert store.spent == pytest.approx(3 * highest)
        assert store.batch_of(question(batched(served.url)).hash) is None


def test_a_batch_whose_making_was_not_answered_is_not_made_twice(store):
    made = []

    def make(body):
        made.append(json.loads(body)["input_file_id"])
        return 500, b"{}"

    def find(body):
        data = [{"id": "b1", "status": "in_progress", "input_file_id": one} for one in made]
        return {"object": "list", "data": [{"id": "b0", "input_file_id": "x"}, *data]}

    with api(POST_batches=make, GET_batches=find) as served:
        assert all(isinstance(end, bytes) for end in asked(served, store))
    assert made == ["in"]


def test_a_full_disk_reaches_who_waits(store, monkeypatch):
    def full(batch, requests):
        raise OutputError("the disk is full")

    monkeypatch.setattr(store, "remember_batch", full)
    with api() as served:
        ends = asked(served, store)
    assert {type(end) for end in ends} == {OutputError}


def test_requests_that_come_late_make_a_batch_of_their_own(captioner, store):
    served = captioner(latency_s=0.05)
    settings = batched(served.url)

    async def trickle():
        async with Client(settings, store) as client:
            asked = []
            for number in range(8):
                asked.append(asyncio.ensure_future(client.ask(question(settings, number))))
                await asyncio.sleep(0.07 if number % 3 == 2 else 0.0)
            return await asyncio.gather(*asked)

    assert all(run(trickle(), 5))
    assert len(served.journal()) == 8
