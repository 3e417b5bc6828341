"""The true movement of a forgery: where each real pixel went, known from the edit itself.

A warp is run on a pattern picture whose colours tell each pixel's place, so that what is drawn
tells where it was read. No optical flow, hence no error of it. Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from schemas.records import EvidenceKind
from sources.forge.face import Frame, Points
from sources.forge.operation import Operation
from sources.forge.still import Still
from sources.forge.truth import changed_pixels

PERIOD = 48.0
"""Pixels of one wave of the pattern: movements up to half of it are told apart, and the largest
one of the forge, a frown at a face of 260 pixels, is 21 pixels."""
MIDDLE, SWING = 127.5, 120.0
"""Levels around which the pattern swings, and how far: the most that cubic sampling leaves room
for. Rounding to whole levels then makes errors of some 0.05 pixels."""
CLEAR = 0.9
"""Least share of the swing that is left where a pixel was moved; paint takes it away."""
ROUNDS = 12
"""Rounds of the inversion; the error falls at least by half in each but at the rim of a hole."""
CLOSED_PX = 0.5
"""A pixel whose way there and back ends further away than this was covered by others."""
MOVES = {EvidenceKind.POSITION, EvidenceKind.SIZE}

Field = NDArray[np.float32]
"""`(H, W, 2) float32` in frame pixels, x then y."""
Mask = NDArray[np.bool_]
"""`(H, W) bool` in frame pixels."""


@dataclass(frozen=True, eq=False)
class Movement:
    """Where the pixels of a real frame are in the fake one.

    Attributes:
        flow: `(H, W, 2) float32`, from the real to the fake place, frame pixels, x then y; 0 where
            it is not valid.
        valid: `(H, W) bool`, false where a real pixel is not in the fake frame: it was covered,
            painted over, or replaced by another person's.
    """

    flow: Field
    valid: Mask


def movement_of(
    parts: Sequence[tuple[Operation, float]],
    frame: Frame,
    points: Points,
    donor: Still,
    share: float = 1,
) -> Movement:
    """Gives the movement that some operations make of a frame.

    Args:
        parts: Operations with their strengths, in their order; those that move nothing count as
            no movement, identity swaps and pastes as none that is known.
        frame: The real frame.
        points: Its landmarks.
        donor: The other person.
        share: Share of every strength.
    """

    def run(chosen: list[tuple[Operation, float]], picture: Frame) -> Frame:
        for operation, strength in chosen:
            picture = operation.edit(picture, points, donor, share * strength)
        return picture

    warps = [part for part in parts if any(kind in MOVES for _, kind, _ in part[0].aims)]
    swaps = [part for part in parts if part[0].forgery == "identity swap"]
    flow, valid = _forward(*_read_from(lambda picture: run(warps, picture), frame.shape[:2]))
    valid &= ~changed_pixels(frame, run(swaps, frame))
    return Movement(np.where(valid[..., None], flow, 0).astype(np.float32), valid)


def _read_from(edit: Callable[[Frame], Frame], shape: tuple[int, int]) -> tuple[Field, Mask]:
    """Gives how far from each fake pixel its colour was read, and where it was read at all."""
    shift, clear = np.zeros((*shape, 2), np.float32), np.ones(shape, np.bool_)
    still = np.ones(shape, np.bool_)
    for axis, place in enumerate(reversed(np.mgrid[0 : shape[0], 0 : shape[1]])):
        wave = np.exp(2j * np.pi / PERIOD * place)
        levels = np.stack([wave.real, wave.imag, np.zeros(shape)], axis=2)
        pattern = np.rint(MIDDLE + SWING * levels).astype(np.uint8)
        drawn = edit(pattern)
        found = (drawn[..., 0] - MIDDLE) + 1j * (drawn[..., 1] - MIDDLE)
        shift[..., axis] = np.angle(found / wave) * (PERIOD / (2 * np.pi))
        clear &= np.abs(found) > CLEAR * SWING
        still &= (drawn == pattern).all(axis=2)
    shift[still] = 0
    return shift, clear


def _forward(shift: Field, clear: Mask) -> tuple[Field, Mask]:
    """Inverts a backward map: `flow(p) = -shift(p + flow(p))`."""
    shift = _nearest(shift, clear)
    flow = _scattered(shift, clear)
    for _round in range(ROUNDS):
        flow = -_at(shift, flow)
    back = flow + _at(shift, flow)
    seen = _at(clear.astype(np.float32), flow) > 0.99
    return flow, seen & (np.hypot(back[..., 0], back[..., 1]) < CLOSED_PX)


def _scattered(shift: Field, clear: Mask) -> Field:
    """Carries each fake pixel's movement to where it was read: the inversion's first guess."""
    height, width = clear.shape
    rows, columns = np.nonzero(clear)
    moves = shift[rows, columns]
    to_x = np.clip(np.rint(columns + moves[:, 0]), 0, width - 1).astype(int)
    to_y = np.clip(np.rint(rows + moves[:, 1]), 0, height - 1).astype(int)
    place = to_y * width + to_x
    count = np.bincount(place, minlength=clear.size)
    sums = [np.bincount(place, -moves[:, axis], clear.size) for axis in (0, 1)]
    flow = (np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).reshape(shift.shape)
    return _nearest(flow.astype(np.float32), (count > 0).reshape(clear.shape))


def _nearest(field: Field, known: Mask) -> Field:
    """Fills unknown pixels with the nearest known one's value."""
    if known.all() or not known.any():
        return field
    rows, columns = ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )
    return np.asarray(field[rows, columns])


def _at(field: NDArray[np.float32], flow: Field) -> NDArray[np.float32]:
    """Reads a field at the places that a flow leads to."""
    height, width = flow.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    places = np.dstack([columns + flow[..., 0], rows + flow[..., 1]])
    return np.asarray(
        cv2.remap(field, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
