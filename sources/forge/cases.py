"""Cases: single pairs of clips, real and forged, with the truth of every frame.

A case says all that decides its bytes; `sources.forge.design` draws a balanced set of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from schemas.errors import OutputError, UsageError
from sources.encode import CRF, write_video
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.controls import CONTROLS, LATEST
from sources.forge.face import Frame, Points
from sources.forge.flicker import Profile, flicker
from sources.forge.looks import look_of
from sources.forge.mixture import Mixture, mixture_of
from sources.forge.occlude import OCCLUDERS
from sources.forge.operations import OPERATIONS
from sources.forge.still import Still, load_still
from sources.forge.truth import FrameTruth, changed_pixels, frame_truth, segment

FPS = 25.0


@dataclass(frozen=True)
class Case:
    """One pair of clips.

    Attributes:
        name: Unique in a design; also the name of the case's folder.
        picture: Portrait of the target.
        donor: Portrait of the other person.
        look: One of `sources.forge.looks.LOOKS`.
        operations: Operations with their strengths; empty for a control.
        control: Key of `CONTROLS`; empty for a forgery.
        profile: How the strength runs over the frames.
        occluder: Key of `OCCLUDERS`, or None.
        compression: Key of `sources.encode.CRF`.
        seed: Decides camera, noise, flicker, occluder and control.
        frames: Frames of each clip.
        size: Height and width of a frame.
        face: Width of the face in pixels, 180 to 260 in a design.
    """

    name: str
    picture: Path
    donor: Path
    look: str
    operations: tuple[tuple[str, float], ...]
    control: str
    profile: Profile
    occluder: str | None
    compression: str
    seed: int
    frames: int = 12
    size: tuple[int, int] = (480, 640)
    face: int = 220


@dataclass(frozen=True)
class CaseFiles:
    """A case's videos and truth.

    Attributes:
        real: The real video.
        fake: The forged video, or the second real one of a control.
        truth: One entry a frame.
    """

    real: Path
    fake: Path
    truth: tuple[FrameTruth, ...]


@dataclass(frozen=True, eq=False)
class Film:
    """A case before encoding: everything that is known of its frames, in lists of one entry each.

    Attributes:
        reals: Real frames, `(H, W, 3) uint8` RGB.
        fakes: Forged frames, or the second real ones of a control.
        truth: What was changed.
        points: Landmarks of the real face, `(478, 2) float32` in frame pixels.
        mixture: The operations; None for a control. `truth` holds each frame's share of them.
    """

    reals: list[Frame]
    fakes: list[Frame]
    truth: list[FrameTruth]
    points: list[Points]
    mixture: Mixture | None


def make_case(case: Case, folder: Path) -> CaseFiles:
    """Films, forges and encodes a case.

    Args:
        case: The case.
        folder: Where a folder of the case's name is made.

    Raises:
        UsageError: An unknown name, an operation that does not fit the face, or a bad picture.
        OutputError: The folder cannot be written.
    """
    return encode_case(case, film_case(case), folder)


def film_case(case: Case) -> Film:
    """Films and forges a case.

    Raises:
        UsageError: An unknown name, an operation that does not fit the face, or a bad picture.
    """
    cv2.setNumThreads(1)
    mixture = mixture_of(case.operations) if case.operations else None
    if (mixture is None) == (not case.control):
        raise UsageError(f"case {case.name} must have either operations or a control")
    _check(case)
    return _control(case) if mixture is None else _forgery(case, mixture)


def encode_case(case: Case, film: Film, folder: Path) -> CaseFiles:
    """Encodes a case's film.

    Raises:
        OutputError: The folder cannot be written.
    """
    files = _made(folder / case.name)
    for path, clip in zip(files, (film.reals, film.fakes), strict=True):
        write_video(path, clip, FPS, CRF[case.compression])
    return CaseFiles(*files, tuple(film.truth))


def still_of(case: Case, donor: bool = False) -> Still:
    """Gives the prepared picture of a case's target, or of its donor."""
    return _still(case.donor if donor else case.picture, case.look, case.face, case.size)


def fitting(case: Case) -> frozenset[str]:
    """Gives the operations that can be seen on the face of a case's target."""
    return frozenset(name for name in OPERATIONS if _fits(name, case.picture, case.look, case.size))


@functools.cache
def _fits(name: str, path: Path, look: str, size: tuple[int, int]) -> bool:
    """Judges at one width of the face, so that the verdict is the same at every width."""
    still = _still(path, look, Case.face, size)
    return OPERATIONS[name].fits(still.landmarks, still.image)


def _check(case: Case) -> None:
    for what, name, known in (
        ("compression", case.compression, CRF),
        ("occluder", case.occluder or "", ("", *OCCLUDERS)),
        ("control", case.control, ("", *CONTROLS)),
    ):
        if name not in known:
            raise UsageError(f"case {case.name}: no {what} '{name}'")
    for name, _ in case.operations:
        if not _fits(name, case.picture, case.look, case.size):
            raise UsageError(f"case {case.name}: {name} cannot be seen on {case.picture.name}")


@functools.lru_cache(maxsize=8)
def _still(path: Path, look: str, face: int, size: tuple[int, int]) -> Still:
    share = face / size[1]
    return look_of(load_still(path, size, (share, share)), look)


def _made(folder: Path) -> tuple[Path, Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    return folder / "real.mp4", folder / "fake.mp4"


def _filmed(case: Case, frames: int) -> Iterator[tuple[int, Frame, Points]]:
    still, camera = still_of(case), Camera(case.size, frames, (case.seed, 0))
    for index, affine in enumerate(path_of(still, camera)):
        yield index, *real_frame(still, affine, camera, index)


def _forgery(case: Case, mixture: Mixture) -> Film:
    donor = still_of(case, donor=True)
    film = Film([], [], [], [], mixture)
    for index, real, points in _filmed(case, case.frames):
        share = flicker(1, index, case.seed, case.profile)
        fake = mixture.edit(real, points, donor, share)
        real, fake = _covered(case, points, real, fake)
        changed = changed_pixels(real, fake)
        film.reals.append(real)
        film.fakes.append(fake)
        film.points.append(points)
        film.truth.append(frame_truth(index, changed, points, mixture.aims, share))
    return film


def _covered(case: Case, points: Points, *sides: Frame) -> tuple[Frame, Frame]:
    """Draws the occluder, if there is one, over both sides."""
    real, fake = sides
    if case.occluder is None:
        return real, fake
    cover = OCCLUDERS[case.occluder](real, points, case.seed)
    return cover.over(real), cover.over(fake)


def _control(case: Case) -> Film:
    frames, points = [], []
    for _, real, place in _filmed(case, case.frames + LATEST):
        frames.append(_covered(case, place, real, real)[0])
        points.append(place)
    sides = CONTROLS[case.control](frames, case.frames, case.seed)
    segmentation, area = segment(np.zeros(case.size, np.bool_))
    truth = [FrameTruth(k, segmentation, area, (), (), (), 0.0) for k in range(case.frames)]
    return Film(*sides, truth, points[: case.frames], None)
