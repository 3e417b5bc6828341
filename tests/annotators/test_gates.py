"""Gates of the measure stage that need the label map or the forgery's class."""

from dataclasses import replace
from pathlib import Path

import pytest

import annotators.backends
import annotators.pipeline
from annotators.backends import check_backends
from annotators.pipeline import Measurer, PairJob
from fict.headpose import HeadPose
from fict.weights import VARIABLE
from schemas.errors import BackendUnavailable, Rejected, RejectReason
from schemas.gates import Gates
from schemas.manifest import Measure
from schemas.records import Pair

PAIR = Pair(
    dataset="d", method="m", compression="c23", pair="p", split="", real_path="r", fake_path="f"
)


def job(forgery):
    return PairJob(Path("/"), PAIR, forgery, "", "", "")


@pytest.fixture
def frame(edited, where):
    """A crop whose cheek is another colour, with its mask as if it had been found."""
    measurer = Measurer(Measure())
    crop = edited(where("right front cheek"), lambda image: image * [1.3, 0.8, 0.8])
    artifact = annotators.pipeline.diff([crop], measurer.settings.diff)[0]
    return crop, artifact


def test_a_row_tells_how_the_face_is_seen(frame):
    crop, artifact = frame
    row = Measurer(Measure()).measure_frame(job("identity swap"), crop, artifact)
    view = crop.view
    assert (row.yaw, row.pitch, row.roll) == (view.pose.yaw, view.pose.pitch, view.pose.roll)
    assert (row.face_px, row.sharpness) == (view.face_px, view.sharpness)
    assert 90 < row.face_px < 120
    assert row.sharpness > 0.1


def test_a_hidden_face_is_rejected_where_the_parser_sees_it(frame):
    crop, artifact = frame
    measurer = Measurer(Measure())

    def parser(image, landmarks, tree):
        labels = plain(image, landmarks, tree)
        labels[:300] = tree.by_name["occluder"].id
        return labels

    plain, measurer.parser = measurer.parser, parser
    with pytest.raises(Rejected, match=r"% of the face in frame 0 is hidden") as caught:
        measurer.measure_frame(job("identity swap"), crop, artifact)
    assert caught.value.reason is RejectReason.OCCLUDED_FACE
    measurer.settings = Measure(gates=Gates(max_occlusion=None))
    assert measurer.measure_frame(job("identity swap"), crop, artifact).regions


def test_the_side_turned_away_has_no_atomic_regions(frame, tree):
    crop, artifact = frame
    turned = replace(crop, view=replace(crop.view, pose=HeadPose(-70.0, 0.0, 0.0)))
    row = Measurer(Measure()).measure_frame(job("identity swap"), turned, artifact)
    told = [tree.by_id[region.category_id] for region in row.regions]
    assert not any(tree.is_atomic(one) and one.side == "right" for one in told)
    assert "right cheek" in {one.name for one in told}


@pytest.mark.parametrize(
    ("forgery", "least", "passes"),
    [
        ("attribute edit", 0.5, False),
        ("expression reenactment", 0.5, False),
        ("attribute edit", 0.3, True),
        ("attribute edit", None, True),
        ("identity swap", 0.5, True),
    ],
)
def test_the_person_is_compared_where_the_forgery_keeps_them(
    frame, monkeypatch, forgery, least, passes
):
    monkeypatch.setattr(annotators.pipeline, "likeness", lambda *sides: 0.42)
    crop, artifact = frame
    measurer = Measurer(Measure(gates=Gates(min_identity=least)))
    if passes:
        assert measurer.measure_frame(job(forgery), crop, artifact).regions
        return
    with pytest.raises(Rejected, match=r"alike by 0\.42, less than 0\.5") as caught:
        measurer.measure_frame(job(forgery), crop, artifact)
    assert caught.value.reason is RejectReason.IDENTITY_CHANGED


def test_an_identity_gate_without_its_weights_stops_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    annotators.backends.load_network.cache_clear()
    check_backends(Measure())
    with pytest.raises(BackendUnavailable, match="arcface"):
        check_backends(Measure(gates=Gates(min_identity=0.4)))
