"""The pictures of a frame over HTTP, by its id alone: no path comes from a visitor."""

from __future__ import annotations

from typing import Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException, Response

from qa.dashboard.opened import Opened
from qa.pictures import JPEG_QUALITY, Image, decode, difference, resized
from schemas.errors import OutputError
from schemas.records import Picture, Side
from sources.pictures import to_jpeg

Layer = Literal["real", "fake", "difference", "small"]
SMALL_PX = 96
AT_ONCE = 2
"""Pictures that are made at once: each thread that ever made one keeps some 10 MB."""
CACHED = {"cache-control": "private, max-age=600"}


def picture_routes(datasets: dict[str, Opened]) -> APIRouter:
    """Gives the route `/picture/{layer}?of=DATASET&id=ID`; `small` is a thumbnail of the fake.

    A browser keeps pictures: pages add the version of the shards as `v`.
    """
    router = APIRouter()
    turns = CapacityLimiter(AT_ONCE)

    @router.get("/picture/{layer}")
    async def picture(layer: Layer, of: str, id: str) -> Response:
        opened = datasets.get(of)
        if opened is None:
            raise HTTPException(404, "there is no such dataset")
        try:
            encoded = await to_thread.run_sync(_layer, opened, layer, id, limiter=turns)
        except OutputError as error:
            raise HTTPException(410, str(error)) from error
        if not encoded:
            raise HTTPException(404, "there is no such picture")
        return Response(encoded, media_type=_media_type(encoded), headers=CACHED)

    return router


def _layer(opened: Opened, layer: Layer, row: str) -> bytes | None:
    if layer in ("real", "fake"):
        side: Side = "real" if layer == "real" else "fake"
        return opened.lookup.picture(row, side)
    fake = _side(opened, row, "fake")
    if fake is None:
        return None
    if layer == "small":
        return to_jpeg(resized(fake, SMALL_PX), JPEG_QUALITY)
    real = _side(opened, row, "real")
    return None if real is None else to_jpeg(difference(real, fake), 92)


def _side(opened: Opened, row: str, side: Side) -> Image | None:
    encoded = opened.lookup.picture(row, side)
    return decode(Picture(bytes=encoded, path="")) if encoded else None


def _media_type(encoded: bytes) -> str:
    """Tells the type by the first bytes; a picture of another type is not shown as a page."""
    return "image/png" if encoded.startswith(b"\x89PNG") else "image/jpeg"
