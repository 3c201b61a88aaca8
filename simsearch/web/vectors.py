"""The part of the HTTP API behind searching: vectors of pictures and items, and the map of a gallery."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response

from simsearch.prepare.pictures import prepare_picture
from simsearch.web.map import draw_map
from simsearch.web.problems import PROBLEM
from simsearch.web.registry import OpenIndex, Registry
from simsearch.web.room import Kept, Room
from simsearch.web.uploads import RAW, read_pictures

IndexParameter = Annotated[str | None, Query(alias="index", max_length=100, description="Name of the index.")]
ItemParameter = Annotated[int, Path(ge=0, le=2**63 - 1, description="Id of an item.")]
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

_BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {"requestBody": {"required": True, "content": dict.fromkeys(RAW, _BINARY)}}
_PROBLEM = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def answers(schema: dict[str, Any], *failures: int) -> dict[int | str, dict[str, Any]]:
    """The responses of an operation for its OpenAPI description."""
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, **_PROBLEM} for status in failures
    }
    return {200: {"content": {"application/json": {"schema": schema}}}, **described}


def add_vectors(router: APIRouter, registry: Registry, room: Room) -> None:
    """Add these routes to those of the API."""
    maps: Kept[dict[str, Any]] = Kept()

    @router.get("/map", summary="A gallery in two dimensions", responses=answers(_MAP, 404, 422, 503))
    async def gallery_map(index: IndexParameter = None) -> Response:
        opened = registry[index]
        return json_response(
            await room.run(lambda: maps.of(opened, lambda: draw_map(opened.searcher.bundle.store)))
        )

    @router.post(
        "/vectors",
        summary="The vector of a picture",
        responses=answers(_VECTOR, 404, 408, 413, 415, 422, 503),
        openapi_extra=BODY,
    )
    async def vector(request: Request, index: IndexParameter = None) -> Response:
        opened = registry[index]
        (image,) = read_pictures(await request.body(), request.headers.get("content-type", ""), most=1)
        return json_response(await room.run(lambda: _vector_of_picture(opened, image)))

    @router.get(
        "/items/{item:int}/vector", summary="The vector of an item", responses=answers(_VECTOR, 404, 422)
    )
    async def item_vector(item: ItemParameter, index: IndexParameter = None) -> Response:
        opened = registry[index]
        opened.thumbnail(item)  # a 404 where there is none
        (values,) = opened.searcher.bundle.store.vectors(np.array([item], np.int64))
        return json_response({"vector": values.tolist(), "pairs": _pairs(opened)})


def _vector_of_picture(opened: OpenIndex, image: bytes) -> dict[str, Any]:
    encoder = opened.searcher.bundle.encoder
    prepared = prepare_picture(image, encoder.input)
    (values,) = encoder.encode(prepared.pixels[None])
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
