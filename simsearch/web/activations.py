"""The part of the HTTP API that looks inside the network: what its convolutions make of a picture."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from simsearch.encode.inside import Layers
from simsearch.prepare.inputs import Picture
from simsearch.web.engine import Engine
from simsearch.web.openapi import answer, failures
from simsearch.web.parameters import IndexParameter, ItemParameter
from simsearch.web.registry import OpenIndex, Registry
from simsearch.web.room import Kept, Room
from simsearch.web.uploads import read_pictures
from simsearch.web.vectors import BODY, NUMBER, json_response

MOST_MAPS = 64  # of a layer; of a wider one the most active are shown
MOST_SIDE = 28  # pixels; larger maps are shown in means

_INTEGER = {"type": "integer"}
_LAYER = {
    "type": "object",
    "description": "The maps of one convolution as they go on: `values` are bytes, base64, a map after the "
    "other, row by row, 255 for `largest`; negative values are 0.",
    "properties": {
        **dict.fromkeys(("maps", "of", "height", "width"), _INTEGER),
        "largest": NUMBER,
        "values": {"type": "string"},
    },
    "required": ["maps", "of", "height", "width", "largest", "values"],
}
_LAYERS = {
    "type": "object",
    "properties": {"layers": {"type": "array", "items": _LAYER}},
    "required": ["layers"],
}


ACTIVATION_SCHEMAS = {"Activations": _LAYERS}


def add_activations(router: APIRouter, registry: Registry, engine: Engine, room: Room) -> None:
    """Add these routes to those of the API."""
    kept: Kept[Layers] = Kept()

    def look(opened: OpenIndex, pixels: Picture) -> dict[str, Any]:
        encoder = opened.searcher.bundle.own_encoder
        if encoder is None or pixels.shape != encoder.input.picture_shape:  # kept smaller than it was encoded
            return {"layers": []}
        layers = kept.of(opened, lambda: Layers(encoder))
        return {"layers": [layer_to_dict(maps) for maps in layers.of(pixels)]}

    @router.post(
        "/activations",
        summary="What the network's convolutions make of a picture",
        tags=["vectors"],
        responses={**answer("Activations"), **failures(404, 408, 413, 415, 422)},
        openapi_extra=BODY,
    )
    async def picture_activations(request: Request, index: IndexParameter = None) -> Response:
        opened, kind = registry[index], request.headers.get("content-type", "")
        (picture,) = await read_pictures(await request.body(), kind, most=1)
        image = await engine.prepare(opened.searcher, picture)
        return json_response(await room.run(lambda: look(opened, image.pixels)))

    @router.get(
        "/items/{item}/activations",
        summary="What the network's convolutions make of an item",
        tags=["vectors"],
        responses={**answer("Activations"), **failures(404, 422)},
    )
    async def item_activations(item: ItemParameter, index: IndexParameter = None) -> Response:
        opened = registry[index]
        pixels = opened.thumbnail(item)
        return json_response(await room.run(lambda: look(opened, pixels)))


def layer_to_dict(maps: NDArray[np.float32]) -> dict[str, Any]:
    """The maps of a layer, float32 (C, H, W), in plain values for JSON."""
    of = len(maps)
    if of > MOST_MAPS:
        strongest = np.sort(np.argsort(-maps.max(axis=(1, 2)), kind="stable")[:MOST_MAPS])
        maps = maps[strongest]
    step = -(-max(maps.shape[1:]) // MOST_SIDE)
    if step > 1:
        height, width = (side // step * step for side in maps.shape[1:])
        blocks = maps[:, :height, :width].reshape(len(maps), height // step, step, width // step, step)
        maps = blocks.mean(axis=(2, 4))
    largest = max(float(maps.max()), 0.0)
    levels = np.rint(np.clip(maps, 0, None) / (largest or 1) * 255).astype(np.uint8)
    return {
        "maps": len(maps),
        "of": of,
        "height": maps.shape[1],
        "width": maps.shape[2],
        "largest": largest,
        "values": base64.b64encode(levels.tobytes()).decode(),
    }
