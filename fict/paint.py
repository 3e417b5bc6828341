"""Shows label maps: coloured regions over a crop, and a numbered legend.

`python -m fict.paint` writes the pictures and the table of `docs/fict.md`.
"""

from __future__ import annotations

import colorsys
import functools
from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.tree import Tree

GOLDEN = 0.6180339887
FONT = cv2.FONT_HERSHEY_SIMPLEX


@functools.cache
def colour_of(concept_id: int) -> tuple[int, int, int]:
    """The (r, g, b) of a node, 0..255, the same for ever; neighbours by id differ clearly."""
    hue = (concept_id * GOLDEN) % 1.0
    saturation = (0.95, 0.6, 0.8)[concept_id % 3]
    value = (1.0, 0.75, 0.9, 0.6)[concept_id % 4]
    r, g, b = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(r * 255), round(g * 255), round(b * 255)


def paint(
    crop: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    tree: Tree,
    selected: Collection[int] | None = None,
    opacity: float = 0.45,
    numbers: bool = False,
) -> NDArray[np.uint8]:
    """The crop with its regions coloured.

    Args:
        crop: (S, S, 3) uint8 RGB.
        labels: (S, S) uint8 node ids.
        tree: the tree.
        selected: ids of nodes to show, parents included; None shows every region of the face and of
            what surrounds it, but not the coarse `surroundings` itself.
        opacity: 0 shows the crop, 1 the colours.
        numbers: whether each shown region carries its id.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    shown = shown_as(labels, tree, selected)
    colours = np.array([colour_of(i) for i in range(256)], np.float32)
    blend = crop * (1 - opacity) + colours[shown] * opacity
    picture = np.where(shown[..., None] > 0, blend, crop).astype(np.uint8)
    picture[_borders(shown)] = (255, 255, 255)
    if numbers:
        _write_numbers(picture, shown)
    return picture


def shown_as(
    labels: NDArray[np.uint8], tree: Tree, selected: Collection[int] | None
) -> NDArray[np.uint8]:
    """(S, S) uint8: each pixel's selected node (itself or the nearest above), 0 where none is."""
    table = np.zeros(256, np.uint8)
    for concept in tree.concepts:
        line = [node.id for node in (concept, *tree.ancestors_of(concept))]
        if selected is None:
            table[concept.id] = 0 if concept.name in ("image", "surroundings") else concept.id
        else:
            table[concept.id] = next((i for i in line if i in selected), 0)
    return table[labels]


def legend(tree: Tree, ids: Collection[int], height: int, row: int = 22) -> NDArray[np.uint8]:
    """(height, W, 3) uint8 RGB: colour, id and name of each node, in columns."""
    per_column = max(1, (height - row) // row)
    columns = -(-len(ids) // per_column)
    width = 12 * row
    picture = np.full((height, columns * width, 3), 255, np.uint8)
    for place, concept_id in enumerate(sorted(ids)):
        column, line = divmod(place, per_column)
        x, y = column * width + row // 2, line * row + row // 2
        box = (x, y), (x + row - 6, y + row - 6)
        cv2.rectangle(picture, *box, colour_of(concept_id), cv2.FILLED)
        text = f"{concept_id} {tree.by_id[concept_id].name}"
        _write(picture, text, (x + row, y + row - 8), row / 48)
    return picture


def _borders(shown: NDArray[np.uint8]) -> NDArray[np.bool_]:
    edge = np.zeros(shown.shape, bool)
    edge[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    edge[1:] |= shown[1:] != shown[:-1]
    return edge


def _write_numbers(picture: NDArray[np.uint8], shown: NDArray[np.uint8]) -> None:
    """Writes each region's id where the region is widest."""
    for concept_id in np.unique(shown[shown > 0]):
        region = np.pad((shown == concept_id).astype(np.uint8), 1)
        depth = cv2.distanceTransform(region, cv2.DIST_L2, 3)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        text, scale = str(concept_id), max(0.45, picture.shape[0] / 2200)
        (width, height), _ = cv2.getTextSize(text, FONT, scale, 1)
        at = (int(x) - width // 2, int(y) + height // 2)
        cv2.putText(picture, text, at, FONT, scale, (255, 255, 255), 3, cv2.LINE_AA)
        _write(picture, text, at, scale)


def _write(picture: NDArray[np.uint8], text: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, text, at, FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


if __name__ == "__main__":
    from fict.handbook import write_handbook

    write_handbook()
