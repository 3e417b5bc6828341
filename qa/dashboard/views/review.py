"""The review of one frame: decision, label, note, and what was decided before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import run, ui

from qa.dashboard.drawing import address, render
from qa.dashboard.opened import Opened
from qa.dashboard.pages import Visit, attempt, put
from qa.index import Filter
from qa.reviews import MAX_NOTE, make_review
from schemas.errors import FacextError, UsageError
from schemas.reviews import Decision, Review

KEYS: dict[Decision, str] = {"accept": "a", "reject": "r", "fix": "f"}


async def review_form(visit: Visit, row: str, labels: str, chosen: Filter) -> None:
    """Builds the form; a saved review leads to the next frame of the filter.

    Args:
        visit: Who looks at what.
        row: Id of the frame.
        labels: Hash of the labels that are shown; a review made here is about them.
        chosen: The filter.
    """
    earlier = await attempt(_earlier, visit.opened, row, labels)
    with ui.element("section").classes("card review"):
        put(render("review.html"))
        note = ui.textarea("Note").props(f"outlined dense autogrow maxlength={MAX_NOTE}")
        label = ui.input("Of a fix: which label, what instead")
        label.props(f"outlined dense maxlength={MAX_NOTE}")
        buttons: list[ui.button] = []
        with ui.element("div").classes("decisions"):
            for decision, key in KEYS.items():

                async def decide(decision: Decision = decision) -> None:
                    if decision == "fix" and not label.value.strip():
                        label.run_method("focus")
                    made = make_review(
                        row, visit.reviewer, decision, label.value, note.value, labels
                    )
                    await _save(visit.opened, made, chosen, buttons)

                button = ui.button(f"{decision} ({key})", on_click=decide, color=None)
                button.props(f"unelevated no-caps data-key={key}").classes(f"decide {decision}")
                buttons.append(button)
        put(earlier or "")


async def _save(
    opened: Opened, review: Review, chosen: Filter, buttons: Sequence[ui.button]
) -> None:
    """Saves a review and goes on to the next frame, unless the reviewer has gone on meanwhile.

    What became of it is told in any case, on whatever view the page shows by then.
    """
    if not all(button.enabled for button in buttons):
        return  # a second press while the first one is being saved
    client = ui.context.client  # the pressed button's own place is gone once the view is another
    router = client.sub_pages_router
    pressed_on = router.current_path
    for button in buttons:
        button.disable()
    try:
        saved = await run.io_bound(save, opened, review, chosen)
    except FacextError as error:
        for button in buttons:
            button.enable()
        with client:
            _tell_unsaved(review, error)
        return
    after, lacking = saved or (review.id, "")  # nothing comes back where the server stops
    with client:
        if lacking:
            ui.notify(f"saved, but not exported: {lacking}", type="negative", timeout=10_000)
        else:
            ui.notify(f"saved: {review.decision}", type="positive", timeout=1500)
        if router.current_path != pressed_on:
            return
        if after == review.id:
            await router.refresh()
        else:
            ui.navigate.to(address("/record", chosen, id=after))


def _tell_unsaved(review: Review, error: FacextError) -> None:
    """Tells what is to be done differently; of a lost review until somebody closes it."""
    if isinstance(error, UsageError):
        ui.notify(str(error), type="warning")
    else:
        told = f"not saved: {review.decision} of {review.id}: {error}"
        ui.notify(told, type="negative", timeout=0, close_button="Close", multi_line=True)


def save(opened: Opened, review: Review, chosen: Filter) -> tuple[str, str]:
    """Saves a review and asks for an export of all.

    Returns:
        The frame to go on with, which is the same one at the end, and why the last export failed;
        empty where it did not.

    Raises:
        UsageError: The review is incomplete or too long; nothing is saved.
        OutputError: It cannot be saved.
    """
    after = opened.index.beside(review.id, chosen)[1] or review.id
    opened.reviews.add(review)
    opened.exports.soon()
    return after, opened.exports.lacking


def _earlier(opened: Opened, row: str, labels: str) -> str:
    told = [(one, when(one)) for one in reversed(opened.reviews.of(row))]
    return render("earlier.html", reviews=told, labels=labels)


def when(review: Review) -> str:
    """Writes the time of a review, UTC."""
    return datetime.fromtimestamp(review.at, UTC).strftime("%Y-%m-%d %H:%M")
