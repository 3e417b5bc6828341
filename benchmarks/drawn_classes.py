"""A class map drawn by hand around real landmarks: what a parsing network could answer.

No network is run. Tests and the pictures of `docs/faces.md` put it in the place of the network's
answer, to show what the geometry makes of it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.parsing_parts import CLASSES
from fict.tree import Tree
from sources.forge.face import LEFT_EYE, RIGHT_EYE

INSIDE_FACE = {
    "eyebrows": "brow", "right eyeball": "eye", "left eyeball": "eye", "nose": "nose",
    "inner mouth": "mouth", "upper lip": "upper lip", "lower lip": "lower lip",
}  # fmt: skip
Classes = NDArray[np.uint8]


class Pencil:
    """Draws shapes of classes in the face's own directions.

    Args:
        landmarks: (478, 3) float32 in pixels of the crop.
        size: Side of the crop.
    """

    def __init__(self, landmarks: NDArray[np.float32], size: int) -> None:
        self.points = landmarks[:, :2].astype(np.float64)
        across = self.points[263] - self.points[33]
        self.across = across / np.hypot(*across)
        self.down = np.array([-self.across[1], self.across[0]])
        self.height = float(np.hypot(*(self.points[152] - self.points[10])))
        self.classes: Classes = np.full((size, size), CLASSES.index("background"), np.uint8)

    def at(self, point: int, across: float, down: float) -> NDArray[np.float64]:
        """Gives a place beside a landmark, in shares of the face's height."""
        return self.points[point] + self.height * (across * self.across + down * self.down)

    def disc(self, name: str, middle: NDArray[np.float64], across: float, down: float) -> None:
        """Fills an upright ellipse with these half axes, in shares of the face's height."""
        turn = float(np.rad2deg(np.arctan2(self.across[1], self.across[0])))
        axes = round(across * self.height * 16), round(down * self.height * 16)
        centre = tuple(int(v) for v in np.rint(middle * 16))
        cv2.ellipse(
            self.classes, centre, axes, turn, 0, 360, CLASSES.index(name), cv2.FILLED, shift=4
        )

    def area(self, name: str, *corners: NDArray[np.float64]) -> None:
        """Fills a polygon."""
        fixed = [np.rint(np.array(corners) * 16).astype(np.int32)]
        cv2.fillPoly(self.classes, fixed, CLASSES.index(name), shift=4)

    def line(self, name: str, width: float, *corners: NDArray[np.float64]) -> None:
        """Draws a line of a width, in shares of the face's height."""
        fixed = [np.rint(np.array(corners)).astype(np.int32)]
        thick = max(1, round(width * self.height))
        cv2.polylines(self.classes, fixed, False, CLASSES.index(name), thick)


def drawn_classes(
    landmarks: NDArray[np.float32], mesh_labels: Classes, tree: Tree, covered: bool
) -> Classes:
    """Draws a head around a face.

    Hair falls below the jaw on the subject's left only, and a fringe hangs over the right of the
    forehead.

    Args:
        landmarks: (478, 3) float32 in pixels of the crop.
        mesh_labels: (S, S) uint8 label map of the mesh alone.
        tree: The tree.
        covered: Whether glasses, a hat and a hand before the left cheek are drawn too.

    Returns:
        (S, S) uint8 indices of `CLASSES`.
    """
    pencil = Pencil(landmarks, len(mesh_labels))
    _head(pencil)
    _face(pencil, mesh_labels, tree)
    pencil.area(
        "hair", pencil.at(10, -0.28, -0.05), pencil.at(10, -0.02, -0.05),
        pencil.at(107, -0.06, -0.1), pencil.at(105, -0.08, -0.02),
    )  # fmt: skip
    if covered:
        _covers(pencil)
    return pencil.classes


def _head(pencil: Pencil) -> None:
    pencil.area(
        "cloth", pencil.at(152, -0.3, 0.3), pencil.at(152, 0.3, 0.3), pencil.at(152, 1.2, 0.6),
        pencil.at(152, 1.2, 2), pencil.at(152, -1.2, 2), pencil.at(152, -1.2, 0.6),
    )  # fmt: skip
    pencil.disc("hair", pencil.at(168, 0, -0.15), 0.55, 0.6)
    pencil.area(
        "hair", pencil.at(454, -0.1, 0), pencil.at(454, 0.2, 0), pencil.at(454, 0.25, 0.75),
        pencil.at(454, 0.05, 0.8),
    )  # fmt: skip
    pencil.area(
        "neck", pencil.at(172, 0.04, 0), pencil.at(397, -0.04, 0), pencil.at(397, -0.04, 0.45),
        pencil.at(172, 0.04, 0.45),
    )  # fmt: skip
    pencil.line(
        "necklace", 0.03, pencil.at(172, 0.05, 0.36), pencil.at(152, 0, 0.3),
        pencil.at(397, -0.05, 0.36),
    )  # fmt: skip
    for tragus, side in ((234, -1), (454, 1)):
        pencil.disc("right ear", pencil.at(tragus, 0.03 * side, 0.03), 0.06, 0.16)
        pencil.disc("earring", pencil.at(tragus, 0.03 * side, 0.23), 0.025, 0.04)


def _face(pencil: Pencil, mesh_labels: Classes, tree: Tree) -> None:
    drawn = {"face": "skin", **INSIDE_FACE}
    for concept, name in drawn.items():
        where = tree.pixels(mesh_labels, tree.by_name[concept].id)
        pencil.classes[where] = CLASSES.index(name)


def _covers(pencil: Pencil) -> None:
    eyes = [pencil.points[ring].mean(0) for ring in (RIGHT_EYE, LEFT_EYE)]
    seen = pencil.classes == CLASSES.index("eye")
    pencil.line("glasses", 0.04, *eyes)
    for eye, ear in zip(eyes, (127, 356), strict=True):
        pencil.line("glasses", 0.04, eye, pencil.points[ear])
        pencil.disc("glasses", eye, 0.16, 0.12)
    pencil.classes[seen] = CLASSES.index("eye")
    pencil.area(
        "hat", pencil.at(10, -0.7, 0.02), pencil.at(10, 0.7, 0.02), pencil.at(10, 0.5, -0.5),
        pencil.at(10, -0.5, -0.5),
    )  # fmt: skip
    pencil.disc("background", pencil.at(425, 0.02, 0.05), 0.12, 0.14)
