"""The OpenAPI document's schemas: that of answers is the schema of `query --json`, with pictures added."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

from simsearch.search.formats import SCHEMA

_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": dict.fromkeys(("type", "title", "detail", "hint"), _TEXT) | {"status": {"type": "integer"}},
    "required": ["type", "title", "status", "detail"],
}
_PICTURES = {
    "type": "object",
    "description": "With `pictures=true`: what the network saw, and each item that is named, as data: PNGs.",
    "properties": {"query": _TEXT, "items": {"type": "object", "additionalProperties": _TEXT}},
    "required": ["query", "items"],
}
_HERE, _THERE = "#/$defs/", "#/components/schemas/"
_ONLY_LINES = "line"  # of --jsonl
_UNUSED = ("HTTPValidationError", "ValidationError")  # FastAPI's own errors: ours are problems


def describe(app: FastAPI) -> None:
    """Put the schemas of answers and problems into an app's OpenAPI document."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in _UNUSED:
            schemas.pop(name, None)
        schemas.update(answer_schemas(), Problem=_PROBLEM)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def answer_schemas() -> dict[str, Any]:
    """The definitions behind `query --json`, as components of an OpenAPI document."""
    text = SCHEMA.read_text("utf-8").replace(_HERE, _THERE)
    definitions: dict[str, Any] = json.loads(text)["$defs"]
    del definitions[_ONLY_LINES]
    definitions["entry"]["properties"]["pictures"] = _PICTURES
    return definitions
