"""The pictures in a request's body, parsed in memory: no file is written, no client's file name is used."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from simsearch.errors import BadInputError
from simsearch.web.problems import WrongMediaTypeError

FORM = "multipart/form-data"
RAW = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "application/octet-stream")
_LONGEST_TYPE = 1_000  # of a header that names a type and a boundary
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
_PIECE = 64 * 2**10  # bytes that are parsed before others have their turn


async def read_pictures(body: bytes, content_type: str, *, most: int) -> list[bytes]:
    """The encoded pictures of a body: itself, or the files of a form.

    :param most: Pictures that a form may hold.
    :raises WrongMediaTypeError: If the body is said to be something else.
    :raises BadInputError: If a form cannot be parsed, or holds none, too many, or other fields.
    """
    kind, options = parse_options_header(content_type[:_LONGEST_TYPE])
    name = kind.decode("latin-1")
    if name == FORM:
        return await _parse_form(body, options.get(b"boundary", b""), most)
    if name not in RAW and not name.startswith("image/"):  # which of them it is, the bytes say
        raise WrongMediaTypeError(
            f"a body of type {name[:100]!r} cannot be searched for" if name else "the body has no type",
            hint=f"send a picture as {RAW[0]} or {RAW[-1]}, or a form as {FORM}",
        )
    return [body]


class _FilesParser(MultiPartParser):
    """Starlette's parser, which stops at the first part that is not wanted."""

    def __init__(self, body: bytes, boundary: bytes, most: int) -> None:
        # Of the request's own header only the boundary is passed on: a charset could name any codec.
        headers = Headers({"content-type": f'{FORM}; boundary="{boundary.decode()}"'})
        super().__init__(headers, self._pieces(body), max_part_size=len(body))
        self.spool_max_size = len(body)  # so that nothing goes to the disk
        self._most, self._ended = most, False

    def on_part_end(self) -> None:
        super().on_part_end()
        if not isinstance(self.items[-1][1], UploadFile):
            raise BadInputError(
                "the form has a field that is no file", hint="k and the other settings go into the address"
            )
        if len(self.items) > self._most:
            raise BadInputError(f"the form has more than {self._most} files")

    def on_end(self) -> None:
        self._ended = True

    async def _pieces(self, body: bytes) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE):
            yield body[start : start + _PIECE]
            await asyncio.sleep(0)
        if not self._ended:
            raise MultiPartException("It is cut off.")


async def _parse_form(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    try:
        if not _BOUNDARY.fullmatch(boundary):
            raise MultiPartException("Missing boundary in multipart.")
        form = await _FilesParser(body, boundary, most).parse()
    except MultiPartException as error:
        reason = error.message[:1].lower() + error.message[1:].rstrip(".")
        raise BadInputError(
            f"the form cannot be parsed: {reason}", hint=f"send each picture as a file of a {FORM}"
        ) from error
    pictures = [await file.read() for _, file in form.multi_items() if isinstance(file, UploadFile)]
    await form.close()
    if not pictures:
        raise BadInputError("the form holds no file", hint="send a picture as a file of the form")
    return pictures
