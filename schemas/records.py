"""The records: what is known of a pair, a frame, a region, a claim, a question.

Every record is frozen. A field's description is its documentation everywhere: `schemas.arrow`
turns the records into the Arrow schema and `docs/format.md`, so the three cannot disagree.

Frames of reference: `frame` pixels are those of the decoded video; `crop` pixels those of the
square face crop; `affine` maps the first to the second. x goes right, y down. Left and right in
region names are the subject's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Side = Literal["real", "fake"]
Verdict = Literal["supported", "contradicted", "untestable"]
Fate = Literal["contradicted", "untestable", "refused"]
"""Why a statement was not published; `refused`: about no allowed region, or nothing measurable."""
Task = Literal[
    "Det", "Cls",
    "I-TOE", "I-Loc", "I-AGE",
    "R-TOE", "R-Loc", "R-AGE",
    "B-TOE", "B-Loc", "B-AGE",
]  # fmt: skip
"""FiFa-11: detection, classification, and {image, region, box} x {TOE, Loc, AGE} (paper)."""

SEG = "[SEG]"
"""Stands for one mask in a text; the k-th `[SEG]` of a text is the k-th mask beside it."""


class EvidenceKind(StrEnum):
    """What about a region can be measured to have changed from the real to the fake side."""

    CHANGE = "change"
    LIGHTNESS = "lightness"
    COLOUR = "colour"
    SHARPNESS = "sharpness"
    TEXTURE = "texture"
    SEAM = "seam"
    POSITION = "position"
    SIZE = "size"


DIRECTIONS: dict[EvidenceKind, tuple[str, ...]] = {
    EvidenceKind.CHANGE: ("altered",),
    EvidenceKind.LIGHTNESS: ("darker", "lighter"),
    EvidenceKind.COLOUR: ("redder", "greener", "yellower", "bluer"),
    EvidenceKind.SHARPNESS: ("smoother", "sharper"),
    EvidenceKind.TEXTURE: ("less textured", "more textured"),
    EvidenceKind.SEAM: ("blending edge",),
    EvidenceKind.POSITION: ("moved up", "moved down", "moved left", "moved right"),
    EvidenceKind.SIZE: ("smaller", "larger"),
}
"""The directions each kind may take; `left` and `right` of a movement are the subject's."""


class Record(BaseModel):
    """Base: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Pair(Record):
    """One fake video and the real video that it was made from.

    A side may also be a folder of its frames or one picture.
    """

    dataset: str = Field(description="Name of the dataset's block in the manifest.")
    method: str = Field(description="Forgery method, spelt as the source spells it.")
    compression: str = Field(description="Compression level (`c0`, `c23`, `c40`); empty: unknown.")
    pair: str = Field(description="Name of the pair within dataset, method and compression.")
    split: str = Field(description="`train`, `val`, `test`, or empty where the source gives none.")
    real_path: str = Field(description="Real video, relative to the root of the real sides.")
    fake_path: str = Field(description="Fake video, relative to the dataset's root.")
    mask_path: str = Field(
        "", description="The dataset's own mask of the forgery, relative to its root; empty: none."
    )
    identities: tuple[str, ...] = Field(
        (), description="People of the pair by the dataset's names: real side first; may be empty."
    )
    edited: tuple[str, ...] = Field(
        (), description="Parts that the dataset says were edited, in order; mostly it says nothing."
    )

    @property
    def key(self) -> str:
        """Identifies the pair over all datasets."""
        return "/".join(filter(None, (self.dataset, self.method, self.compression, self.pair)))


class Segmentation(Record):
    """A mask as COCO RLE; pycocotools reads it as it is."""

    size: tuple[int, int] = Field(description="Height and width in crop pixels.")
    counts: str = Field(description="COCO compressed run lengths (column-major), as a string.")


Encoded = bytes  # inside Picture the name `bytes` is a field's


class Picture(Record):
    """An encoded image, as Hugging Face's `Image` feature stores it."""

    bytes: Encoded | None = Field(description="Encoded image; null where a release drops pixels.")
    path: str = Field(description="File name that the image would have.")

    @model_validator(mode="before")
    @classmethod
    def _null_has_no_pixels(cls, picture: object) -> object:
        return {"bytes": None, "path": ""} if picture is None else picture


class ArtifactMask(Record):
    """The pixels that the forgery changed, with how far they can be trusted."""

    policy: str = Field(description="Diff policy that recovered the mask.")
    segmentation: Segmentation = Field(description="The mask, in crop pixels.")
    area: int = Field(description="Changed crop pixels.")
    bbox: tuple[float, float, float, float] = Field(description="COCO box: x, y, width, height.")
    threshold: float = Field(description="Cut that was applied, in the policy's own unit.")
    noise_floor: float = Field(
        description="Median difference around the face where the codec left one, CIELAB units."
    )
    confidence: float = Field(
        description="0..1: share of the mask that was truly changed, as fitted on known forgeries."
    )
    stability: float = Field(description="0..1: mean IoU with the masks at 0.8x and 1.25x the cut.")


class Region(Record):
    """One FICT concept that the forgery touched."""

    category_id: int = Field(description="FICT node; names are in the shard's categories.")
    name: str = Field(description="Name of the FICT node.")
    area: int = Field(description="Changed pixels inside the concept.")
    bbox: tuple[float, float, float, float] = Field(description="COCO box of the changed pixels.")
    segmentation: Segmentation = Field(description="Changed pixels inside the concept.")
    concept_area: int = Field(description="Pixels of the whole concept.")
    concept_segmentation: Segmentation = Field(
        description="The whole concept, as found on the real side."
    )
    gain: float = Field(description="Gain of the localisation rule, in pixels.")


class Evidence(Record):
    """One measurement of one region, real to fake; insignificant ones serve to refute claims."""

    category_id: int = Field(description="FICT node that was measured.")
    kind: EvidenceKind = Field(description="What was measured.")
    direction: str = Field(description="How it changed from the real to the fake side.")
    effect: float = Field(description="Size of the change, in `unit`; never negative.")
    unit: str = Field(description="Unit of `effect`.")
    spread: float = Field(description="What the same measurement shows where nothing changed.")
    significant: bool = Field(
        description="The change exceeds both the spread and what a viewer would notice."
    )


class Claim(Record):
    """One statement of an explanation about one region, tested against the evidence."""

    category_id: int = Field(description="FICT node that the sentence is about.")
    kind: EvidenceKind = Field(description="What the sentence says has changed.")
    direction: str = Field(description="How it says that it changed.")
    sentence: str = Field(description="The sentence; the region's phrase is inside `<p>` tags.")
    verdict: Verdict = Field(description="Outcome of the test against the pixels.")
    reason: str = Field(description="The measurement behind the verdict, in words.")


class DroppedClaim(Record):
    """One statement of a captioning model that is not published, for counting hallucinations."""

    region: str = Field(description="The region as the model named it.")
    category_id: int | None = Field(description="FICT node; null where it is none that was given.")
    kind: str = Field(description="What the model says has changed.")
    direction: str = Field(description="How it says that it changed.")
    sentence: str = Field(description="The sentence. It is not true as far as is known.")
    fate: Fate = Field(description="Why it is not published.")
    reason: str = Field(description="The measurement or the rule behind it, in words.")
    round: int = Field(description="0: first answer; 1: answer to the question about refuted ones.")


class Question(Record):
    """One question of FiFa-11 with its answer and the masks that the answer holds."""

    task: Task = Field(description="FiFa-11 task code.")
    image: Side = Field(description="The side that the question is asked about.")
    question: str = Field(description="The question; `<region>` or `<box>` stands for the query.")
    answer: str = Field(description="The answer; the k-th `[SEG]` is the k-th of `masks`.")
    masks: tuple[Segmentation, ...] = Field(description="One mask for each `[SEG]` of the answer.")
    query_category_id: int | None = Field(description="FICT node of a region query.")
    query_segmentation: Segmentation | None = Field(description="Mask of a region query.")
    query_bbox: tuple[float, float, float, float] | None = Field(
        description="COCO box of a box query, in crop pixels."
    )


class MeasuredFrame(Record):
    """What the measure stage knows of one frame pair: geometry, masks, regions, evidence."""

    id: str = Field(description="Unique: dataset/method/compression/pair/frame index.")
    dataset: str = Field(description="Name of the dataset's block in the manifest.")
    method: str = Field(description="Forgery method, spelt as the source spells it.")
    forgery: str = Field(description="Class of the method, the answer of task Cls.")
    compression: str = Field(description="Compression level of both sides; empty: unknown.")
    pair: str = Field(description="Name of the pair within dataset, method and compression.")
    split: str = Field(description="`train`, `val`, `test`, or empty.")
    real_path: str = Field(description="Real video, relative to the root of the real sides.")
    fake_path: str = Field(description="Fake video, relative to the dataset's root.")
    mask_path: str = Field(
        "", description="The dataset's own mask of the forgery, relative to its root; empty: none."
    )
    identities: tuple[str, ...] = Field(
        (), description="People of the pair by the dataset's names: real side first; may be empty."
    )
    edited: tuple[str, ...] = Field(
        (), description="Parts that the dataset says were edited, in order; mostly it says nothing."
    )
    real_sha256: str = Field(description="Hash of the real video file.")
    fake_sha256: str = Field(description="Hash of the fake video file.")
    frame_index: int = Field(description="Index of the frame in the fake video, from 0.")
    frame_offset: int = Field(
        description="Real frame minus fake frame: where the fake starts late or early, else 0."
    )
    timestamp_s: float = Field(description="Presentation time in the fake video, in seconds.")
    frame_size: tuple[int, int] = Field(description="Height and width of the video frame.")
    affine: tuple[float, ...] = Field(
        description="Row-major 2 x 3 map from frame to crop pixels of the real side."
    )
    fake_affine: tuple[float, ...] = Field(
        description="The same of the fake side; differs only where `repairs` says `registered` or "
        "`mirrored` (it flips, then)."
    )
    face_score: float = Field(description="Score of the face mesh; higher is surer.")
    faces_in_frame: int = Field(description="Faces found in the real frame.")
    yaw: float = Field(
        description="Turn of the real face, degrees; positive: to the picture's right."
    )
    pitch: float = Field(description="Its turn down, degrees; negative: up.")
    roll: float = Field(
        description="Its lean in the frame, degrees; positive: clockwise. The crop is upright."
    )
    face_px: float = Field(description="Longer side of the real face's box, in frame pixels.")
    sharpness: float = Field(
        description="Of the real face: variance of the Laplacian over that of the grey levels, in "
        "a crop of at most 128 pixels; above 0.1 is sharp, below 0.03 blurred."
    )
    registration_px: float = Field(
        description="Shift left between the sides where nothing changed, in crop pixels."
    )
    repairs: tuple[str, ...] = Field(
        description="What was done to make the sides comparable: `shifted in time`, `mirrored`, "
        "`registered` (the fake side was moved), `graded` (a colour grade of the whole fake side "
        "was taken back); mostly none."
    )
    grade: tuple[float, ...] = Field(
        (),
        description="Where `graded`: the map of colours that took the grade back, row by row a "
        "3 x 3 matrix and 3 x 4 curves (`sources.colourmap`); else empty.",
    )
    real: Picture = Field(description="Face crop of the real side.")
    fake: Picture = Field(description="Face crop of the fake side, after the `repairs`.")
    label_map: Picture = Field(description="FICT node of each crop pixel, as an 8-bit grey PNG.")
    artifact: ArtifactMask = Field(description="What the forgery changed.")
    regions: tuple[Region, ...] = Field(description="Concepts touched, largest gain first.")
    evidence: tuple[Evidence, ...] = Field(description="Measured changes of those concepts.")
    config_hash: str = Field(description="Hash of the measure settings.")
    code_version: str = Field(description="Version and source hash of the measuring code.")


class AnnotatedFrame(MeasuredFrame):
    """One row of a shard: a measured frame pair with its checked explanation and questions."""

    explanation: str = Field(
        description="Artifact-Grounding Explanation: `<p>phrase</p> [SEG]`, one mask each."
    )
    explanation_masks: tuple[Segmentation, ...] = Field(
        description="One mask for each `[SEG]` of `explanation`."
    )
    claims: tuple[Claim, ...] = Field(description="The published statements, none contradicted.")
    claims_supported: int = Field(
        description="Statements of the row's `explainer` that the pixels supported."
    )
    claims_contradicted: int = Field(description="Statements that they refuted; not published.")
    claims_untestable: int = Field(description="Statements that no measurement could decide.")
    claims_refused: int = Field(
        description="Statements about other regions than the given ones, or of unknown kinds."
    )
    dropped: tuple[DroppedClaim, ...] = Field(
        description="Statements of the captioning model that are not published, and why."
    )
    questions: tuple[Question, ...] = Field(description="FiFa-11 questions and answers.")
    explainer: str = Field(description="What wrote the explanation: `evidence` or `mllm`.")
    recipe: str | None = Field(
        description="Recipe that asked the captioning model, or was to ask it; see docs/recipes.md."
    )
    fallback_reason: str | None = Field(
        description="Why `evidence` wrote it though another explainer was asked for."
    )
    model: str | None = Field(description="Captioning model, where one wrote the explanation.")
    prompt_hash: str | None = Field(description="Hash of the recipe's prompt templates.")
    requests: tuple[str, ...] = Field(
        description="Hashes of the requests whose answers it comes from, in order; see `costs`."
    )
    explain_hash: str = Field(description="Hash of the explain settings.")


class Cost(Record):
    """One request to a captioning server: one row of `costs.parquet`, also where it failed."""

    request: str = Field(description="Hash of the request, as in `requests` of the rows.")
    subject: str = Field(description="Id of the frame, or key of the pair, that it is about.")
    step: str = Field(
        description="Place in the conversation, e.g. `ask`, `ask again 1`, `refuted`."
    )
    recipe: str = Field(description="Recipe that asked.")
    server: str = Field(description="Address of the server.")
    model: str = Field(description="Captioning model.")
    sent_at: float = Field(description="Seconds since 1970, UTC.")
    latency_s: float = Field(description="From the first attempt to the end, waits included.")
    attempts: int = Field(description="How often it was sent.")
    outcome: str = Field(
        description="`answered`; else why there is no answer: `server_error`, `refused_request`, "
        "`stopped`, `lost` (its process died; it may have been billed), `in flight` (a batch)."
    )
    prompt_tokens: int | None = Field(description="As the server counted; null: it did not.")
    completion_tokens: int | None = Field(description="As the server counted; null: it did not.")
    cost: float = Field(
        description="In the unit of the manifest's prices; where the server tells no tokens, or an "
        "attempt may have been billed without an answer, the most that it can be."
    )


class Reject(Record):
    """A pair or a frame without annotation, and why. Nothing is dropped silently."""

    id: str = Field(description="The frame's id, or the pair's where the whole pair failed.")
    dataset: str = Field(description="Name of the dataset's block in the manifest.")
    method: str = Field(description="Forgery method, spelt as the source spells it.")
    compression: str = Field(description="Compression level; empty: unknown.")
    pair: str = Field(description="Name of the pair.")
    frame_index: int | None = Field(description="The frame; null where the whole pair failed.")
    stage: str = Field(description="Stage that gave up: `plan`, `measure` or `explain`.")
    reason: str = Field(description="One of the closed list `schemas.errors.RejectReason`.")
    detail: str = Field(description="One sentence for a person.")
