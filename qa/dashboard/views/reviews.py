"""What people decided, and how far they agree."""

from __future__ import annotations

from collections import Counter

from qa.agreement import cohen, fleiss
from qa.dashboard.drawing import number, percent, render, short
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, show
from qa.dashboard.views.review import when
from qa.index import Filter
from schemas.reviews import newest

MOST = 100


async def show_reviews(visit: Visit, given: dict[str, str]) -> None:
    """Shows the view."""
    await show(reviews, visit.opened)


def reviews(opened: Opened) -> str:
    """Gives the view's HTML."""
    every = opened.reviews.all()
    judged = opened.judged(every)
    decisions = Counter[str](judged.decisions.values())
    votes = newest(judged.holding)
    holding = set(judged.holding)
    by_two = sum(len(row) > 1 for row in votes.values())
    share = len(votes) / max(1, opened.index.count(Filter()))
    figures = [
        ("reviewed rows", number(len(votes)), "rows that somebody decided, as they are now"),
        (
            "outdated",
            number(len(judged.outdated)),
            "rows reviewed only before their labels changed",
        ),
        ("of all rows", percent(share), "share of the dataset"),
        ("by two or more", number(by_two), "rows that several people decided"),
        ("Fleiss' kappa", short(fleiss(votes)), "agreement of all beyond chance; 1: always"),
    ]
    return render(
        "reviews.html",
        total=len(every),
        figures=figures,
        decisions=dict(decisions.most_common()),
        decided=decisions.total(),
        people=dict(Counter(one.reviewer for one in every).most_common()),
        agreement=cohen(votes),
        newest=[(one, when(one), one in holding) for one in every[: -MOST - 1 : -1]],
    )
