"""The two portraits with their faces, found once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fict.derive_mesh import portraits
from fict.landmarks import MeshLandmarks

cv2.setNumThreads(1)
SIZE = 512


@pytest.fixture(scope="session")
def backend():
    return MeshLandmarks()


@pytest.fixture(scope="session")
def pictures():
    return dict(zip(("astronaut", "hopper"), portraits(), strict=True))


@pytest.fixture(scope="session")
def faces(backend, pictures):
    return {name: backend.detect(image)[0] for name, image in pictures.items()}


@pytest.fixture(params=["astronaut", "hopper"])
def portrait(request, pictures, faces):
    return pictures[request.param], faces[request.param]


@pytest.fixture
def turned():
    """Turns a picture and its landmarks around the picture's middle, by degrees."""

    def turn(image, degrees):
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        picture = cv2.warpAffine(image, matrix, (width, height), borderValue=(128, 128, 128))
        return picture, lambda points: points @ matrix[:, :2].T + matrix[:, 2]

    return turn


@pytest.fixture
def frame():
    """A plain grey frame with a picture pasted so that its face is `width` pixels wide."""

    def paste(image, face, width, at, size=(480, 640)):
        box = face.box_xyxy
        scale = width / float(box[2] - box[0])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.full((*size, 3), 90, np.uint8)
        x, y = at
        part = small[: size[0] - y, : size[1] - x]
        canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
        middle = (box[:2] + box[2:]) / 2 * scale + (x, y)
        return canvas, middle

    return paste
