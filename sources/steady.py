"""Landmarks of one face over a clip without the jitter of the network, and without lag.

A clip is known whole, so every frame is smoothed from both sides, in time. Place, size and turn
(a similarity) are smoothed apart from the shape: a head moves as a whole, a blink does not. Where
frames are far apart, after a cut, or where a smoothed value would leave the measured one by more
than the jitter can be, what was measured stays.
Source: local polynomial regression (Fan and Gijbels 1996), bilateral weights; the split is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fict.landmarks import LEFT_EYE_RINGS, RIGHT_EYE_RINGS, Face, LandmarkBackend
from fict.mesh import VERTICES, load_mesh

Image = NDArray[np.uint8]
Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

CLOSE_S = 0.13
"""Frames that are further apart, in seconds, do not tell each other's landmarks."""
SIGMA_S = 0.08
"""Standard deviation of the weights over time, in seconds."""
CALM_S = (0.4, 0.2, 0.1)
"""The same for the place in which a face is read again, the calmest first."""
CALM_OFF = 0.015
"""A path is calm enough where the face stays this near it, in outer eye distances."""
REACH = 3.0
"""Frames are looked at within so many standard deviations."""
LEAST_RUN = 4
"""A curve through fewer frames smooths nothing."""
JUMP = 0.35
"""A face that moves or grows by more of its size between close frames is not followed: a cut."""
ALIKE = 0.012
"""Shapes that differ by this, in outer eye distances, count for 1/e of equal ones."""
MOST_MOVED = 0.012
"""The pose may move landmarks by at most this from where they were measured; same unit."""
MOST_BENT = 0.008
"""The same of the shape."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames in order of time.

    Attributes:
        images: `(H, W, 3) uint8` RGB.
        times_s: Presentation times in seconds, rising.
        cuts: Whether a new scene begins with the frame.
    """

    images: Sequence[Image]
    times_s: Sequence[float]
    cuts: Sequence[bool]


@dataclass(frozen=True, eq=False)
class Motion:
    """A run of frames of one face, F of them, taken apart: points = place + turn x shape.

    Attributes:
        place: `(F,) complex128`, x + iy of the middle of the stable points, frame pixels.
        turn: `(F,) complex128`, size (frame pixels an outer eye distance) and turn in the plane.
        shape: `(F, 478) complex128` in outer eye distances, upright.
        depth: `(F, 478) float64` in the same unit.
    """

    place: Complex
    turn: Complex
    shape: Complex
    depth: Real


def steady(faces: Sequence[Face | None], clip: Clip, finder: LandmarkBackend) -> list[Face | None]:
    """Reads one face's landmarks again where it calmly is, and smooths them.

    Args:
        faces: The face in each frame, or `None`.
        clip: The frames.
        finder: Landmark backend.

    Returns:
        The same faces with other landmarks and their boxes.
    """
    smoothed = list(faces)
    for run in runs(faces, clip):
        if len(run) < LEAST_RUN:
            continue
        known = [face for face in (faces[k] for k in run) if face is not None]
        times_s = np.take(clip.times_s, run)
        calm = settled(stacked(known), times_s)
        again = [
            _read(clip.images[k], face, points, finder)
            for k, face, points in zip(run, known, calm, strict=True)
        ]
        for k, face, points in zip(run, again, smooth(stacked(again), times_s), strict=True):
            smoothed[k] = _with(face, points)
    return smoothed


def stacked(faces: Sequence[Face]) -> NDArray[np.float32]:
    """Gives the landmarks of F faces as `(F, 478, 3) float32`."""
    return np.stack([face.landmarks for face in faces])


def _read(image: Image, face: Face, where: NDArray[np.float32], finder: LandmarkBackend) -> Face:
    """Reads the face again in a calm place; keeps it where that does not find it."""
    again = finder.track(image, _with(face, where))
    if again is None or _jumps(face, again):
        return face
    return again


def _with(face: Face, points: NDArray[np.float32]) -> Face:
    mesh = points[:VERTICES, :2]
    return replace(face, box_xyxy=np.concatenate([mesh.min(0), mesh.max(0)]), landmarks=points)


def runs(faces: Sequence[Face | None], clip: Clip) -> list[list[int]]:
    """Gives the positions of frames that follow each other closely and show the face."""
    found: list[list[int]] = []
    for k, face in enumerate(faces):
        if face is None:
            continue
        last = faces[k - 1] if k else None
        near = not clip.cuts[k] and clip.times_s[k] - clip.times_s[k - 1] <= CLOSE_S
        if last is not None and near and not _jumps(last, face):
            found[-1].append(k)
        else:
            found.append([k])
    return found


def _jumps(last: Face, face: Face) -> bool:
    boxes = np.stack([last.box_xyxy, face.box_xyxy]).astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    moved = np.abs(boxes[1] - boxes[0]).max() / max(1.0, size.max())
    return bool(moved > JUMP)


def smooth(landmarks: NDArray[np.float32], times_s: Real) -> NDArray[np.float32]:
    """Smooths a run of frames.

    Args:
        landmarks: `(F, 478, 3) float32`, frame pixels.
        times_s: `(F,)` seconds, rising.

    Returns:
        `(F, 478, 3) float32`.
    """
    motion = taken_apart(landmarks)
    near = kernel(times_s)
    pose = _smooth_pose(motion, times_s, near)
    shape, depth = _smooth_shape(motion, times_s, near)
    flat = pose[:, :1] + pose[:, 1:] * shape
    deep = np.abs(pose[:, 1:]) * depth
    return np.stack([flat.real, flat.imag, deep], axis=2).astype(np.float32)


def settled(landmarks: NDArray[np.float32], times_s: Real) -> NDArray[np.float32]:
    """Gives where to look for the face: its usual shape on a calm path, same form as `smooth`.

    The network's answer depends a little on where it looks. Looking where the last answer was, as
    plain tracking does, lets the answers wander over a still face and trail behind a moving one.
    """
    motion = taken_apart(landmarks)
    pose = _calm(motion, times_s)
    shape = np.median(motion.shape.real, axis=0) + 1j * np.median(motion.shape.imag, axis=0)
    flat = pose[:, :1] + pose[:, 1:] * shape
    return np.stack([flat.real, flat.imag, landmarks[..., 2]], axis=2).astype(np.float32)


def _calm(motion: Motion, times_s: Real) -> Complex:
    """Gives `(F, 2)`: place and turn on the calmest path that the face does not leave by much."""
    measured = np.stack([motion.place, motion.turn], axis=1)
    for sigma_s in CALM_S:
        pose = parabolas(measured, times_s, kernel(times_s, sigma_s))
        off = np.abs(pose - measured).sum(axis=1) / np.abs(motion.turn)
        if off.max() <= CALM_OFF:
            break
    return pose


def taken_apart(landmarks: NDArray[np.float32]) -> Motion:
    """Splits `(F, 478, 3)` landmarks into pose and shape, by points that do not move themselves."""
    points = landmarks[..., 0] + 1j * landmarks[..., 1].astype(np.float64)
    rigid = points[:, STABLE]
    place = rigid.mean(axis=1)
    mesh = load_mesh().vertices[STABLE].astype(np.float64)
    model = (mesh[:, 0] + 1j * mesh[:, 1]) - (mesh[:, 0] + 1j * mesh[:, 1]).mean()
    turn = (rigid - place[:, None]) @ model.conj() / float((np.abs(model) ** 2).sum())
    shape = (points - place[:, None]) / turn[:, None]
    return Motion(place, turn, shape, landmarks[..., 2] / np.abs(turn)[:, None])


def kernel(times_s: Real, sigma_s: float = SIGMA_S) -> Real:
    """Gives `(F, F)` weights of each frame (column) for each (row), equal before and after it."""
    apart = (times_s[None] - times_s[:, None]) / sigma_s
    return np.where(np.abs(apart) < REACH + 1e-6, np.exp(-0.5 * apart**2), 0.0)


def _smooth_pose(motion: Motion, times_s: Real, near: Real) -> Complex:
    """Gives `(F, 2)`: place and turn on local parabolas, near what was measured."""
    measured = np.stack([motion.place, motion.turn], axis=1)
    fitted = parabolas(measured, times_s, near)
    off = np.abs(fitted - measured).sum(axis=1) / np.abs(motion.turn)
    typical = max(float(np.median(off)), 1e-9)
    trusted = near / (1 + (off / (3 * typical)) ** 4)[None]  # a frame far off its own parabola
    fitted = parabolas(measured, times_s, trusted)
    off = np.abs(fitted - measured).sum(axis=1) / np.abs(motion.turn)
    return measured + (fitted - measured) * limited(off, MOST_MOVED)[:, None]


def parabolas(values: Complex, times_s: Real, weights: Real) -> Complex:
    """Gives `(F, K)`: at each frame the weighted least squares parabola through its neighbours."""
    fitted = values.copy()
    for k, weight in enumerate(weights):
        away = (times_s - times_s[k]) / SIGMA_S
        basis = np.stack([np.ones_like(away), away, away**2], axis=1)
        normal = (basis * weight[:, None]).T @ basis + np.diag([0.0, 1e-6, 1e-6])
        fitted[k] = np.linalg.solve(normal, (basis * weight[:, None]).T @ values)[0]
    return fitted


def _smooth_shape(motion: Motion, times_s: Real, near: Real) -> tuple[Complex, Real]:
    """Gives shape and depth, each point on a local line through frames where it is alike."""
    shape, depth = motion.shape.copy(), motion.depth.copy()
    for k, weight in enumerate(near):
        seen = np.flatnonzero(weight)
        apart = np.abs(motion.shape[seen] - motion.shape[k])
        alike = weight[seen, None] * np.exp(-((apart / ALIKE) ** 2))
        share = _line_weights(alike, (times_s[seen] - times_s[k]) / SIGMA_S)
        change = (share * (motion.shape[seen] - motion.shape[k])).sum(axis=0)
        shape[k] += change * limited(np.abs(change), MOST_BENT)
        depth[k] = (share * motion.depth[seen]).sum(axis=0)
    return shape, depth


def _line_weights(weights: Real, away: Real) -> Real:
    """Gives `(M, N)`: what each of M frames adds to the value at 0 of the line fitted to it."""
    first = (weights * away[:, None]).sum(axis=0)
    second = (weights * away[:, None] ** 2).sum(axis=0) + 1e-6
    found = weights * (second - away[:, None] * first)
    return np.asarray(found / found.sum(axis=0), np.float64)


def limited(off: Real, most: float) -> Real:
    """Gives the factor that keeps a change within its limit."""
    return most / np.maximum(off, most)


def _stable() -> NDArray[np.intp]:
    """Gives the vertices of forehead and nose: those above the lips and outside the eyes."""
    height = load_mesh().vertices[:, 1]
    moving = np.isin(np.arange(VERTICES), [*RIGHT_EYE_RINGS, *LEFT_EYE_RINGS])
    return np.flatnonzero((height < LIPS) & ~moving)


LIPS = 0.62
"""Height of the canonical mesh above which nothing moves when the mouth opens."""
STABLE = _stable()
