"""The dashboard as a person uses it: a real server, a real browser."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest

from benchmarks.browser import CHROMIUM, open_browser
from benchmarks.dashboard import served
from qa.reviews import Reviews, make_review
from schemas.reviews import Review, labels_hash
from schemas.shards import read_records

PROJECT = Path(__file__).resolve().parents[3]
PATHS = ("/", "/regions", "/records", "/record", "/rejects", "/costs", "/compare", "/reviews")
NOTE = "<script>alert(1)</script> the nose is <b>not</b> redder"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

LOADED = """document.images.length > 0
    && [...document.images].every(i => i.complete && i.naturalWidth > 0)"""
"""An empty page has no image that is not loaded."""


@pytest.fixture(scope="module")
def address(annotated, write_manifest, tmp_path_factory):
    """The small dataset, served from a copy."""
    run, _ = annotated
    folder = tmp_path_factory.mktemp("served")
    for name in ("annotations", "rejects"):
        shutil.copytree(run.output / name, folder / "out" / "toy" / name)
    with served(write_manifest(folder)) as (found, _):
        yield found, folder / "out" / "toy"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        yield found


@pytest.fixture
def page(browser, address):
    """A page that fails its test where the console tells an error or a request goes elsewhere."""
    here, _ = address
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on(
        "console", lambda said: said.type in ("error", "warning") and problems.append(said.text)
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda asked: "/picture/" in asked.url or problems.append(asked.url))
    page.on(
        "request", lambda asked: asked.url.startswith((here, "data:")) or problems.append(asked.url)
    )
    page.on(
        "websocket",
        lambda to: to.url.startswith(here.replace("http", "ws")) or problems.append(to.url),
    )
    yield page
    context.close()
    assert problems == []


def test_every_view_opens_on_a_desk_and_on_a_phone_in_light_and_dark(page, address, rows):
    here, _ = address
    backgrounds = set()
    for scheme, width in (("light", 1300), ("dark", 380)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        for path in PATHS:
            page.goto(here + path + (f"?id={quote(rows[0].id)}" if path == "/record" else ""))
            page.wait_for_selector("#main h1")
            assert page.locator(".notice").count() == (path == "/compare"), path
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_a_filter_is_an_address_and_a_region_leads_to_its_frames(page, address, rows):
    here, _ = address
    page.goto(f"{here}/records")
    page.wait_for_selector(".records a")
    page.select_option("select[name=method]", "LipRecolour")
    count = sum(row.method == "LipRecolour" for row in rows)
    page.wait_for_function(f"document.querySelector('h1')?.innerText.includes('{count} of')")
    assert page.url.endswith("/records?method=LipRecolour")
    page.goto(f"{here}/regions?method=LipRecolour")
    lip = page.locator("svg.face a").filter(has_text="upper lip").first
    lip.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".records a")
    assert "region=" in page.url
    assert "method=LipRecolour" in page.url


def test_layers_are_toggled_and_phrases_light_their_masks(page, address, rows):
    here, _ = address
    row = next(row for row in rows if len(row.explanation_masks) > 1)
    page.goto(f"{here}/record?id={quote(row.id)}")
    stage = page.locator("[data-stage]")
    page.wait_for_function(LOADED)
    for key, side in (("1", "real"), ("3", "difference"), ("2", "fake")):
        page.keyboard.press(key)
        assert (
            page.locator(f".stage img.{side}").evaluate("i => getComputedStyle(i).visibility")
            == "visible"
        )
    mask = page.locator(".stage path.mask")
    for seen in ("hidden", "visible"):
        page.keyboard.press("4")
        assert mask.evaluate("i => getComputedStyle(i).visibility") == seen
    page.keyboard.down(" ")
    assert "show-real" in stage.get_attribute("class")
    page.keyboard.up(" ")
    assert "show-fake" in stage.get_attribute("class")
    phrase = page.locator(".explanation mark").nth(1)
    region = page.locator(f"g[data-region='{phrase.get_attribute('data-lights')}']")
    visible = "g => getComputedStyle(g).visibility"
    assert region.evaluate(visible) == "hidden"
    phrase.hover()
    assert region.evaluate(visible) == "visible"
    page.mouse.move(0, 0)
    phrase.focus()
    assert region.evaluate(visible) == "visible"


def test_a_review_by_keyboard_is_seen_and_exported(page, address, rows):
    here, folder = address
    page.goto(f"{here}/record?id={quote(rows[0].id)}")
    page.wait_for_selector(".review textarea")
    page.keyboard.press("a")
    page.wait_for_selector("text=say who you are first")
    page.get_by_label("Reviewer").fill("Ana")
    page.keyboard.press("Escape")
    page.locator(".review textarea").fill(NOTE)
    page.keyboard.press("Escape")
    page.wait_for_timeout(400)  # the fields tell the server what was typed after a pause
    page.keyboard.press("r")
    page.wait_for_selector(f"text={rows[1].id}")
    saved = exported(folder / "reviews.parquet")
    labels = labels_hash(rows[0].model_dump())
    assert [(r.id, r.reviewer, r.decision, r.note, r.labels_hash) for r in saved] == [
        (rows[0].id, "Ana", "reject", NOTE, labels)
    ]
    page.keyboard.press("k")
    page.wait_for_selector(".earlier")
    assert NOTE in page.locator(".earlier").inner_text()
    assert "before the labels changed" not in page.locator(".earlier").inner_text()
    page.keyboard.press("f")
    page.wait_for_selector("text=say which label is wrong")
    page.goto(f"{here}/reviews")
    page.wait_for_selector("text=Reviews by person")
    assert NOTE in page.locator("#main").inner_text()


def exported(path):
    """What a release would honour, which is there soon after a review."""
    until = time.monotonic() + 10
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.05)
    return read_records(path, Review)


def reviewing(page, here, row):
    """Opens a record as somebody whose name is known."""
    page.context.add_cookies([{"name": "reviewer", "value": "Ana", "url": here}])
    page.goto(f"{here}/record?id={quote(row.id)}")
    page.wait_for_selector(".review textarea")


@contextmanager
def locked(store):
    """Somebody else writes, until what is given commits or the block ends."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield holder


def test_a_review_that_is_not_saved_is_told_though_the_reviewer_went_on(page, address, rows):
    here, folder = address
    store = Reviews(folder / "reviews.sqlite")
    store.add(make_review(rows[4].id, "Ben", "accept"))
    reviewing(page, here, rows[2])
    with locked(store):
        page.keyboard.press("r")
        page.wait_for_selector("[data-key=a][disabled]")
        page.keyboard.press("a")
        page.keyboard.press("j")
        page.wait_for_selector(f"text={rows[3].id}")
        page.wait_for_selector(f"text=not saved: reject of {rows[2].id}", timeout=20_000)
    assert rows[3].id in unquote(page.url)
    assert store.of(rows[2].id) == []


def test_a_saved_review_does_not_pull_back_who_went_on(page, address, rows):
    here, folder = address
    store = Reviews(folder / "reviews.sqlite")
    store.add(make_review(rows[4].id, "Ben", "accept"))
    reviewing(page, here, rows[5])
    with locked(store) as holder:
        page.keyboard.press("a")
        page.keyboard.press("k")
        page.wait_for_selector(f"text={rows[4].id}")
        holder.execute("COMMIT")
    page.wait_for_selector("text=saved: accept")
    page.wait_for_timeout(300)
    assert rows[4].id in unquote(page.url)
    assert [one.decision for one in store.of(rows[5].id)] == ["accept"]


def test_the_last_frame_of_a_filter_stays_with_an_empty_form(page, address, rows):
    here, _ = address
    reviewing(page, here, rows[-1])
    page.locator(".review textarea").fill("the last one")
    page.keyboard.press("Escape")
    page.wait_for_timeout(400)
    page.keyboard.press("a")
    page.wait_for_selector(".earlier >> text=the last one")
    assert page.locator(".review textarea").input_value() == ""
    assert rows[-1].id in unquote(page.url)


def test_who_moves_by_keys_is_told_that_the_annotations_changed(page, address, rows):
    here, folder = address
    page.goto(f"{here}/record?id={quote(rows[0].id)}")
    page.wait_for_selector(".review textarea")
    assert page.locator(".notice").count() == 0
    shard = next((folder / "annotations").iterdir())
    before = shard.stat()
    os.utime(shard)
    try:
        page.keyboard.press("j")
        page.wait_for_selector("text=annotations of toy have changed")
        page.wait_for_selector(f"text={rows[1].id}")
    finally:
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_pictures_are_served_by_id_alone(address, rows):
    here, folder = address
    picture = httpx.get(f"{here}/picture/fake", params={"of": "toy", "id": rows[0].id})
    assert picture.content == rows[0].fake.bytes
    assert picture.headers["content-type"] in ("image/jpeg", "image/png")
    shard = next((folder / "annotations").iterdir())
    for layer, of, row in (
        ("fake", "toy", str(shard)), ("fake", "../toy", rows[0].id),
        ("fake", "toy", "../" + rows[0].id),
        ("difference", "toy", ""), ("small", str(folder), rows[0].id),
    ):  # fmt: skip
        assert httpx.get(f"{here}/picture/{layer}", params={"of": of, "id": row}).status_code == 404
    assert (
        httpx.get(f"{here}/picture/label_map", params={"of": "toy", "id": "x"}).status_code == 422
    )
    for path in ("/static/../guard.py", "/static/%2e%2e/guard.py", "/docs", "/openapi.json"):
        assert (
            "import" not in httpx.get(here + path).text
            or "<!doctype" in httpx.get(here + path).text
        )


def test_a_server_that_is_stopped_exports_what_was_just_saved(
    browser, annotated, write_manifest, rows, tmp_path
):
    run, _ = annotated
    folder = tmp_path / "out" / "toy"
    for name in ("annotations", "rejects"):
        shutil.copytree(run.output / name, folder / name)
    page = browser.new_page()
    with served(write_manifest(tmp_path)) as (here, _):
        reviewing(page, here, rows[0])
        for row in rows[1:3]:
            page.keyboard.press("a")
            page.wait_for_selector(f"text={row.id}")
            page.wait_for_selector(".review textarea")
    page.close()
    found = read_records(folder / "reviews.parquet", Review)
    assert [one.id for one in found] == [row.id for row in rows[:2]]


def test_another_address_is_refused_without_a_token(write_manifest, tmp_path):
    command = [sys.executable, "-m", "flows.cli", "qa", "toy", "--serve", "--host", "0.0.0.0"]
    command += ["--manifest", str(write_manifest(tmp_path))]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert ran.returncode == 2
    assert re.search(r"can be reached by others: choose a token", ran.stderr)
