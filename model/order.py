"""The order in which samples are seen: a pure function of seed and step.

No worker, rank or earlier step has a say in it, so that any number of them sees the same samples
in the same order, and a run goes on at any step without reading what came before. Row groups are
permuted, and samples shuffled among a window of them, so that files are read in large pieces.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int]
"""Epoch and number of a sample."""


SIDES = 2
"""Samples of a row, which follow each other: what differs between them is the forgery alone."""


@dataclass(frozen=True, eq=False)  # by identity: an epoch is looked up for each sample
class Order:
    """An endless stream of samples, epoch after epoch.

    Attributes:
        groups: Row group of each row; row k has the samples 2 k and 2 k + 1.
        seed: Another seed gives another order.
        window: Row groups among which rows are shuffled.
    """

    groups: tuple[int, ...]
    seed: int
    window: int

    def epoch(self, epoch: int) -> NDArray[np.int64]:
        """Gives the samples of an epoch, each once."""
        return _permuted(self, epoch)

    def batch(self, step: int, size: int) -> list[Place]:
        """Gives the samples of a step, over all ranks; batches run on over the end of an epoch."""
        count = SIDES * len(self.groups)
        places = range(step * size, (step + 1) * size)
        return [(at // count, int(self.epoch(at // count)[at % count])) for at in places]


@functools.lru_cache(maxsize=4)
def _permuted(order: Order, epoch: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([order.seed, epoch])
    groups = np.asarray(order.groups)
    by_group = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[by_group], return_index=True)
    rows_of = np.split(by_group, starts[1:])
    known = rng.permutation(len(rows_of))
    windows = [known[at : at + order.window] for at in range(0, len(known), order.window)]
    rows = np.concatenate(
        [rng.permutation(np.sort(np.concatenate([rows_of[k] for k in one]))) for one in windows]
    )
    return (SIDES * rows[:, None] + np.arange(SIDES)).ravel()


def share(batch: Sequence[Place], rank: int, ranks: int, micro: int) -> list[list[Place]]:
    """Gives one rank's part of a batch, in pieces that fit its memory.

    It is a run of the batch, so that both sides of a row come to the same rank.

    Args:
        batch: Samples of a step.
        rank: Number of the rank.
        ranks: How many there are; the batch is a multiple of it.
        micro: Largest piece.
    """
    each = len(batch) // ranks
    own = batch[rank * each : (rank + 1) * each]
    return [list(own[at : at + micro]) for at in range(0, len(own), micro)]
