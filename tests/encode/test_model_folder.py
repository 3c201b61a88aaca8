"""A model folder: what is read back, and what every kind of damage is called."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from toys import TOY_CALIBRATION

from simsearch.encode.encoder import MAX_MODEL_BYTES
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    FORMAT_VERSION,
    MODEL_CARD,
    FileRecord,
    ModelCard,
    open_model,
    read_model_card,
    read_model_file,
    write_model_card,
)
from simsearch.errors import BrokenModelError, MissingModelError
from simsearch.prepare.prepare import PREPROCESSING_VERSION
from simsearch.stats.calibration import PlattScaling

HINT = "copy the model folder again, or train a new one with `simsearch train`"
CARD = ModelCard(
    name="card",
    created="2026-01-01T00:00:00+00:00",
    dim=4,
    parameters=17,
    preprocessing=PREPROCESSING_VERSION,
    projection=PlattScaling(10.019825935363770, -4.922362327575684),
    files={ENCODER: FileRecord(5, "ab" * 32), BEST_CHECKPOINT: FileRecord.of(b"weights")},
    training={"recipe": {"name": "r", "epochs": 3}, "seed": 0, "best": {"epoch": 2, "val_loss": 0.1}},
)


@pytest.fixture
def folder(tmp_path, toy_model):
    """A complete model folder."""
    (tmp_path / ENCODER).write_bytes(toy_model.encoder.model)
    (tmp_path / BEST_CHECKPOINT).write_bytes(b"none")
    write_model_card(tmp_path, toy_model.card)
    return tmp_path


def raw_card():
    """The card's JSON without its own checksum, so that what is edited is believed."""
    raw = json.loads(CARD.to_json())
    del raw["sha256"]
    return raw


def test_a_card_survives_the_round_trip_exactly():
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_a_card_of_before_there_were_calibrations_is_read():
    raw = raw_card()
    del raw["calibration"]
    assert ModelCard.from_json(json.dumps(raw).encode()) == CARD
    assert CARD.pair_scaling == CARD.projection


def test_a_calibration_survives_the_round_trip():
    card = replace(CARD, calibration=TOY_CALIBRATION)
    assert ModelCard.from_json(card.to_json()) == card
    assert card.pair_scaling == TOY_CALIBRATION.pairs


def test_a_broken_calibration_is_refused():
    for broken in ({"pairs": {}}, [], "x", 7):
        with pytest.raises(ValueError, match=r"^it is incomplete or malformed \(calibration"):
            ModelCard.from_json(json.dumps({**raw_card(), "calibration": broken}).encode())


def test_a_card_on_disk_is_the_card_that_was_written(tmp_path):
    write_model_card(tmp_path, CARD)

    assert read_model_card(tmp_path) == CARD
    assert [path.name for path in tmp_path.iterdir()] == [MODEL_CARD]


def test_a_complete_folder_opens_with_its_encoder_and_card(folder, toy_model):
    model = open_model(folder, threads=1)

    assert model.card == toy_model.card
    assert model.encoder.model == toy_model.encoder.model
    assert model.encoder.fingerprint == model.card.files[ENCODER].sha256


def test_a_file_record_is_the_size_and_the_sha256():
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1

    assert FileRecord.of(b"abc") == FileRecord(3, digest)


def test_an_onnx_file_is_no_model_but_becomes_one(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(MissingModelError, match="is a file, and a model is a folder") as caught:
        open_model(tmp_path / "net.onnx")
    assert caught.value.hint == f"`simsearch import-model {tmp_path / 'net.onnx'}` makes one of it"


@pytest.mark.parametrize("name", ["nowhere", "model.json/below"])
def test_a_folder_without_a_model_says_how_to_get_one(folder, name):
    with pytest.raises(MissingModelError) as caught:
        open_model(folder / name)

    assert caught.value.exit_code == 3
    assert caught.value.message == f"there is no model in {folder / name} (no model.json)"
    assert (
        caught.value.hint
        == "train one with `simsearch train`; without --model, commands that have it use the shipped one,"
        " with --model residual the second"
    )


def test_a_missing_card_is_a_missing_model(folder):
    (folder / MODEL_CARD).unlink()

    with pytest.raises(MissingModelError, match=r"there is no model in .* \(no model.json\)"):
        open_model(folder)


def test_a_card_that_is_a_folder_cannot_be_read(tmp_path):
    (tmp_path / MODEL_CARD).mkdir()

    with pytest.raises(BrokenModelError, match=r"model.json cannot be read: Is a directory"):
        read_model_card(tmp_path)


def flip(data):
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda data: data[:-1], lambda data: data + b"\n", lambda _: b""],
    ids=["flipped bit", "truncated", "extended", "emptied"],
)
def test_an_encoder_that_is_not_the_one_described_is_refused_before_it_is_parsed(folder, damage, monkeypatch):
    parser = "simsearch.encode.model_folder.OnnxEncoder"
    monkeypatch.setattr(parser, lambda *_, **__: pytest.fail("was parsed"))
    path = folder / ENCODER
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(BrokenModelError) as caught:
        open_model(folder)

    assert caught.value.exit_code == 3
    assert caught.value.message == f"{path} is not the file that model.json describes"
    assert caught.value.hint == HINT


def test_a_missing_encoder_is_named(folder):
    (folder / ENCODER).unlink()

    with pytest.raises(
        BrokenModelError, match=r"encoder.onnx cannot be read: No such file or directory"
    ) as caught:
        open_model(folder)

    assert caught.value.hint == HINT


@pytest.mark.parametrize("size", [0, -1, MAX_MODEL_BYTES + 1, 10**18])
def test_an_absurd_size_is_refused_without_reading_the_file(folder, toy_model, size, monkeypatch):
    record = replace(toy_model.card.files[ENCODER], size=size)
    write_model_card(folder, replace(toy_model.card, files={ENCODER: record}))
    card = read_model_card(folder)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))

    with pytest.raises(BrokenModelError, match=r"model.json does not describe encoder.onnx"):
        read_model_file(folder, ENCODER, card)


def test_a_file_of_another_size_is_refused_without_reading_it(folder, monkeypatch):
    card = read_model_card(folder)
    with (folder / ENCODER).open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))

    with pytest.raises(BrokenModelError, match=r"is not the file that model.json describes"):
        read_model_file(folder, ENCODER, card)


def test_a_card_that_does_not_list_the_encoder_is_refused(folder, toy_model):
    write_model_card(folder, replace(toy_model.card, files={}))

    with pytest.raises(BrokenModelError, match=r"model.json does not describe encoder.onnx"):
        open_model(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": FORMAT_VERSION + 1}, "not a model card of format 1 or 2"),
        ({"format": None}, "not a model card of format 1 or 2"),
        (
            {"preprocessing": PREPROCESSING_VERSION + 1},
            f"made for preprocessing version {PREPROCESSING_VERSION + 1}, this is {PREPROCESSING_VERSION}",
        ),
        ({"preprocessing": True}, "preprocessing: expected a whole number, got true or false"),
        ({"dim": "128"}, "dim: expected a whole number, got text"),
        ({"parameters": None}, "parameters: expected a whole number, got null"),
        ({"name": 5}, "name: expected text, got a whole number"),
        ({"created": []}, "created: expected text, got a list"),
        ({"training": None}, "training: expected an object, got null"),
        ({"unheard-of": 1}, "it has the unknown field 'unheard-of'"),
        ({"projection": None}, "projection: expected an object, got null"),
        ({"projection": {"weight": 1.0}}, "projection lacks 'bias'"),
        ({"projection": {"weight": "10", "bias": 0.0}}, "projection.weight: expected a number, got text"),
        ({"projection": {"weight": True, "bias": 0.0}}, "projection.weight: expected a number, got true"),
        (
            {"projection": {"weight": float("nan"), "bias": 0.0}},
            "projection.weight: expected a finite number",
        ),
        ({"projection": {"weight": 10**400, "bias": 0}}, "projection.weight: "),
        ({"files": {"../x": {"size": 1, "sha256": ""}}}, "it names a file outside its folder: '../x'"),
        ({"files": []}, "files: expected an object, got a list"),
        ({"files": {ENCODER: None}}, "files.encoder.onnx: expected an object, got null"),
        ({"files": {ENCODER: {"size": 1}}}, "files.encoder.onnx lacks 'sha256'"),
        (
            {"files": {ENCODER: {"size": "1", "sha256": ""}}},
            "files.encoder.onnx.size: expected a whole number, got text",
        ),
        (
            {"files": {ENCODER: {"size": 1, "sha256": 2}}},
            "files.encoder.onnx.sha256: expected text, got a whole number",
        ),
    ],
    ids=str,
)
def test_a_card_that_is_not_one_is_refused_with_its_reason(folder, changes, reason):
    path = folder / MODEL_CARD
    path.write_text(json.dumps({**raw_card(), **changes}))

    with pytest.raises(BrokenModelError) as caught:
        read_model_card(folder)

    assert caught.value.message.startswith(f"{path} cannot be used: ")
    assert reason in caught.value.message
    assert caught.value.hint == HINT


@pytest.mark.parametrize("field", sorted(raw_card().keys() - {"calibration"}))
def test_a_card_without_one_of_its_fields_is_refused(field):
    raw = raw_card()
    del raw[field]

    with pytest.raises(
        ValueError,
        match=rf"^(it is incomplete or malformed \(it lacks '{field}'\)|not a model card of format 1 or 2)",
    ):
        ModelCard.from_json(json.dumps(raw).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe\x00",
        b"\x80",
        b'{"format": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=["empty", "cut", "null", "list", "utf-16", "not utf-8", "nothing else", "deep list", "deep object"],
)
def test_bytes_that_are_no_card_are_refused(folder, data):
    (folder / MODEL_CARD).write_bytes(data)

    with pytest.raises(BrokenModelError, match=r"model.json cannot be used: "):
        read_model_card(folder)


def test_a_card_of_before_cards_had_checksums_is_read():
    assert ModelCard.from_json(json.dumps(raw_card()).encode()) == CARD


def test_one_changed_digit_of_the_projection_is_noticed():
    data = CARD.to_json().replace(b"-4.92", b"-4.93")
    with pytest.raises(ValueError, match="it is damaged: its checksum is wrong"):
        ModelCard.from_json(data)


def test_a_card_cut_anywhere_is_refused():
    data = CARD.to_json().rstrip()

    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"."):
            ModelCard.from_json(data[:length])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def is_a_card_or_a_value_error(data):
    try:
        card = ModelCard.from_json(data)
    except ValueError:
        return
    assert ModelCard.from_json(card.to_json()).to_json() == card.to_json()


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_value_error(data):
    is_a_card_or_a_value_error(data)


@given(st.sampled_from(sorted(raw_card())), JSON)
@settings(max_examples=300, deadline=None)
def test_no_value_of_any_field_raises_anything_but_a_value_error(field, value):
    is_a_card_or_a_value_error(json.dumps({**raw_card(), field: value}).encode())


@given(st.sampled_from(["weight", "bias"]), st.sampled_from(["size", "sha256"]), JSON)
@settings(max_examples=300, deadline=None)
def test_no_value_deeper_down_raises_anything_but_a_value_error(number, part, value):
    raw = raw_card()
    raw["projection"][number] = value
    is_a_card_or_a_value_error(json.dumps(raw).encode())
    raw = raw_card()
    raw["files"][ENCODER][part] = value
    is_a_card_or_a_value_error(json.dumps(raw).encode())


@given(st.integers(0, len(CARD.to_json()) - 1), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_no_changed_byte_raises_anything_but_a_value_error(position, byte):
    data = bytearray(CARD.to_json())
    data[position] = byte
    is_a_card_or_a_value_error(bytes(data))
