"""The part of the HTTP API behind searching: vectors of pictures and items, and the map of a gallery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from simsearch.errors import BusyError
from simsearch.prepare.pictures import prepare_picture
from simsearch.web.map import Maps
from simsearch.web.problems import PROBLEM
from simsearch.web.registry import OpenIndex, Registry
from simsearch.web.settings import Settings
from simsearch.web.uploads import RAW, read_pictures

_Result = TypeVar("_Result")
_Index = Annotated[str | None, Query(alias="index", max_length=100, description="Name of the index.")]
_Item = Annotated[int, Path(ge=0, le=2**63 - 1, description="Id of an item.")]
_NUMBER = {"type": "number"}
_NUMBERS = {"type": "array", "items": _NUMBER}
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
_PROBLEM = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _answers(schema: dict[str, Any], *failures: int) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, **_PROBLEM} for status in failures
    }
    return {200: {"content": {"application/json": {"schema": schema}}}, **described}


def add_vectors(router: APIRouter, registry: Registry, settings: Settings) -> None:
    """Add these routes to those of the API."""
    room, maps = Room(settings.workers, settings.queue), Maps()

    @router.get("/map", summary="A gallery in two dimensions", responses=_answers(_MAP, 404, 422, 503))
    async def gallery_map(index: _Index = None) -> Response:
        opened = registry[index]
        return _json(await room.run(lambda: maps.of(opened, opened.searcher.bundle.store)))

    @router.post(
        "/vectors",
        summary="The vector of a picture",
        responses=_answers(_VECTOR, 404, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(RAW, _BINARY)}},
    )
    async def vector(request: Request, index: _Index = None) -> Response:
        opened = registry[index]
        (image,) = read_pictures(await request.body(), request.headers.get("content-type", ""), most=1)
        return _json(await room.run(lambda: _vector_of_picture(opened, image)))

    @router.get(
        "/items/{item:int}/vector", summary="The vector of an item", responses=_answers(_VECTOR, 404, 422)
    )
    async def item_vector(item: _Item, index: _Index = None) -> Response:
        opened = registry[index]
        opened.thumbnail(item)  # a 404 where there is none
        (values,) = opened.searcher.bundle.store.vectors(np.array([item], np.int64))
        return _json({"vector": values.tolist(), "pairs": _pairs(opened)})


class Room:
    """Room for work beside the searches: so many at once, and so many that wait."""

    def __init__(self, workers: int, capacity: int) -> None:
        """Begin with nothing to do."""
        self._free, self._capacity, self._held = asyncio.Semaphore(workers), capacity, 0

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Do some work in a thread.

        :raises BusyError: If too much already waits.
        """
        if self._held >= self._capacity:
            raise BusyError("the server has too much to do", hint="try again in a second")
        self._held += 1
        try:
            async with self._free:
                return await run_in_threadpool(work)
        finally:
            self._held -= 1


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


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), media_type="application/json")
