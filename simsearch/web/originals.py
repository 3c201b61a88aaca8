"""The files behind items: only those that an index names, below its folder, while they are pictures."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Response

from simsearch.index.originals import Originals
from simsearch.prepare.formats import Kind
from simsearch.web.openapi import failures
from simsearch.web.parameters import IndexParameter, ItemParameter
from simsearch.web.problems import NotFoundError
from simsearch.web.registry import Registry
from simsearch.web.room import Room

MEDIA_TYPES: Mapping[Kind, str] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "HEIC": "image/heic",
}
_CONTENT = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}


def add_originals(router: APIRouter, registry: Registry, room: Room) -> None:
    """Add the route that gives a file as it is."""

    @router.get(
        "/items/{item}/original",
        summary="The file that an item was made from, where it is still there",
        tags=["items"],
        response_class=Response,
        responses={200: {"content": _CONTENT}, **failures(404, 422)},
    )
    async def item_original(item: ItemParameter, index: IndexParameter = None) -> Response:
        opened = registry[index]
        opened.thumbnail(item)  # a 404 where there is none
        found = await room.run(lambda: Originals(opened.searcher.bundle).read(item))
        if found is None:
            raise NotFoundError(
                f"the file of item {item} is not there, or no picture that can be shown",
                hint="the picture that the index keeps is at /api/items/ID.png",
            )
        kind, data = found
        return Response(data, media_type=MEDIA_TYPES[kind], headers={"Content-Disposition": "inline"})
