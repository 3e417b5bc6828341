"""Splits that no person crosses.

Pairs that share a person, or a real recording, belong together; what is joined so, over any number
of pairs, is a component. A component is never cut: a split that does is refused with the chain of
pairs that joins its parts, and splits of our own are drawn component by component.
"""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HASH_BITS = 64

Joint = tuple[str, str]
"""A kind and a name: what two pairs have in common."""


@dataclass(frozen=True)
class Member:
    """What the splits need to know of a pair.

    Attributes:
        name: What a message calls it.
        split: Its split; empty: none.
        people: Names of the people in it; may be empty.
        recording: Name of its real recording.
    """

    name: str
    split: str
    people: tuple[str, ...]
    recording: str

    @property
    def joints(self) -> tuple[Joint, ...]:
        """Gives what joins it to other pairs: people first, since they tell more."""
        return (*(("person", name) for name in self.people), ("recording", self.recording))


def components(members: Sequence[Member]) -> list[int]:
    """Gives each member the number of its component, counted in order of appearance."""
    parent: dict[Joint, Joint] = {}
    for member in members:
        first, *others = member.joints
        parent.setdefault(first, first)
        for other in others:
            parent[_root(parent, other)] = _root(parent, first)
    numbers: dict[Joint, int] = {}
    roots = [_root(parent, member.joints[0]) for member in members]
    return [numbers.setdefault(root, len(numbers)) for root in roots]


def _root(parent: dict[Joint, Joint], joint: Joint) -> Joint:
    """Gives the joint that stands for a component, and shortens the way to it."""
    parent.setdefault(joint, joint)
    while parent[joint] != joint:
        parent[joint] = parent[parent[joint]]
        joint = parent[joint]
    return joint


def assign(members: Sequence[Member], shares: Mapping[str, float]) -> list[str]:
    """Draws a split for members without one: by component, the same in whatever order they come.

    A component of which a member has a split follows it, or most of them where they differ. Any
    other one goes where the hash of its smallest person falls (of its smallest recording, where no
    person is named), so that a pair more inside a component moves nothing. Shares are kept on
    average over components, not exactly over pairs: one component with most people of a dataset
    makes one split of it.

    Args:
        members: All pairs of the dataset.
        shares: Share of each split, 0 or more, summing to 1.
    """
    numbers = components(members)
    people, recordings = defaultdict[int, set[str]](set), defaultdict[int, set[str]](set)
    given = defaultdict[int, list[str]](list)
    for number, member in zip(numbers, members, strict=True):
        given[number] += [member.split] if member.split else []
        people[number].update(member.people)
        recordings[number].add(member.recording)
    drawn = {
        number: statistics.mode(sorted(given[number]))
        if given[number]
        else _draw(min(people[number] or recordings[number]), shares)
        for number in set(numbers)
    }
    return [one.split or drawn[number] for number, one in zip(numbers, members, strict=True)]


def _draw(name: str, shares: Mapping[str, float]) -> str:
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    left = int.from_bytes(digest[: HASH_BITS // 8], "big") / 2**HASH_BITS
    for split, share in shares.items():
        left -= share
        if left < 0:
            return split
    return max(shares, key=lambda split: shares[split])  # what rounding left over


def find_leak(members: Sequence[Member]) -> str:
    """Gives a chain of pairs from one split to another; empty where no split leaks.

    For example `train 001_002 - 002 - test 002_003`.
    """
    together = defaultdict[int, list[Member]](list)
    for number, member in zip(components(members), members, strict=True):
        together[number].append(member)
    for part in together.values():
        if len({member.split for member in part} - {""}) > 1:
            ordered = sorted(part, key=lambda member: (member.name, member.split))
            return _chain(next(member for member in ordered if member.split), ordered)
    return ""


def _chain(start: Member, members: Sequence[Member]) -> str:
    """Goes from pair to pair by what they share until one lies in another split."""
    sharing = defaultdict[Joint, list[Member]](list)
    for member in members:
        for joint in member.joints:
            sharing[joint].append(member)
    came: dict[Member, tuple[Member, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here.split not in ("", start.split):
            return _words(here, came)
        for joint in here.joints:
            for other in sharing.pop(joint, ()):
                if other not in came:
                    came[other] = here, joint[1]
                    waiting.append(other)
    return ""


def _words(end: Member, came: Mapping[Member, tuple[Member, str] | None]) -> str:
    """Words a chain from its end back to its start, and leaves out what only leads to it."""
    words, here = [f"{end.split} {end.name}"], end
    while (step := came[here]) is not None:
        here, joint = step
        words += [joint, f"{here.split or 'no split'} {here.name}"]
        if here.split not in ("", end.split):
            break  # the nearest pair of another split
    return " - ".join(reversed(words))
