"""Small pictures of colored shapes, a folder a class, that tests train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLORS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "gray": (120, 120, 120)}
FORMS = ("disc", "square")
CLASSES = tuple(f"{color}-{form}" for color in sorted(COLORS) for form in FORMS)


def shape(name: str, rng: np.random.Generator, side: int = 24) -> Image.Image:
    """A disc or a square of a color, somewhere on a pale ground."""
    color, _, form = name.partition("-")
    ground = tuple(int(level) for level in rng.integers(215, 256, 3))
    picture = Image.new("RGB", (side, side), ground)
    half = rng.uniform(0.2, 0.35) * side
    x, y = rng.uniform(half, side - half, 2)
    ink = tuple(int(np.clip(level + rng.integers(-30, 31), 0, 255)) for level in COLORS[color])
    pen = ImageDraw.Draw(picture)
    box = (x - half, y - half, x + half, y + half)
    (pen.ellipse if form == "disc" else pen.rectangle)(box, fill=ink)
    return picture


def write_shapes(folder: Path, each: int, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Path:
    """Write so many pictures of each class, `CLASS/NUMBER.png`."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            shape(name, rng).save(folder / name / f"{number}.png")
    return folder


def color_encoder(side: int = 24) -> bytes:
    """An ONNX encoder of RGB pictures without weights: the mean of each quarter of each channel."""
    import onnx

    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    half = side // 2
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["images"], ["quarters"], kernel_shape=[half] * 2, strides=[half] * 2
            ),
            helper.make_node("Flatten", ["quarters"], ["flat"]),
            helper.make_node("Add", ["flat", "lift"], ["features"]),
        ],
        "colors",
        [helper.make_tensor_value_info("images", floats, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("features", floats, ["batch", 12])],
        [helper.make_tensor("lift", floats, [1], [0.5])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
