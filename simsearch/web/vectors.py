"""The part of the HTTP API behind searching: vectors of pictures and items, and the map of a gallery."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from simsearch.prepare.prepare import PreparedImage
from simsearch.web.engine import Engine
from simsearch.web.map import draw_map
from simsearch.web.openapi import answer, failures
from simsearch.web.parameters import IndexParameter, ItemParameter
from simsearch.web.registry import OpenIndex, Registry
from simsearch.web.room import Kept, Room
from simsearch.web.uploads import RAW, read_pictures

NUMBER = {"type": "number"}
_NUMBERS = {"type": "array", "items": NUMBER}
_PAIRS = {
    "type": "object",
    "description": "A pair's logit is weight * cosine + bias; calibrated: for this gallery.",
    "properties": {
        "weight": {"type": "number"},
        "bias": {"type": "number"},
        "calibrated": {"type": "boolean"},
    },
}
_VECTOR = {
    "type": "object",
    "properties": {"vector": _NUMBERS, "pairs": _PAIRS},
    "required": ["vector", "pairs"],
}
_LAYOUT = {
    "type": "object",
    "description": "The place of a vector is vector @ axes + offset; `places` are those of the items, in 16 "
    "bits a coordinate from `low` to `high`, little-endian, x before y, as base64.",
    "properties": {
        "name": {"enum": ["classes", "pca"]},
        "axes": {"type": "array", "items": _NUMBERS},
        **dict.fromkeys(("offset", "low", "high"), _NUMBERS),
        "places": {"type": "string"},
    },
}
_INTEGERS = {"type": "array", "items": {"type": "integer"}}
_MAP = {
    "type": "object",
    "properties": {
        "items": {"type": "integer", "description": "Of the gallery; the map may have fewer."},
        "ids": _INTEGERS,
        "labels": {
            "anyOf": [{**_INTEGERS, "description": "Places in the index's classes."}, {"type": "null"}]
        },
        "layouts": {"type": "array", "minItems": 1, "items": _LAYOUT},
    },
    "required": ["items", "ids", "labels", "layouts"],
}

VECTOR_SCHEMAS = {"Vector": _VECTOR, "Map": _MAP}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {"requestBody": {"required": True, "content": dict.fromkeys(RAW, _BINARY)}}


def add_vectors(router: APIRouter, registry: Registry, engine: Engine, room: Room) -> None:
    """Add these routes to those of the API."""
    maps: Kept[dict[str, Any]] = Kept()

    @router.get(
        "/map",
        summary="A gallery in two dimensions",
        tags=["vectors"],
        responses={**answer("Map"), **failures(404, 422)},
    )
    async def gallery_map(index: IndexParameter = None) -> Response:
        opened = registry[index]
        return json_response(
            await room.run(lambda: maps.of(opened, lambda: draw_map(opened.searcher.bundle.store)))
        )

    @router.post(
        "/vectors",
        summary="The vector of a picture",
        tags=["vectors"],
        responses={**answer("Vector"), **failures(404, 408, 413, 415, 422)},
        openapi_extra=BODY,
    )
    async def picture_vector(request: Request, index: IndexParameter = None) -> Response:
        opened, kind = registry[index], request.headers.get("content-type", "")
        (picture,) = await read_pictures(await request.body(), kind, most=1)
        image = await engine.prepare(opened.searcher, picture)
        return json_response(await room.run(lambda: _vector_of(opened, image)))

    @router.get(
        "/items/{item}/vector",
        summary="The vector of an item",
        tags=["vectors"],
        responses={**answer("Vector"), **failures(404, 422)},
    )
    async def item_vector(item: ItemParameter, index: IndexParameter = None) -> Response:
        opened = registry[index]
        opened.thumbnail(item)  # a 404 where there is none
        (values,) = opened.searcher.bundle.store.vectors(np.array([item], np.int64))
        return json_response({"vector": values.tolist(), "pairs": _pairs(opened)})


def _vector_of(opened: OpenIndex, image: PreparedImage) -> dict[str, Any]:
    (values,) = opened.searcher.bundle.encoder.encode(image.pixels[None])
    return {"vector": values.tolist(), "pairs": _pairs(opened)}


def _pairs(opened: OpenIndex) -> dict[str, Any] | None:
    """What turns cosines into pair probabilities; None where the model was not trained on pairs."""
    manifest = opened.searcher.bundle.manifest
    projection = manifest.pairs
    if projection is None:
        return None
    return {
        "weight": projection.weight,
        "bias": projection.bias,
        "calibrated": manifest.calibration is not None,
    }


def json_response(document: dict[str, Any]) -> Response:
    """A document as a response."""
    return Response(json.dumps(document), media_type="application/json")
