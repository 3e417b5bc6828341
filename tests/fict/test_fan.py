"""FAN as a landmark backend: real networks with random weights, and a network that knows faces."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import torch
from face_alignment import utils
from face_alignment.detection.sfd.net_s3fd import s3fd
from face_alignment.models import FAN

from fict.boxes import box_of_landmarks, embedded_boxes, sfd_boxes
from fict.fan import HEATMAP, INPUT, FanLandmarks, read_peaks, roi_of
from fict.ibug import MIRROR
from fict.landmarks import FACE_SCORE_GATE, LANDMARK_BACKENDS
from fict.mesh import VERTICES, load_mesh
from fict.weights import WEIGHTS
from schemas.errors import BackendUnavailable
from tests.knowing_fan import Knowing

torch.set_num_threads(1)
KINDS = ("2d", "3d")
BOTH = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Random weights of the published shapes under the published names."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    first = folder / WEIGHTS["fan_2d"].file
    torch.save(FAN(4).state_dict(), first)
    (folder / WEIGHTS["fan_3d"].file).hardlink_to(first)
    return folder


@pytest.fixture
def weights(saved, tmp_path, monkeypatch):
    """A folder of its own with links to the random weights of FAN, and no detector."""
    for file in saved.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    monkeypatch.setenv("FACEXT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    return tmp_path


@pytest.fixture
def knowing(weights):
    def make(kind="3d", gate=FACE_SCORE_GATE):
        backend = FanLandmarks(kind, gate)
        backend.network = Knowing()
        return backend

    return make


def apart(one, other):
    """Mean distance over the mesh as a share of the distance of the outer eye corners."""
    unit = np.linalg.norm(other[33, :2] - other[263, :2])
    return float(np.linalg.norm((one - other)[:VERTICES, :2], axis=1).mean() / unit)


# ---- weights ------------------------------------------------------------------------------------


@BOTH
def test_a_missing_file_is_named_with_its_source(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEXT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weight = WEIGHTS[f"fan_{kind}"]
    with pytest.raises(BackendUnavailable, match=rf"{weight.file}.*{weight.url}") as error:
        LANDMARK_BACKENDS[f"face_alignment_{kind}"](0.0)
    assert f"landmarks: face_alignment_{kind}" in str(error.value)


class Attack:
    def __init__(self, planted):
        self.planted = str(planted)

    def __reduce__(self):
        return (open, (self.planted, "w"))


@pytest.mark.parametrize("name", ["fan_2d", "fan_3d", "sfd"])
@pytest.mark.parametrize("trouble", ["empty", "text", "cut", "code", "shape", "no tensors"])
def test_an_unusable_file_is_one_error(weights, name, trouble):
    path = weights / WEIGHTS[name].file
    path.unlink(missing_ok=True)
    planted = weights / "executed"
    if trouble == "code":
        path.write_bytes(pickle.dumps({"weight": Attack(planted)}))
    elif trouble == "shape":
        torch.save({"conv1.weight": torch.ones(64, 3, 5, 5)}, path)
    elif trouble == "no tensors":
        torch.save({"conv1.weight": "seven"}, path)
    else:
        torch.save({"weight": torch.ones(9999)}, path)
        path.write_bytes(
            {"empty": b"", "text": b"<html>", "cut": path.read_bytes()[:9000]}[trouble]
        )
    with pytest.raises(BackendUnavailable, match=WEIGHTS[name].file):
        FanLandmarks("3d" if name == "fan_3d" else "2d")
    assert not planted.exists()


def test_a_missing_package_is_one_error(weights, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "face_alignment", None)
    with pytest.raises(BackendUnavailable, match="pip install face-alignment"):
        FanLandmarks("2d")


# ---- the real network ---------------------------------------------------------------------------


@BOTH
def test_the_networks_answer_is_that_of_the_package(weights, pictures, kind):
    """The weights are in place, and the mirrored pass is turned back point by point."""
    backend = FanLandmarks(kind)
    network = FAN(4).eval()
    network.load_state_dict(torch.load(weights / WEIGHTS[f"fan_{kind}"].file, weights_only=True))
    cut = cv2.resize(pictures["astronaut"], (INPUT, INPUT)).astype(np.float32) / 255
    seen = torch.from_numpy(cut.transpose(2, 0, 1)[None])
    with torch.inference_mode():
        plain, mirrored = network(seen)[-1][0], network(seen.flip(-1))[-1][0]
    expected = (plain + mirrored[list(MIRROR)].flip(-1)) / 2
    assert np.allclose(backend._heatmaps(cut), expected.numpy(), atol=1e-5)


def test_random_weights_find_no_face(weights, pictures, faces):
    """Their peaks are those of no face, whatever the gate."""
    image, face = pictures["astronaut"], faces["astronaut"]
    backend = FanLandmarks("3d", gate=-np.inf)
    assert len(embedded_boxes(image)) == 1
    assert backend.detect(image) == []
    assert backend.track(image, face) is None


def test_peaks_are_read_as_the_package_reads_them():
    heatmaps = np.random.default_rng(3).random((68, HEATMAP, HEATMAP)).astype(np.float32)
    heatmaps[0, 0, 0] = heatmaps[1, 63, 63] = heatmaps[2, 0, 30] = heatmaps[3, 30, 63] = 2
    points, peaks = read_peaks(heatmaps)
    best = heatmaps.reshape(1, 68, -1).argmax(2)
    theirs, _ = utils._get_preds_fromhm.py_func(heatmaps[None], best)
    assert np.allclose(points[:, :2], theirs[0] * 4 - 0.5)
    assert np.allclose(peaks, heatmaps.max((1, 2)))


def test_the_network_sees_what_the_package_shows_it(portrait):
    image, _ = portrait
    box = embedded_boxes(image)[0]
    flat = type(box)(np.round(box.middle), 125.0, 124.6, 0.0)
    ours = roi_of(flat).cut(image, INPUT)
    centre = torch.tensor(flat.middle - [0, 0.12 * flat.height])
    theirs = utils.crop(image, centre, (flat.width + flat.height) / 195).astype(np.float32) / 255
    for part in np.ndindex(2, 2):
        y, x = (slice(128 * at, 128 * at + 128) for at in part)
        shift, _ = cv2.phaseCorrelate(ours[y, x].mean(2), theirs[y, x].mean(2))
        assert np.hypot(*shift) < 2, "but for a pixel of the picture, to which the package rounds"


# ---- a network that knows faces -----------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("degrees", [-20, 0, 20])
def test_faces_are_found_where_they_are(knowing, portrait, turned, kind, degrees):
    image, face = portrait
    picture, moved = turned(image, degrees)
    true = np.column_stack([moved(face.landmarks[:, :2]), face.landmarks[:, 2]])
    (found,) = knowing(kind).detect(picture)
    assert apart(found.landmarks, true) < 0.03
    assert found.landmarks.shape == (478, 3)
    assert found.landmarks.dtype == found.box_xyxy.dtype == np.float32
    mesh = found.landmarks[:VERTICES, :2]
    assert np.allclose(found.box_xyxy, [*mesh.min(0), *mesh.max(0)])


def test_a_mirrored_picture_gives_the_mirrored_face(knowing, portrait):
    image, _ = portrait
    backend = knowing("2d")
    here = backend.detect(image)[0].landmarks
    there = backend.detect(np.ascontiguousarray(image[:, ::-1]))[0].landmarks
    back = there[load_mesh().mirror]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    assert apart(back, here) < 0.03


@pytest.mark.parametrize(("height", "score"), [(1.0, 45), (0.8, 35), (0.3, 10)])
def test_the_score_grows_with_the_peaks(knowing, portrait, height, score):
    backend = knowing(gate=0.0)
    backend.network.height = height
    (found,) = backend.detect(portrait[0])
    assert score - 6 < found.score <= score, "peaks between cells are a little lower"


def test_the_gate_decides(knowing, portrait):
    backend = knowing()
    backend.network.height = 0.25
    assert backend.detect(portrait[0]) == []
    assert len(knowing(gate=30.0).detect(portrait[0])) == 1


def test_tracking_follows_and_ends_where_the_face_is_gone(knowing, portrait):
    image, face = portrait
    backend = knowing()
    shifted = np.roll(image, (6, -8), axis=(0, 1))
    found = backend.track(shifted, face)
    assert apart(found.landmarks, face.landmarks + np.float32([-8, 6, 0])) < 0.03
    assert backend.track(np.full_like(image, 127), face) is None


def test_detection_and_tracking_look_at_the_same_place(portrait):
    image, face = portrait
    first, second = roi_of(embedded_boxes(image)[0]), roi_of(box_of_landmarks(face.landmarks))
    assert np.abs(first.middle - second.middle).max() < 0.05 * first.side
    assert abs(first.side / second.side - 1) < 0.15
    assert abs(first.angle - second.angle) < 0.1


def test_every_face_of_a_collage_largest_first(knowing, pictures, faces):
    x0, y0, x1, y1 = faces["astronaut"].box_xyxy
    x, y, half = int((x0 + x1) / 2), int((y0 + y1) / 2), int(0.9 * (y1 - y0))
    tile = pictures["astronaut"][y - half : y + half, x - half : x + half]
    tile = cv2.resize(tile, (112, 112), interpolation=cv2.INTER_AREA)
    found = knowing().detect(np.tile(tile, (5, 10, 1)))
    areas = [float((face.box_xyxy[2:] - face.box_xyxy[:2]).prod()) for face in found]
    assert areas == sorted(areas, reverse=True)
    middles = np.array([(face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 // 112 for face in found])
    assert len(np.unique(middles, axis=0)) == len(found) >= 45


# ---- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (64, 64, 1)])
def test_other_images_are_refused_as_by_the_mesh(knowing, portrait, shape):
    backend = knowing()
    with pytest.raises(ValueError, match=r"need an \(H, W, 3\) uint8 RGB image"):
        backend.detect(np.zeros(shape, np.uint8))
    for wrong in (np.float32, np.uint16):
        with pytest.raises(ValueError, match="uint8"):
            backend.track(np.zeros((64, 64, 3), wrong), portrait[1])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (480, 640, 3)])
def test_pictures_without_a_face_give_none(knowing, shape):
    assert knowing().detect(np.full(shape, 200, np.uint8)) == []


# ---- the detector SFD ---------------------------------------------------------------------------


def blind_sfd(sees=False):
    """SFD that answers at once: nothing, or a face in every cell of the coarsest grid."""
    network = s3fd()
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.zero_()
            if name.endswith("conf.bias"):
                value[0] = 9.0  # background
        if sees:
            network.conv7_2_mbox_conf.bias[:] = torch.tensor([0.0, 9.0])
    return network.eval()


def test_sfd_is_used_where_its_weights_are_there(weights, knowing, pictures):
    assert len(knowing().detect(pictures["astronaut"])) == 1
    torch.save(blind_sfd().state_dict(), weights / WEIGHTS["sfd"].file)
    assert knowing().detect(pictures["astronaut"]) == [], "this one sees nothing, and it is asked"


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 700, 3), (300, 200, 3)])
def test_sfd_takes_pictures_of_any_size(shape):
    assert sfd_boxes(np.zeros(shape, np.uint8), blind_sfd()) == []


def test_sfd_boxes_are_in_pixels_of_the_picture(monkeypatch):
    """The boxes of the coarsest grid are 512 pixels wide; those that overlap much are one face."""
    monkeypatch.setattr("fict.boxes.MOST_SIDE", 512)
    network = blind_sfd(sees=True)
    small, large = (sfd_boxes(np.zeros((n, n, 3), np.uint8), network) for n in (512, 1024))
    assert 1 < len(small) < 16
    assert all(box.width == box.height == 512 for box in small)
    assert {tuple(box.middle % 128) for box in small} == {(64.0, 64.0)}
    assert all(box.width == box.height == 1024 for box in large), "it was searched at half its size"
