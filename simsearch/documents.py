"""JSON documents on disk: one parser, typed records, their checksum, and which versions made them.

A document's checksum lies inside it, so that a flipped bit in a number is noticed: the SHA-256 of everything
else, independent of layout. Documents from before it was introduced have none, and are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from simsearch import __version__

CHECKSUM = "sha256"  # the field that holds it
MOST_DEPTH = 64  # of lists and objects inside each other; simsearch itself writes five

Record = TypeVar("Record")
Finite: TypeAlias = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "an object",
    "str": "text",
}


def with_checksum(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, its checksum last."""
    return (json.dumps({**document, CHECKSUM: _digest(document)}, indent=2) + "\n").encode()


def parse_document(data: bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    :raises ValueError: If it is not JSON or not an object, is nested more than 64 deep, or has a field twice.
    """
    try:
        document = json.loads(data, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except _RepeatedFieldError:
        raise
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    _check_depth(document)
    return document


def check_checksum(document: dict[str, Any]) -> None:
    """Take the checksum out of a parsed document.

    :raises ValueError: If it is not that of the rest.
    """
    if CHECKSUM in document and document.pop(CHECKSUM) != _digest(document):
        raise ValueError("it is damaged: its checksum is wrong")


def record_of(kind: type[Record], value: object, place: str = "") -> Record:
    """The record that a parsed value stands for, each field checked against its type.

    :param kind: A msgspec struct or a dataclass. Values inside it that are already records stay as they are.
    :param place: Where the value lies in its document, such as `files.ids`.
    :raises ValueError: Naming the place and what belongs there; or in the words of the record's own check.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if error.__cause__ is not None:  # raised by a `__post_init__`
            raise ValueError(str(error.__cause__)) from error
        raise ValueError(f"it is incomplete or malformed ({_in_words(str(error), place)})") from error


def records_of(kind: type[Record], value: object, place: str) -> dict[str, Record]:
    """The same of an object whose every field is such a record; a refusal names the field."""
    fields: dict[str, Any] = record_of(dict, value, place)
    return {
        name: record_of(kind, field, f"{place}.{name if name.isprintable() else ascii(name)}")
        for name, field in fields.items()
    }


def installed_versions(*libraries: str) -> dict[str, str]:
    """The versions of simsearch, Python and those of these distributions that are installed."""
    import platform
    from importlib import metadata  # which brings half of the standard library: who only reads waits for none

    versions = {"simsearch": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


class _RepeatedFieldError(ValueError):
    pass


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields; of one that is written twice, readers would believe one or the other."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedFieldError(f"it has the field {repeated!r} twice")
    return fields


def _check_depth(document: dict[str, Any]) -> None:
    """Refuse what is nested too deeply for code that follows it by recursion, as `json.dumps` does."""
    level: list[Any] = [document]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    if any(isinstance(value, dict | list) for value in level):
        raise ValueError(f"it is nested too deeply: more than {MOST_DEPTH} levels")


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _in_words(refusal: str, place: str) -> str:
    """For "Expected `int`, got `str` - at `$.size`": "files.ids.size: expected a whole number, got text"."""
    text, _, path = refusal.partition(" - at `$")
    where = (place + path.removesuffix("`").replace("[...]", ".*")).removeprefix(".")
    if field := re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", text, re.DOTALL):
        has = "lacks" if field[1] == "missing required" else "has the unknown field"
        return f"{where or 'it'} {has} {field[2]!r}"
    text = re.sub(r"`([a-z |]+)`", lambda types: _types_in_words(types[1]), text)
    text = re.sub(r"a number [<>]= -?1\.79\S+", "a finite number", text)
    return f"{where or 'it'}: {text[0].lower()}{text[1:]}"


def _types_in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))
