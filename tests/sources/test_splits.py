"""Splits that no person crosses, on random graphs of pairs."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sources.splits import Member, assign, components, find_leak

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def pair(one: str, other: str, split: str = "") -> Member:
    return Member(f"{one}_{other}", split, (one, other), f"video of {one}")


edges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=40)
graphs = edges.map(lambda found: [pair(f"{a:03}", f"{b:03}") for a, b in dict.fromkeys(found)])


def reachable(members: list[Member], start: Member) -> set[str]:
    """Gives the people that some member reaches: slow, and by another way than union and find."""
    people = set(start.people)
    while True:
        more = {name for one in members if people & set(one.people) for name in one.people}
        if more <= people:
            return people
        people |= more


@given(graphs)
def test_a_component_is_all_that_can_be_reached(members: list[Member]) -> None:
    numbers = components(members)
    for member, number in zip(members, numbers, strict=True):
        people = reachable(members, member)
        same = [one for one, other in zip(members, numbers, strict=True) if other == number]
        assert same == [one for one in members if people & set(one.people)]


@given(graphs, st.randoms())
def test_no_person_is_in_two_splits_whatever_the_order(
    members: list[Member], chance: random.Random
) -> None:
    splits = dict(zip(members, assign(members, SHARES), strict=True))
    where = defaultdict[str, set[str]](set)
    for member, split in splits.items():
        for name in member.people:
            where[name].add(split)
    assert all(len(found) == 1 for found in where.values())
    assert find_leak([replace(one, split=split) for one, split in splits.items()]) == ""
    shuffled = chance.sample(members, len(members))
    assert dict(zip(shuffled, assign(shuffled, SHARES), strict=True)) == splits


@given(graphs, st.data())
def test_a_pair_more_inside_a_component_moves_nothing(
    members: list[Member], data: st.DataObject
) -> None:
    people = sorted(reachable(members, data.draw(st.sampled_from(members))))
    more = pair(data.draw(st.sampled_from(people)), data.draw(st.sampled_from(people)))
    before = assign(members, SHARES)
    after = assign([more, *members], SHARES)
    assert after[1:] == before
    assert after[0] in {split for split, one in zip(before, members, strict=True)
                        if set(one.people) & set(people)}  # fmt: skip


@given(graphs, st.data())
def test_a_leak_is_found_where_there_is_one_and_its_chain_holds(
    members: list[Member], data: st.DataObject
) -> None:
    names = st.sampled_from(["", "train", "test"])
    members = [replace(one, split=data.draw(names)) for one in members]
    together = defaultdict[int, set[str]](set)
    for number, one in zip(components(members), members, strict=True):
        together[number].add(one.split)
    leaks = any({"train", "test"} <= found for found in together.values())
    chain = find_leak(members).split(" - ")
    assert (chain != [""]) == leaks
    if not leaks:
        return
    known = {f"{one.split or 'no split'} {one.name}": one for one in members}
    joints = chain[1::2]
    steps = [known[word] for word in chain[::2]]
    assert {steps[0].split, steps[-1].split} == {"train", "test"}
    assert all(step.split == "" for step in steps[1:-1])
    for (here, there), joint in zip(itertools.pairwise(steps), joints, strict=True):
        assert joint in {*here.people, here.recording} & {*there.people, there.recording}


def test_the_chain_of_a_leak_by_example() -> None:
    members = [pair("001", "002", "train"), pair("002", "003", "test"), pair("7", "8", "val")]
    assert find_leak(members) == "train 001_002 - 002 - test 002_003"
    members[0] = replace(members[0], split="")
    assert find_leak(members) == ""


def test_a_leak_over_pairs_of_no_split_is_one() -> None:
    members = [pair("1", "2", "train"), pair("2", "3"), pair("3", "4", "test")]
    assert find_leak(members) == "train 1_2 - 2 - no split 2_3 - 3 - test 3_4"


def test_one_real_recording_in_two_splits_is_a_leak_without_names() -> None:
    members = [Member("a", "train", (), "r.mp4"), Member("b", "test", (), "r.mp4")]
    assert find_leak(members) == "train a - r.mp4 - test b"


@given(st.integers(0, 10**6))
def test_shares_hold_on_average(start: int) -> None:
    members = [pair(f"{start + k}", f"{start + k}") for k in range(1500)]
    splits = assign(members, SHARES)
    assert abs(splits.count("train") / 1500 - 0.8) < 0.06
    assert abs(splits.count("val") / 1500 - 0.1) < 0.05


@given(graphs, st.floats(0.01, 0.99))
def test_a_larger_share_only_takes_in(members: list[Member], share: float) -> None:
    assume(share < 0.9)
    small = assign(members, {"train": share, "test": 1 - share})
    large = assign(members, {"train": share + 0.1, "test": 0.9 - share})
    assert all(after == "train" for before, after in zip(small, large, strict=True)
               if before == "train")  # fmt: skip


@pytest.mark.parametrize("split", list(SHARES))
def test_a_split_that_has_all_gets_all(split: str) -> None:
    shares = {name: float(name == split) for name in SHARES}
    assert set(assign([pair(str(k), str(k)) for k in range(200)], shares)) == {split}
