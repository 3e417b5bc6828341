"""Pairs that contradict each other by the hashes of their files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sides import Hashed, contradicting
from schemas.errors import RejectReason
from schemas.records import Pair


def pair(real: str, fake: str, name: str = "") -> Hashed:
    name = name or f"{real}>{fake}"
    found = Pair(
        dataset="d", method="m", compression="", pair=name, split="",
        real_path=f"{name}/real.mp4", fake_path=f"{name}/fake.mp4",
    )  # fmt: skip
    return Hashed(found, real, fake)


def reasons(*pairs: Hashed) -> dict[str, RejectReason]:
    return {key.removeprefix("d/m/"): one.reason for key, one in contradicting(pairs).items()}


SWAPPED = RejectReason.SIDES_SWAPPED


@pytest.mark.parametrize(
    ("pairs", "wrong"),
    [
        (["A>x", "A>y", "B>z"], []),
        (["A>x", "A>y", "z>A"], ["z>A"]),  # A serves two fakes
        (["A>x", "x>A"], ["A>x", "x>A"]),  # either may be wrong
        (["A>x", "A>y", "A>z", "x>A"], ["x>A"]),  # and A>x is not held against x
        (["A>x", "x>B"], ["A>x", "x>B"]),
        (["A>x", "B>x", "x>C"], ["x>C"]),
        (["A>x", "A>y", "z>A", "z>q"], ["z>A"]),
    ],
)
def test_the_pairs_against_the_majority_are_wrong(pairs, wrong):
    found = reasons(*(pair(*one.split(">")) for one in pairs))
    assert found == dict.fromkeys(wrong, SWAPPED)


def test_copies_of_a_pair_are_no_majority():
    copies = [pair("x", "A", f"copy{k}") for k in range(3)]
    found = reasons(pair("A", "x"), pair("A", "y"), *copies)
    assert found == {f"copy{k}": SWAPPED for k in range(3)}


def test_the_detail_names_both_pairs_and_the_file():
    found = contradicting([pair("A", "x"), pair("A", "y"), pair("z", "A")])
    assert found["d/m/z>A"].detail == (
        "z>A/fake.mp4 is the fake side of d/m/z>A, and the same bytes are the real side of "
        "d/m/A>x and 1 more"
    )


def test_one_file_as_both_sides_and_unreadable_files():
    found = reasons(pair("A", "A"), pair("A", "x"), pair("", "", "lost"), pair("B", "", "half"))
    assert found == {"A>A": RejectReason.SAME_FILE}


names = st.sampled_from("ABCDE")


@given(st.lists(st.tuples(names, names), max_size=10, unique=True))
def test_what_is_left_does_not_contradict_itself_in_any_order(ends):
    pairs = [pair(*one) for one in ends]
    wrong = contradicting(pairs)
    left = [one for one in pairs if one.pair.key not in wrong]
    assert not {one.real for one in left} & {one.fake for one in left}
    assert wrong.keys() == contradicting(pairs[::-1]).keys()
