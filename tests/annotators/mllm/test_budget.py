import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.mllm.budget import Budget
from schemas.errors import BudgetReached
from tests.annotators.mllm.asking import run

MOST = st.floats(0.01, 100)
SHARE = st.floats(0, 1)


@settings(deadline=None)
@given(MOST, SHARE, st.lists(st.tuples(st.floats(0, 20), SHARE, st.integers(0, 5)), max_size=40))
def test_no_order_of_requests_passes_the_budget(most, spent, requests):
    budget = Budget(most, most * spent)
    open_now = {"reserved": 0.0, "paid": most * spent}

    async def one(highest, share, turns):
        try:
            await budget.reserve(highest)
        except BudgetReached:
            assert open_now["reserved"] == pytest.approx(0.0, abs=1e-9)  # nobody may give back
            assert open_now["paid"] + highest > most - 1e-9
            return
        open_now["reserved"] += highest
        assert open_now["reserved"] + open_now["paid"] <= most + 1e-9
        for _ in range(turns):
            await asyncio.sleep(0)
        open_now["reserved"] -= highest
        open_now["paid"] += highest * share
        await budget.settle(highest, highest * share)

    async def all_at_once():
        await asyncio.gather(*(one(*request) for request in requests))

    run(all_at_once())
    assert budget.spent == pytest.approx(open_now["paid"])
    assert budget.spent <= most + 1e-9


def test_a_request_waits_for_one_that_may_turn_out_cheaper():
    async def waits():
        budget = Budget(10.0, 0.0)
        await budget.reserve(8.0)
        second = asyncio.ensure_future(budget.reserve(5.0))
        await asyncio.sleep(0.01)
        assert not second.done()
        await budget.settle(8.0, 2.0)
        await second
        return budget.spent

    assert run(waits()) == 7.0


def test_who_waits_is_told_when_the_last_one_in_flight_was_too_dear():
    async def waits():
        budget = Budget(10.0, 0.0)
        await budget.reserve(8.0)
        waiting = [asyncio.ensure_future(budget.reserve(5.0)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await budget.settle(8.0, 8.0)
        return await asyncio.gather(*waiting, return_exceptions=True)

    ends = run(waits())
    assert all(isinstance(end, BudgetReached) for end in ends)
    assert "raise explain.max_cost" in str(ends[0])


def test_a_request_of_an_earlier_run_counts_as_in_flight():
    async def resumed():
        budget = Budget(10.0, 8.0)  # the ledger holds 8 for it
        budget.resume()
        waiting = asyncio.ensure_future(budget.reserve(5.0))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await budget.settle(8.0, 1.0)
        await waiting
        return budget.spent

    assert run(resumed()) == 6.0


def test_without_a_budget_everything_is_counted_and_nothing_refused():
    async def spend():
        budget = Budget(None, 1.0)
        await budget.reserve(1e12)
        await budget.settle(1e12, 3.0)
        return budget.spent

    assert run(spend()) == pytest.approx(4.0, abs=1e-3)


def test_one_who_is_cancelled_while_waiting_takes_nothing():
    async def cancelled():
        budget = Budget(10.0, 0.0)
        await budget.reserve(8.0)
        waiting = asyncio.ensure_future(budget.reserve(5.0))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await budget.settle(8.0, 1.0)
        with pytest.raises(BudgetReached):
            await budget.reserve(9.5)
        return budget.spent

    assert run(cancelled()) == 1.0
