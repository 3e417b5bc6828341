import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.mllm.store import IN_FLIGHT, LOST, AnswerStore, Asked
from schemas.arrow import arrow_schema, from_table
from schemas.errors import OutputError
from schemas.records import Cost

CHILD = """
import sys
from pathlib import Path
from annotators.mllm.store import AnswerStore, Asked
store = AnswerStore(Path(sys.argv[1]))
"""


def asked(request="r1"):
    return Asked(request, "frame 1", "ask", "fifa", "http://server/v1", "m")


def ended(store, entry, outcome="answered", cost=0.25, **more):
    store.end(entry, outcome, latency_s=1.5, attempts=2, cost=cost, **more)


def costs(store):
    return from_table(store.costs(), Cost)


def child(path, code, waits_for=None):
    if waits_for:
        assert waits_for.stdout.readline() == "holds\n"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", CHILD + code, str(path)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.text("abc", min_size=1), st.binary(max_size=500), max_size=5))
def test_any_bytes_come_back_as_they_were(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("store") / "answers.sqlite"
    with AnswerStore(path) as store:
        for request, body in answers.items():
            ended(store, store.begin(asked(request), 1.0), answer=(request, body))
    with AnswerStore(path) as store:
        assert {request: store.answer(request) for request in answers} == answers
        assert store.answer("d") is None


def test_the_ledger_is_a_table_of_costs(store):
    first = store.begin(asked("r1"), 1.0)
    second = store.begin(asked("r2"), 2.0)
    ended(store, second, "server_error", 0.0)
    ended(store, first, tokens=(10, 5), answer=("r1", b"{}"))
    store.begin(asked("r3"), 4.0)
    table = store.costs()
    assert table.schema.equals(arrow_schema(Cost), check_metadata=True)
    one, two, three = costs(store)
    assert (one.request, one.outcome, one.prompt_tokens, one.completion_tokens, one.cost) == (
        "r1", "answered", 10, 5, 0.25,
    )  # fmt: skip
    assert (two.outcome, two.attempts, two.latency_s, two.prompt_tokens) == (
        "server_error", 2, 1.5, None,
    )  # fmt: skip
    assert (three.outcome, three.cost) == (IN_FLIGHT, 4.0)
    assert abs(one.sent_at - time.time()) < 60
    assert store.spent == 4.25


def test_an_empty_ledger_has_the_same_schema(store):
    assert store.costs().num_rows == 0
    assert store.costs().schema.equals(arrow_schema(Cost))
    assert store.spent == 0.0


def test_a_long_ledger_is_whole(store, monkeypatch):
    monkeypatch.setattr("annotators.mllm.store.ROWS_AT_ONCE", 3)
    for number in range(10):
        store.begin(asked(f"r{number}"), 1.0)
    assert [row.request for row in costs(store)] == [f"r{number}" for number in range(10)]


def test_the_first_answer_to_a_request_stays(store):
    for body in (b"first", b"second"):
        ended(store, store.begin(asked(), 1.0), answer=("r1", body))
    assert store.answer("r1") == b"first"


def test_a_request_in_flight_may_become_dearer(store):
    entry = store.begin(asked(), 1.0)
    store.raise_cost(entry, 2.0)
    assert store.open_entry("r1") == (entry, 2.0)
    assert store.spent == 2.0


def test_what_was_in_flight_is_lost_for_the_next_run_but_for_batches(tmp_path):
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        for request in ("r1", "r2"):
            store.begin(asked(request), 1.0)
        store.remember_batch("batch", ["r2"])
    with AnswerStore(path) as store:
        assert [row.outcome for row in costs(store)] == [LOST, IN_FLIGHT]
        assert store.spent == 2.0
        assert store.open_entry("r1") is None
        assert store.open_entry("r2") == (2, 1.0)
        assert (store.batch_of("r1"), store.batch_of("r2")) == (None, "batch")
        store.give_up_batch_of("r2")
        assert store.batch_of("r2") is None
        assert [row.outcome for row in costs(store)] == [LOST, LOST]
        assert store.spent == 2.0


def test_a_batch_can_be_forgotten(store):
    store.remember_batch("old", ["r1", "r2"])
    store.remember_batch("new", ["r1"])
    store.forget_batch_of("r2")
    assert (store.batch_of("r1"), store.batch_of("r2")) == ("new", None)


def test_two_processes_take_turns(tmp_path):
    path = tmp_path / "answers.sqlite"
    holds = """
store.end(store.begin(Asked("r1", "", "", "", "", ""), 1.0), "answered", latency_s=0, attempts=1,
          cost=1.0, answer=("r1", b"theirs"))
print("holds", flush=True)
sys.stdin.readline()
store.close()
"""
    with (
        child(path, holds) as other,
        child(path, 'print(store.answer("r1"), flush=True)', waits_for=other) as ours,
    ):
        with pytest.raises(subprocess.TimeoutExpired):
            ours.wait(0.7)  # it waits
        other.communicate("go on\n")
        assert ours.communicate(timeout=20)[0] == "b'theirs'\n"


MANY = """
for number in range(10**6):
    request = f"r{number}"
    entry = store.begin(Asked(request, "", "", "", "", ""), 1.0)
    print("began", number, flush=True)
    other = store.begin(Asked(f"x{number}", "", "", "", "", ""), 0.5)
    store.end(entry, "answered", latency_s=0, attempts=1, cost=0.25, answer=(request, b"a" * 3000))
    print("ended", number, flush=True)
    store.end(other, "server_error", latency_s=0, attempts=1, cost=0.0)
"""


@pytest.mark.parametrize("lines", [1, 2, 57, 400])
def test_a_killed_process_loses_nothing_that_had_ended(tmp_path, lines):
    path = tmp_path / "answers.sqlite"
    with child(path, MANY) as killed:
        told = [killed.stdout.readline().split() for _ in range(lines)]
        os.kill(killed.pid, signal.SIGKILL)
        told += [line.split() for line in killed.stdout.read().splitlines()]
    began = {int(number) for what, number in told if what == "began"}
    done = {int(number) for what, number in told if what == "ended"}
    with AnswerStore(path) as store:
        rows = costs(store)
        assert all(store.answer(f"r{number}") == b"a" * 3000 for number in done)
        by_request = {row.request: row for row in rows}
        assert began <= {int(name[1:]) for name in by_request if name.startswith("r")}
        open_ones = [row for row in rows if row.outcome == LOST]
        assert {row.outcome for row in rows} <= {"answered", "server_error", LOST}
        assert len(open_ones) <= 2
        assert {row.cost for row in open_ones} <= {1.0, 0.5}
        for row in open_ones:
            assert store.answer(row.request) is None
        assert store.spent == pytest.approx(sum(row.cost for row in rows))


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 100, None])
def test_a_file_that_is_no_store_is_an_output_error(tmp_path, content):
    path = tmp_path / "answers.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for _ in range(2):  # the first failure does not hold the lock
        with pytest.raises(OutputError, match=r"cannot be kept in .*answers.sqlite"):
            AnswerStore(path)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be kept"):
        AnswerStore(tmp_path / "file" / "answers.sqlite")


def test_a_file_damaged_in_the_middle_is_an_output_error(tmp_path):
    path = tmp_path / "answers.sqlite"
    with AnswerStore(path) as store:
        for number in range(200):
            request = f"r{number}"
            ended(store, store.begin(asked(request), 1.0), answer=(request, b"a" * 3000))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)

    def read_all():
        with AnswerStore(path) as store:
            store.answer("r150")
            store.costs()

    with pytest.raises(OutputError):
        read_all()


@pytest.fixture
def full(tmp_path):
    """A store on a disk that is nearly full."""
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        entry = store.begin(asked(), 1.0)
        pages = store._disk.first("PRAGMA page_count")[0]
        store._disk.first(f"PRAGMA max_page_count = {pages + 1}")
        yield store, entry


def test_a_full_disk_is_an_output_error_and_undone(full):
    store, entry = full
    with pytest.raises(OutputError, match="full"):
        ended(store, entry, answer=("r1", b"a" * 100_000))
    assert store.answer("r1") is None
    assert costs(store)[0].outcome == IN_FLIGHT  # with its highest cost
    store._disk.first("PRAGMA max_page_count = 100000")
    ended(store, entry, answer=("r1", b"a" * 100_000))  # there is room again
    assert costs(store)[0].outcome == "answered"


def test_an_error_in_the_middle_leaves_no_open_transaction(store):
    def broken():
        yield "r1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.remember_batch("batch", broken())
    assert store.batch_of("r1") is None
    store.remember_batch("batch", ["r2"])
    assert store.batch_of("r2") == "batch"


def test_a_closed_store_is_an_output_error(tmp_path):
    store = AnswerStore(tmp_path / "answers.sqlite")
    store.close()
    for question in (store.costs, lambda: store.answer("r"), lambda: store.begin(asked(), 1.0)):
        with pytest.raises(OutputError):
            question()


def test_any_sqlite_reads_the_file_while_a_run_asks(store, tmp_path):
    ended(store, store.begin(asked(), 1.0), answer=("r1", b"{}"))
    reader = sqlite3.connect(tmp_path / "answers.sqlite")
    assert reader.execute("SELECT outcome, cost FROM costs").fetchall() == [("answered", 0.25)]
    reader.close()
