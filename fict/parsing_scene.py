"""What the rules of `fict.parsing_rules` look at: the face's directions and sizes in a crop.

Directions are the face's own: down from the forehead to the chin, across from the subject's right
to their left. Sizes are shares of the face's height (forehead to chin), which turning the head
hardly changes. The shares are ours.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.tree import Tree

OUTLINE_SLACK = 0.04
"""Nearer to the mesh's outline than this, background is no hand before the face."""
HAIRLINE = 0.03
"""Width of the hairline."""
TAILS, SAMPLE = (0.02, 0.98), 1000
"""Extents leave out these shares of the pixels, which may be specks, and look at so many."""
FOREHEAD_TOP, CHIN = 10, 152
EYE_CORNERS, TEMPLES, JAW_ANGLES = (33, 263), (54, 284), (172, 397)
"""The subject's right, then left."""
Mask = NDArray[np.bool_]
Points = NDArray[np.float32]
Window = tuple[slice, slice]


class Scene:
    """A crop with what the rules look at.

    Args:
        mesh_labels: (S, S) uint8 node ids that the mesh gives.
        is_face: (S, S) bool, where the backend sees the face.
        landmarks: (478, 3) float32 in pixels of the crop.
        tree: The tree.
    """

    def __init__(
        self, mesh_labels: NDArray[np.uint8], is_face: Mask, landmarks: Points, tree: Tree
    ) -> None:
        self.mesh_labels, self.is_face, self.tree = mesh_labels, is_face, tree
        self.points = landmarks[:, :2].astype(np.float32)
        self.inside: Mask = mesh_labels != tree.by_name["surroundings"].id
        right, left = self.points[list(EYE_CORNERS)]
        self.across: Points = (left - right) / max(float(np.hypot(*(left - right))), 1e-6)
        self.down = np.array([-self.across[1], self.across[0]], np.float32)
        self.height = max(1.0, float(np.hypot(*(self.points[CHIN] - self.points[FOREHEAD_TOP]))))

    def share(self, of_height: float) -> int:
        """Gives a share of the face's height in whole pixels, at least 1."""
        return max(1, round(of_height * self.height))

    def square(self, of_height: float) -> NDArray[np.uint8]:
        """Gives the kernel that grows or shrinks a mask by a share of the face's height."""
        side = 2 * self.share(of_height) + 1
        return np.ones((side, side), np.uint8)

    def along(self, direction: Points, window: Window) -> Points:
        """Gives how far each pixel of a window lies in a direction, (h, w) float32."""
        y, x = (np.arange(edge.start, edge.stop, dtype=np.float32) for edge in window)
        return np.asarray(np.add.outer(y * direction[1], x * direction[0]), np.float32)

    def below(self, ends: tuple[int, int], window: Window) -> Mask:
        """Tells which pixels of a window lie below the line through two landmarks."""
        right, left = self.points[list(ends)]
        return self.beyond(right, left - right, self.down, window)

    def beyond(self, start: Points, line: Points, direction: Points, window: Window) -> Mask:
        """Tells which pixels of a window lie on that side of a line to which a direction points."""
        normal = np.array([-line[1], line[0]], np.float32)
        normal = normal if normal @ direction > 0 else -normal
        return np.asarray(self.along(normal, window) > normal @ start)

    @property
    def whole(self) -> Window:
        """The whole crop."""
        return slice(0, len(self.inside)), slice(0, len(self.inside))

    @functools.cached_property
    def on_the_right(self) -> Mask:
        """(S, S) bool: the subject's right of the middle of the face's outline."""
        top, foot = (self.points[list(ends)].mean(0) for ends in (TEMPLES, JAW_ANGLES))
        return self.beyond(top, foot - top, -self.across, self.whole)

    @functools.cached_property
    def deep(self) -> Mask:
        """(S, S) bool: inside the outline, farther from it than the mesh may be wrong."""
        return _flags(cv2.erode(self.inside.view(np.uint8), self.square(OUTLINE_SLACK)))

    def reached_by(self, mask: Mask) -> Mask:
        """Gives the pixels inside the outline that a mask reaches from deep inside."""
        seeds = (mask & self.deep).view(np.uint8)
        return self.inside & _flags(cv2.dilate(seeds, self.square(OUTLINE_SLACK)))

    @functools.cached_property
    def near_forehead(self) -> Mask:
        """(S, S) bool: within the hairline's width of bare skin of the forehead."""
        forehead = self.tree.by_name["forehead"]
        table = np.zeros(256, np.uint8)
        table[[node.id for node in self.tree.descendants_of(forehead)]] = 1
        above = ~self.inside & ~self.below(EYE_CORNERS, self.whole)
        skin = self.is_face & (_flags(cv2.LUT(self.mesh_labels, table)) | above)
        return _flags(cv2.dilate(skin.view(np.uint8), self.square(HAIRLINE)))


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels of one class.

    Attributes:
        scene: The crop.
        name: The class, as `fict.yaml` calls it.
        window: Box around its pixels.
        pixels: (h, w) bool, in the window.
    """

    scene: Scene
    name: str
    window: Window
    pixels: Mask

    def third(self, number: int, place: Points) -> Mask:
        """Gives one third of the pixels' extent.

        Args:
            number: 0, 1 or 2, from low places to high ones.
            place: (h, w) float32, how far each pixel lies in some direction.
        """
        low, high = self.extent(place)
        cuts = (-np.inf, low + (high - low) / 3, high - (high - low) / 3, np.inf)
        return np.asarray(self.pixels & (place >= cuts[number]) & (place < cuts[number + 1]))

    def extent(self, place: Points) -> tuple[float, float]:
        """Gives the lowest and the highest place of the pixels, specks left out."""
        seen = place[self.pixels]
        few = np.sort(seen[:: max(1, len(seen) // SAMPLE)])
        low, high = (few[round(share * (len(few) - 1))] for share in TAILS)
        return float(low), float(high)

    @functools.cached_property
    def down(self) -> Points:
        """(h, w) float32: how far down the face each pixel lies."""
        return self.scene.along(self.scene.down, self.window)

    @functools.cached_property
    def across(self) -> Points:
        """(h, w) float32: how far towards the subject's left each pixel lies."""
        return self.scene.along(self.scene.across, self.window)


def part_of(scene: Scene, name: str, pixels: Mask) -> Part | None:
    """Gives the pixels of a class with their box; None where there are none."""
    x, y, width, height = cv2.boundingRect(pixels.view(np.uint8))
    if width == 0:
        return None
    window = slice(y, y + height), slice(x, x + width)
    return Part(scene, name, window, pixels[window])


def _flags(mask: NDArray[np.uint8]) -> Mask:
    return np.asarray(mask).view(np.bool_)
