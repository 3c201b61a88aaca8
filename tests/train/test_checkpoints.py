"""Checkpoints: what is written is read back, and what was not written so is never believed or run."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch

from simsearch.errors import BrokenModelError, MissingModelError
from simsearch.train.checkpoints import (
    MAX_CHECKPOINT_BYTES,
    check_form,
    load_model,
    read_checkpoint,
    save_checkpoint,
)
from simsearch.train.model import SimilarityModel


@pytest.fixture(scope="module")
def state():
    """The weights of a model that trained for a step, so that no statistic is at its start value."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = SimilarityModel()
    model(torch.randn(4, 1, 28, 28), torch.randn(4, 1, 28, 28))
    return model.state_dict()


@pytest.fixture(scope="module")
def intact(state, tmp_path_factory):
    """The bytes of a real best_model.pt."""
    path = tmp_path_factory.mktemp("intact") / "best_model.pt"
    save_checkpoint(path, state)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best_model.pt"


def same_weights(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def test_what_is_saved_is_loaded_bit_for_bit_in_evaluation_mode(path, state):
    save_checkpoint(path, state)

    model = load_model(path)

    assert same_weights(model.state_dict(), state)
    assert not model.training
    assert [child.name for child in path.parent.iterdir()] == ["best_model.pt"]


def test_plain_values_and_nested_tensors_survive(path):
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": torch.arange(3)}, "d": (1, 2)}

    save_checkpoint(path, value)

    found = read_checkpoint(path)
    assert torch.equal(found["b"].pop("c"), torch.arange(3))
    assert found == {**value, "b": {}}


def test_the_memory_layout_of_training_does_not_reach_the_file(path, state):
    model = SimilarityModel()
    model.load_state_dict(state)
    model.to(memory_format=torch.channels_last)
    assert not model.embedding.conv2.weight.is_contiguous()

    save_checkpoint(path, model.state_dict())

    found = read_checkpoint(path)
    assert same_weights(found, state)
    assert [name for name, value in found.items() if not value.is_contiguous()] == []


def test_a_missing_checkpoint_is_missing_and_so_is_a_folder(path):
    for absent in (path, path.parent):
        with pytest.raises(MissingModelError) as caught:
            load_model(absent)
        assert caught.value.message == f"there is no checkpoint at {absent}"
        assert caught.value.exit_code == 3


def test_a_file_too_large_is_refused_unread(path, monkeypatch):
    with path.open("wb") as file:
        file.truncate(MAX_CHECKPOINT_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read"))

    with pytest.raises(BrokenModelError, match=r"is larger than 67,108,864 bytes: not a checkpoint$"):
        read_checkpoint(path)


def mutate(data, rng):
    """One way of going wrong: a flipped bit, a lost end, a zeroed or a doubled stretch."""
    kind = rng.integers(4)
    at = int(rng.integers(len(data)))
    length = int(rng.integers(1, 4096))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
    return data[: at + length] + data[at:]


def mutations(data, count, seed):
    rng = np.random.default_rng(seed)
    changed = (mutate(data, rng) for _ in range(count))
    return [variant for variant in changed if variant != data]


def test_with_its_hash_known_no_changed_checkpoint_is_loaded(path, intact):
    digest = hashlib.sha256(intact).hexdigest()
    variants = mutations(intact, 200, seed=1)
    assert len(variants) > 190

    for variant in variants:
        path.write_bytes(variant)
        with pytest.raises(BrokenModelError, match=r"is damaged: its SHA-256 is not the recorded one$"):
            load_model(path, sha256=digest)
    path.write_bytes(intact)
    assert not load_model(path, sha256=digest).training


def headers(data):
    """Where the zip keeps its names, lengths and checksums: 512 bytes at either end hold most surprises."""
    return [*range(0, 512, 9), *range(len(data) - 4096, len(data), 37)]


def test_without_a_hash_a_changed_checkpoint_is_refused_or_was_harmed_in_nothing(path, intact, state):
    """torch alone loads most of these: it does not look at the zip's checksums."""
    flipped = [intact[:at] + bytes([intact[at] ^ 16]) + intact[at + 1 :] for at in headers(intact)]
    refused = 0
    for variant in [*mutations(intact, 120, seed=2), *flipped]:
        path.write_bytes(variant)
        try:
            model = load_model(path)
        except BrokenModelError:
            refused += 1
        else:
            assert same_weights(model.state_dict(), state)

    assert refused > 150


def test_one_flipped_bit_of_one_weight_is_noticed_without_a_hash(path, intact, state):
    at = intact.index(state["embedding.linear.weight"].numpy().tobytes()[:64]) + 1000
    path.write_bytes(intact[:at] + bytes([intact[at] ^ 1]) + intact[at + 1 :])
    assert torch.load(path, weights_only=True).keys() == state.keys()  # torch notices nothing

    with pytest.raises(BrokenModelError, match=r"is not a readable checkpoint \(ValueError\)$"):
        load_model(path)


@pytest.mark.parametrize("data", [b"", b"text", bytes(5000), b"PK\x05\x06" + bytes(18)], ids=repr)
def test_bytes_that_are_no_checkpoint_are_refused(path, data):
    path.write_bytes(data[:5000])

    with pytest.raises(BrokenModelError, match=r"is not a readable checkpoint \(\w+\)$"):
        read_checkpoint(path)


class Touch:
    """Pickles as a call that creates a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def zipped(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def legacy(value):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [zipped, legacy, pickle.dumps])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(path, tmp_path, pack):
    target = tmp_path / "touched"
    data = pack({"embedding": Touch(target)})
    assert not target.exists()
    path.write_bytes(data)

    with pytest.raises(BrokenModelError, match=r"is not a readable checkpoint"):
        load_model(path)

    assert not target.exists()
    if pack is pickle.dumps:  # and it is a pickle that would have
        pickle.loads(data)
        assert target.exists()


def test_a_file_that_unpacks_to_more_than_it_is_is_refused(path, intact):
    with (
        zipfile.ZipFile(io.BytesIO(intact)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))

    with pytest.raises(BrokenModelError, match=r"is not a readable checkpoint \(ValueError\)$"):
        load_model(path)


@pytest.mark.parametrize("value", [[1, 2], torch.ones(2), 5, None], ids=["list", "tensor", "number", "none"])
def test_a_checkpoint_of_something_else_is_refused(path, value):
    torch.save(value, path)

    with pytest.raises(BrokenModelError, match=r"does not hold a state dictionary$"):
        read_checkpoint(path)


def wrong(name, value):
    return lambda state: {**state, name: value(state.get(name))}


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


CONV, STEPS = "embedding.conv1.weight", "embedding.norm1.num_batches_tracked"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without(CONV), f" holds other weights than a SimilarityModel's: {CONV}"),
        (wrong("more", lambda _: torch.ones(1)), " holds other weights than a SimilarityModel's: more"),
        (wrong(5, lambda _: torch.ones(1)), " holds other weights than a SimilarityModel's: 5"),
        (lambda _: {}, " holds other weights than a SimilarityModel's: embedding.conv1.bias"),
        (wrong(CONV, lambda _: "text"), f": {CONV} is not a tensor"),
        (wrong(CONV, lambda value: value.tolist()), f": {CONV} is not a tensor"),
        (wrong(CONV, lambda value: value.double()), f": {CONV} is torch.float64, not torch.float32"),
        (wrong(CONV, lambda value: value.half()), f": {CONV} is torch.float16, not torch.float32"),
        (wrong(STEPS, lambda value: value.float()), f": {STEPS} is torch.float32, not torch.int64"),
        (wrong(CONV, lambda value: value[:31]), f": {CONV} has shape (31, 1, 5, 5), not (32, 1, 5, 5)"),
        (wrong(CONV, lambda value: value.flatten()), f": {CONV} has shape (800,), not (32, 1, 5, 5)"),
        (wrong(CONV, lambda _: torch.zeros(1).expand(32, 1, 5, 5)), f": {CONV} is not contiguous"),
        (wrong("embedding.linear.weight", lambda value: value.t().contiguous().t()),
         ": embedding.linear.weight is not contiguous"),
        (wrong(CONV, lambda value: torch.full_like(value, torch.nan)),
         f": {CONV} has values that are not finite"),
        (wrong("projection.bias", lambda value: value - torch.inf),
         ": projection.bias has values that are not finite"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_with_the_first_reason(path, state, change, reason):
    torch.save(change(state), path)

    with pytest.raises(BrokenModelError) as caught:
        load_model(path)

    assert caught.value.message == f"{path}{reason}"


def test_a_name_that_would_break_the_line_is_spelt_out(path, state):
    save_checkpoint(path, {**state, "a\nb\x1b[31m": torch.ones(1)})

    with pytest.raises(BrokenModelError) as caught:
        load_model(path)

    assert caught.value.message == f"{path} holds other weights than a SimilarityModel's: 'a\\nb\\x1b[31m'"


def test_a_tensor_that_only_declares_a_huge_shape_is_refused_by_its_shape(path, state):
    huge = torch.zeros(1).expand(10**6, 10**6)  # 3.6 TB if anyone looked at its values
    torch.save({**state, CONV: huge}, path)
    assert path.stat().st_size < 3_000_000

    with pytest.raises(BrokenModelError, match=r"has shape \(1000000, 1000000\), not \(32, 1, 5, 5\)$"):
        load_model(path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": 1, "b": [1.0, 2.0], "c": torch.ones(2), "d": None}, None),
        ({"a": 1, "b": [1.0, 2.0], "c": torch.ones(2)}, "x has too much or too little: d"),
        ({"a": 1, "b": [1.0, 2.0], "c": torch.ones(2), "d": None, "e": 1}, "x has too much or too little: e"),
        ({"a": True, "b": [1.0, 2.0], "c": torch.ones(2), "d": None}, "x, a is bool, not int"),
        ({"a": 1, "b": [1.0], "c": torch.ones(2), "d": None}, "x, b has 1 parts, not 2"),
        ({"a": 1, "b": [1.0, "2"], "c": torch.ones(2), "d": None}, "x, b, 1 is str, not float"),
        ({"a": 1, "b": [1.0, 2.0], "c": torch.ones(3), "d": None}, "x, c has shape (3,), not (2,)"),
        ({"a": 1, "b": [1.0, 2.0], "c": 2.0, "d": None}, "x, c is not a tensor"),
        ([], "x is list, not dict"),
    ],
    ids=str,
)
def test_the_form_of_plain_values_is_checked_down_to_the_leaves(value, reason):
    reference = {"a": 7, "b": [0.0, 0.0], "c": torch.zeros(2), "d": None}

    if reason is None:
        check_form(value, reference, "x")
        return
    with pytest.raises(BrokenModelError) as caught:
        check_form(value, reference, "x")
    assert caught.value.message == reason


def test_a_zip_of_very_many_parts_is_refused_before_it_is_listed(path):
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10_001):
            archive.writestr(str(number), b"")
    with pytest.raises(BrokenModelError, match="not a readable checkpoint"):
        read_checkpoint(path)
