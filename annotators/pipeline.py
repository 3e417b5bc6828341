"""The annotation of one pair, step by step as in the paper's figure.

Two stages with their own outputs, so that a new captioning model never repeats the geometry:
`measure_pair` here (pictures to evidence), and `annotators.publish` (evidence to checked text and
questions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.backends import LEAST_FACE_SCORE, backends
from annotators.diff import Artifact, diff
from annotators.evidence import Gauge, measure
from annotators.localise import Located, localise
from annotators.origin import noise_departure
from fict.headpose import coarsen_far_side
from fict.identity import likeness
from fict.landmarks import LandmarkBackend
from fict.tree import Tree, load_tree
from schemas import rle
from schemas.calibration import load_calibration
from schemas.errors import Rejected, RejectReason
from schemas.manifest import Measure
from schemas.records import (
    ArtifactMask,
    Evidence,
    MeasuredFrame,
    Pair,
    Picture,
    Region,
    Reject,
)
from schemas.stopwatch import CLOCK
from sources.crop import CropPair, crop_clip
from sources.gates import check_hidden, check_identity, hidden_share
from sources.pairs import PairReader, spaced_indices
from sources.pictures import DEFAULT_FPS, to_jpeg
from sources.tracking import FaceSearch

CONTROL = "none"
"""Class of a method that forges nothing."""
KEEPS_IDENTITY = ("expression reenactment", "attribute edit")
"""Classes of methods that leave the person who is seen the same."""
LOSSLESS = "c0"
"""Compression level at which the noise of the sensor is still there."""
Labels = NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True)
class PairJob:
    """One pair with what its rows must record of where they come from.

    Attributes:
        root: The dataset's folder.
        pair: The pair.
        forgery: Class of its method.
        real_sha256: Hash of the real video.
        fake_sha256: Hash of the fake video.
        code_version: Version of the measuring code.
        real_root: Folder of the real side, where it is another one.
        fps: Rate of sides that are pictures.
    """

    root: Path
    pair: Pair
    forgery: str
    real_sha256: str
    fake_sha256: str
    code_version: str
    real_root: Path | None = None
    fps: float = DEFAULT_FPS


@dataclass(frozen=True)
class Clip:
    """The frames of a pair that are looked at.

    Attributes:
        crops: Crop pairs in order of time; more than are annotated, since noise averages out.
        wanted: Indices of the frames to annotate.
        rejected: Why a frame to annotate has no crop, by its index.
    """

    crops: tuple[CropPair, ...]
    wanted: frozenset[int]
    rejected: Mapping[int, Rejected]

    def chosen(self, found: Sequence[T]) -> list[tuple[CropPair, T]]:
        """Gives the crops to annotate, each with what was found for it."""
        pairs = zip(self.crops, found, strict=True)
        return [(crop, one) for crop, one in pairs if crop.index in self.wanted]


class Measured(NamedTuple):
    """What was measured of a pair.

    Attributes:
        rows: The frames that could be measured.
        rejects: The others; a pair that fails as a whole has a single one.
        sampled: Frames that were chosen before anything was measured; none of such a pair.
    """

    rows: list[MeasuredFrame]
    rejects: list[Reject]
    sampled: int


class Measurer:
    """The measure stage with its models loaded once.

    Args:
        settings: Settings of the stage.

    Raises:
        UsageError: A backend of that name does not exist.
        BackendUnavailable: What a backend needs is not here.
    """

    def __init__(self, settings: Measure) -> None:
        self.settings = settings
        self.tree: Tree = load_tree()
        make_finder, parser = backends(settings)
        self.reader = PairReader()
        self.search = FaceSearch(_TimedFinder(make_finder(LEAST_FACE_SCORE)))
        self.parser = CLOCK.timed("label map", parser)

    def measure_pair(self, job: PairJob) -> Measured:
        """Measures the sampled frames of one pair: each becomes a row or a reject."""
        try:
            clip = self.clip_of(job.root, job.pair, real_root=job.real_root, fps=job.fps)
        except Rejected as rejection:
            return Measured([], [reject(job.pair, None, "measure", rejection)], 0)
        rejected = dict(clip.rejected)
        rows: list[MeasuredFrame] = []
        places = self._judged(job.pair, clip)
        with CLOCK.step("mask"):
            artifacts = diff(clip.crops, self.settings.diff, places)
        judged = [(clip.crops[k], one) for k, one in zip(places, artifacts, strict=True)]
        if (swapped := self._swapped(job.pair, judged)) is not None:
            return Measured([], [reject(job.pair, None, "measure", swapped)], 0)
        for crop, artifact in judged:
            if crop.index not in clip.wanted:
                continue
            try:
                rows.append(self.measure_frame(job, crop, artifact))
            except Rejected as rejection:
                rejected[crop.index] = rejection
        rejects = [
            reject(job.pair, index, "measure", rejected[index]) for index in sorted(rejected)
        ]
        return Measured(rows, rejects, len(clip.wanted))

    def clip_of(
        self,
        root: Path,
        pair: Pair,
        *,
        real_root: Path | None = None,
        fps: float = DEFAULT_FPS,
    ) -> Clip:
        """Reads and crops the frames of a pair: those to annotate and those around them.

        Args:
            root: Folder that the pair's paths are below.
            pair: The pair.
            real_root: The same of the real side, where it lies elsewhere.
            fps: Rate of sides that are pictures.

        Raises:
            Rejected: The pair fails as a whole.
        """
        wanted = self.settings.frames
        looked_at = wanted * self.settings.context
        with CLOCK.step("decoding"):
            frames = self.reader.read(root, pair, looked_at, real_root=real_root, fps=fps)
        chosen = {frames[place].index for place in spaced_indices(len(frames), wanted)}
        with CLOCK.step("crop, registration"):
            crops, rejected = crop_clip(frames, self.search, self.settings)
        reasons = {index: why for index, why in rejected.items() if index in chosen}
        return Clip(tuple(crops), frozenset(chosen), reasons)

    def _judged(self, pair: Pair, clip: Clip) -> list[int]:
        """Gives the places of the crops whose mask is needed."""
        every = self._tells_sides(pair)
        return [k for k, crop in enumerate(clip.crops) if every or crop.index in clip.wanted]

    def _tells_sides(self, pair: Pair) -> bool:
        """Tells whether the sensor's noise is there to tell the edited side."""
        return pair.compression == LOSSLESS and self.settings.swapped_noise > 0

    def _swapped(
        self, pair: Pair, judged: Sequence[tuple[CropPair, Artifact | Rejected]]
    ) -> Rejected | None:
        """Tells of sides that were swapped, by all frames that were looked at."""
        if not self._tells_sides(pair):
            return None
        found = [(crop, one.mask) for crop, one in judged if isinstance(one, Artifact)]
        departure = noise_departure([crop for crop, _ in found], [mask for _, mask in found])
        if departure is None or departure > -self.settings.swapped_noise:
            return None
        return Rejected(
            RejectReason.SIDES_SWAPPED,
            f"inside the change it is the noise of the real side that differs from its "
            f"surroundings ({departure:.2f}): {pair.real_path} seems to be the forged one",
        )

    def measure_frame(
        self, job: PairJob, crop: CropPair, artifact: Artifact | Rejected
    ) -> MeasuredFrame:
        """Turns a frame's artifact mask into a row.

        Raises:
            Rejected: There is no mask, or no region that it touches, or the pair is a control.
        """
        if isinstance(artifact, Rejected):
            raise artifact
        if job.forgery == CONTROL:
            raise Rejected(
                RejectReason.CONTROL_MARKED,
                f"{artifact.mask.mean():.1%} of frame {crop.index} of a control were marked, "
                "although nothing was forged",
            )
        self._check_identity(job, crop)
        labels = self._labels(crop)
        with CLOCK.step("regions"):
            located = localise(artifact.mask, labels, self.tree, self.settings.localise)
        if not located:
            raise Rejected(
                RejectReason.ARTIFACT_OFF_FACE,
                f"no facial region explains the change in frame {crop.index}",
            )
        masks = {one.concept: self.tree.pixels(labels, one.concept) for one in located}
        with CLOCK.step("evidence"):
            evidence = self._evidence(job, crop, artifact, masks)
        with CLOCK.step("writing"):
            return self._row(job, crop, artifact, labels, located, masks, evidence)

    def _evidence(
        self,
        job: PairJob,
        crop: CropPair,
        artifact: Artifact,
        masks: Mapping[int, NDArray[np.bool_]],
    ) -> list[Evidence]:
        null = load_calibration().null_of(job.pair.compression, artifact.noise_floor)
        gauge = Gauge(crop, artifact.mask, null)
        places = [(concept, mask & artifact.mask) for concept, mask in masks.items()]
        return measure(gauge, places, self.settings.evidence)

    def _row(
        self,
        job: PairJob,
        crop: CropPair,
        artifact: Artifact,
        labels: Labels,
        located: Sequence[Located],
        masks: Mapping[int, NDArray[np.bool_]],
        evidence: Sequence[Evidence],
    ) -> MeasuredFrame:
        return MeasuredFrame(
            id=frame_id(job.pair, crop.index),
            **job.pair.model_dump(),
            forgery=job.forgery,
            real_sha256=job.real_sha256,
            fake_sha256=job.fake_sha256,
            frame_index=crop.index,
            frame_offset=crop.frame_offset,
            timestamp_s=crop.timestamp_s,
            frame_size=crop.frame_size,
            affine=tuple(float(value) for value in crop.affine.ravel()),
            fake_affine=tuple(float(value) for value in crop.fake_affine.ravel()),
            face_score=crop.face_score,
            faces_in_frame=crop.faces_in_frame,
            yaw=crop.view.pose.yaw,
            pitch=crop.view.pose.pitch,
            roll=crop.view.pose.roll,
            face_px=crop.view.face_px,
            sharpness=crop.view.sharpness,
            registration_px=crop.registration_px,
            repairs=crop.repairs,
            grade=crop.grade.numbers if crop.grade else (),
            real=self._jpeg(crop.real, job.pair, crop.index, "real"),
            fake=self._jpeg(crop.fake, job.pair, crop.index, "fake"),
            label_map=_png(labels, f"{job.pair.key}/{crop.index:06d}-fict.png"),
            artifact=_artifact_record(artifact),
            regions=tuple(self._region(one, masks[one.concept], artifact.mask) for one in located),
            evidence=tuple(evidence),
            config_hash=self.settings.digest(),
            code_version=job.code_version,
        )

    def _check_identity(self, job: PairJob, crop: CropPair) -> None:
        """Lets a forgery pass that keeps the person, where it is to keep it."""
        least = self.settings.gates.min_identity
        if least is not None and job.forgery in KEEPS_IDENTITY:
            check_identity(likeness(crop.real, crop.fake, crop.landmarks), crop.index, least)

    def _labels(self, crop: CropPair) -> Labels:
        """Gives the label map of a crop whose face is seen well enough."""
        labels = self.parser(crop.real, crop.landmarks, self.tree)
        hidden = hidden_share(labels, crop.face_mask(), self.tree)
        check_hidden(hidden, crop.index, self.settings.gates)
        return coarsen_far_side(labels, crop.view.pose.yaw, self.tree)

    def _region(self, one: Located, concept: NDArray[np.bool_], mask: NDArray[np.bool_]) -> Region:
        changed = concept & mask
        return Region(
            category_id=one.concept,
            name=self.tree.by_id[one.concept].name,
            area=one.hit,
            bbox=rle.bbox(changed),
            segmentation=rle.encode(changed),
            concept_area=one.area,
            concept_segmentation=rle.encode(concept),
            gain=one.gain,
        )

    def _jpeg(self, image: Labels, pair: Pair, index: int, side: str) -> Picture:
        encoded = to_jpeg(image, self.settings.crop_quality)
        return Picture(bytes=encoded, path=f"{pair.key}/{index:06d}-{side}.jpg")


class _TimedFinder:
    """A landmark backend whose time is counted."""

    def __init__(self, finder: LandmarkBackend) -> None:
        self.detect = CLOCK.timed("faces", finder.detect)
        self.track = CLOCK.timed("faces", finder.track)


def _png(image: Labels, path: str) -> Picture:
    _, encoded = cv2.imencode(".png", image)
    return Picture(bytes=encoded.tobytes(), path=path)


def _artifact_record(artifact: Artifact) -> ArtifactMask:
    return ArtifactMask(
        policy=artifact.policy,
        segmentation=rle.encode(artifact.mask),
        area=rle.area(artifact.mask),
        bbox=rle.bbox(artifact.mask),
        threshold=artifact.threshold,
        noise_floor=artifact.noise_floor,
        confidence=artifact.confidence,
        stability=artifact.stability,
    )


def frame_id(pair: Pair, index: int | None) -> str:
    """Gives the unique id of a frame, or of the pair where there is no frame."""
    return pair.key if index is None else f"{pair.key}/{index:06d}"


def reject(pair: Pair, index: int | None, stage: str, rejection: Rejected) -> Reject:
    """Writes down why a pair or a frame has no annotation."""
    return Reject(
        id=frame_id(pair, index),
        dataset=pair.dataset,
        method=pair.method,
        compression=pair.compression,
        pair=pair.pair,
        frame_index=index,
        stage=stage,
        reason=rejection.reason.value,
        detail=rejection.detail,
    )
