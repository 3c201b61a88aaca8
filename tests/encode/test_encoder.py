"""OnnxEncoder: toy vectors worked by hand, batches that cannot be seen, and models that are refused."""

import dataclasses
import hashlib

import numpy as np
import pytest
from toys import quadrant_image

from simsearch.encode.encoder import AS_IS, VectorOutput, check_unit_rows
from simsearch.encode.known import KNOWN
from simsearch.encode.model_folder import ENCODER, PRETRAINED
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.onnx_check import read_graph
from simsearch.encode.reading import BATCH_SIZE, check_batch, read_ports
from simsearch.encode.shipped_models import SHIPPED
from simsearch.errors import BadImageError, BrokenModelError
from simsearch.prepare.prepare import DIGIT


@pytest.fixture(scope="module")
def encoder(toy_onnx):
    return OnnxEncoder(toy_onnx, threads=1)


def pictures(count):
    grays = np.random.default_rng(0).integers(1, 256, size=(count, 4))
    return np.stack([quadrant_image(*row) for row in grays.tolist()])


def onnx_model(*, inputs=("images",), outputs=("vectors",), shape=("batch", 1, 28, 28), kind="FLOAT"):
    """An encoder that flattens its pictures, with the given signature."""
    onnx = pytest.importorskip("onnx")
    helper, element = onnx.helper, getattr(onnx.TensorProto, kind)
    width = int(np.prod([side for side in shape[1:] if isinstance(side, int)]))
    nodes = [helper.make_node("Flatten", [inputs[0]], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info(name, element, list(shape)) for name in inputs],
        [helper.make_tensor_value_info(name, element, [shape[0], width]) for name in outputs],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def test_vectors_are_the_ones_worked_by_hand(encoder):
    images = np.stack(
        [quadrant_image(3, 4, 0, 0), quadrant_image(0, 0, 120, 160), quadrant_image(9, 0, 0, 0)]
    )

    vectors = encoder.encode(images)

    assert vectors.dtype == np.float32
    expected = np.array([[0.6, 0.8, 0, 0], [0, 0, 0.6, 0.8], [1, 0, 0, 0]], np.float32)
    assert np.array_equal(vectors, expected)
    assert encoder.dim == 4


@pytest.mark.parametrize("count", [1, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 2 * BATCH_SIZE + 2])
def test_images_in_batches_get_the_vectors_they_get_alone(encoder, count):
    images = pictures(count)

    together = encoder.encode(images)

    assert np.array_equal(together, np.concatenate([encoder.encode(image[None]) for image in images]))


def test_progress_is_told_batch_by_batch(encoder):
    told = []

    encoder.encode(pictures(130), on_progress=told.append)

    assert told == [64, 64, 2]


def test_no_images_give_no_vectors_of_the_right_width(encoder):
    vectors = encoder.encode(np.empty((0, 28, 28), np.uint8))

    assert (vectors.shape, vectors.dtype) == ((0, 4), np.float32)


def test_images_of_another_shape_or_dtype_are_refused(encoder):
    for images in (np.zeros((1, 28, 27), np.uint8), np.zeros((1, 28, 28), np.float32)):
        with pytest.raises(ValueError, match=r"^expected uint8 images"):
            encoder.encode(images)


def test_the_fingerprint_is_the_sha256_of_the_file(encoder, toy_onnx):
    assert encoder.fingerprint == hashlib.sha256(toy_onnx).hexdigest()
    assert encoder.model == toy_onnx
    assert OnnxEncoder(toy_onnx, threads=2).fingerprint == encoder.fingerprint


def test_an_image_without_a_vector_is_named_and_its_batch_refused(encoder):
    images = pictures(70)
    images[66] = 0  # a black picture has no direction: NaN

    with pytest.raises(
        BadImageError, match=r"^the encoder gave no unit vector for image 66 \(length nan\)$"
    ) as caught:
        encoder.encode(images)
    assert (caught.value.exit_code, caught.value.hint) == (2, "this picture shows nothing: leave it out")


@pytest.mark.parametrize("row", [[0, 0], [1, 1], [np.inf, 0], [0, np.nan], [0.998, 0], [1.002, 0]], ids=str)
def test_a_row_that_is_not_of_length_one_is_refused(row):
    with pytest.raises(BrokenModelError, match="for image 1 "), np.errstate(all="ignore"):
        check_unit_rows(np.array([[0.6, 0.8], row], np.float32))


def test_rows_of_length_one_pass_to_the_precision_of_float32():
    check_unit_rows(np.array([[0.6, 0.8], [1.0000001, 0], [0, -1]], np.float32))


@pytest.mark.parametrize(
    "data", [b"", b"not an onnx file", bytes(1000), b"\xff" * 1000], ids=["empty", "text", "zeros", "ones"]
)
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(
        BrokenModelError,
        match=r"^the encoder cannot be used: it is no ONNX model$",
    ):
        OnnxEncoder(data)


def test_a_model_cut_anywhere_is_refused(toy_onnx):
    for length in range(0, len(toy_onnx), 7):
        with pytest.raises(BrokenModelError):
            OnnxEncoder(toy_onnx[:length], threads=1)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ({"shape": ("batch", 3, 28, 28)}, "its input has shape [any, 3, 28, 28], and pictures are 1x28x28"),
        ({"shape": ("batch", 1, 32, 32)}, "its input has shape [any, 1, 32, 32], and pictures are 1x28x28"),
        ({"shape": ("batch", 784)}, "its input has shape [any, 784], and pictures are 1x28x28"),
        ({"shape": (65, 1, 28, 28)}, "it was exported for batches of 65 only"),
        ({"kind": "DOUBLE"}, "its input is not float32 or float16"),
        (
            {"outputs": ("vectors", "more")},
            "it has several outputs: 'vectors', 'more'; choose one with --output",
        ),
        ({"inputs": ("images", "more")}, "it has 2 inputs and 1 outputs; an encoder takes one picture"),
    ],
    ids=str,
)
def test_a_model_of_another_signature_is_refused(signature, reason):
    with pytest.raises(BrokenModelError) as caught:
        OnnxEncoder(onnx_model(**signature))
    assert caught.value.message == f"the encoder cannot be used: {reason}"


def test_the_models_above_are_refused_for_their_signature_alone():
    assert OnnxEncoder(onnx_model()).dim == 784


def test_a_model_whose_names_are_not_text_is_refused(toy_onnx):
    """Found by fuzzing: onnxruntime loads it and fails only when asked for the name of its batch axis."""
    assert b"batch" in toy_onnx
    with pytest.raises(BrokenModelError, match="a name in it is not text"):
        OnnxEncoder(toy_onnx.replace(b"batch", b"b\x80tch"))


@pytest.mark.parametrize("folder", SHIPPED.values(), ids=SHIPPED)
def test_what_is_known_of_a_shipped_encoder_is_what_its_graph_says(folder):
    content = (folder / ENCODER).read_bytes()
    known, graph = KNOWN[hashlib.sha256(content).hexdigest()], read_graph(content)
    read = read_ports(graph, DIGIT, AS_IS)
    assert known._replace(checked=read.checked) == read
    for size in known.checked:
        check_batch(graph, size, DIGIT)
    assert set(known.checked) == set(range(1, known.batch + 1))


def test_an_encoder_that_is_not_known_as_it_is_used_is_read(toy_onnx):
    content = (PRETRAINED / ENCODER).read_bytes()
    other_input = dataclasses.replace(DIGIT, mean=(0.5,))
    assert "_graph" not in vars(OnnxEncoder(content))
    assert "_graph" in vars(OnnxEncoder(content, input=other_input))
    assert "_graph" in vars(OnnxEncoder(content, output=VectorOutput(normalize=True)))
    assert "_graph" in vars(OnnxEncoder(toy_onnx))
    with pytest.raises(BrokenModelError):
        OnnxEncoder(content[:-1])
