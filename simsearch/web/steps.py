"""The part of the HTTP API that tells how a picture of a digit was read: paper, ink, lines, digit."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from PIL import Image

from simsearch.prepare.pictures import DIGITS, Reading
from simsearch.prepare.prepare import png_bytes
from simsearch.web.engine import Engine
from simsearch.web.openapi import answer, failures
from simsearch.web.parameters import IndexParameter
from simsearch.web.registry import Registry, data_uri
from simsearch.web.uploads import read_pictures
from simsearch.web.vectors import BODY, json_response

_MOST_SIDE = 256  # pixels of a step's picture

_TEXT = {"type": "string"}
_STEP = {
    "type": "object",
    "properties": {"name": _TEXT, "picture": {"type": "string", "description": "A PNG as a data: address."}},
    "required": ["name", "picture"],
}
_READING = {
    "type": "object",
    "description": "`refused` says why no digit was found, null where one was. Pictures taken as they are"
    " have one step, galleries of other pictures none.",
    "properties": {
        "steps": {"type": "array", "items": _STEP},
        "notes": {"type": "array", "items": _TEXT},
        "refused": {"type": ["string", "null"]},
    },
    "required": ["steps", "notes", "refused"],
}

STEP_SCHEMAS = {"Reading": _READING}


def add_steps(router: APIRouter, registry: Registry, engine: Engine) -> None:
    """Add this route to those of the API."""

    @router.post(
        "/steps",
        summary="How a picture of a digit is read, step by step",
        tags=["search"],
        responses={**answer("Reading"), **failures(404, 408, 413, 415, 422)},
        openapi_extra=BODY,
    )
    async def picture_steps(request: Request, index: IndexParameter = None) -> Response:
        opened, kind = registry[index], request.headers.get("content-type", "")
        (picture,) = await read_pictures(await request.body(), kind, most=1)
        if opened.searcher.bundle.encoder.input.preparation != DIGITS:
            return json_response(_document(Reading(())))
        return json_response(_document(await engine.read(opened.searcher, picture)))


def _document(reading: Reading) -> dict[str, Any]:
    return {
        "steps": [{"name": name, "picture": _small(pixels)} for name, pixels in reading.steps],
        "notes": list(reading.notes),
        "refused": None if reading.refused is None else reading.refused.message,
    }


def _small(pixels: NDArray[np.uint8]) -> str:
    factor = -(-max(pixels.shape) // _MOST_SIDE)
    small = np.asarray(Image.fromarray(pixels).reduce(factor)) if factor > 1 else pixels
    return data_uri(png_bytes(small))
