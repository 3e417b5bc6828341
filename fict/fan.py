"""FAN as a landmark backend: 68 points of each face, then the mesh fitted to them.

Two networks of the package face-alignment, one for each convention of the jaw: `2d` follows the
visible contour, `3d` gives the projections of points of the head, hidden ones too (the package's
`TWO_HALF_D`). Its third network, for depth, is not used: depth is that of the fitted mesh. The
published weights are needed (`fict.weights`); nothing is downloaded or compiled. The picture is
cut, and the peaks are read, as the package does it, without its rounding to whole pixels.

Source: Bulat and Tzimiropoulos, How Far Are We from Solving the 2D & 3D Face Alignment Problem?
(2017); face-alignment 1.5.0.
"""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fict.boxes import FaceBox, box_of_landmarks, embedded_boxes, sfd_boxes
from fict.fit68 import fit_mesh
from fict.landmarks import FACE_SCORE_GATE, Face, check_image, is_known, largest_first
from fict.mesh import VERTICES
from fict.pose import NoFit
from fict.roi import Roi
from fict.weights import fill, find_weight
from schemas.errors import BackendUnavailable

if TYPE_CHECKING:
    import torch

INPUT, HEATMAP = 256, 64
"""Sides of the network's input and of its heatmaps, in pixels."""
REFERENCE = 195 / 200
"""Width and height of a face's box, added, over the side of what the network sees."""
RAISED = 0.12
"""How far the middle of what it sees lies above that of the box, in heights of the box."""
STACKS = 4
PEAK_GAIN, PEAK_OFFSET = 50.0, 5.0
"""Score of a face: gain x mean peak - offset. The networks were trained to peaks of 1: a mean peak
of 0.8 scores 35, as clear faces do with the mesh, 0.3 scores 10, the default gate, and below 0.1 is
no face. This is a guess: it was not calibrated, for the published weights were not at hand."""


class FanLandmarks:
    """FAN behind the detector SFD where its weights are there, else behind the embedded BlazeFace.

    A face takes two passes, of the picture and of its mirror image: about 1.6 s on one CPU core.

    Args:
        kind: the convention of the jaw.
        gate: least score of a face.

    Raises:
        BackendUnavailable: the package or the weights are missing, or a weight file is unusable.
    """

    def __init__(self, kind: Literal["2d", "3d"], gate: float = FACE_SCORE_GATE) -> None:
        self.kind, self.gate = kind, gate
        find_weight(f"fan_{kind}")  # before torch is imported: the commonest trouble, at once
        package = load_package()
        self.network = fill(package.models.FAN(STACKS), f"fan_{kind}")
        self.detector: torch.nn.Module | None = None
        with contextlib.suppress(BackendUnavailable):
            find_weight("sfd")
            self.detector = package.detection.sfd.net_s3fd.s3fd()
        if self.detector is not None:
            fill(self.detector, "sfd")

    def detect(self, image: NDArray[np.uint8], *, far: bool = True) -> list[Face]:
        """Every face of the frame, the largest box first.

        Args:
            image: (H, W, 3) uint8 RGB.
            far: whether a large frame is searched for small faces, too; SFD always does.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
        """
        check_image(image)
        sfd = self.detector
        boxes = embedded_boxes(image, far) if sfd is None else sfd_boxes(image, sfd)
        faces: list[Face] = []
        for box in boxes:
            face = self._face(image, box)
            if face is not None and not is_known(face, faces):
                faces.append(face)
        return largest_first(faces)

    def track(self, image: NDArray[np.uint8], previous: Face) -> Face | None:
        """The face in this frame, from where it was in the previous one; no detector runs.

        Args:
            image: (H, W, 3) uint8 RGB.
            previous: the face in the frame before, in the same frame coordinates.

        Returns:
            The face, or None when it scores below the gate or its points are those of no face.

        Raises:
            ValueError: the image is not (H, W, 3) uint8.
        """
        check_image(image)
        return self._face(image, box_of_landmarks(previous.landmarks))

    def _face(self, image: NDArray[np.uint8], box: FaceBox) -> Face | None:
        roi = roi_of(box)
        points, peaks = read_peaks(self._heatmaps(roi.cut(image, INPUT)))
        score = PEAK_GAIN * float(peaks.mean()) - PEAK_OFFSET
        if not score >= self.gate:
            return None
        try:
            landmarks = fit_mesh(roi.to_image(points, INPUT)[:, :2], contour=self.kind == "2d")
        except NoFit:
            return None
        mesh = landmarks[:VERTICES, :2]
        return Face(np.concatenate([mesh.min(0), mesh.max(0)]), score, landmarks)

    def _heatmaps(self, cut: NDArray[np.float32]) -> NDArray[np.float32]:
        """(68, 64, 64) float32 of a (256, 256, 3) input: the mean over it and its mirror image."""
        import torch
        from face_alignment.utils import flip

        seen = torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1)[None]))
        with torch.inference_mode():
            plain, mirrored = self.network(seen)[-1], self.network(flip(seen))[-1]
            both = (plain + flip(mirrored, is_label=True)) / 2
        return np.asarray(both[0].numpy(), dtype=np.float32)


def roi_of(box: FaceBox) -> Roi:
    """What the network sees of a face; the middle is raised along the face's own axis."""
    up = np.array([np.sin(box.angle), -np.cos(box.angle)])
    side = (box.width + box.height) / REFERENCE
    return Roi(box.middle + RAISED * box.height * up, max(1.0, side), box.angle)


def read_peaks(heatmaps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The points of heatmaps, by the package's rule: a quarter of a cell towards the higher side.

    Args:
        heatmaps: (68, 64, 64) float32.

    Returns:
        (68, 3) float32 x, y, 0 in pixels of the input, and (68,) float32 heights of the peaks.
    """
    count, side, _ = heatmaps.shape
    flat = heatmaps.reshape(count, -1)
    best = flat.argmax(1)
    cells = np.stack([best % side, best // side], axis=1).astype(np.float64)
    inner = np.flatnonzero(((cells > 0) & (cells < side - 1)).all(1))
    for axis, step in enumerate((1, side)):
        after, before = flat[inner, best[inner] + step], flat[inner, best[inner] - step]
        cells[inner, axis] += 0.25 * np.sign(after - before)
    scale = INPUT / side
    points = np.column_stack([(cells + 0.5) * scale - 0.5, np.zeros(count)])
    return points.astype(np.float32), flat[np.arange(count), best]


def load_package() -> ModuleType:
    """The package face-alignment with the parts that are used; torch is held to one thread.

    Raises:
        BackendUnavailable: it is not installed.
    """
    try:
        import torch

        importlib.import_module("face_alignment.detection.sfd.detect")
        package = importlib.import_module("face_alignment")
    except ImportError as error:
        raise BackendUnavailable(
            "landmarks by face-alignment need the package of that name; install it with "
            "`pip install face-alignment`; meanwhile use `landmarks: mesh`"
        ) from error
    torch.set_num_threads(1)
    return package
