"""The pictures of a frame as a request holds them: both crops, and the regions outlined.

Outlines are drawn on a copy of the fake side, which is sent untouched as well: they cover nothing.
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
from sources.pictures import to_jpeg

Image = NDArray[np.uint8]

YELLOW, BLACK = (255, 255, 0), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 92
ROOM = 0.7
"""Radius of the disc that a number needs, as a share of its longer side."""
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
        return _data_url(to_jpeg(outlined(image, masks), QUALITY))

    @functools.cached_property
    def mask(self) -> str:
        """The artifact mask, white on black."""
        mask = rle.decode(self._frame.artifact.segmentation).astype(np.uint8) * 255
        return _data_url(
            to_jpeg(np.repeat(_resized(mask, self._size)[..., None], 3, axis=2), QUALITY)
        )

    def _side(self, picture: Picture) -> str:
        encoded = _bytes(picture)
        if self._frame.artifact.segmentation.size[0] == self._size:
            return _data_url(encoded)  # as it is stored: nothing to decode, nothing lost
        return _data_url(to_jpeg(_resized(_decode(picture), self._size), QUALITY))


def outlined(image: Image, masks: list[NDArray[np.bool_]]) -> Image:
    """Draws numbered outlines of regions.

    Args:
        image: `(S, S, 3) uint8` RGB; it is not changed.
        masks: `(S, S) bool` each, in the order of the numbers from 1.
    """
    copy = image.copy()
    for mask in masks:
        rims, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(copy, rims, -1, YELLOW, 1)
    for number, mask in enumerate(masks, 1):
        _write(copy, str(number), mask)
    return copy


def _write(copy: Image, number: str, mask: NDArray[np.bool_]) -> None:
    """Writes a region's number into each part that has room for it, or once beside the region."""
    scale = max(LEAST_SCALE, len(copy) / 512 * 0.5)
    (width, height), _ = cv2.getTextSize(number, FONT, scale, 1)
    places = _roomy_places(mask, ROOM * max(width, height))
    for x, y in places or [_beside(mask, width)]:
        left = int(np.clip(x - width // 2, 0, len(copy) - width))
        foot = int(np.clip(y + height // 2, height, len(copy) - 1))
        for colour, thickness in ((BLACK, 3), (YELLOW, 1)):
            cv2.putText(copy, number, (left, foot), FONT, scale, colour, thickness, cv2.LINE_AA)


def _roomy_places(mask: NDArray[np.bool_], radius: float) -> list[tuple[int, int]]:
    """Gives x, y of the widest place of each connected part that holds a disc of this radius."""
    room = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    places = []
    for part in range(1, count):
        within = np.where(parts == part, room, 0)
        y, x = np.unravel_index(int(within.argmax()), within.shape)
        if within[y, x] >= radius:
            places.append((int(x), int(y)))
    return places


def _beside(mask: NDArray[np.bool_], width: int) -> tuple[int, int]:
    """Gives x, y of a text's centre right of a region, or left of it at the picture's border."""
    left, top, w, h = cv2.boundingRect(mask.astype(np.uint8))
    x = left + w + 2 + width // 2
    return (x if x + width // 2 < len(mask) else left - 2 - width // 2), top + h // 2


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


def _data_url(encoded: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode("ascii")
