"""Shared fixtures: real MNIST, and a toy encoder whose vectors can be computed in the head."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from toys import toy_split

from simsearch.calibration import Projection
from simsearch.datasets import Split, load_split
from simsearch.encoder import OnnxEncoder
from simsearch.images import MEAN, PREPROCESSING_VERSION, STD
from simsearch.indexing import build_index
from simsearch.mnist import default_data_dir, fetch_mnist
from simsearch.models import BEST_CHECKPOINT, ENCODER, FileRecord, Model, ModelCard
from simsearch.search import Searcher

ROOT = Path(__file__).parents[1]
SHIPPED_INDEX = ROOT / "indexes" / "mnist-test"


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """A data folder in which MNIST is complete and verified; never write to it."""
    folder = Path(os.environ.get("SIMSEARCH_DATA_DIR") or default_data_dir())
    fetch_mnist(folder)
    return folder


@pytest.fixture(scope="session")
def mnist_test(mnist_dir: Path) -> Split:
    return load_split("mnist", "test", data_dir=mnist_dir)


@pytest.fixture(scope="session")
def mnist_train(mnist_dir: Path) -> Split:
    return load_split("mnist", "train", data_dir=mnist_dir)


@pytest.fixture(scope="session")
def shipped() -> Searcher:
    """The index that ships with simsearch."""
    return Searcher.open(SHIPPED_INDEX)


@pytest.fixture(scope="session")
def toy_onnx() -> bytes:
    """An encoder whose vector is the four quadrants' mean grey, scaled to length 1; black gives NaN.

    So a picture of quadrants 3, 4, 0, 0 (times any factor) has the vector 0.6, 0.8, 0, 0.
    """
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT

    def constant(name: str, value: float) -> object:
        return helper.make_tensor(name, floats, [1], [value])

    nodes = [
        helper.make_node("Mul", ["images", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["grey"]),
        helper.make_node("AveragePool", ["grey"], ["quadrants"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Flatten", ["quadrants"], ["flat"]),
        helper.make_node("Mul", ["flat", "levels"], ["levelled"]),
        helper.make_node("Round", ["levelled"], ["whole"]),
        helper.make_node("ReduceL2", ["whole", "axes"], ["length"], keepdims=1),
        helper.make_node("Div", ["whole", "length"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quadrants",
        [helper.make_tensor_value_info("images", floats, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("vectors", floats, ["batch", 4])],
        [
            constant("std", STD),
            constant("mean", MEAN),
            constant("levels", 255.0),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def toy_model(toy_onnx: bytes) -> Model:
    """The toy encoder with the projection 10 * cosine - 5."""
    card = ModelCard(
        name="toy",
        created="2026-01-01T00:00:00+00:00",
        dim=4,
        parameters=0,
        preprocessing=PREPROCESSING_VERSION,
        projection=Projection(10.0, -5.0),
        files={ENCODER: FileRecord.of(toy_onnx), BEST_CHECKPOINT: FileRecord.of(b"none")},
        training={"recipe": "by hand"},
    )
    return Model(OnnxEncoder(toy_onnx, threads=1), card)


@pytest.fixture
def toy_gallery() -> Split:
    """Six pictures: items 0 and 1 are identical, 4 and 5 point away from the rest."""
    return toy_split(
        [
            ((100, 0, 0, 0), 0),
            ((200, 0, 0, 0), 0),
            ((60, 80, 0, 0), 0),
            ((0, 100, 0, 0), 1),
            ((0, 0, 100, 0), 1),
            ((0, 0, 60, 80), 2),
        ]
    )


@pytest.fixture
def build_toy(tmp_path: Path, toy_model: Model) -> Callable[..., Path]:
    """Build a toy index and return its folder."""

    def build(split: Split, name: str = "toy", factory: str = "Flat") -> Path:
        folder = tmp_path / name
        build_index(split, toy_model, folder, factory=factory)
        return folder

    return build
