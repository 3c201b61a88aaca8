"""The OpenAPI document: FastAPI's, with the schemas of answers, every refusal, and who may ask.

The schema of answers is that of `query --json`, with pictures added.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any

from fastapi import FastAPI

from simsearch.search.formats import SCHEMA
from simsearch.web.problems import PROBLEM, problem_document

Json = dict[str, Any]

_TEXT = {"type": "string"}
_PICTURE = {"type": "string", "description": "A small PNG as a data: address."}
_ID = {"type": "integer", "minimum": 0, "description": "Id of an item."}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": {
        "type": _TEXT,
        "title": {**_TEXT, "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What happened."},
        "hint": {**_TEXT, "description": "What to do about it."},
    },
    "required": ["type", "title", "status", "detail"],
}
_PICTURES = {
    "type": "object",
    "description": "With `pictures=true`: what the network saw, and each item that is named, as data: PNGs.",
    "properties": {"query": _TEXT, "items": {"type": "object", "additionalProperties": _TEXT}},
    "required": ["query", "items"],
}


def _record(description: str, properties: Json) -> Json:
    """The schema of an object that has all of these properties and no others."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_SCHEMAS = {
    "Problem": _PROBLEM,
    "Health": _record("The process answers.", {"status": {"const": "ok"}}),
    "Readiness": _record(
        "The indexes are open.", {"status": {"const": "ok"}, "indexes": {"type": "array", "items": _TEXT}}
    ),
    "Example": _record("An item to begin with.", {"id": _ID, "picture": _PICTURE}),
    "IndexSummary": _record(
        "An index that can be asked.",
        {
            "name": {**_TEXT, "description": "What `index` is given."},
            "items": {"type": "integer", "minimum": 1},
            "model": {**_TEXT, "description": "Name of the model that encoded it."},
            "encoder": {**_TEXT, "description": "Fingerprint of its encoder."},
            "preparation": {
                **_TEXT,
                "description": "How pictures are prepared for it; `none`: it has no encoder.",
            },
            "classes": {"type": "array", "items": _TEXT, "description": "Empty without labels."},
            "examples": {"type": "array", "items": {"$ref": "#/components/schemas/Example"}},
        },
    ),
    "Indexes": _record(
        "The indexes, the default first.",
        {"indexes": {"type": "array", "items": {"$ref": "#/components/schemas/IndexSummary"}}},
    ),
    "Item": _record(
        "What is stored about an item.",
        {
            "index": _TEXT,
            "id": _ID,
            "label": {"type": ["string", "null"], "description": "Its class; null without labels."},
            "source": {**_TEXT, "description": "Where it came from."},
            "original": {"type": "boolean", "description": "Whether its file is there: `/original`."},
        },
    ),
}
_TAGS = {
    "search": "Pictures and items in, nearest images and a ranking of the classes out.",
    "vectors": "What the encoder makes of pictures, and where that lies.",
    "items": "What is stored in an index.",
    "indexes": "The indexes that can be asked.",
    "operations": "For those who run the server.",
}
_JSON = "application/json"
_SCHEME = "token"
_OPEN = ("/healthz", "/readyz")
_EVERYWHERE = (400, 403, 421, 431, 503)  # refusals before a request reaches its address
_EXAMPLES = {
    400: ("there is no parameter 'lable' here", "did you mean 'label'?"),
    401: ("the token is missing or wrong", "send the header `Authorization: Bearer TOKEN`"),
    403: ("requests from pages of another origin are not answered", ""),
    404: ("there is no item 10000 in mnist-test", "ids are 0 to 9999"),
    408: ("the body took too long to arrive", ""),
    413: ("the body is larger than 2 MB", "make the picture smaller"),
    415: ("a body of type 'text/plain' cannot be searched for", "send a picture as image/png"),
    421: ("this server does not answer to that Host", "name it with --allow-host"),
    422: ("no digit found in the picture", "pass one digit with a margin around it"),
    431: ("the headers are larger than 64 kB", ""),
    503: ("the server has too much to do", "try again in a second"),
}
_HEADERS = {
    401: ("WWW-Authenticate", {"schema": _TEXT}),
    503: ("Retry-After", {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}),
}
_HERE, _THERE = "#/$defs/", "#/components/schemas/"
_ONLY_LINES = "line"  # of --jsonl
_UNUSED = ("HTTPValidationError", "ValidationError")  # FastAPI's own errors: ours are problems


def describe(app: FastAPI, *, token: bool, further: Mapping[str, Json]) -> None:
    """Complete an app's OpenAPI document.

    :param further: Schemas of answers, by name, that are not of searches and items.
    :param token: Whether the server asks for a token.
    """
    make = app.openapi

    @cache
    def openapi() -> Json:
        document = make()
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        for name in _UNUSED:
            schemas.pop(name, None)
        schemas.update(answer_schemas(), **_SCHEMAS, **further)
        components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer"}}
        document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
        for path, operation in _operations(document):
            if operation["operationId"] in examples():  # FastAPI would leave out what is null in them
                operation["responses"]["200"]["content"][_JSON]["example"] = examples()[
                    operation["operationId"]
                ]
            _add_refusals(operation, (*_EVERYWHERE, 401) if token and path not in _OPEN else _EVERYWHERE)
            if path not in _OPEN:
                operation["security"] = [{_SCHEME: []}] if token else [{}, {_SCHEME: []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def answer(schema: str) -> dict[int | str, Json]:
    """The description of a JSON answer by its schema's name."""
    return {200: {"content": {_JSON: {"schema": {"$ref": f"{_THERE}{schema}"}}}}}


def failures(*statuses: int) -> dict[int | str, Json]:
    """The descriptions of problems, by status."""
    return {status: _failure(status) for status in statuses}


def query_parameters(app: FastAPI, path: str, method: str) -> dict[str, bool]:
    """The names of the parameters that an address takes behind its `?`, and whether each is repeatable."""
    operation = app.openapi()["paths"].get(path, {}).get(method.lower(), {})
    return {
        parameter["name"]: '"array"' in json.dumps(parameter["schema"])
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }


def answer_schemas() -> Json:
    """The definitions behind `query --json`, as components of an OpenAPI document."""
    text = SCHEMA.read_text("utf-8").replace(_HERE, _THERE)
    definitions: Json = json.loads(text)["$defs"]
    del definitions[_ONLY_LINES]
    definitions["entry"]["properties"]["pictures"] = _PICTURES
    return definitions


@cache
def examples() -> Mapping[str, Any]:
    """An answer of each operation, by the operation's name."""
    text = resources.files("simsearch.web").joinpath("examples.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _add_refusals(operation: Json, statuses: tuple[int, ...]) -> None:
    responses = operation["responses"]
    for status in statuses:
        responses.setdefault(str(status), _failure(status))
    operation["responses"] = dict(sorted(responses.items()))


def _failure(status: int) -> Json:
    example = problem_document(status, *_EXAMPLES[status])
    content = {"schema": {"$ref": f"{_THERE}Problem"}, "example": example}
    described = {"description": HTTPStatus(status).phrase, "content": {PROBLEM: content}}
    if status in _HEADERS:
        name, header = _HEADERS[status]
        described["headers"] = {name: header}
    return described
