"""A checkpoint is followed, not loaded: what is no state dictionary is refused, and nothing of it runs."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.encode.checkpoint import open_archive, read_state, read_weights
from simsearch.encode.model_folder import BEST_CHECKPOINT, PRETRAINED
from simsearch.encode.reference import EMBEDDING_NET, KNOWN, embed, shapes_of
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import DIGIT


def packed(*parts: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return data.getvalue()


def state_of(pickled: bytes) -> object:
    return read_state(open_archive(packed(("archive/data.pkl", pickled))))


PLAIN = {
    "numbers": [1, -1, 300, 70_000, 2**40, -(2**70), 2.5],
    "text": "é",
    "nothing": None,
    "yes": True,
    "no": False,
    "nested": {"a": [], "b": {}, "c": (), "d": (1,), "e": (1, 2), "f": (1, 2, 3), "g": (1, 2, 3, 4)},
    "again": [["x"]] * 3,
    "many": list(range(3_000)),
}


def test_plain_values_are_read_as_pickle_reads_them() -> None:
    assert state_of(pickle.dumps(PLAIN, protocol=2)) == PLAIN
    assert state_of(pickle.dumps(collections.OrderedDict(PLAIN), protocol=2)) == PLAIN


class Runs:
    """What makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="something else than what makes tensors"):
        state_of(pickle.dumps({"a": Runs()}, protocol=2))
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "nothing": b"",
    "no end": b"}",
    "a list": pickle.dumps([1], protocol=2),
    "bytes": pickle.dumps({"a": b"x"}, protocol=4),
    "an object by name": b"cbuiltins\neval\n(X\x01\0\0\x001tR.",
    "a new object": b"cbuiltins\nobject\n)\x81.",
    "a note of nothing": b"q\0.",
    "a memory of nothing": b"h\x09.",
    "a place far off": b"r\xff\xff\xff\xff.",
    "no mark": b"}u.",
    "half a pair": b"}(K\1u.",
    "a key that is a list": b"}(]K\1u.",
    "a tensor of nothing": b"}(K\1ctorch._utils\n_rebuild_tensor_v2\n)Ru.",
    "text that ends": b"X\xff\xff\xff\x7fabc.",
    "a number that ends": b"\x8b\xff\xff\xff\x7f1.",
    "too large": b"N" * 2**18 + b".",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_state_dictionary_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        state_of(WRONG[name])


@given(data=st.binary(max_size=60), at=st.integers(0, 400), by=st.binary(min_size=1, max_size=4))
def test_any_bytes_are_a_dictionary_or_refused(data: bytes, at: int, by: bytes) -> None:
    good = pickle.dumps(PLAIN | {"many": []}, protocol=2)
    for tried in (data, good[:at] + by + good[at + len(by) :]):
        try:
            assert isinstance(state_of(tried), dict)
        except ValueError:
            continue


def test_a_zip_of_very_many_parts_is_not_listed() -> None:
    with pytest.raises(ValueError, match="too many parts"):
        open_archive(packed(*((str(number), b"") for number in range(10_001))))


def test_a_compressed_part_is_refused() -> None:
    with pytest.raises(ValueError, match="compressed"):
        open_archive(packed(("a/data.pkl", b"}."), compression=zipfile.ZIP_DEFLATED))


SHAPES = shapes_of(EMBEDDING_NET, DIGIT)
SHIPPED = (PRETRAINED / BEST_CHECKPOINT).read_bytes()


def test_the_numbers_are_those_in_the_file() -> None:
    weights = read_weights(SHIPPED, SHAPES)
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert SHIPPED.count(weights["embedding.conv2.weight"].tobytes()) == 1
    assert all(np.isfinite(array).all() for array in weights.values())


def rewritten(part: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(SHIPPED)) as source:
        parts = [(entry.filename, source.read(entry)) for entry in source.infolist()]
    return packed(*((name, content if name.endswith(part) else held) for name, held in parts))


def described(old: bytes, new: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(SHIPPED)) as source:
        description = source.read("archive/data.pkl")
    assert old in description
    return rewritten("data.pkl", description.replace(old, new, 1))


BROKEN = {
    "no zip": b"none",
    "a flipped bit": SHIPPED[:900_000] + bytes([SHIPPED[900_000] ^ 1]) + SHIPPED[900_001:],
    "a part cut short": rewritten("data/14", bytes(400)),
    "another type": described(b"FloatStorage", b"DoubleStorage"),
    "another shape": described(b"K K\1K\5K\5", b"K\1K K\5K\5"),
    "another layout": described(b"K\x19K\1K\5K\1", b"K\0K\0K\0K\0"),
    "another name": described(b"conv1.weight", b"conv3.weight"),
    "no description": rewritten("data.pkl", b""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_checkpoint_that_is_not_as_it_should_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_weights(BROKEN[name], SHAPES)


INPUTS = {
    "digits": DIGIT,
    "small grays": ImageInput("photo", 1, 13, 30, 1, (0.5,), (0.25,)),
    "colors, halved twice": ImageInput("photo", 1, 70, 41, 3, (0.5,) * 3, (0.25,) * 3),
}


@pytest.mark.parametrize("input", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("name", KNOWN)
def test_numpy_and_torch_compute_the_same_vectors(name: str, input: ImageInput) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from simsearch.train.checkpoints import checkpoint_bytes
    from simsearch.train.loop import seeded
    from simsearch.train.model import SimilarityModel
    from simsearch.train.networks import ImageNetwork

    with seeded(3):
        model = SimilarityModel(embedding=ImageNetwork(name, input).build())
        with torch.no_grad():
            for part in model.embedding.modules():  # or batch normalization changes nothing
                if hasattr(part, "running_mean"):
                    part.running_mean.normal_(0, 0.2)
                    part.running_var.uniform_(0.5, 2)
                    part.weight.uniform_(0.5, 2)
                    part.bias.normal_(0, 0.2)
        images = torch.randn(3, *input.tensor_shape)
    state = {key: value for key, value in model.state_dict().items() if "num_batches" not in key}
    shapes = shapes_of(name, input)
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes
    with torch.inference_mode():
        expected = model.eval().embedding(images).numpy()
    found = embed(name, read_weights(checkpoint_bytes(model.state_dict()), shapes), images.numpy())
    assert np.abs(found - expected).max() < 2e-6


def test_numpy_torch_and_onnxruntime_compute_the_same_vectors() -> None:
    images = np.random.default_rng(4).normal(size=(5, 1, 28, 28)).astype(np.float32)
    expected = embed(EMBEDDING_NET, read_weights(SHIPPED, SHAPES), images)
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from simsearch.train.checkpoints import load_model

    model = load_model(PRETRAINED / BEST_CHECKPOINT)
    assert {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    } == SHAPES
    with torch.inference_mode():
        found = model.embedding(torch.from_numpy(images)).numpy()
    assert np.abs(found - expected).max() < 1e-6
