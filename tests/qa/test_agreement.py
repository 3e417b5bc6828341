import pytest

from qa.agreement import cohen, fleiss
from schemas.reviews import Review, newest


def review(row, who, decision, at=0.0):
    return Review(id=row, reviewer=who, decision=decision, label="", note="", at=at)


def votes(*tables):
    """Rows of votes, by letters: `ar` is accept by the first, reject by the second."""
    words = {"a": "accept", "r": "reject", "f": "fix"}
    return {
        str(n): {str(who): words[letter] for who, letter in enumerate(row)}
        for n, row in enumerate(tables)
    }


def test_cohen_of_the_usual_example():
    """20 and 15 agreed, 5 and 10 not: 0.7 observed, 0.5 by chance."""
    pair = cohen(votes(*["aa"] * 20, *["ar"] * 5, *["ra"] * 10, *["rr"] * 15))[0]
    assert (pair.rows, pair.agreed) == (50, 0.7)
    assert pair.kappa == pytest.approx(0.4)


def test_cohen_counts_only_rows_that_both_decided():
    reviews = [review("1", "A", "accept"), review("1", "B", "accept"), review("2", "A", "reject")]
    assert [(p.one, p.other, p.rows) for p in cohen(newest(reviews))] == [("A", "B", 1)]
    assert cohen(newest(reviews))[0].kappa is None


def test_fleiss_by_hand():
    """Agreeing pairs 1/3, 1, 1/3, 1; both words half of the votes."""
    assert fleiss(votes("aar", "aaa", "rra", "rrr")) == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))


def test_fleiss_needs_two_people_and_two_words():
    assert fleiss(votes("a", "r")) is None
    assert fleiss(votes("aa", "aa")) is None
    assert fleiss(votes("aa", "rr")) == 1.0
    assert fleiss(votes("ar", "ra")) == pytest.approx(-1.0)
