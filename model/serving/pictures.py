"""Pictures and queries of a request, bounded before anything large is made of them."""

from __future__ import annotations

import base64
import binascii
import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.answer import Prompt
from model.serving.errors import Refused
from model.serving.wire import Query
from schemas import rle
from schemas.records import Segmentation

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_SIDE = 4096
LEAST_SIDE = 16


def decode(url: str) -> torch.Tensor:
    """Decodes a data URL to `(3, H, W) uint8` RGB, upright.

    Size and format are read from the header first: a picture that would fill the memory is never
    unpacked.

    Raises:
        Refused: It is no data URL of a JPEG, PNG or WebP, is damaged, or too large or too small.
    """
    head, comma, coded = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64") and comma):
        told = "pictures must be data URLs (data:image/jpeg;base64,...): nothing is fetched"
        raise Refused(400, told, "no_data_url", "messages")
    try:
        content = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        raise _no_picture("its base64 is broken") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a cut-off file, a bomb: nothing to trust
            return _open(content)
    except Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        told = f"the picture has more than {MOST_SIDE} x {MOST_SIDE} pixels"
        raise Refused(400, told, "picture_too_large", "messages") from None
    except Exception as error:  # Pillow's readers raise all sorts over damaged files
        raise _no_picture(type(error).__name__) from None


def _open(content: bytes) -> torch.Tensor:
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        width, height = picture.size
        if max(width, height) > MOST_SIDE:
            told = f"the picture has {width} x {height} pixels; its sides may be {MOST_SIDE}"
            raise Refused(400, told + " at most", "picture_too_large", "messages")
        if min(width, height) < LEAST_SIDE:
            told = f"the picture has {width} x {height} pixels; its sides must be {LEAST_SIDE}"
            raise Refused(400, told + " at least", "picture_too_small", "messages")
        rgb = np.array(ImageOps.exif_transpose(picture).convert("RGB"), dtype=np.uint8)
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def _no_picture(why: str) -> Refused:
    told = f"the picture cannot be read as {', '.join(FORMATS)} ({why})"
    return Refused(400, told, "no_picture", "messages")


def prompt(question: str, query: Query | None, image: torch.Tensor) -> Prompt:
    """Gives what the model is asked.

    Args:
        question: The question.
        query: What it points at.
        image: `(3, H, W) uint8`.

    Raises:
        Refused: The box or mask does not fit the picture.
    """
    if query is None:
        return Prompt(question)
    height, width = image.shape[1:]
    mask = None
    if query.box_xyxy:
        mask = _box(query.box_xyxy, height, width)
    elif query.segmentation:
        mask = _mask(query.segmentation, height, width)
    pointed = None if mask is None else torch.from_numpy(mask)
    return Prompt(question, pointed, query.category_id)


def _box(box: tuple[float, float, float, float], height: int, width: int) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):  # false for NaN, too
        told = f"box_xyxy must be left < right and top < bottom within {width} x {height} pixels"
        raise Refused(400, told, "wrong_box", "query")
    mask = np.zeros((height, width), np.bool_)
    mask[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return mask


def _mask(coded: Segmentation, height: int, width: int) -> NDArray[np.bool_]:
    if coded.size != (height, width):
        told = f"the mask is {coded.size[1]} x {coded.size[0]}, the picture {width} x {height}"
        raise Refused(400, told, "wrong_mask", "query")
    try:
        mask = rle.decode(coded)
    except ValueError:
        told = "the mask's counts are no COCO run lengths of its size"
        raise Refused(400, told, "wrong_mask", "query") from None
    if not mask.any():
        raise Refused(400, "the mask is empty", "wrong_mask", "query")
    return mask
