"""Errors as problem details (RFC 9457), in the words that the command line uses, each with a status code."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from simsearch.errors import BadInputError, BusyError, NotUsableError, SimsearchError, UnavailableError
from simsearch.text import printable

PROBLEM = "application/problem+json"
RETRY_AFTER_S = 1

_log = logging.getLogger("simsearch.web")


class NotFoundError(BadInputError):
    """The request names an index or an item that does not exist."""


class UnknownParameterError(BadInputError):
    """The address has a parameter that means nothing there."""


class WrongMediaTypeError(BadInputError):
    """The body is neither a picture nor a form with pictures."""


# The first that fits decides.
_STATUS: tuple[tuple[type[SimsearchError], int], ...] = (
    (UnknownParameterError, 400),
    (NotFoundError, 404),
    (WrongMediaTypeError, 415),
    (BadInputError, 422),
    (BusyError, 503),
    (UnavailableError, 503),
    (NotUsableError, 500),
)


def problem_document(status: int, detail: str, hint: str = "") -> dict[str, Any]:
    """What happened, and what to do next, as RFC 9457 has it."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if hint:
        document["hint"] = hint
    return document


def problem(status: int, detail: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as an answer."""
    fields = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        fields.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(json.dumps(problem_document(status, detail, hint)), status, fields, PROBLEM)


def problem_of(error: SimsearchError) -> Response:
    """The problem document of one of simsearch's errors."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return problem(status, error.message, error.hint)


def unexpected(error: Exception) -> Response:
    """The problem document of an error that should not have come so far."""
    return problem(500, f"unexpected {type(error).__name__}", "the server's log says more")


def handle_problems(app: FastAPI) -> None:
    """Answer every error of an app with a problem document."""

    @app.exception_handler(SimsearchError)
    async def _(_: Request, error: SimsearchError) -> Response:
        return problem_of(error)

    @app.exception_handler(HTTPException)
    async def _(_: Request, error: HTTPException) -> Response:
        detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
        return problem(error.status_code, detail or _WORDS.get(error.status_code, ""), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"][1:] or first["loc"]))  # without "query" or "body"
        return problem(422, f"{name}: {first['msg'][:1].lower()}{first['msg'][1:]}")

    @app.exception_handler(ClientDisconnect)
    async def _(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, printable(request.url.path), exc_info=error)
        return unexpected(error)


_WORDS = {
    404: "there is nothing at this address",
    405: "this address does not know that method",
}
