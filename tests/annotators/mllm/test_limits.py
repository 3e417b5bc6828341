import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.mllm.limits import BURST_S, UNREACHED_S, Limiter, Patience
from schemas.errors import BackendUnavailable

RATE = st.floats(1, 100_000)
GAP = st.one_of(st.just(0.0), st.floats(0, 100))


class Time:
    """Time that passes only where somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)


def limited(**limits):
    time = Time()
    return time, Limiter(**limits, clock=time, sleep=time.sleep)


def sent(limiter, time, arrivals):
    """Admits (gap, tokens) one after the other; gives when and with how many tokens."""

    async def admit():
        for gap, tokens in arrivals:
            time.now += gap
            await limiter.admit(tokens)
            yield time.now, tokens

    async def collected():
        return [one async for one in admit()]

    return asyncio.run(collected())


@settings(deadline=None)
@given(RATE, st.lists(GAP, max_size=200))
def test_no_minute_holds_more_requests_than_the_limit_and_a_burst(rate, gaps):
    time, limiter = limited(requests_per_minute=rate)
    times = [at for at, _ in sent(limiter, time, [(gap, 1.0) for gap in gaps])]
    most = rate + max(1.0, rate / 60 * BURST_S)
    for start in times:
        assert sum(start <= at <= start + 60 for at in times) <= most + 1e-6


@settings(deadline=None)
@given(RATE, st.lists(st.tuples(GAP, st.floats(0, 50_000)), max_size=100))
def test_no_minute_holds_more_tokens_than_the_limit_and_a_burst(rate, arrivals):
    time, limiter = limited(tokens_per_minute=rate)
    burst = max(1.0, rate / 60 * BURST_S)
    admitted = sent(limiter, time, arrivals)
    for start, _ in admitted:
        inside = [tokens for at, tokens in admitted if start <= at <= start + 60]
        # one request cannot be split: what the last one has beyond a burst is paid afterwards
        most = rate + burst + max(0.0, inside[-1] - burst)
        assert sum(inside) <= most * (1 + 1e-9) + 1e-6


@settings(deadline=None)
@given(RATE, RATE, st.lists(st.tuples(GAP, st.floats(1, 5000)), min_size=2, max_size=60))
def test_nobody_waits_longer_than_the_limits_ask(requests, tokens, arrivals):
    time, limiter = limited(requests_per_minute=requests, tokens_per_minute=tokens)
    admitted = sent(limiter, time, arrivals)
    for number, ((before, owed), (at, _)) in enumerate(pairwise(admitted)):
        gap = arrivals[number + 1][0]
        earlier = sum(amount for _, amount in admitted[: number + 1])
        longest = max(60 / requests, 60 * earlier / tokens) + 60 / tokens + 0.01
        assert at - before <= gap + longest * (1 + 1e-9), owed


def test_without_limits_nobody_waits():
    time, limiter = limited()
    assert {at for at, _ in sent(limiter, time, [(0.0, 1e9)] * 1000)} == {1000.0}


def test_what_the_server_counted_replaces_what_was_expected():
    time, limiter = limited(tokens_per_minute=6000)  # 100 a second

    async def settled(used):
        await limiter.admit(100)
        limiter.settle(100, used)
        before = time.now
        await limiter.admit(100)
        return time.now - before

    assert asyncio.run(settled(100)) == pytest.approx(1.0)
    assert asyncio.run(settled(500)) == pytest.approx(5.0)  # a debt
    time.now += 1000
    assert asyncio.run(settled(0)) == 0.0  # given back, but never more than a burst
    time.now += 1000
    assert asyncio.run(settled(-1e9)) == 0.0
    assert asyncio.run(settled(100)) == pytest.approx(1.0)


def test_a_pause_holds_everybody_and_is_never_shortened():
    time, limiter = limited()
    limiter.pause(30)
    limiter.pause(5)
    asyncio.run(limiter.admit(1))
    assert time.now == pytest.approx(1030.0)


def test_a_pause_that_comes_while_somebody_waits_holds_them_too():
    time = Time()

    async def sleep(seconds):
        if time.now == 1000.0:
            limiter.pause(50)
        await time.sleep(seconds)

    limiter = Limiter(requests_per_minute=60, clock=time, sleep=sleep)

    async def two():
        await limiter.admit(1)
        await limiter.admit(1)

    asyncio.run(two())
    assert time.now == pytest.approx(1050.0)


def test_first_come_first_served():
    _, limiter = limited(requests_per_minute=60, tokens_per_minute=600)
    order = []

    async def one(number):
        await limiter.admit(500 if number == 1 else 1)  # a small one does not overtake a large one
        order.append(number)

    async def crowd():
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(crowd())
    assert order == list(range(20))


def test_one_who_gives_up_waiting_lets_the_next_one_through():
    time, sleeping = Time(), []

    async def sleep(seconds):
        sleeping.append(seconds)
        if len(sleeping) == 1:
            await asyncio.Event().wait()  # for ever
        await time.sleep(seconds)

    async def given_up():
        limiter = Limiter(requests_per_minute=60, clock=time, sleep=sleep)
        await limiter.admit(1)
        first, second = (asyncio.ensure_future(limiter.admit(1)) for _ in range(2))
        while not sleeping:
            await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(5):
            await second
        assert first.cancelled()

    asyncio.run(given_up())
    assert time.now == pytest.approx(1001.0)


def patience(seconds=300.0):
    time = Time()
    return time, Patience("http://server", seconds, clock=time)


def test_patience_ends_after_its_time_without_any_answer():
    time, hope = patience()
    for _ in range(30):
        hope.failed("HTTP 500")
        time.now += 10
    time.now += 1
    with pytest.raises(BackendUnavailable, match=r"nothing for 301 s \(31 failures.*HTTP 500"):
        hope.failed("HTTP 500")


def test_an_answer_restores_patience():
    time, hope = patience()
    for _ in range(100):
        hope.failed("HTTP 429")
        time.now += 299
        hope.answered()


def test_two_failures_are_no_outage_however_far_apart():
    time, hope = patience(1.0)
    hope.failed("HTTP 500")
    time.now += 1000
    hope.failed("HTTP 500")
    with pytest.raises(BackendUnavailable):
        hope.failed("HTTP 500")


def test_a_wait_beyond_the_patience_stops_at_once():
    _, hope = patience()
    hope.failed("HTTP 429", 300.0)
    with pytest.raises(BackendUnavailable, match="asks to wait 3600 s"):
        hope.failed("HTTP 429", 3600.0)


def test_a_server_that_was_never_reached_is_given_up_soon():
    time, hope = patience()
    for _ in range(4):
        hope.failed("ConnectError", is_reached=False)
        time.now += UNREACHED_S / 4
    time.now += 1
    with pytest.raises(BackendUnavailable, match=r"cannot be reached .*base_url"):
        hope.failed("ConnectError", is_reached=False)


@pytest.mark.parametrize("reach", [Patience.answered, lambda hope: hope.failed("HTTP 503")])
def test_a_server_that_was_reached_once_may_restart(reach):
    time, hope = patience()
    reach(hope)
    for _ in range(29):
        hope.failed("ConnectError", is_reached=False)
        time.now += 10
    time.now += 20
    with pytest.raises(BackendUnavailable, match="answered nothing"):
        hope.failed("ConnectError", is_reached=False)
