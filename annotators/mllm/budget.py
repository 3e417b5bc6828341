"""The dataset's budget: what is spent never passes it, whatever is in flight.

Source: ours.
"""

from __future__ import annotations

import asyncio

from schemas.errors import BudgetReached


class Budget:
    """Reserves the most that a request can cost, and settles for what it did cost.

    Args:
        most: The budget; `None` for no limit.
        spent: What earlier runs spent.
    """

    def __init__(self, most: float | None, spent: float) -> None:
        self.most, self.spent = most, spent
        self._open = 0
        self._changed = asyncio.Condition()

    async def reserve(self, amount: float) -> None:
        """Takes an amount; waits while requests in flight may turn out cheaper than feared.

        Raises:
            BudgetReached: Nothing is in flight and the amount is more than what is left.
        """
        async with self._changed:
            while self.most is not None and self.spent + amount > self.most:
                if not self._open:
                    raise BudgetReached(
                        f"max_cost {self.most:g} is reached: {self.spent:.4f} spent, and the next "
                        f"request may cost {amount:.4f}; what is paid for is kept. "
                        "To go on, raise explain.max_cost and run the same command"
                    )
                await self._changed.wait()
            self.spent += amount
            self._open += 1

    def resume(self) -> None:
        """Counts a request as in flight whose reservation is in what was spent already."""
        self._open += 1

    async def settle(self, reserved: float, cost: float) -> None:
        """Turns a reservation into what the request cost."""
        async with self._changed:
            self.spent += cost - reserved
            self._open -= 1
            self._changed.notify_all()
