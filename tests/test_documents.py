"""What is read can be written again, and was not changed in between."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.documents import MAX_DEPTH, check_seal, parse_json, seal
from simsearch.encode.model_folder import MODEL_CARD
from simsearch.index.bundle import MANIFEST


def nested(depth: int, *, objects: bool = False) -> bytes:
    """So many lists, or objects, in each other."""
    return b'{"a":' * depth + b"1" + b"}" * depth if objects else b"[" * depth + b"]" * depth


@pytest.mark.parametrize("objects", [False, True])
def test_documents_have_a_limit_of_depth(objects: bool) -> None:
    assert parse_json(nested(MAX_DEPTH, objects=objects)) == json.loads(nested(MAX_DEPTH, objects=objects))
    for depth in (MAX_DEPTH + 1, 100, 984, 10_000, 500_000):
        with pytest.raises(ValueError, match=r"^it is nested too deeply$"):
            parse_json(nested(depth, objects=objects))


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


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    with pytest.raises(ValueError, match="digits"):
        parse_json(b"9" * 5_000)


def test_a_sealed_document_comes_back_and_a_changed_one_does_not() -> None:
    document = {"b": [1.5, "x"], "a": {"c": None}}
    read = parse_json(seal(document))
    check_seal(read)
    assert read == document
    with pytest.raises(ValueError, match="checksum"):
        check_seal(parse_json(seal(document).replace(b"1.5", b"2.5")))
