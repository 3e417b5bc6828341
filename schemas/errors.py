"""The project's errors, in one short tree.

    FacextError
    ├── UsageError            the command line or the manifest is wrong: exit code 2
    │   └── ManifestError     data_manifest.yaml: names the key and the nearest known one
    ├── SourceMissing         a dataset's folder is unset, absent or empty
    ├── OutputError           the output folder cannot be written, or the disk is full
    ├── BackendUnavailable    a landmark, parsing or captioning backend or a runner cannot run here
    ├── BudgetReached         the next request could pass `max_cost`: what is paid for is kept
    ├── TrainingDiverged      the loss is no number: the last good checkpoint is kept
    └── Rejected              a pair or frame that cannot be annotated: becomes a reject row

`Rejected` is the only expected failure of one pair: the run goes on and keeps it with its reason.
Everything else stops the run with one message.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum


class RejectReason(StrEnum):
    """Why a pair or a frame has no annotation; the list is closed, so that counts compare."""

    NO_VIDEOS = "no_videos"
    MISSING_PARTNER = "missing_partner"
    BAD_ENTRY = "bad_entry"
    SAME_FILE = "same_file"
    SIDES_SWAPPED = "sides_swapped"
    UNREADABLE_VIDEO = "unreadable_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FRAMES = "no_frames"
    BAD_FRAMES = "bad_frames"
    SIZE_MISMATCH = "size_mismatch"
    FRAME_RATE_MISMATCH = "frame_rate_mismatch"
    DIFFERENT_CONTENT = "different_content"
    NO_FACE = "no_face"
    POOR_FACE = "poor_face"
    FACE_LEFT_FRAME = "face_left_frame"
    TURNED_FACE = "turned_face"
    SMALL_FACE = "small_face"
    BLURRED_FACE = "blurred_face"
    OCCLUDED_FACE = "occluded_face"
    IDENTITY_CHANGED = "identity_changed"
    MISREGISTERED = "misregistered"
    NO_ARTIFACT = "no_artifact"
    EVERYTHING_CHANGED = "everything_changed"
    ARTIFACT_OFF_FACE = "artifact_off_face"
    CONTROL_MARKED = "control_marked"
    NO_EVIDENCE = "no_evidence"
    INTERNAL_ERROR = "internal_error"


class FacextError(Exception):
    """Base of every error that the project raises on purpose."""


class UsageError(FacextError):
    """The user asked for something that does not exist; the message says what does."""


class ManifestError(UsageError):
    """`data_manifest.yaml` is wrong; the message names the file, the key and a remedy."""


class SourceMissing(FacextError):
    """A dataset's folder is unset, absent or holds none of the expected files."""


class OutputError(FacextError):
    """Results cannot be written; nothing already written is lost."""


class BackendUnavailable(FacextError):
    """A backend or runner of the manifest cannot run here; the message says how to get it."""


class BudgetReached(FacextError):
    """The next request could cost more than is left of `max_cost`; the run can be resumed."""


class TrainingDiverged(FacextError):
    """The loss of a training is not a number; the last good checkpoint is kept."""


class Rejected(FacextError):
    """An expected failure of one pair or frame.

    Args:
        reason: One of the closed list.
        detail: One sentence for a person: what was found and where.
    """

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it crosses process borders whole
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Gives ` (did you mean 'x'?)` for a misspelt word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
