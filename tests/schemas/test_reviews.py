from schemas.reviews import Review, decided, newest


def review(reviewer, decision, at, row="a"):
    return Review(id=row, reviewer=reviewer, decision=decision, at=at)


def test_the_newest_review_of_a_reviewer_counts_whatever_the_order():
    reviews = [review("ann", "accept", 2.0), review("ann", "reject", 1.0)]
    assert decided(reviews) == decided(reversed(reviews)) == {"a": "accept"}


def test_each_reviewer_has_one_newest_decision_on_a_row():
    reviews = [
        review("ann", "reject", 6.0),
        review("ann", "accept", 5.0),
        review("bob", "fix", 0.0),
    ]
    assert newest(reviews) == {"a": {"ann": "reject", "bob": "fix"}}


def test_the_majority_decides_and_a_tie_is_the_gravest():
    two = [review("ann", "accept", 1.0), review("bob", "fix", 1.0)]
    assert decided(two) == {"a": "fix"}
    assert decided([*two, review("cy", "reject", 1.0)]) == {"a": "reject"}
    assert decided([*two, review("cy", "accept", 1.0)]) == {"a": "accept"}


def test_rows_are_decided_apart():
    assert decided([review("ann", "reject", 1.0), review("ann", "accept", 1.0, "b")]) == {
        "a": "reject", "b": "accept"}  # fmt: skip
