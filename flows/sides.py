"""Pairs whose sides cannot be what they are said to be, told from the hashes of their files.

The same bytes cannot be real in one pair and fake in another, nor both in one. Which of two pairs
is wrong is not known in general, but the real side of several forgeries likely is real.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import Rejected, RejectReason
from schemas.records import Pair


@dataclass(frozen=True)
class Hashed:
    """A pair with the hashes of its files; an unreadable file has an empty one."""

    pair: Pair
    real: str
    fake: str


def contradicting(pairs: Sequence[Hashed]) -> dict[str, Rejected]:
    """Finds the pairs whose sides contradict each other or other pairs.

    Where a file is real in some pairs and fake in others, those with fewer partners are wrong, or
    all of them where both have as many. The clearest cases are decided first, and what is
    found wrong in one of them says nothing in the next.

    Args:
        pairs: The pairs of forgeries; controls may have the same bytes on both sides.

    Returns:
        For the `Pair.key` of each wrong pair: `SAME_FILE` or `SIDES_SWAPPED`, with the other pair.
    """
    wrong = {one.pair.key: _same_file(one) for one in pairs if one.real and one.real == one.fake}
    while True:
        left = [one for one in pairs if one.pair.key not in wrong]
        clashes = _clashes(left)
        if not clashes:
            return wrong
        clearest = max(abs(clash.margin) for clash in clashes)
        found: dict[str, Rejected] = {}
        for clash in clashes:
            if abs(clash.margin) == clearest:
                found |= clash.rejections()
        wrong |= found


@dataclass(frozen=True)
class _Clash:
    """A file that is real in some pairs and fake in others."""

    as_real: tuple[Hashed, ...]
    as_fake: tuple[Hashed, ...]

    @property
    def margin(self) -> int:
        """By how many partners the pairs outnumber the others in which the file is real."""
        return len({one.fake for one in self.as_real}) - len({one.real for one in self.as_fake})

    def rejections(self) -> dict[str, Rejected]:
        found: dict[str, Rejected] = {}
        if self.margin <= 0:
            found |= {one.pair.key: self._swapped(one, "real") for one in self.as_real}
        if self.margin >= 0:
            found |= {one.pair.key: self._swapped(one, "fake") for one in self.as_fake}
        return found

    def _swapped(self, one: Hashed, side: str) -> Rejected:
        path = one.pair.real_path if side == "real" else one.pair.fake_path
        others, role = (self.as_fake, "fake") if side == "real" else (self.as_real, "real")
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return Rejected(
            RejectReason.SIDES_SWAPPED,
            f"{path} is the {side} side of {one.pair.key}, and the same bytes are the {role} "
            f"side of {others[0].pair.key}{more}",
        )


def _clashes(pairs: Sequence[Hashed]) -> list[_Clash]:
    as_real, as_fake = defaultdict[str, list[Hashed]](list), defaultdict[str, list[Hashed]](list)
    for one in pairs:
        as_real[one.real].append(one)
        as_fake[one.fake].append(one)
    both = sorted((as_real.keys() & as_fake.keys()) - {""})
    return [_Clash(tuple(as_real[name]), tuple(as_fake[name])) for name in both]


def _same_file(one: Hashed) -> Rejected:
    return Rejected(
        RejectReason.SAME_FILE,
        f"both sides of {one.pair.key} are the same bytes: {one.pair.real_path} and "
        f"{one.pair.fake_path}",
    )
