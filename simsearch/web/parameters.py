"""The parameters that several addresses of the API share, and the refusal of those that none knows."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path, Query, Request
from pydantic import BeforeValidator

from simsearch.text import did_you_mean, printable
from simsearch.web.openapi import query_parameters
from simsearch.web.problems import UnknownParameterError

_ID = re.compile(r"[0-9]{1,19}")  # int() itself fails on more than 4,300 digits

IndexParameter = Annotated[
    str | None,
    Query(
        alias="index",
        max_length=100,
        description="Name of the index; the first by default.",
        examples=["mnist-test"],
    ),
]
ItemParameter = Annotated[
    int,
    Path(ge=0, le=2**63 - 1, description="Id of an item.", examples=[5]),
    BeforeValidator(lambda text: text if _ID.fullmatch(text) else None),
]


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse what an address does not know: a misspelt limit must not pass for none.

    :raises UnknownParameterError: On the first such parameter, or one that is given twice.
    """
    known = query_parameters(request.app, request.scope["route"].path_format, request.method)
    for name in request.query_params:
        if name not in known:
            hint = did_you_mean(name, known) + (f"there are: {', '.join(known)}" if known else "leave it out")
            raise UnknownParameterError(f"there is no parameter {printable(name[:100])!r} here", hint)
        if not known[name] and len(request.query_params.getlist(name)) > 1:
            raise UnknownParameterError(f"{name} is given more than once")
