import re
from pathlib import Path

import pytest

from benchmarks.browser import CHROMIUM, open_browser
from qa import report
from qa.explanation import colours, marked
from qa.pictures import colour, panels, strip
from qa.report import write_report
from qa.statistics import collect
from qa.tables import Source
from schemas.errors import OutputError
from schemas.records import Picture


@pytest.fixture
def write(write_source):
    def report(rows, folder: Path) -> Path:
        return write_report(write_source(folder, rows), folder / "qa")

    return report


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_the_report_opens_without_an_error_or_a_request_elsewhere(annotated):
    run, _ = annotated
    errors, requests = [], []
    with open_browser() as browser:
        page = browser.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(request.url))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((run.output / "qa" / "index.html").resolve().as_uri())
        for picture in page.locator("img").all():
            picture.scroll_into_view_if_needed()
        page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        pictures = page.locator("img").count()
        phrases = page.locator(".explanation mark").count()
        text = page.locator("body").inner_text()
        page.set_viewport_size({"width": 380, "height": 800})
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert errors == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert pictures >= 5 * 3
    assert phrases >= 3
    assert overflow <= 0
    for word in ("LipRecolour", "no_artifact", "Regions", "redder"):
        assert word in text


def test_each_phrase_has_the_colour_of_its_region(rows):
    for row in rows:
        names = {region.name: colour(n) for n, region in enumerate(row.regions)}
        html = str(marked(row.explanation, colours(row.claims, row)))
        found = re.findall(r"<mark style=\"--c:rgb\((\d+) (\d+) (\d+)\)\">(.*?)</mark>", html)
        assert len(found) == len(row.explanation_masks)
        for red, green, blue, phrase in found:
            assert names[phrase] == (int(red), int(green), int(blue))
        assert "[SEG]" not in html


def test_text_of_a_model_is_escaped():
    html = str(marked("<script>x</script> the <p>a<b>b</b></p> [SEG] <img>", [(1, 2, 3)]))
    assert "<script>" not in html
    assert "<img>" not in html
    assert "<b>" not in html
    assert html.count("<mark") == 1


def test_a_planted_script_never_runs(rows, write, tmp_path):
    planted = rows[0].model_copy(
        update={"method": "<script>alert(1)</script>", "fallback_reason": '"><img src=x>'}
    )
    page = write([planted], tmp_path).read_text()
    assert "<script" not in page
    assert "<img src=x>" not in page


def test_a_dataset_without_pixels_has_a_report(rows, write, tmp_path):
    bare = Picture(bytes=None, path="x")
    rows = [row.model_copy(update={"real": bare, "fake": bare}) for row in rows]
    page = write(rows, tmp_path)
    assert "holds no pixels" in page.read_text()
    assert list((page.parent / "frames").iterdir()) == []


def test_a_dataset_of_rejects_alone_has_a_report(write, tmp_path):
    page = write([], tmp_path).read_text()
    assert "No frame was annotated" in page


def test_nothing_annotated_is_one_error(tmp_path):
    with pytest.raises(OutputError, match="run: facext annotate toy"):
        write_report(Source("toy", (), tmp_path / "r", tmp_path / "c"), tmp_path / "qa")


def test_panels_show_what_they_say(rows):
    row = rows[0]
    drawn = panels(row, 128)
    assert list(drawn) == ["real", "fake", "difference", "regions", "artifact mask"]
    assert all(image.shape == (128, 128, 3) for image in drawn.values())
    white = (drawn["artifact mask"] > 250).all(axis=2).mean()
    share = row.artifact.area / 512**2
    assert white == pytest.approx(share, abs=0.02)
    assert strip(row, 64, 4).shape == (64, 5 * 64 + 4 * 4, 3)


def test_statistics_count_what_is_there(annotated, rows):
    run, summary = annotated
    counted = collect(run.output / "qa" / "tables")
    for (method, level), number in summary.frames.items():
        assert counted.frames.loc[method, level] == number
    assert counted.regions["all"].sum() == sum(len(row.regions) for row in rows)
    significant = sum(one.significant for row in rows for one in row.evidence)
    assert counted.evidence["all"].sum() == significant
    assert counted.splits["frames"].sum() == len(rows)
    assert counted.verdicts.loc["evidence", "supported"] == sum(r.claims_supported for r in rows)
    assert counted.rejects.to_numpy().sum() == summary.rejects.total()


def test_frames_are_counted_by_turn_and_by_size(rows, write, tmp_path):
    seen = [(-70.0, 30.0, 0.2), (70.0, 130.0, 0.4), (-14.9, 130.0, 0.6), (15.0, 900.0, 0.9)]
    made = [
        rows[0].model_copy(
            update={
                "id": str(k),
                "yaw": yaw,
                "face_px": size,
                "artifact": rows[0].artifact.model_copy(update={"confidence": sure}),
            }
        )
        for k, (yaw, size, sure) in enumerate(seen)
    ]
    page = write(made, tmp_path)
    views = collect(tmp_path / "qa" / "tables").views
    assert views["frames"].sum() == 2 * len(seen)
    assert views.loc["|yaw| from 60 °"][["frames", "confidence"]].tolist() == [
        2,
        pytest.approx(0.3),
    ]
    assert views.loc["|yaw| 0 to 15 °"][["frames", "confidence"]].tolist() == [
        1,
        pytest.approx(0.6),
    ]
    assert views.loc["|yaw| 15 to 30 °"][["frames", "confidence"]].tolist() == [
        1,
        pytest.approx(0.9),
    ]
    assert views.loc["face 0 to 60 px", "frames"] == 1
    assert views.loc["face 120 to 240 px"][["frames", "confidence"]].tolist() == [
        2,
        pytest.approx(0.5),
    ]
    assert views.loc["face from 480 px", "frames"] == 1
    text = page.read_text()
    assert "view of the real face" in text
    assert "nan" not in text.lower().split("view of the real face")[1].split("</table>")[0]


def test_where_there_are_too_many_samples_each_method_has_one_and_the_page_tells(
    rows, write, tmp_path, monkeypatch
):
    monkeypatch.setattr(report, "MAX_SAMPLES", 3)
    made = [
        rows[0].model_copy(update={"id": f"{name}-{level}", "method": name, "compression": level})
        for name in ("A", "B", "C")
        for level in ("c0", "c1")
    ]
    page = " ".join(write(made, tmp_path).read_text().split())
    assert re.findall(r"<strong>(.)</strong>", page) == ["A", "B", "C"]
    assert "compression: 3 of 6, each method" in page
    few = write(made[:2], tmp_path / "few").read_text()
    assert "compression. A phrase" in few
