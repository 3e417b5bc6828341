"""The views without a browser: what they tell, that all of it is escaped, and bad input."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fict.tree import load_tree
from qa.dashboard.face import shapes
from qa.dashboard.opened import Opened, open_dataset
from qa.dashboard.views.compare import Compared, compare
from qa.dashboard.views.costs import costs, over_time
from qa.dashboard.views.overview import overview
from qa.dashboard.views.record import record
from qa.dashboard.views.records import records
from qa.dashboard.views.regions import regions
from qa.dashboard.views.rejects import rejects
from qa.dashboard.views.review import save
from qa.dashboard.views.reviews import reviews
from qa.exports import Exports
from qa.index import Filter, Index, prepare
from qa.lookup import Lookup
from qa.reviews import Reviews, make_review
from qa.statistics import prepare_text
from schemas.errors import OutputError, UsageError
from schemas.records import Cost, Picture, Reject
from schemas.reviews import Review, labels_hash
from schemas.shards import read_metadata, read_records, write_records
from tests.conftest import review

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VIEWS = {
    "overview": overview,
    "regions": lambda opened: regions(opened, Filter()),
    "records": lambda opened: records(opened, Filter(), 0),
    "rejects": lambda opened: rejects(opened, "", ""),
    "costs": costs,
    "compare": lambda opened: compare(["toy"], Compared(opened, ""), Compared(opened, "")),
    "reviews": reviews,
}


@pytest.fixture(scope="module")
def open_rows(write_source):
    """Opens rows as a dataset, in this process."""

    def make(folder, rows, rejected=()) -> Opened:
        source = write_source(folder, rows, rejected)
        index = Index(prepare(source, folder / "qa"))
        facts = read_metadata(source.shards[0])
        store = Reviews(folder / "reviews.sqlite")
        lookup = Lookup(index, source.shards)
        return Opened(
            source, folder / "qa", facts, index, lookup, store,
            Exports(store, folder / "reviews.parquet"),
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def opened(open_rows, rows, tmp_path_factory):
    return open_rows(tmp_path_factory.mktemp("opened"), rows)


@pytest.fixture
def planted(open_rows, rows, tmp_path):
    """A dataset in which every text that others write is a planted script."""
    claims = tuple(c.model_copy(update={"sentence": EVIL, "reason": EVIL}) for c in rows[0].claims)
    row = rows[0].model_copy(
        update={
            "id": f"toy/{EVIL}", "method": EVIL, "compression": EVIL, "split": EVIL,
            "forgery": EVIL, "explanation": f"{EVIL} <p>{EVIL}</p> [SEG]", "recipe": EVIL,
            "explainer": "mllm", "fallback_reason": None, "model": EVIL,
            "real_path": EVIL, "claims": claims,
        }
    )  # fmt: skip
    rejected = Reject(
        id=EVIL, dataset="toy", method=EVIL, compression="", pair="", frame_index=None,
        stage="measure", reason=EVIL, detail=EVIL,
    )  # fmt: skip
    opened = open_rows(tmp_path, [row], [rejected])
    opened.reviews.add(make_review(row.id, EVIL[:60], "fix", EVIL, EVIL))
    return opened, row


def test_no_planted_text_becomes_markup(planted):
    opened, row = planted
    pages = {name: view(opened) for name, view in VIEWS.items()}
    pages |= record(opened, row.id, Filter())
    for name, page in pages.items():
        assert "<script" not in page, name
        assert "<img src=x" not in page, name
        assert not re.search(r"""(?:href|src|title|value)="[^"]*'><img""", page), name
    for name in ("overview", "records", "rejects", "compare", "reviews", "told"):
        assert "&lt;script&gt;" in pages[name], name


def test_an_empty_dataset_has_every_view(open_rows, tmp_path):
    opened = open_rows(tmp_path, [])
    pages = {name: view(opened) for name, view in VIEWS.items()}
    assert "Nothing was annotated" in pages["records"]
    assert "No frame fits" in pages["regions"]
    assert "Nobody has reviewed yet" in pages["reviews"]


def test_the_overview_counts_what_is_there(opened, rows, annotated):
    page = overview(opened)
    assert f"<dd>{len(rows)}</dd>" in page
    for method in {row.method for row in rows}:
        assert method in page


def test_the_heat_map_links_each_region_to_its_frames(opened, rows):
    page, tree = regions(opened, Filter()), load_tree()
    assert page.count("<path d=") == len(shapes()) > 70
    for name in ("left upper lip", "right iris", "nose tip"):
        key = tree.by_name[name].id
        frames = [r for r in rows if any(tree.related(key, x.category_id) for x in r.regions)]
        told = f'<a href="/records?region={key}" aria-label="{name}: {len(frames)} frames"'
        assert told in page
        assert opened.index.count(Filter(region=key)) == len(frames)


def test_a_record_shows_text_masks_and_numbers(opened, rows):
    row = rows[0]
    parts = record(opened, row.id, Filter())
    assert parts["told"].count("<mark tabindex") == len(row.explanation_masks)
    assert parts["stage"].count("data-region=") == len(row.regions)
    assert parts["stage"].count("<img") == 3
    for claim in row.claims:
        assert claim.reason.split(",")[0] in parts["tables"]


def test_a_record_without_pixels_shows_its_masks(open_rows, rows, tmp_path):
    bare = Picture(bytes=None, path="x")
    row = rows[0].model_copy(update={"real": bare, "fake": bare})
    stage = record(open_rows(tmp_path, [row]), row.id, Filter())["stage"]
    assert "holds no pixels" in stage
    assert "<img" not in stage
    assert 'class="mask"' in stage


def test_an_unknown_frame_and_a_shard_that_went_are_told(open_rows, rows, tmp_path):
    opened = open_rows(tmp_path, rows)
    with pytest.raises(UsageError, match="there is no frame"):
        record(opened, "../../etc/passwd", Filter())
    opened.source.shards[0].unlink()
    with pytest.raises(OutputError, match="changed or is damaged"):
        record(opened, rows[0].id, Filter())
    assert not opened.renew()
    assert "records" in records(opened, Filter(), 0)


def test_rejects_are_listed_by_reason_and_controls_are_told(open_rows, rows, tmp_path):
    made = [
        Reject(
            id=f"toy/{n}", dataset="toy", method=method, compression="c23", pair="p",
            frame_index=n, stage="measure", reason=reason, detail=f"detail {n}",
        )
        for n, (method, reason) in enumerate(
            [
                ("Unforged", "no_artifact"), ("LipRecolour", "no_face"),
                ("LipRecolour", "no_artifact"),
            ]
        )
    ]  # fmt: skip
    opened = open_rows(tmp_path, rows[:1], made)
    assert "1 of them\nare frames of a control" in rejects(opened, "", "")
    page = rejects(opened, "no_artifact", "LipRecolour")
    assert "detail 2" in page
    assert "detail 0" not in page
    assert "detail 1" not in page
    opened.source.rejects.write_bytes(b"no parquet")
    with pytest.raises(OutputError, match=r"rejects\.parquet cannot be read"):
        rejects(opened, "", "")


def test_the_bar_of_what_is_empty_leads_to_its_rows(open_rows, rows, tmp_path):
    splits = {"train": rows[:2], "": rows[2:5]}
    mixed = [r.model_copy(update={"split": name}) for name, of in splits.items() for r in of]
    lost = Reject(
        id="toy/lost", dataset="toy", method="", compression="", pair="", frame_index=None,
        stage="plan", reason="no_partner", detail="lost.mp4",
    )  # fmt: skip
    opened = open_rows(tmp_path, mixed, [lost, lost.model_copy(update={"method": "X"})])
    assert 'href="/records?split=none">none</a>' in overview(opened)
    assert opened.index.count(Filter.of({"split": "none"})) == 3
    assert opened.index.count(Filter(split="train")) == 2
    page = records(opened, Filter(split="none"), 0)
    assert '<option value="none" selected>none</option>' in page
    assert 'href="/rejects?method=none">none</a>' in rejects(opened, "", "")
    assert [one["id"] for one in opened.rejects("", "none")] == ["toy/lost"]


def test_a_review_that_is_saved_is_told_as_saved(open_rows, rows, tmp_path):
    opened = open_rows(tmp_path, rows[:2])
    made = [make_review(row.id, "Ana", "accept") for row in rows[:2]]
    assert save(opened, made[0], Filter()) == (rows[1].id, "")
    opened.exports.finish()
    assert read_records(opened.exports.path, Review) == made[:1]
    opened.exports.path.write_bytes(b"PAR1 cut off")
    assert save(opened, made[1], Filter())[0] == rows[1].id
    opened.exports.finish()
    again = make_review(rows[1].id, "Ana", "reject")
    assert "reviews.parquet cannot be read" in save(opened, again, Filter())[1]
    opened.exports.finish()
    assert opened.reviews.all() == [*made, again]


def test_reviews_that_are_saved_at_once_are_all_kept_and_exported(open_rows, rows, tmp_path):
    opened = open_rows(tmp_path, rows)
    made = [make_review(row.id, f"r{n}", "accept") for n in range(8) for row in rows]
    with ThreadPoolExecutor(8) as threads:
        saved = list(threads.map(lambda one: save(opened, one, Filter()), made))
    opened.exports.finish()
    assert {lacking for _, lacking in saved} == {""}
    exported = read_records(opened.exports.path, Review)
    assert exported == opened.reviews.all()
    assert set(exported) == set(made)


def test_costs_are_summed_over_time(open_rows, rows, tmp_path, write_source):
    source = write_source(tmp_path, rows[:1])
    cost = Cost(
        request="r", subject="s", step="ask", recipe="fifa", server="u", model="m", sent_at=10.0,
        latency_s=2.0, attempts=1, outcome="answered", prompt_tokens=1000, completion_tokens=5,
        cost=0.25,
    )  # fmt: skip
    made = [cost, cost.model_copy(update={"sent_at": 9000.0}), cost]
    write_records(source.costs, made, Cost)
    opened = open_rows(tmp_path, rows[:1])
    page = costs(opened)
    assert "<dd>3,000</dd>" in page
    assert "<dd>0.7500</dd>" in page
    chart = over_time(opened.table("costs"))
    assert chart["series"][0]["data"] == [0.5, 0.25]
    assert chart["series"][1]["data"] == [0.5, 0.75]


def test_two_datasets_are_compared(opened, open_rows, rows, tmp_path):
    few = [row for row in rows if row.method == "LipRecolour"]
    other = open_rows(tmp_path, few)
    page = compare(["toy", "few"], Compared(opened, ""), Compared(other, ""))
    assert "different · PSI" in page
    assert page.count("<article") == min(8, len(few))
    for one in (opened, other):
        prepare_text(one.source, one.folder)
    page = compare(["toy", "few"], Compared(opened, ""), Compared(other, ""))
    assert "A: evidence" in page
    assert f"<td>rows</td><td>{len(rows)}</td><td>{len(few)}</td>" in page
    assert "no frame in common" in compare(["toy"], Compared(opened, ""), Compared(other, "x"))


def test_reviews_show_who_agrees(open_rows, rows, tmp_path):
    opened = open_rows(tmp_path, rows)
    for row, one, other in (
        (0, "accept", "accept"),
        (1, "reject", "accept"),
        (2, "reject", "reject"),
    ):
        for who, decision in (("Ana", one), ("Ben", other)):
            labels = labels_hash(rows[row].model_dump())
            opened.reviews.add(make_review(rows[row].id, who, decision, labels_hash=labels))
    page = reviews(opened)
    assert "Ana, Ben</td><td>3</td><td>67 %</td><td>0.40" in page
    assert 'class="decision accept"' in records(opened, Filter(), 0)


def test_outdated_reviews_do_not_count_as_decided(open_rows, rows, tmp_path):
    """As in a release: what was decided of other labels is told apart."""
    opened = open_rows(tmp_path, rows)
    before = rows[0].model_copy(update={"explanation": "Another text."})
    gone = rows[1].model_copy(update={"id": "toy/gone"})
    for row, decision in ((before, "reject"), (rows[2], "accept"), (gone, "reject")):
        opened.reviews.add(review(row, decision))
    judged = opened.judged(opened.reviews.all())
    assert judged.decisions == {rows[2].id: "accept"}
    assert judged.outdated == {rows[0].id}
    assert opened.judged(opened.reviews.of(rows[0].id)).decisions == {}
    page = reviews(opened)
    assert "<h2>Decisions on rows" in page
    assert page.count("outdated</span></td>") == 2
    listed = records(opened, Filter(), 0)
    assert listed.count('class="decision outdated"') == 1
    assert listed.count('class="decision accept"') == 1
    assert 'class="decision reject"' not in listed
    opened.reviews.add(review(rows[0], "reject"))
    judged = opened.judged(opened.reviews.all())
    assert judged.decisions == {rows[0].id: "reject", rows[2].id: "accept"}
    assert not judged.outdated


def test_a_dataset_is_opened_by_its_files(write_source, rows, tmp_path):
    source = write_source(tmp_path, rows[:2])
    opened = open_dataset(source, tmp_path / "qa", tmp_path / "reviews.parquet")
    assert opened.index.count(Filter()) == 2
    assert opened.reviews.path == tmp_path / "reviews.sqlite"
    source.shards[0].write_bytes(source.shards[0].read_bytes()[:1000])
    with pytest.raises(OutputError, match=r"a\.parquet cannot be read as Parquet"):
        open_dataset(source, tmp_path / "qa", tmp_path / "reviews.parquet")


def test_a_server_loads_nothing_that_it_does_not_need():
    """pandas and the measuring code take 120 MB, which is a third of what a dashboard may take."""
    told = "import sys, flows.dashboard, qa.dashboard.serve; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(ran.stdout.split())
    assert "nicegui" in loaded
    assert not loaded & {"pandas", "scipy", "skimage", "torch", "prefect", "annotators.pipeline"}
