"""A row of a release, and the manifest's block `release:`."""

from __future__ import annotations

from pydantic import Field

from schemas.records import AnnotatedFrame, Picture, Record, Segmentation, Side
from schemas.settings import Settings


class Bound(Settings):
    """What a figure must keep to; one side may be open."""

    at_least: float | None = None
    at_most: float | None = None

    def complaint(self, value: float) -> str:
        """Says how a value breaks the bound; empty where it keeps to it. NaN never does."""
        if self.at_least is not None and not value >= self.at_least:
            return f"is {value:.9g}, must be {self.at_least:g} or more"
        if self.at_most is not None and not value <= self.at_most:
            return f"is {value:.9g}, must be {self.at_most:g} or less"
        return ""


class Releasing(Settings):
    """What a release must keep to, and what it leaves out."""

    take_down: str = Field(
        "", description="file of ids, pairs, people or hashes of videos that are not released"
    )
    max_unreviewed: float | None = Field(
        None, ge=0, le=1, description="most of the rows that nobody reviewed, as a share"
    )
    truth: dict[str, Bound] = Field({}, description="bounds of figures of `facext bench truth`")
    text: dict[str, Bound] = Field({}, description="bounds of the text's figures, of each writer")


class ReleasedFrame(AnnotatedFrame):
    """One row of a release: an annotated frame pair and what proves its pixels.

    Without pixels `real` and `fake` are null.
    """

    real_pixels_sha256: str = Field(
        description="Hash of the real crop's decoded pixels: RGB bytes, row by row."
    )
    fake_pixels_sha256: str = Field(description="The same of the fake crop.")


class Instruction(Record):
    """One row of the instruction table: one question about one picture."""

    id: str = Field(description="Unique: the row's id, the side and the place of the question.")
    row: str = Field(description="Id of the frame pair's row.")
    image: str = Field(description="File name of the picture below `images/`.")
    side: Side = Field(description="The side that the question is asked about.")
    method: str = Field(description="Forgery method of the pair.")
    task: str = Field(description="FiFa-11 task code.")
    question: str = Field(description="The question; `<region>` or `<box>` stands for the query.")
    answer: str = Field(description="The answer; the k-th `[SEG]` is the k-th of `masks`.")
    masks: tuple[Segmentation, ...] = Field(description="One mask for each `[SEG]` of the answer.")
    query_category_id: int | None = Field(description="FICT node of a region query.")
    query_segmentation: Segmentation | None = Field(description="Mask of a region query.")
    query_bbox: tuple[float, float, float, float] | None = Field(
        description="COCO box of a box query, in crop pixels."
    )


def file_name(row: str, side: Side) -> str:
    """Gives the file name of a row's picture, as its `path` says."""
    return f"{row}-{side}.jpg"


def picture_of(row: AnnotatedFrame, side: Side) -> Picture:
    """Gives the picture of a side."""
    return row.real if side == "real" else row.fake
