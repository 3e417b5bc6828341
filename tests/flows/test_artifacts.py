from collections import Counter
from dataclasses import replace

import pytest

from flows.artifacts import OUTPUT_URL, artifact_key, counts, report_link, summary_text
from flows.run import Summary, make_run


@pytest.mark.parametrize(
    ("dataset", "key"),
    [
        ("toy", "annotate-toy"),
        ("ff++", "annotate-ffplusplus"),
        ("ff++-frames", "annotate-ffplusplus-frames"),
        ("Celeb_DF v2!", "annotate-celeb-df-v2"),
    ],
)
def test_a_key_has_only_what_the_server_takes(dataset, key):
    assert artifact_key(dataset) == key


def test_summary_and_table_tell_what_is_there(tmp_path, write_manifest):
    frames = Counter({("FaceSwap", "c23"): 3, ("FaceSwap", "c40"): 1})
    summary = Summary(5, 2, frames, Counter(no_face=2), Counter(server_error=1))
    run = make_run("toy", write_manifest(tmp_path))
    page = run.output / "qa" / "index.html"
    text = summary_text(run, summary, page)
    assert f"`{page}`" in text
    for part in ("**4 frames** annotated, from 3 of 5 pairs", "**2 rejects**", "server_error 1"):
        assert part in text
    rows = counts(summary)
    assert [row["count"] for row in rows] == [3, 1, 2]
    assert rows[-1]["method or reason"] == "no_face"


def test_the_report_is_linked_only_where_it_is_served(tmp_path, write_manifest, monkeypatch):
    run = replace(make_run("toy", write_manifest(tmp_path)), name="ff++")
    page = run.output / "qa" / "index.html"
    monkeypatch.delenv(OUTPUT_URL, raising=False)
    assert report_link(run, page) == ""
    monkeypatch.setenv(OUTPUT_URL, "https://files.lan/out/")
    assert report_link(run, page) == "https://files.lan/out/ff%2B%2B/qa/index.html"
