"""Which rows a model learns from and which it never sees: a rule on names, the same every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set

from model.config import ModelConfig
from model.data import Row, Shards

LEARNT = ("train", "", None)
VAL, TEST = "val", "test"


def split(shards: Shards, config: ModelConfig) -> tuple[list[int], list[int]]:
    """Gives the rows to learn from and those to validate on.

    Rows of the split `val` are validated on and those of `test` are left alone. Where there is no
    `val`, a share of the pairs is held out, chosen by dataset and pair: all methods and
    compressions of a pair show the same real frames. At least one row is learnt.
    """
    facts = shards.facts.to_pylist()
    learnt = [k for k, fact in enumerate(facts) if fact["split"] in LEARNT]
    held_out = [k for k, fact in enumerate(facts) if fact["split"] == VAL]
    if not held_out:
        share = config.data.val_share
        held_out = [k for k in learnt if _chance(facts[k]["dataset"], facts[k]["pair"]) < share]
    out = set(held_out)
    kept = [k for k in learnt if k not in out]
    return (kept, held_out) if kept else (learnt, [])


def pairs(shards: Shards, rows: Iterable[int]) -> frozenset[str]:
    """Gives the names of the pairs of some rows, `dataset/pair`."""
    facts = shards.facts.to_pylist()
    return frozenset(pair_of(facts[row]) for row in rows)


def pair_of(fact: Row) -> str:
    """Gives the name of a row's pair; its methods and compressions share it."""
    return f"{fact['dataset']}/{fact['pair']}"


def unseen(shards: Shards, learnt: Set[int]) -> tuple[list[int], str]:
    """Gives the rows that a model is scored on if nothing else is said, and what they are.

    Those of the split `test`; where there is none, those that were not learnt; else all.

    Args:
        shards: The shards.
        learnt: Rows of them that the model learnt from.
    """
    splits = shards.facts.column("split").to_pylist()
    tests = [k for k, one in enumerate(splits) if one == TEST]
    if tests:
        return tests, f"the split {TEST}"
    held_out = [k for k in range(len(shards)) if k not in learnt]
    if not held_out:
        return list(range(len(shards))), "all"
    return held_out, "held out" if learnt else "all, of pairs that it did not learn from"


def _chance(*words: str) -> float:
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
