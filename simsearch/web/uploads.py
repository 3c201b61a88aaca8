"""The pictures in a request's body, parsed in memory: no file is written, no client's file name is used."""

from __future__ import annotations

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from simsearch.errors import BadInputError
from simsearch.web.problems import WrongMediaTypeError

FORM = "multipart/form-data"
RAW = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "application/octet-stream")
_MAX_PART_HEADERS = 4 * 2**10


def read_pictures(body: bytes, content_type: str, *, most: int) -> list[bytes]:
    """The encoded pictures of a body: itself, or the files of a form.

    :param most: Pictures that a form may hold.
    :raises WrongMediaTypeError: If the body is said to be something else.
    :raises BadInputError: If a form cannot be parsed, or holds none, too many, or other fields.
    """
    kind, options = parse_options_header(content_type)
    name = kind.decode("latin-1")
    if name == FORM:
        return _parse_form(body, options.get(b"boundary", b""), most)
    if name not in RAW:
        raise WrongMediaTypeError(
            f"a body of type {name[:100]!r} cannot be searched for" if name else "the body has no type",
            hint=f"send a picture as {RAW[0]} or {RAW[-1]}, or a form as {FORM}",
        )
    return [body]


class _Form:
    """The files of one form, collected while it is parsed."""

    def __init__(self, most: int) -> None:
        self.files: list[bytearray] = []
        self._most = most
        self._name, self._value, self._in_file = bytearray(), bytearray(), False

    def part_begin(self) -> None:
        self._in_file = False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > _MAX_PART_HEADERS:
            raise BadInputError("a header inside the form is too long")

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._in_file = b"filename" in parse_options_header(bytes(self._value))[1]
        self._name.clear()
        self._value.clear()

    def headers_finished(self) -> None:
        if not self._in_file:
            raise BadInputError(
                "the form has a field that is no file", hint="k and the other settings go into the address"
            )
        if len(self.files) == self._most:
            raise BadInputError(f"the form has more than {self._most} files")
        self.files.append(bytearray())

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1] += data[start:end]


def _parse_form(body: bytes, boundary: bytes, most: int) -> list[bytes]:
    form = _Form(most)
    names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data")
    try:
        parser = MultipartParser(boundary, {f"on_{name}": getattr(form, name) for name in names})  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:
        raise BadInputError("the form cannot be parsed: it is no multipart/form-data") from error
    if not form.files:
        raise BadInputError("the form holds no file", hint="send a picture as a file of the form")
    return [bytes(file) for file in form.files]
