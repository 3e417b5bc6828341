"""Pictures of an annotated frame: real, fake, difference, regions, artifact mask."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas import rle
from schemas.errors import OutputError
from schemas.records import AnnotatedFrame, Picture, Region
from sources.pictures import from_picture

Image = NDArray[np.uint8]

PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (204, 121, 167), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
"""Colours that colour-blind people can tell apart (Okabe and Ito)."""
FADE = 0.55
"""Regions after the seventh take the colours again, each time this much closer to white."""
GAIN = 6
"""The difference is shown this many times as strong."""
JPEG_QUALITY = 85
PANELS = ("real", "fake", "difference", "regions", "artifact mask")


def colour(number: int) -> tuple[int, int, int]:
    """Gives the colour of a frame's region by its place in the row, RGB."""
    rounds, place = divmod(number, len(PALETTE))
    kept = FADE**rounds
    red, green, blue = (round(255 - kept * (255 - level)) for level in PALETTE[place])
    return red, green, blue


def panels(row: AnnotatedFrame, side: int = 256) -> dict[str, Image]:
    """Draws the five panels of a strip.

    Args:
        row: An annotated frame whose pixels are there.
        side: Side of each panel in pixels.

    Returns:
        Panel name to `(side, side, 3) uint8` RGB.
    """
    real, fake = decode(row.real), decode(row.fake)
    mask = rle.decode(row.artifact.segmentation)
    drawn = (real, fake, difference(real, fake), regions(fake, row.regions), _mask(fake, mask))
    return {name: resized(image, side) for name, image in zip(PANELS, drawn, strict=True)}


def resized(image: Image, side: int) -> Image:
    """Gives a crop at another size, `(side, side, 3) uint8`."""
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def difference(real: Image, fake: Image) -> Image:
    """Shows how much each channel of each pixel changed, `GAIN` times as strong."""
    strong = cv2.absdiff(real, fake).astype(np.int16) * GAIN
    return np.asarray(np.clip(strong, 0, 255), np.uint8)


def decode(picture: Picture) -> Image:
    """Decodes a stored crop to `(S, S, 3) uint8` RGB.

    Raises:
        OutputError: It is no picture, or a damaged one.
    """
    encoded = picture.bytes or b""
    image = from_picture(encoded)
    if image is None:
        raise OutputError(f"a stored picture of {len(encoded)} bytes cannot be decoded")
    return image


def regions(image: Image, chosen: Sequence[Region]) -> Image:
    """Draws each region's outline and its changed pixels in the region's colour."""
    drawn = image.copy()
    for number, region in enumerate(chosen):
        changed = rle.decode(region.segmentation)
        tint = np.array(colour(number), np.float32)
        drawn[changed] = (0.5 * drawn[changed] + 0.5 * tint).astype(np.uint8)
        whole = rle.decode(region.concept_segmentation).astype(np.uint8)
        rims, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, rims, -1, colour(number), 2, cv2.LINE_AA)
    return drawn


def _mask(image: Image, mask: NDArray[np.bool_]) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 3
    grey[mask] = 255
    return np.asarray(grey, dtype=np.uint8)


def strip(row: AnnotatedFrame, side: int = 256, gap: int = 4) -> Image:
    """Joins the panels of a row side by side on white."""
    images = list(panels(row, side).values())
    bar = np.full((side, gap, 3), 255, np.uint8)
    parts = [part for image in images for part in (image, bar)][:-1]
    return np.hstack(parts)


def outline(mask: NDArray[np.bool_]) -> str:
    """Gives a mask as an SVG path in crop pixels, to be filled by the even-odd rule."""
    rims, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(0, 0)
    )
    parts = ["L".join(f"{x} {y}" for x, y in rim[:, 0].tolist()) for rim in rims if len(rim) > 2]
    return "".join(f"M{part}Z" for part in parts)
