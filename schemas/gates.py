"""The manifest's block `measure.gates`: which frames are worth annotating."""

from __future__ import annotations

from pydantic import Field

from schemas.settings import Settings


class Gates(Settings):
    """Thresholds of a frame; null switches one off.

    Angles are those of the mesh fitted to the real side (`fict.headpose`), sizes are pixels of the
    video frame, the other figures are shares.
    """

    max_yaw_deg: float | None = Field(
        75.0, gt=0, le=90, description="most turn to either side, degrees: `turned_face`"
    )
    max_pitch_deg: float | None = Field(
        60.0, gt=0, le=90, description="most turn up or down, degrees: `turned_face`"
    )
    max_roll_deg: float | None = Field(
        None, gt=0, le=180, description="most lean, degrees; crops are upright: `turned_face`"
    )
    min_face_px: float | None = Field(
        48.0, gt=0, description="least longer side of the face in frame pixels: `small_face`"
    )
    min_sharpness: float | None = Field(
        0.01, gt=0, description="least sharpness of the real face (`sources.gates`): `blurred_face`"
    )
    max_occlusion: float | None = Field(
        0.6, gt=0, lt=1, description="most of the face that is hidden, where the parser can tell: "
        "`occluded_face`",
    )  # fmt: skip
    min_identity: float | None = Field(
        None, ge=-1, le=1, description="least cosine of the sides' ArcFace vectors, for forgeries "
        "that keep the person; needs its weight file: `identity_changed`",
    )  # fmt: skip
