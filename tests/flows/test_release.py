"""`facext release` and `facext rehydrate` as a user calls them."""

import pytest

from flows.cli import main
from flows.release import flat, measure_text, source_of
from qa.reviews import Reviews
from qa.text import measure, read
from release.processes import Processes
from schemas.records import AnnotatedFrame
from schemas.reviews import Review
from schemas.shards import read_records, write_records
from tests.conftest import review


def call(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


@pytest.fixture
def manifest(annotated, tmp_path, write_manifest):
    """A manifest whose results are those of the annotated dataset."""
    return write_manifest(tmp_path, output=annotated[0].manifest.output)


def test_a_release_and_its_pixels(manifest, tmp_path, source, capsys):
    words = ("release", "toy", "--version", "0.1.0", "--out", tmp_path, "--manifest", manifest)
    assert call(*words) == 0
    told = capsys.readouterr().out
    assert "no split leaks           pass" in told
    assert f"rows released in {tmp_path / '0.1.0'}" in told
    assert call(*words) == 2
    assert "a version is released once" in capsys.readouterr().err
    again = ("rehydrate", tmp_path / "0.1.0", "--root", source, "--workers", "1")
    assert call(*again) == 0
    assert (tmp_path / "0.1.0-pixels" / "README.md").is_file()
    assert call(*again) == 2


def test_a_failing_gate_prints_the_rows_and_writes_nothing(
    annotated, tmp_path, write_manifest, capsys
):
    (tmp_path / "list.txt").write_text("nobody\n")
    manifest = write_manifest(
        tmp_path,
        output=annotated[0].manifest.output,
        release__truth={"claim_recall.c23": {"at_least": 0.99}},
        release__take_down=str(tmp_path / "list.txt"),
    )
    out = tmp_path / "versions"
    code = call("release", "toy", "--version", "0.1.0", "--out", out, "--manifest", manifest)
    assert code == 1
    told = capsys.readouterr()
    assert "truth figures            1 failed" in told.out
    assert "claim_recall.c23: is 0." in told.out
    assert "the take-down list names nothing of this dataset: nobody" in told.out
    assert "nothing was written" in told.err
    assert list(out.iterdir()) == []


def test_wrong_use_is_answered(manifest, tmp_path, capsys):
    ask = ("release", "toy", "--manifest", manifest, "--out", tmp_path)
    assert call(*ask) == 2
    assert call(*ask, "--version", "one") == 2
    assert call(*ask, "--version", "0.1.0", "--format", "cocoo") == 2
    assert "did you mean 'coco'" in capsys.readouterr().err
    assert call("release", "pairs", "--version", "0.1.0", "--manifest", manifest) == 1
    assert "nothing is annotated" in capsys.readouterr().err


def test_reviews_of_the_dashboard_are_read(annotated, tmp_path):
    run, _ = annotated
    rows = read_records(sorted(run.shards.glob("*.parquet")), AnnotatedFrame)
    said = [review(rows[n], "reject") for n in (0, 1)]
    said_ids = [one.id for one in said]
    write_records(run.reviews_path, said[:1], Review)
    try:
        Reviews(run.reviews_path.with_suffix(".sqlite")).add(said[1])  # its export failed
        assert sorted(source_of(run).reviews, key=lambda one: said_ids.index(one.id)) == said
    finally:
        for path in run.output.glob("reviews.*"):
            path.unlink()


def test_figures_of_the_truth_bench_get_dotted_names():
    figures = {
        "mask_iou": {"calibrated": {"c23": {"value": 0.7, "low": 0.6, "high": 0.8}}},
        "frames": 3, "code": "abc", "worst": [1],
    }  # fmt: skip
    assert flat(figures) == {"mask_iou.calibrated.c23": 0.7, "frames": 3.0}


def test_text_figures_are_those_of_the_report(annotated):
    shards = sorted(annotated[0].shards.glob("*.parquet"))
    found = measure_text(shards, Processes(1))
    quality = measure(read(shards)).quality
    assert found["evidence"]["claims per row"] == quality.loc["evidence", "claims per row"]
