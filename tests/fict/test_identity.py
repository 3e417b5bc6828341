from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import fict.identity
from fict.crop import upright_crop
from fict.identity import FIVE_POINTS, SIDE, TEMPLATE, aligned, build, likeness
from fict.weights import VARIABLE
from schemas.errors import BackendUnavailable


@pytest.fixture(autouse=True)
def forget():
    fict.identity.load_network.cache_clear()
    yield
    fict.identity.load_network.cache_clear()


class Colours(torch.nn.Module):
    """Stands for the network: a vector of a picture's nine mean colours."""

    def forward(self, batch):
        return torch.nn.functional.adaptive_avg_pool2d(batch, 3).flatten(1)


@pytest.fixture
def crop(portrait):
    image, face = portrait
    return upright_crop(image, face.landmarks, 256, 0.6)


@pytest.mark.parametrize("turn", [0, 30, -75])
def test_the_five_points_come_to_their_places(crop, turn):
    """Dots on the landmarks of a turned and scaled face lie where the network wants them."""
    _, points = crop
    matrix = cv2.getRotationMatrix2D((128, 128), turn, 0.8)
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    found = []
    for point in moved[list(FIVE_POINTS), :2]:
        dot = np.zeros((256, 256, 3), np.uint8)
        cv2.circle(dot, [round(float(v)) for v in point], 3, (255, 255, 255), -1)
        y, x = np.nonzero(aligned(dot, moved)[..., 0] > 127)
        found.append([x.mean(), y.mean()])
    assert aligned(np.zeros((256, 256, 3), np.uint8), moved).shape == (SIDE, SIDE, 3)
    assert np.linalg.norm(np.array(found) - TEMPLATE, axis=1).max() < 9
    assert np.linalg.norm((np.array(found) - TEMPLATE).mean(0)) < 1


def test_likeness_is_one_of_a_face_with_itself_and_less_of_another(crop, monkeypatch):
    monkeypatch.setattr(fict.identity, "load_network", Colours)
    image, points = crop
    assert likeness(image, image, points) == pytest.approx(1, abs=1e-6)
    other = 255 - image
    assert likeness(image, other, points) == pytest.approx(likeness(other, image, points))
    assert likeness(image, other, points) < 0


def test_the_network_takes_two_faces_and_its_weight_file_is_its_own(crop, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    torch.save({"a": torch.zeros(1)}, tmp_path / "recognition_arcface_ir_se50.pth")
    with pytest.raises(BackendUnavailable, match="does not fit its network"):
        likeness(crop[0], crop[0], crop[1])
    network = build().eval()
    with torch.inference_mode():
        found = network(torch.zeros(2, 3, SIDE, SIDE))
    assert found.shape == (2, 512)
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_a_missing_weight_file_is_named(crop, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BackendUnavailable, match=r"recognition_arcface_ir_se50\.pth"):
        likeness(crop[0], crop[0], crop[1])
