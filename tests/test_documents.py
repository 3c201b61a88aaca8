"""The one reader of JSON documents: what it refuses at once, and how records are checked."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.documents import (
    MOST_DEPTH,
    check_checksum,
    parse_document,
    record_of,
    records_of,
    with_checksum,
)
from simsearch.encode.model_folder import MODEL_CARD
from simsearch.index.bundle import MANIFEST


def refusal(call, *arguments) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller compares the message
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[]", "it is not a JSON object"),
        (b"7", "it is not a JSON object"),
        (b'{"a": 1, "b": 2, "a": 1}', "it has the field 'a' twice"),
        (b'{"a": [{"b": 1, "b": 2}]}', "it has the field 'b' twice"),
        (b"[" * 200_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_document_is_refused(data, message):
    assert refusal(parse_document, data) == message


@pytest.mark.parametrize("data", [b"\xff", b"{", b'{"a": ' + b"9" * 5_000 + b"}"])
def test_bytes_that_are_no_json_are_refused(data):
    assert refusal(parse_document, data).startswith("it is not JSON (")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_the_depth_of_a_document_has_a_limit(opening, closing):
    def document(depth: int) -> bytes:
        return ('{"a": ' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()

    assert parse_document(document(MOST_DEPTH))
    for depth in (MOST_DEPTH + 1, 500):
        assert refusal(parse_document, document(depth)) == "it is nested too deeply: more than 64 levels"


def test_empty_objects_count_as_levels():
    inside = '{"a": ' * MOST_DEPTH + "{}" + "}" * MOST_DEPTH
    assert refusal(parse_document, inside.encode()) == "it is nested too deeply: more than 64 levels"


def test_a_checksum_is_checked_and_taken_out():
    document = {"a": 1.5, "b": ["x"]}
    fields = parse_document(with_checksum(document))
    assert list(fields) == ["a", "b", "sha256"]
    check_checksum(fields)
    assert fields == document


@pytest.mark.parametrize("change", [{"a": 1}, {"b": []}, {"c": None}, {"sha256": "0" * 64}, {"sha256": None}])
def test_a_changed_document_does_not_have_its_checksum(change):
    fields = {**json.loads(with_checksum({"a": 1.5, "b": ["x"]})), **change}
    assert refusal(check_checksum, fields) == "it is damaged: its checksum is wrong"


@dataclass(frozen=True)
class Inner:
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inner: Inner
    names: tuple[str, ...]
    maybe: int | None = None


GOOD = {"inner": {"low": 0, "high": 1}, "names": ["a"]}


def test_a_record_is_made_of_parsed_fields_or_of_records():
    made = Outer(Inner(0.0, 1.0), ("a",))
    assert record_of(Outer, GOOD) == made
    assert record_of(Outer, {**GOOD, "inner": Inner(0.0, 1.0)}) == made


@pytest.mark.parametrize(
    ("value", "what", "within"),
    [
        ([], "it: expected an object, got a list", "a.b: expected an object, got a list"),
        ({"names": []}, "it lacks 'inner'", "a.b lacks 'inner'"),
        ({**GOOD, "x\n`": 1}, r"it has the unknown field 'x\n`'", r"a.b has the unknown field 'x\n`'"),
        ({**GOOD, "inner": {"low": 1}}, "inner lacks 'high'", "a.b.inner lacks 'high'"),
        (
            {**GOOD, "names": ["a", 2]},
            "names[1]: expected text, got a whole number",
            "a.b.names[1]: expected text, got a whole number",
        ),
        (
            {**GOOD, "maybe": "1"},
            "maybe: expected a whole number or null, got text",
            "a.b.maybe: expected a whole number or null, got text",
        ),
    ],
)
def test_a_refusal_names_the_place_and_what_belongs_there(value, what, within):
    assert refusal(record_of, Outer, value) == f"it is incomplete or malformed ({what})"
    assert refusal(record_of, Outer, value, "a.b") == f"it is incomplete or malformed ({within})"


def test_a_record_refuses_in_its_own_words():
    assert refusal(record_of, Outer, {**GOOD, "inner": {"low": 2, "high": 1}}) == "low is above high"


def test_of_several_records_the_refused_one_is_named():
    good = {"low": 0, "high": 1}
    assert records_of(Inner, {"a": good}, "files") == {"a": Inner(0.0, 1.0)}
    assert refusal(records_of, Inner, {"a": good, "b\x1b": {}}, "files") == (
        r"it is incomplete or malformed (files.'b\x1b' lacks 'low')"
    )
    assert refusal(records_of, Inner, [good], "files") == (
        "it is incomplete or malformed (files: expected an object, got a list)"
    )


def nested(depth: int, *, objects: bool = False) -> bytes:
    """So many lists, or objects, in each other."""
    return b'{"a":' * depth + b"1" + b"}" * depth if objects else b"[" * depth + b"]" * depth


@pytest.mark.parametrize("depth", [100, 984, 990, 2_000])
def test_a_manifest_or_a_card_nested_deeply_is_refused_in_words(depth, build_toy, toy_gallery) -> None:
    """984 deep, Python reads a document and fails to write it."""
    folder = build_toy(toy_gallery)
    document = b'{"format": 1, "classes": ' + nested(depth) + b"}"
    (folder / MANIFEST).write_bytes(document)
    commands = [["info", "--index", str(folder)], ["verify", str(folder)], ["query", "--id", "0"]]
    for command in commands:
        assert_refused_for_depth([*command, *(["--index", str(folder)] if "query" in command else [])])
    (folder / MODEL_CARD).write_bytes(document)
    for command in (["info", "--model", str(folder)], ["verify", str(folder)]):
        assert_refused_for_depth(command)


def assert_refused_for_depth(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3, result.output
    assert "nested too deeply" in " ".join(result.output.split())
    assert result.exception is None or isinstance(result.exception, SystemExit)
