"""The pictures of a frame as a request holds them: both crops, and the regions outlined.

Outlines are drawn on a copy and outside of the regions: nothing of the evidence is covered.
"""

from __future__ import annotations

import base64
import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.explain import NoAnswer
from schemas import rle
from schemas.records import MeasuredFrame, Picture, Region

Image = NDArray[np.uint8]

YELLOW, BLACK = (255, 255, 0), (0, 0, 0)
GAP_PX = 2
"""Untouched pixels between a region and its outline, of 512."""
QUALITY = 92
LEAST_SCALE = 0.35
"""Digits smaller than that cannot be read."""


class Pictures:
    """The pictures of one frame as data URLs.

    Args:
        frame: A row that holds its crops.
        size: Side of each picture, in pixels.
    """

    def __init__(self, frame: MeasuredFrame, size: int) -> None:
        self._frame, self._size = frame, size

    @functools.cached_property
    def real(self) -> str:
        """The real side."""
        return self._side(self._frame.real)

    @functools.cached_property
    def fake(self) -> str:
        """The fake side."""
        return self._side(self._frame.fake)

    @functools.cached_property
    def outlined(self) -> str:
        """A copy of the fake side with numbered outlines of its regions."""
        image = _resized(_decode(self._frame.fake), self._size)
        masks = [_mask(region, self._size) for region in self._frame.regions]
        return _data_url(_jpeg(outlined(image, masks)))

    @functools.cached_property
    def mask(self) -> str:
        """The artifact mask, white on black."""
        mask = rle.decode(self._frame.artifact.segmentation).astype(np.uint8) * 255
        return _data_url(_jpeg(np.repeat(_resized(mask, self._size)[..., None], 3, axis=2)))

    def _side(self, picture: Picture) -> str:
        encoded = _bytes(picture)
        if self._frame.artifact.segmentation.size[0] == self._size:
            return _data_url(encoded)  # as it is stored: nothing to decode, nothing lost
        return _data_url(_jpeg(_resized(_decode(picture), self._size)))


def outlined(image: Image, masks: list[NDArray[np.bool_]]) -> Image:
    """Draws numbered outlines around regions.

    Args:
        image: `(S, S, 3) uint8` RGB; it is not changed.
        masks: `(S, S) bool` each, in the order of the numbers from 1.

    Returns:
        A copy; no pixel of any region differs.
    """
    copy = image.copy()
    covered = np.logical_or.reduce(masks) if masks else np.zeros(image.shape[:2], bool)
    gap = max(1, round(GAP_PX * len(image) / 512))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    for number, mask in enumerate(masks, 1):
        grown = np.asarray(cv2.dilate(mask.astype(np.uint8), kernel))
        rims, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(copy, rims, -1, YELLOW, 1)
        _write(copy, str(number), grown)
    copy[covered] = image[covered]
    return copy


def _write(copy: Image, number: str, grown: NDArray[np.uint8]) -> None:
    """Writes a region's number beside its outline, within the picture."""
    scale = max(LEAST_SCALE, len(copy) / 512 * 0.5)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(number, font, scale, 1)
    x, y, w, h = cv2.boundingRect(grown)
    left = x + w + 2 if x + w + 2 + width < len(copy) else max(0, x - width - 2)
    foot = min(max(y + (h + height) // 2, height), len(copy) - 1)
    for colour, thickness in ((BLACK, 3), (YELLOW, 1)):
        cv2.putText(copy, number, (left, foot), font, scale, colour, thickness, cv2.LINE_AA)


def _mask(region: Region, size: int) -> NDArray[np.bool_]:
    mask = rle.decode(region.segmentation).astype(np.uint8)
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST) > 0)


def _bytes(picture: Picture) -> bytes:
    if picture.bytes is None:
        raise NoAnswer("no_pixels: the row holds no crops to show to the model")
    return picture.bytes


def _decode(picture: Picture) -> Image:
    encoded = np.frombuffer(_bytes(picture), np.uint8)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def _resized(image: Image, size: int) -> Image:
    if len(image) == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))


def _jpeg(image: Image) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _data_url(encoded: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
