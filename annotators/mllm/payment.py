"""What one request costs: reserved before it is sent, settled when it ended."""

from __future__ import annotations

import time

from annotators.mllm.budget import Budget
from annotators.mllm.request import Request
from annotators.mllm.store import AnswerStore, Asked


class Payment:
    """The ledger's entry of one request.

    Args:
        store: The ledger.
        budget: The budget that it is taken from.
        request: The request.
    """

    def __init__(self, store: AnswerStore, budget: Budget, request: Request) -> None:
        self._store, self._budget, self._request = store, budget, request
        self._highest = request.settings.price(*request.highest_tokens)
        self._held = self._wasted = 0.0
        self._is_open = False
        self._entry: int | None = None
        self._started = time.monotonic()
        self.attempts = 0

    async def begin(self) -> None:
        """Reserves the highest cost and enters the request.

        Raises:
            BudgetReached: There is not so much left.
        """
        earlier = self._store.open_entry(self._request.hash)
        if earlier:  # of a batch that an earlier run sent: what that run spent holds its cost
            self._entry, self._held = earlier
            self._budget.resume()
            self._is_open = True
            return
        await self._reserve()
        settings = self._request.settings
        asked = Asked(
            self._request.hash, self._request.subject, self._request.step,
            self._request.recipe, settings.base_url, settings.model,
        )  # fmt: skip
        self._entry = self._store.begin(asked, self._highest)

    async def lost(self) -> None:
        """Counts an attempt that may have been billed though no answer came."""
        if self._is_open:
            self._wasted += self._held
            await self._settle(self._held)

    async def again(self) -> None:
        """Reserves for another attempt after a lost one.

        Raises:
            BudgetReached: There is not so much left.
        """
        if self._is_open:
            return
        await self._reserve()
        if self._entry is not None:
            self._store.raise_cost(self._entry, self._wasted + self._highest)

    async def fail(self, outcome: str) -> None:
        """Enters that no answer came; what was surely not billed costs nothing."""
        if self._is_open:
            await self._settle(0.0)
        self._end(outcome, 0.0)

    async def succeed(self, body: bytes, tokens: tuple[int, int] | None) -> None:
        """Enters the answer, and what it cost: the most that it can be where nobody counted.

        Raises:
            OutputError: The disk is full: the entry stays, with its highest cost.
        """
        cost = self._request.settings.price(*tokens) if tokens else self._held
        try:
            self._end("answered", cost, tokens, (self._request.hash, body))
        finally:
            await self._settle(cost)

    async def abandon(self) -> None:
        """Leaves the entry with its highest cost, and lets nobody wait for it."""
        if self._is_open:
            await self._settle(self._held)

    async def _reserve(self) -> None:
        await self._budget.reserve(self._highest)
        self._held, self._is_open = self._highest, True

    async def _settle(self, cost: float) -> None:
        await self._budget.settle(self._held, cost)
        self._held, self._is_open = 0.0, False

    def _end(
        self,
        outcome: str,
        cost: float,
        tokens: tuple[int, int] | None = None,
        answer: tuple[str, bytes] | None = None,
    ) -> None:
        if self._entry is None:
            return
        self._store.end(
            self._entry,
            outcome,
            latency_s=time.monotonic() - self._started,
            attempts=self.attempts,
            cost=self._wasted + cost,
            tokens=tokens,
            answer=answer,
        )
