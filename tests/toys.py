"""Galleries of quadrant pictures and an encoder of them, whose vectors can be computed in the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from PIL import Image

from simsearch.data.splits import Split
from simsearch.index.bundle import bundle_lock, commit, read_manifest
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.prepare import MEAN, STD
from simsearch.stats.calibration import Calibration, ClassPosterior, NoveltyTest, PlattScaling, Threshold

TOY_CALIBRATION = Calibration(
    pairs=PlattScaling(8.0, -4.0),
    classes=ClassPosterior(10.0),
    novelty=NoveltyTest({"best": 4.0}, -2.0, (0.0, 0.5, 1.0), (-1.0, 1.0, 3.0)),
    thresholds={
        "match": Threshold(0.75, "by hand"),
        "f1": Threshold(0.5, "by hand"),
        "unknown": Threshold(0.25, "by hand"),
    },
    fitted_on="nothing",
)


def calibrate_index(folder: Path, calibration: Calibration = TOY_CALIBRATION) -> Path:
    """Write a calibration into an index, as if its gallery were large enough to be given one."""
    with bundle_lock(folder):
        commit(folder, replace(read_manifest(folder), calibration=calibration))
    return folder


PLAIN = ImageInput("plain", 1, 28, 28, 1, (MEAN,), (STD,), fit="stretch")
Quadrants = tuple[int, int, int, int]


def quadrant_image(*grays: int) -> NDArray[np.uint8]:
    """A 28x28 picture of four flat quadrants: top left, top right, bottom left, bottom right."""
    top_left, top_right, bottom_left, bottom_right = grays
    return np.kron(
        np.array([[top_left, top_right], [bottom_left, bottom_right]], np.uint8), np.ones((14, 14), np.uint8)
    )


def toy_split(
    entries: list[tuple[Quadrants, int | None]], classes: tuple[str, ...] = ("a", "b", "c")
) -> Split:
    """A gallery of quadrant pictures with labels; labels of None make it unlabeled."""
    labels = [label for _, label in entries]
    return Split(
        images=np.stack([quadrant_image(*quadrants) for quadrants, _ in entries]),
        labels=None if None in labels else np.array(labels, np.int64),
        sources=tuple(f"toy/{row}" for row in range(len(entries))),
        name="toy",
        classes=classes,
        sha256={},
        skipped=(),
    )


def write_quadrants(file: Path, *grays: int) -> Path:
    """A PNG of four flat quadrants, in folders that are made for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(quadrant_image(*grays)).save(file, "PNG")
    return file


def toy_encoder() -> bytes:
    """An ONNX encoder whose vector is the four quadrants' mean gray, scaled to length 1; black gives NaN.

    So a picture of quadrants 3, 4, 0, 0 (times any factor) has the vector 0.6, 0.8, 0, 0.
    """
    import onnx

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT

    def constant(name: str, value: float) -> object:
        return helper.make_tensor(name, floats, [1], [value])

    nodes = [
        helper.make_node("Mul", ["images", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["gray"]),
        helper.make_node("AveragePool", ["gray"], ["quadrants"], kernel_shape=[14, 14], strides=[14, 14]),
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
    content: bytes = model.SerializeToString()
    return content
