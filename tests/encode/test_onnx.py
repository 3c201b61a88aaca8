"""Encoders that others made: other layouts and types, tokens, maps, several outputs, batches of one size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simsearch.encode.onnx import OnnxEncoder, VectorOutput
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.inputs import ImageInput

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto

COLOR = ImageInput("plain", 1, 2, 2, 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
UNIT = VectorOutput(normalize=True)
RED = np.array([[[255, 0, 0], [255, 0, 0]], [[255, 0, 0], [255, 0, 0]]], np.uint8)
MIXED = np.array([[[255, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 255, 255]]], np.uint8)  # means .25, .25, .25
TWO_REDS = np.array([[[255, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 0]]], np.uint8)  # means .5, .25, 0


def model(
    nodes: list[Any],
    outputs: dict[str, list[Any]],
    *,
    shape: tuple[Any, ...] = ("n", 3, 2, 2),
    kind: int = TensorProto.FLOAT,
    constants: tuple[Any, ...] = (),
) -> bytes:
    """A graph from `images` to these outputs."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", kind, list(shape))],
        [helper.make_tensor_value_info(name, kind, sides) for name, sides in outputs.items()],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def pooled(**given: Any) -> bytes:
    """The mean of each channel, (N, 3, 1, 1): maps of one place."""
    return model(
        [helper.make_node("GlobalAveragePool", ["images"], ["maps"])],
        {"maps": ["n" if "shape" not in given else given["shape"][0], 3, 1, 1]},
        **given,
    )


def tokens() -> bytes:
    """Four tokens a picture, a pixel each: (N, 4, 3), the first pixel first."""
    shape = onnx.numpy_helper.from_array(np.array([0, 3, 4], np.int64), "sides")
    return model(
        [
            helper.make_node("Reshape", ["images", "sides"], ["columns"]),
            helper.make_node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        ],
        {"tokens": ["n", 4, 3]},
        constants=(shape,),
    )


def unit(*values: float) -> np.ndarray:
    return np.array(values, np.float32) / np.float32(np.linalg.norm(values))


def test_maps_become_their_mean_and_vectors_are_brought_to_length_1():
    encoder = OnnxEncoder(pooled(), input=COLOR, output=UNIT, threads=1)
    assert encoder.dim == 3
    vectors = encoder.encode(np.stack([RED, TWO_REDS, MIXED]))
    np.testing.assert_allclose(vectors, [unit(1, 0, 0), unit(2, 1, 0), unit(1, 1, 1)], atol=1e-6)


def test_an_encoder_that_shares_the_cores_is_the_same_with_half_of_them():
    encoder = OnnxEncoder(pooled(), input=COLOR, output=UNIT)
    shared = encoder.sharing(4)
    assert (shared._threads, shared.fingerprint, encoder.sharing(1)._threads) == (
        2,
        encoder.fingerprint,
        1,
    )
    np.testing.assert_array_equal(shared.encode(np.stack([RED])), encoder.encode(np.stack([RED])))
    chosen = OnnxEncoder(pooled(), input=COLOR, output=UNIT, threads=3)
    assert chosen.sharing(4) is chosen


def test_an_encoder_whose_vectors_are_not_of_length_1_is_refused_unless_that_is_done_here():
    with pytest.raises(BrokenModelError, match="no unit vector"):
        OnnxEncoder(pooled(), input=COLOR, threads=1).encode(np.stack([TWO_REDS]))


def test_a_picture_without_a_direction_is_refused_alone():
    encoder = OnnxEncoder(pooled(), input=COLOR, output=UNIT, threads=1)
    with pytest.raises(BadImageError, match="for image 1"):
        encoder.encode(np.stack([RED, np.zeros_like(RED)]))


@pytest.mark.parametrize(("pool", "vector"), [("cls", unit(1, 0, 0)), ("mean", unit(1, 1, 1))])
def test_a_row_of_tokens_is_read_by_its_first_or_their_mean(pool, vector):
    encoder = OnnxEncoder(tokens(), input=COLOR, output=VectorOutput(pool=pool, normalize=True), threads=1)
    np.testing.assert_allclose(encoder.encode(MIXED[None]), [vector], atol=1e-6)


def test_a_row_of_tokens_without_a_choice_is_refused_naming_the_choice():
    with pytest.raises(BrokenModelError, match="a row of tokens a picture: choose --pool cls or mean"):
        OnnxEncoder(tokens(), input=COLOR, output=UNIT)


@pytest.mark.parametrize("size", [1, 4])
def test_an_export_for_batches_of_one_size_answers_any_number_of_pictures(size):
    fixed = OnnxEncoder(pooled(shape=(size, 3, 2, 2)), input=COLOR, output=UNIT, threads=1)
    free = OnnxEncoder(pooled(), input=COLOR, output=UNIT, threads=1)
    pictures = np.random.default_rng(0).integers(1, 256, (7, 2, 2, 3)).astype(np.uint8)
    told: list[int] = []
    np.testing.assert_allclose(
        fixed.encode(pictures, on_progress=told.append), free.encode(pictures), atol=1e-6
    )
    assert sum(told) == 7


def test_channels_last_and_sides_that_are_not_fixed():
    graph = model(
        [helper.make_node("ReduceMean", ["images"], ["vectors"], axes=[1, 2], keepdims=0)],
        {"vectors": ["n", 3]},
        shape=("n", "height", "width", 3),
    )
    last = ImageInput("plain", 1, 2, 2, 3, COLOR.mean, COLOR.std, layout="NHWC")
    encoder = OnnxEncoder(graph, input=last, output=UNIT, threads=1)
    np.testing.assert_allclose(encoder.encode(TWO_REDS[None]), [unit(2, 1, 0)], atol=1e-6)


def test_half_precision_in_and_out():
    encoder = OnnxEncoder(pooled(kind=TensorProto.FLOAT16), input=COLOR, output=UNIT, threads=1)
    vectors = encoder.encode(TWO_REDS[None])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [unit(2, 1, 0)], atol=1e-3)


def test_one_of_several_outputs_is_chosen_by_name_and_names_another_encoder():
    graph = model(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["means"]),
            helper.make_node("GlobalMaxPool", ["images"], ["maxima"]),
        ],
        {"means": ["n", 3, 1, 1], "maxima": ["n", 3, 1, 1]},
    )
    made = {
        name: OnnxEncoder(graph, input=COLOR, output=VectorOutput(name, normalize=True), threads=1)
        for name in ("means", "maxima")
    }
    np.testing.assert_allclose(made["means"].encode(TWO_REDS[None]), [unit(2, 1, 0)], atol=1e-6)
    np.testing.assert_allclose(made["maxima"].encode(TWO_REDS[None]), [unit(1, 1, 0)], atol=1e-6)
    assert made["means"].fingerprint != made["maxima"].fingerprint
    with pytest.raises(BrokenModelError, match="it has several outputs: 'means', 'maxima'; choose one"):
        OnnxEncoder(graph, input=COLOR, output=UNIT)
    with pytest.raises(BrokenModelError, match="it has no output 'maximum'; it has 'means', 'maxima'"):
        OnnxEncoder(graph, input=COLOR, output=VectorOutput("maximum"))
