import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fict.tree import load_tree
from qa.index import SORTS, VERDICTS, Filter, Index, is_current, prepare
from schemas.errors import OutputError


@pytest.fixture(scope="module")
def made(write_source, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    source = write_source(folder, rows)
    path = prepare(source, folder / "qa")
    return source, folder / "qa", Index(path)


def fits(row, chosen: Filter) -> bool:
    """A filter once more, by a loop over the rows."""
    tree = load_tree()
    counts = {verdict: getattr(row, f"claims_{verdict}") for verdict in VERDICTS}
    found = [region.category_id for region in row.regions]
    beyond = {f"{e.kind.value}: {e.direction}" for e in row.evidence if e.significant}
    return (
        chosen.method in ("", row.method)
        and chosen.compression in ("", row.compression)
        and (not chosen.verdict or counts[chosen.verdict] > 0)
        and (not chosen.region or any(tree.related(chosen.region, one) for one in found))
        and (not chosen.evidence or chosen.evidence in beyond)
        and chosen.least - 1e-6 <= row.artifact.confidence <= chosen.most + 1e-6
        and chosen.search in row.id
    )


CHOSEN = st.builds(
    Filter,
    method=st.sampled_from(["", "LipRecolour", "SkinSmoothing", "nobody's; DROP TABLE frames"]),
    compression=st.sampled_from(["", "c23", "c40"]),
    verdict=st.sampled_from(["", *VERDICTS]),
    region=st.sampled_from(
        [0, *(load_tree().by_name[name].id for name in ("mouth", "face", "left upper lip"))]
    ),
    evidence=st.sampled_from(["", "colour: redder", "lightness: darker"]),
    least=st.sampled_from([0.0, 0.8, 0.9]),
    search=st.sampled_from(["", "c40/000", "%", "'"]),
    sort=st.sampled_from(list(SORTS)),
)


@settings(deadline=None, max_examples=60)
@given(chosen=CHOSEN)
def test_a_filter_finds_what_a_loop_finds(made, rows, chosen):
    _, _, index = made
    wanted = [row.id for row in rows if fits(row, chosen)]
    assert index.count(chosen) == len(wanted)
    found = [row["id"] for row in index.page(chosen, 0, 1000)]
    assert sorted(found) == sorted(wanted)
    if chosen.sort == "order":
        assert found == wanted
    for place, row in enumerate(found, 1):
        before, after, at = index.beside(row, chosen)
        around = ["", *found, ""]
        assert (before, after, at) == (around[place - 1], around[place + 1], place)


def test_pages_join_without_gap_or_repetition(made, rows):
    _, _, index = made
    chosen = Filter(sort="least sure")
    pages = [index.page(chosen, first, 5) for first in range(0, len(rows), 5)]
    joined = [row for page in pages for row in page]
    assert len({row["id"] for row in joined}) == len(rows)
    sure = [row["confidence"] * row["stability"] for row in joined]
    assert all(a <= b + 1e-6 for a, b in pairwise(sure))


def test_counts_are_those_of_the_rows(made, rows):
    _, _, index = made
    every = Filter()
    regions = index.by("regions", every)
    assert sum(regions.values()) == sum(len(row.regions) for row in rows)
    assert sum(index.histogram("confidence", every)) == len(rows)
    assert sum(count for *_, count in index.cross(every)) == len(rows)
    means = index.means(every)
    assert means["supported"] == sum(row.claims_supported for row in rows)
    share = sum(row.artifact.area / 512**2 for row in rows) / len(rows)
    assert means["mask_share"] == pytest.approx(share, rel=1e-4)


def test_what_an_address_says_is_a_filter_or_nothing(made):
    given = {"method": "x", "region": "7", "least": "0.5", "sort": "n; DROP", "verdict": "' OR 1"}
    chosen = Filter.of(given | {"most": "many", "unknown": "1"})
    assert chosen == Filter(method="x", region=7, least=0.5)
    assert Filter.of(chosen.changed()) == chosen
    assert Filter.of({"sort": "most sure"}).sort == "most sure"


def test_an_index_is_made_once_for_the_same_shards(made):
    source, folder, _ = made
    before = (folder / "index.parquet").stat().st_mtime_ns
    prepare(source, folder)
    assert (folder / "index.parquet").stat().st_mtime_ns == before
    assert is_current(source, folder)
    os.utime(source.shards[0])
    assert not is_current(source, folder)
    prepare(source, folder)
    assert is_current(source, folder)


def test_frames_of_another_dataset_are_found_by_what_follows_its_name(
    made, write_source, rows, tmp_path
):
    _, _, index = made
    renamed = [r.model_copy(update={"id": "other" + r.id.removeprefix("toy")}) for r in rows[:3]]
    other = prepare(write_source(tmp_path, renamed), tmp_path / "qa")
    pairs = index.shared(other, Filter(), "", 10)
    assert pairs == [(row.id, one.id) for row, one in zip(rows[:3], renamed, strict=True)]
    assert index.shared(other, Filter(), "nobody", 10) == []


def test_nothing_annotated_and_no_index_are_errors(tmp_path, write_source):
    source = write_source(tmp_path, [])
    with pytest.raises(OutputError, match="run: facext annotate toy"):
        prepare(type(source)("toy", (), source.rejects, source.costs), tmp_path / "qa")
    with pytest.raises(OutputError, match="cannot be read"):
        Index(tmp_path / "none.parquet")
