"""The geometric rules by which `fict.yaml` divides a class of a face-parsing backend into parts.

A rule takes the pixels of one class and gives those of its part. Parts of a class never overlap;
pixels that no rule takes stay undivided. The sizes, shares of the face's height, are ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fict.parsing_scene import JAW_ANGLES, TEMPLES, Mask, Part
from fict.tree import Tree

EAR_MIN = 0.2
"""An ear that shows less of its height than this is partly hidden: its thirds are unknown."""
UNDER_CHIN = 0.1
"""How far the underside of the chin reaches below the jaw."""
RIM = 0.03
"""Width of the rim of a pair of glasses."""
NOSE_ROOT = 168
JAW = [172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397]

(HAIRLINE, FRINGE, TOP, RIGHT_SIDE, LEFT_SIDE, RIGHT_LONG, LEFT_LONG,
 MOUSTACHE, BEARD, RIGHT_SIDEBURN, LEFT_SIDEBURN, OUTSIDE) = range(1, 13)  # fmt: skip
"""Places of hair; 0 is elsewhere on the face."""
OVER_FACE = {
    FRINGE: ("forehead", "eyebrows", "eyes", "nose", "right cheekbone", "left cheekbone",
             "right front cheek", "left front cheek"),
    MOUSTACHE: ("upper lip skin",),
    BEARD: ("chin and jaw", "right lower cheek", "left lower cheek"),
    RIGHT_SIDEBURN: ("right side cheek",),
    LEFT_SIDEBURN: ("left side cheek",),
}  # fmt: skip
"""The concepts of the mesh that hair of each place lies over."""
Rule = Callable[[Part], Mask]


def upper_third(part: Part) -> Mask:
    """Pixels of the upper third of an ear."""
    return _third_of_ear(part, 0)


def middle_third(part: Part) -> Mask:
    """Pixels of the middle third: of the neck across, of an ear between top and lobe."""
    return _third_of_neck(part, 1) if part.name == "neck" else _third_of_ear(part, 1)


def lower_third(part: Part) -> Mask:
    """Pixels of the lower third of an ear."""
    return _third_of_ear(part, 2)


def right_third(part: Part) -> Mask:
    """Pixels of the third of the neck on the subject's right."""
    return _third_of_neck(part, 0)


def left_third(part: Part) -> Mask:
    """Pixels of the third of the neck on the subject's left."""
    return _third_of_neck(part, 2)


def below_chin(part: Part) -> Mask:
    """Pixels of the neck close below the jaw."""
    return part.pixels & _under_chin(part)


def right_half(part: Part) -> Mask:
    """Pixels on the subject's right."""
    return part.pixels & part.scene.on_the_right[part.window]


def left_half(part: Part) -> Mask:
    """Pixels on the subject's left."""
    return part.pixels & ~part.scene.on_the_right[part.window]


def right_lens(part: Part) -> Mask:
    """Pixels of the right glass."""
    return _lenses(part) & _right_of_nose(part)


def left_lens(part: Part) -> Mask:
    """Pixels of the left glass."""
    return _lenses(part) & ~_right_of_nose(part)


def frame(part: Part) -> Mask:
    """Pixels of glasses that are no lens."""
    return part.pixels & ~_lenses(part)


def whole(part: Part) -> Mask:
    """All pixels."""
    return part.pixels


def _third_of_ear(part: Part, number: int) -> Mask:
    low, high = part.extent(part.down)
    if high - low < EAR_MIN * part.scene.height:
        return np.zeros_like(part.pixels)
    return part.third(number, part.down)


def _third_of_neck(part: Part, number: int) -> Mask:
    return part.third(number, part.across) & ~_under_chin(part)


def hair_at(place: int) -> Rule:
    """Gives the rule that takes hair of one place."""
    return lambda part: np.asarray(_hair_places(part) == place)


@functools.lru_cache(maxsize=1)
def _hair_places(part: Part) -> NDArray[np.uint8]:
    """(h, w) uint8: the place of each pixel of hair; 0 for other pixels too."""
    scene, window = part.scene, part.window
    places = np.asarray(cv2.LUT(scene.mesh_labels[window], _places_over_face(scene.tree)))
    at_skin = scene.near_forehead[window] & ~scene.deep[window]
    np.copyto(places, HAIRLINE, where=at_skin & ((places == OUTSIDE) | (places == FRINGE)))
    side = np.where(scene.on_the_right[window], np.uint8(RIGHT_SIDE), np.uint8(LEFT_SIDE))
    np.copyto(side, side + 2, where=scene.below(JAW_ANGLES, window))
    np.copyto(side, TOP, where=~scene.below(TEMPLES, window))
    np.copyto(places, side, where=places == OUTSIDE)
    return np.asarray(places * part.pixels, np.uint8)


@functools.cache
def _places_over_face(tree: Tree) -> NDArray[np.uint8]:
    """(256,) uint8 from a concept that the mesh draws to the place of hair over it."""
    table = np.full(256, OUTSIDE, np.uint8)
    table[[node.id for node in tree.descendants_of(tree.by_name["face"])]] = 0
    for place, names in OVER_FACE.items():
        for name in names:
            node = tree.by_name[name]
            table[[below.id for below in (node, *tree.descendants_of(node))]] = place
    return table


@functools.lru_cache(maxsize=1)
def _under_chin(part: Part) -> Mask:
    """(h, w) bool: what lies above the jaw's outline moved down."""
    scene = part.scene
    moved = scene.points[JAW] + scene.share(UNDER_CHIN) * scene.down
    corner = np.array([part.window[1].start, part.window[0].start])
    drawn = np.zeros(part.pixels.shape, np.uint8)
    cv2.fillPoly(drawn, [np.rint((moved - corner) * 16).astype(np.int32)], 1, shift=4)
    return np.asarray(drawn, np.bool_)


@functools.lru_cache(maxsize=1)
def _lenses(part: Part) -> Mask:
    """(h, w) bool: glasses farther from their outer border than the rim is wide.

    An eye that is seen through a lens is no hole in it.
    """
    found = np.pad(part.pixels, 1).view(np.uint8)
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(found), outlines, -1, 1, cv2.FILLED)
    inner = cv2.erode(filled, part.scene.square(RIM))[1:-1, 1:-1]
    return np.asarray(part.pixels & (inner > 0))


def _right_of_nose(part: Part) -> Mask:
    scene = part.scene
    return scene.beyond(scene.points[NOSE_ROOT], scene.down, -scene.across, part.window)


RULES: dict[str, Rule] = {
    "upper_third": upper_third, "middle_third": middle_third, "lower_third": lower_third,
    "right_third": right_third, "left_third": left_third, "below_chin": below_chin,
    "right_half": right_half, "left_half": left_half, "whole": whole,
    "right_lens": right_lens, "left_lens": left_lens, "frame": frame,
    "border_with_forehead": hair_at(HAIRLINE), "over_forehead": hair_at(FRINGE),
    "above_face": hair_at(TOP),
    "right_of_face": hair_at(RIGHT_SIDE), "left_of_face": hair_at(LEFT_SIDE),
    "right_below_jaw": hair_at(RIGHT_LONG), "left_below_jaw": hair_at(LEFT_LONG),
    "over_upper_lip_skin": hair_at(MOUSTACHE), "over_chin_and_jaw": hair_at(BEARD),
    "over_right_side_cheek": hair_at(RIGHT_SIDEBURN),
    "over_left_side_cheek": hair_at(LEFT_SIDEBURN),
}  # fmt: skip
"""By the name that `fict.yaml` gives under `part`."""
