"""Limits of a captioning server: requests and tokens a minute, and how long to hope.

Source: ours. Requests are spread evenly (generic cell rate algorithm with one second of burst), so
that no window of a minute holds more than the limit and that second's worth; a single request of
more tokens than a second's worth exceeds it by the difference, and those behind it pay for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from schemas.errors import BackendUnavailable

BURST_S = 1.0
LEAST_FAILURES = 3
"""A server is not given up before it has failed so many times in a row."""

UNREACHED_S = 10.0
"""A server that nobody ever reached is given up after so long: it is not there."""
LEAST_SLEEP_S = 0.001
"""Less may be nothing to a clock."""

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Bucket:
    """Tokens that refill evenly; what is taken beyond the level is owed.

    Args:
        per_minute: The rate; `None` for no limit.
        now: The time, in seconds.
    """

    def __init__(self, per_minute: float | None, now: float) -> None:
        self._rate = per_minute / 60 if per_minute else None
        self._most = max(1.0, self._rate * BURST_S) if self._rate else 0.0
        self._level, self._at = self._most, now

    def wait(self, amount: float, now: float) -> float:
        """Gives the seconds until an amount may be taken; what exceeds the burst is owed."""
        if self._rate is None:
            return 0.0
        level = min(self._most, self._level + (now - self._at) * self._rate)
        self._level, self._at = level, now
        return max(0.0, (min(amount, self._most) - level) / self._rate)

    def take(self, amount: float) -> None:
        """Takes an amount, or gives back a negative one."""
        self._level = min(self._most, self._level - amount)


class Limiter:
    """Admits requests one after the other, within both limits and after every pause.

    Args:
        requests_per_minute: `None` for no limit.
        tokens_per_minute: Of prompts and answers together; `None` for no limit.
        clock: Gives monotonic seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._requests = Bucket(requests_per_minute, clock())
        self._tokens = Bucket(tokens_per_minute, clock())
        self._paused_until = float("-inf")
        self._turn = asyncio.Lock()

    async def admit(self, tokens: float) -> None:
        """Waits until a request of so many tokens may be sent, first come first served."""
        async with self._turn:
            while (wait := self._wait(tokens)) > 0:
                await self._sleep(max(wait, LEAST_SLEEP_S))
            self._requests.take(1)
            self._tokens.take(tokens)

    def settle(self, expected: float, used: float) -> None:
        """Corrects the tokens of an admitted request to those that the server counted."""
        self._tokens.take(used - expected)

    def pause(self, seconds: float) -> None:
        """Admits nothing for so long: the server asked for it."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait(self, tokens: float) -> float:
        now = self._clock()
        paused = self._paused_until - now
        return max(paused, self._requests.wait(1, now), self._tokens.wait(tokens, now))


class Patience:
    """Gives a server up that has not answered anything for too long.

    Args:
        server: Its address, for the message.
        seconds: How long to hope.
        clock: Gives monotonic seconds.
    """

    def __init__(self, server: str, seconds: float, clock: Clock = time.monotonic) -> None:
        self._server, self._seconds, self._clock = server, seconds, clock
        self._failures, self._since = 0, 0.0
        self._was_reached = False

    def answered(self) -> None:
        """Notes that the server works."""
        self._failures, self._was_reached = 0, True

    def failed(self, what: str, wait: float = 0.0, *, is_reached: bool = True) -> None:
        """Notes a failure.

        Args:
            what: What happened, for the message.
            wait: Seconds that the server asks to be left alone.
            is_reached: Something of the request may have reached the server.

        Raises:
            BackendUnavailable: It has failed for longer than the patience, or asks for longer, or
                was never reached.
        """
        now = self._clock()
        if not self._failures:
            self._since = now
        self._failures += 1
        self._was_reached |= is_reached
        if wait > self._seconds:
            raise BackendUnavailable(
                f"the captioning server {self._server} asks to wait {wait:.0f} s ({what}); "
                "the same command goes on then"
            )
        if self._failures < LEAST_FAILURES:
            return
        if not self._was_reached and now - self._since > min(self._seconds, UNREACHED_S):
            raise BackendUnavailable(
                f"the captioning server {self._server} cannot be reached ({self._failures} "
                f"attempts in {now - self._since:.0f} s, the last: {what}); "
                "start it or correct its base_url, then run the same command"
            )
        if now - self._since > self._seconds:
            raise BackendUnavailable(
                f"the captioning server {self._server} has answered nothing for "
                f"{now - self._since:.0f} s ({self._failures} failures, the last: {what}); "
                "nothing is lost, the same command goes on once it works"
            )
