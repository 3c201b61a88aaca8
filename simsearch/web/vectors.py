"""The part of the HTTP API behind searching: vectors of pictures and items, and the map of a gallery."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from simsearch.errors import BadInputError
from simsearch.index.stored_map import MOST_POINTS
from simsearch.index.stores.base import check_queries
from simsearch.index.stores.exact import exact_scores
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
    "properties": {
        "vector": _NUMBERS,
        "pairs": {"anyOf": [_PAIRS, {"type": "null"}], "description": "Null without a calibration."},
        "known": {
            "type": ["boolean", "null"],
            "description": "Whether the gallery has anything like it. If not, `pairs` says nothing of it. "
            "Null without a calibration.",
        },
    },
    "required": ["vector", "pairs", "known"],
}
_LAYOUT = {
    "type": "object",
    "description": "The place of a vector is vector @ axes + offset, or, where those are null, among its "
    "nearest items; `places` are those of the items, in 16 bits a coordinate from `low` to `high`, "
    "little-endian, x before y, as base64.",
    "properties": {
        "name": {"enum": ["classes", "pca", "tsne"]},
        "axes": {"type": ["array", "null"], "items": _NUMBERS},
        "offset": {**_NUMBERS, "type": ["array", "null"]},
        **dict.fromkeys(("low", "high"), _NUMBERS),
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

_NEAREST = {
    "type": "object",
    "properties": {
        "hits": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "minimum": 0},
                    "label": {"type": ["string", "null"], "description": "Its class; null without labels."},
                    "score": {**NUMBER, "description": "Cosine."},
                    "picture": {"type": "string", "description": "A small PNG as a data: address."},
                },
                "required": ["id", "label", "score", "picture"],
            },
        }
    },
    "required": ["hits"],
}

VECTOR_SCHEMAS = {"Vector": _VECTOR, "Map": _MAP, "Nearest": _NEAREST}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
BODY = {"requestBody": {"required": True, "content": dict.fromkeys(RAW, _BINARY)}}


class Among(BaseModel):
    """A vector, and the items that may be found for it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    vector: list[Annotated[float, Field(ge=-2, le=2)]] = Field(
        max_length=2**16, description="Of length 1.", examples=[[0.6, 0.8]]
    )
    items: list[Annotated[int, Field(ge=0, le=2**63 - 1)]] = Field(
        max_length=MOST_POINTS, description="Ids.", examples=[[0, 1]]
    )
    k: int = Field(12, ge=1, le=100, description="How many nearest images.")


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
            await room.run(lambda: maps.of(opened, lambda: draw_map(opened.searcher.bundle)))
        )

    @router.post(
        "/nearest",
        summary="The nearest of some items to a vector",
        tags=["vectors"],
        responses={**answer("Nearest"), **failures(404, 408, 413, 422)},
    )
    async def nearest_among(asked: Among, index: IndexParameter = None) -> Response:
        opened = registry[index]
        return json_response(await room.run(lambda: find_among(opened, asked)))

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
        pairs = _pairs(opened)
        known = True if pairs and pairs["calibrated"] else None
        return json_response({"vector": values.tolist(), "pairs": pairs, "known": known})


def find_among(opened: OpenIndex, asked: Among) -> dict[str, Any]:
    """The nearest of some items, exactly, in plain values for JSON; equal scores in order of id.

    :raises BadInputError: If the vector is none of this index's, or there is no such item.
    """
    bundle = opened.searcher.bundle
    ids, query = np.unique(np.array(asked.items, np.int64)), np.array([asked.vector], np.float32)
    try:
        check_queries(query, bundle.store.dim, asked.k)
        vectors = bundle.store.vectors(ids)
    except ValueError as error:
        raise BadInputError(f"{error} in {opened.name}") from error
    scores = exact_scores(query.repeat(len(ids), axis=0), vectors)
    best = np.argsort(-scores, kind="stable")[: asked.k]
    return {
        "hits": [
            {
                "id": item,
                "label": opened.searcher.label(item),
                "score": score,
                "picture": opened.picture(item),
            }
            for item, score in zip(ids[best].tolist(), scores[best].tolist(), strict=True)
        ]
    }


def _vector_of(opened: OpenIndex, image: PreparedImage) -> dict[str, Any]:
    vectors = opened.searcher.bundle.encoder.encode(image.pixels[None])
    (answered,) = opened.searcher.query_vectors(vectors, [image], k=1)
    known = answered.verdict.known if answered.verdict else None
    return {"vector": vectors[0].tolist(), "pairs": _pairs(opened), "known": known}


def _pairs(opened: OpenIndex) -> dict[str, Any] | None:
    """What turns cosines into pair probabilities; None where they were not calibrated."""
    manifest = opened.searcher.bundle.manifest
    projection = manifest.pair_scaling
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
