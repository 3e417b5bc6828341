import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter

import pytest

from annotators.explain import NoAnswer
from annotators.mllm.client import Client, key_of
from annotators.mllm.direct import Direct
from annotators.mllm.reply import read
from annotators.mllm.store import LOST, AnswerStore
from benchmarks.caption_faults import FAULTS
from schemas.arrow import from_table
from schemas.errors import BackendUnavailable, BudgetReached, OutputError
from schemas.records import Cost
from tests.annotators.mllm.asking import PRICES, ask_all, billed, question, run, server
from tests.annotators.mllm.conftest import KEY
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.usefixtures("quick")

CHILD = """
import asyncio, sys
from pathlib import Path
from annotators.mllm import direct
from annotators.mllm.store import AnswerStore
from tests.annotators.mllm.asking import ask_all, server
direct.FIRST_BACKOFF_S = 0.005
settings = server(sys.argv[1], in_flight=4, price_in=1.0, price_out=4.0)
try:
    with AnswerStore(Path(sys.argv[2])) as store:
        asyncio.run(ask_all(settings, store, range(40)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def costs(store):
    return from_table(store.costs(), Cost)


def outcomes(store):
    return Counter(row.outcome for row in costs(store))


def child(served, path):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, served.url, str(path)], stdout=subprocess.PIPE, text=True
    )


def wait_for(is_so, process):
    end = time.monotonic() + 20
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_restart_asks_nothing(captioner, store):
    served = captioner()
    settings = server(served.url, **PRICES)
    first = run(ask_all(settings, store, range(10)))
    before = served.journal()
    again = run(ask_all(settings, store, range(10)))
    assert again == first
    assert served.journal() == before
    assert len(before) == len(costs(store)) == 10


def test_the_ledger_holds_what_the_server_bills(captioner, store):
    served = captioner(latency_s=0.05)
    settings = server(served.url, **PRICES)
    run(ask_all(settings, store, range(10)))
    rows = costs(store)
    assert sum(row.cost for row in rows) == pytest.approx(billed(served, settings))
    one = rows[0]
    assert (one.outcome, one.attempts, one.step, one.recipe) == ("answered", 1, "ask", "fifa")
    assert (one.server, one.model) == (served.url, "m")
    assert {row.subject for row in rows} == {f"frame {number}" for number in range(10)}
    assert all(0.05 <= row.latency_s < 5 for row in rows)
    assert all(row.prompt_tokens > 600 for row in rows)


def test_equal_requests_at_once_are_paid_once(captioner, store):
    served = captioner(latency_s=0.1)
    settings = server(served.url, in_flight=50)
    ends = run(ask_all(settings, store, ["same"] * 50))
    assert len(set(ends)) == len(served.journal()) == len(costs(store)) == 1


def test_equal_requests_share_a_failure_and_may_be_asked_again(store):
    down = [True]
    with ScriptedServer(lambda request: (500, "{}") if down else "{}") as served:
        settings = server(served.url, retries=1, in_flight=8)
        ends = run(ask_all(settings, store, ["same"] * 8))
        assert {str(end) for end in ends} == {"server_error: HTTP 500"}
        assert len(served.requests) == 2
        down.clear()
        (body,) = run(ask_all(settings, store, ["same"]))
    assert read(body).text == "{}"
    assert [(row.outcome, row.attempts) for row in costs(store)] == [
        ("server_error", 2), ("answered", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("cancelled", [[0], [1], [0, 1, 2]])
def test_who_gives_up_takes_the_answer_from_nobody(captioner, store, cancelled):
    served = captioner(latency_s=0.2)
    settings = server(served.url)

    async def given_up():
        async with Client(settings, store) as client:
            asked = [asyncio.ensure_future(client.ask(question(settings))) for _ in range(3)]
            await asyncio.sleep(0.05)
            for number in cancelled:
                asked[number].cancel()
            return await asyncio.gather(*asked, return_exceptions=True)

    ends = run(given_up())
    for number, end in enumerate(ends):
        assert isinstance(end, asyncio.CancelledError if number in cancelled else bytes)
    assert len(served.journal()) == 1
    assert outcomes(store) == {"answered": 1}  # paid, and so kept
    assert store.answer(question(settings).hash)


def test_every_failure_has_its_row(captioner, store):
    served = captioner(faults=tuple(FAULTS), fault_share=0.8, latency_s=0.005, seed=3)
    settings = server(served.url, retries=1, in_flight=16, timeout_s=10.0, **PRICES)
    ends = run(ask_all(settings, store, range(120)), 40)
    assert {type(end) for end in ends} == {bytes, NoAnswer}
    kinds = Counter("answered" if isinstance(end, bytes) else "server_error" for end in ends)
    assert outcomes(store) == kinds
    assert sum(row.attempts for row in costs(store)) == len(served.journal())
    assert sum(row.cost for row in costs(store)) >= billed(served, settings) - 1e-12


def test_what_stops_the_run_stops_every_request(captioner, store):
    served = captioner(faults=("unauthorised",), fault_share=1.0)
    settings = server(served.url, requests_per_minute=60.0, in_flight=8)
    start = time.monotonic()
    ends = run(ask_all(settings, store, range(30)))
    assert time.monotonic() - start < 5
    assert {type(end) for end in ends} == {BackendUnavailable}
    assert len(served.journal()) == 1
    assert outcomes(store) == {"stopped": 8}
    assert store.spent == 0.0


def test_stored_answers_are_given_after_a_stop(store):
    bad = [False]
    with ScriptedServer(lambda request: (401, "{}") if bad[0] else "{}") as served:
        settings = server(served.url)

        async def stopped():
            async with Client(settings, store) as client:
                first = await client.ask(question(settings, 1))
                bad[0] = True
                for number in (2, 3):
                    with pytest.raises(BackendUnavailable):
                        await client.ask(question(settings, number))
                return first == await client.ask(question(settings, 1))

        assert run(stopped())
        assert len(served.requests) == 2


SPOILT = ("slow", "reset", "server_error", "rate_limit", "no_usage", "cut_json", "html", "huge",
          "echo_key", "empty_choices", "unicode", "refusal", "injection")  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_no_more_than_the_budget_is_billed_and_a_higher_one_goes_on(captioner, store, seed):
    served = captioner(faults=SPOILT, fault_share=0.6, latency_s=0.02, seed=seed)
    settings = server(served.url, in_flight=16, retries=3, timeout_s=0.15, **PRICES)
    highest = settings.price(*question(settings).highest_tokens)
    for max_cost in (5 * highest, 20 * highest):
        ends = run(ask_all(settings, store, range(150), max_cost))
        assert {type(end) for end in ends} <= {bytes, NoAnswer, BudgetReached}
        assert any(isinstance(end, BudgetReached) for end in ends)
        time.sleep(0.3)  # the slow ones are still being billed
        assert billed(served, settings) <= store.spent + 1e-12
        assert store.spent <= max_cost + 1e-12
        assert store.spent > max_cost - 2 * highest  # and it was made use of
    answered = sum(isinstance(end, bytes) for end in ends)
    before = len(served.journal())
    ends = run(ask_all(settings, store, range(150)), 40)
    assert sum(isinstance(end, bytes) for end in ends) > answered
    assert len(served.journal()) > before
    paid = Counter(entry.body for entry in served.journal() if entry.billed)
    lost = sum(round(row.cost / highest) for row in costs(store) if row.cost >= highest)
    assert sum(paid.values()) - len(paid) <= lost


def test_a_lost_attempt_counts_also_where_it_is_the_last_one(captioner, store):
    served = captioner(faults=("reset",), fault_share=1.0)
    settings = server(served.url, retries=2, **PRICES)
    run(ask_all(settings, store, [1]))
    highest = settings.price(*question(settings).highest_tokens)
    (row,) = costs(store)
    assert (row.outcome, row.attempts) == ("server_error", 3)
    assert row.cost == pytest.approx(3 * highest)

    patient = server(served.url, retries=99, patience_s=0.05, **PRICES)
    (end,) = run(ask_all(patient, store, [2]))
    assert isinstance(end, BackendUnavailable)
    row = costs(store)[1]
    assert row.outcome == "stopped"
    assert row.cost == pytest.approx(row.attempts * highest)


def test_a_budget_reached_between_two_attempts_keeps_the_first_in_the_ledger(captioner, store):
    served = captioner(faults=("reset",), fault_share=1.0)
    settings = server(served.url, in_flight=4, **PRICES)
    highest = settings.price(*question(settings).highest_tokens)
    ends = run(ask_all(settings, store, range(4), 2.5 * highest))
    assert {type(end) for end in ends} == {BudgetReached}
    assert len(served.journal()) == 2
    assert store.spent == pytest.approx(2 * highest)
    assert outcomes(store)["stopped"] == len(costs(store))


def test_a_full_disk_stops_the_run_and_keeps_the_highest_cost(captioner, store):
    served = captioner(latency_s=0.02)
    settings = server(served.url, in_flight=4, **PRICES)
    highest = settings.price(*question(settings).highest_tokens)
    run(ask_all(settings, store, range(4)))
    paid = store.spent
    pages = store._disk.first("PRAGMA page_count")[0]
    store._disk.first(f"PRAGMA max_page_count = {pages}")
    ends = run(ask_all(settings, store, range(4, 200), 1000.0))
    assert {type(end) for end in ends} == {bytes, OutputError}
    assert len(served.journal()) < 190
    store._disk.first("PRAGMA max_page_count = 100000")
    assert store.spent >= billed(served, settings) - 1e-12
    assert store.spent <= paid + 196 * highest


def test_an_unexpected_error_leaves_nobody_waiting_for_the_budget(store, monkeypatch):
    async def broken(direct, request, bill):
        await asyncio.sleep(0.01)
        raise RuntimeError("a bug")

    monkeypatch.setattr(Direct, "send", broken)
    settings = server("http://127.0.0.1:1/v1", in_flight=3, **PRICES)
    highest = settings.price(*question(settings).highest_tokens)
    ends = run(ask_all(settings, store, range(3), 1.5 * highest), 3)
    assert Counter(type(end) for end in ends) == {RuntimeError: 1, BudgetReached: 2}
    assert store.spent == pytest.approx(highest)


@pytest.mark.parametrize("moment", [1, 9, 33])
def test_a_killed_run_pays_twice_for_no_more_than_was_in_flight(captioner, tmp_path, moment):
    served = captioner(latency_s=0.01)
    path = tmp_path / "answers.sqlite"
    with child(served, path) as killed:
        wait_for(lambda: len(served.journal()) >= moment, killed)
        os.kill(killed.pid, signal.SIGKILL)
    settings = server(served.url, in_flight=4, **PRICES)
    with AnswerStore(path) as store:
        lost = outcomes(store)[LOST]
        assert lost <= 4
        ends = run(ask_all(settings, store, range(40)))
        assert all(isinstance(end, bytes) for end in ends)
        paid = Counter(entry.body for entry in served.journal() if entry.billed)
        assert len(paid) == 40
        assert sum(paid.values()) - 40 <= lost
        assert store.spent >= billed(served, settings) - 1e-12
        assert sum(row.cost for row in costs(store) if row.outcome == LOST) == pytest.approx(
            lost * settings.price(*question(settings, 10).highest_tokens), rel=1e-3
        )


def test_ctrl_c_keeps_what_is_on_the_wire_and_sends_nothing_more(captioner, tmp_path):
    served = captioner(latency_s=0.4)
    path = tmp_path / "answers.sqlite"
    with child(served, path) as interrupted:
        wait_for(lambda: len(served.journal()) >= 4, interrupted)
        time.sleep(0.15)  # the next four are on their way
        start = time.monotonic()
        os.kill(interrupted.pid, signal.SIGINT)
        assert interrupted.communicate(timeout=10)[0] == "interrupted\n"
    assert interrupted.returncode == 0
    assert time.monotonic() - start < 3
    with AnswerStore(path) as store:
        assert outcomes(store) == {"answered": 8}
    assert len(served.journal()) == 8


def test_two_times_ctrl_c_leaves_a_readable_store(captioner, tmp_path):
    served = captioner(latency_s=1.0)
    path = tmp_path / "answers.sqlite"
    with child(served, path) as interrupted:
        wait_for(path.with_name("answers.sqlite-wal").exists, interrupted)
        time.sleep(0.5)
        for _ in range(2):
            os.kill(interrupted.pid, signal.SIGINT)
            time.sleep(0.2)
        interrupted.communicate(timeout=10)
    with AnswerStore(path) as store:
        assert set(outcomes(store)) <= {LOST}
        assert outcomes(store)[LOST] <= 4
        settings = server(served.url, in_flight=40)
        assert all(isinstance(end, bytes) for end in run(ask_all(settings, store, range(40))))


def test_an_error_of_the_caller_is_told_at_once_whatever_waits(store, monkeypatch):
    monkeypatch.setattr("annotators.mllm.direct.FIRST_BACKOFF_S", 60.0)

    async def broken(settings):
        async with Client(settings, store) as client:
            asked = asyncio.ensure_future(client.ask(question(settings)))
            while not served.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            try:
                raise ZeroDivisionError
            finally:
                asked.add_done_callback(lambda task: task.exception())

    with ScriptedServer(lambda request: (503, "{}")) as served, pytest.raises(ZeroDivisionError):
        run(broken(server(served.url)), 3)
    assert outcomes(store) == {"stopped": 1}


def test_the_key_is_nowhere(captioner, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    faults = ("echo_key", "echo_key_error")
    served = captioner(faults=faults, fault_share=1.0)
    path = tmp_path / "answers.sqlite"
    settings = server(served.url, retries=1)
    with AnswerStore(path) as store:
        ends = run(ask_all(settings, store, range(20)))
        assert {type(end) for end in ends} == {bytes, NoAnswer}
        table = store.costs()
        files = [file.read_bytes() for file in tmp_path.glob("answers.*")]
    files += [file.read_bytes() for file in tmp_path.glob("answers.*")]
    assert any(b"[key]" in content for content in files)
    said = [end.decode() if isinstance(end, bytes) else told(end) for end in ends]
    assert sum("[key]" in one for one in said) == 20
    for text in [*said, repr(table.to_pylist()), caplog.text]:
        assert KEY not in text
    assert not any(KEY.encode() in content for content in files)


def told(error):
    return "".join(traceback.format_exception(error))


def test_an_answer_stays_json_without_the_key(captioner, store):
    served = captioner(faults=("echo_key",), fault_share=1.0)
    (body,) = run(ask_all(server(served.url), store, [1]))
    assert "You wrote Bearer [key]." in json.loads(body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("bad", ["schlüssel-0123456789", "two\nlines-0123456789", "a\x00b"])
def test_what_can_be_no_key_is_said_before_anything_is_sent(monkeypatch, bad):
    if "\x00" in bad:
        monkeypatch.setattr(os, "environ", {"OPENAI_API_KEY": bad})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", bad)
    with pytest.raises(BackendUnavailable, match="OPENAI_API_KEY holds no key") as caught:
        key_of(server("http://127.0.0.1:1/v1"))
    assert bad not in told(caught.value)


def test_a_key_with_a_line_end_is_a_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert key_of(server("http://127.0.0.1:1/v1")) == KEY


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1/v1", "http://localhost/v1"])
def test_only_a_server_on_this_machine_needs_no_key(monkeypatch, url):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert key_of(server(url)) == ""
    with pytest.raises(BackendUnavailable, match="set the environment variable OPENAI_API_KEY"):
        key_of(server("https://example.org/v1"))
