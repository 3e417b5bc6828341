"""One clip of a forged dataset: a picture filmed and forged, its videos written, its truth told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.encode import CRF, write_video
from sources.forge.clip import Camera, path_of, real_frame
from sources.forge.face import Frame, Points
from sources.forge.methods import variant_of
from sources.forge.still import Still
from sources.forge.truth import Truth, changed_pixels, segment
from sources.video import probe, read_frames


@dataclass(frozen=True, eq=False)
class Job:
    """One clip to make, in one process: a picture filmed, and forged unless `method` is empty."""

    folder: Path
    method: str
    target: int
    still: Still
    donor: Still
    donor_number: int
    camera: Camera
    fps: float
    compressions: tuple[str, ...]

    @property
    def pair(self) -> str:
        """Gives the pair's name: target first, as FaceForensics++ has it."""
        return f"{self.target:03}_{self.donor_number:03}"

    def real(self, compression: str) -> Path:
        """Gives the real video's file, relative to the folder."""
        return Path(f"original_sequences/youtube/{compression}/videos/{self.target:03}.mp4")

    def made(self, compression: str) -> Path:
        """Gives the file that this job makes, relative to the folder."""
        if not self.method:
            return self.real(compression)
        return Path(f"manipulated_sequences/{self.method}/{compression}/videos/{self.pair}.mp4")


def make_clip(job: Job) -> list[Truth]:
    """Films a picture, forges it, writes the video at each compression, and gives the truth.

    Raises:
        OutputError: A video cannot be written.
    """
    cv2.setNumThreads(1)
    edit = variant_of(job.method, job.target).edit if job.method else None
    if job.method and edit is None:
        _encode_again(job)
        empty = np.zeros(job.camera.size, np.bool_)
        return [_truth(job, index, empty) for index in range(job.camera.frames)]
    made, truth = [], []
    for index, real, points in _filmed(job):
        fake = edit(real, points, job.donor) if edit else real
        made.append(fake)
        if edit:
            truth.append(_truth(job, index, changed_pixels(real, fake)))
    for compression in job.compressions:
        write_video(job.folder / job.made(compression), made, job.fps, CRF[compression])
    return truth


def _filmed(job: Job) -> Iterator[tuple[int, Frame, Points]]:
    for index, affine in enumerate(path_of(job.still, job.camera)):
        yield index, *real_frame(job.still, affine, job.camera, index)


def _encode_again(job: Job) -> None:
    """The control: the real video decoded and encoded once more, nothing forged."""
    for compression in job.compressions:
        real = job.folder / job.real(compression)
        frames = read_frames(real, range(probe(real).frames))
        images = (frame.image for frame in frames)
        write_video(job.folder / job.made(compression), images, job.fps, CRF[compression])


def _truth(job: Job, index: int, mask: NDArray[np.bool_]) -> Truth:
    segmentation, area = segment(mask)
    aims = variant_of(job.method, job.target).aims
    return Truth(
        method=job.method,
        pair=job.pair,
        frame_index=index,
        segmentation=segmentation,
        area=area,
        concepts=tuple(concept for concept, _, _ in aims),
        kinds=tuple(kind for _, kind, _ in aims if kind),
        directions=tuple(how for _, kind, how in aims if kind),
    )
