"""The intact indexes, models, checkpoint and pictures that the cases are made from."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageOps
from toys import TOY_CALIBRATION, calibrate_index, toy_encoder, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    MODEL_CARD,
    PRETRAINED,
    FileRecord,
    Model,
    ModelCard,
)
from simsearch.encode.onnx import OnnxEncoder
from simsearch.index import checked
from simsearch.index.build import build_index
from simsearch.prepare.prepare import PREPROCESSING_VERSION
from simsearch.stats.calibration import PlattScaling

# An index of each kind that mutations reach differently.
FACTORIES = (
    *("Flat", "HNSW4", "IVF4,Flat", "PQ2x4", "SQ8", "IVF4,PQ2x4", "HNSW4_SQ8", "IVF4_HNSW4,SQ4"),
    *("PCA2,Flat", "SQ8,RFlat", "IVF4,SQfp16", "L2norm,HNSW4", "PQ2x4fs", "IVF4,PQ2x4fs"),
    *("OPQ2,IVF4,PQ2x4", "RQ2x4", "IVF4,RaBitQ", "PCAR3,SQ8", "HNSW4,SQ8,RFlat"),
)
BY_BLOCK = ("Flat", "SQ8", "IVF4,SQfp16", "HNSW4_SQ8")  # also as if their files were large: mapped
ITEMS = 300


@dataclass(frozen=True)
class Materials:
    """Intact things as bytes: folders are tables of file names."""

    bundles: dict[str, dict[str, bytes]]  # factory -> files
    models: dict[str, dict[str, bytes]]
    checkpoint: bytes | None  # None where torch is missing
    images: dict[str, bytes]


def make_materials(folder: Path) -> Materials:
    """Build everything in an empty folder; every other index has a calibration."""
    toy = toy_model()
    calibrated = toy._replace(card=replace(toy.card, calibration=TOY_CALIBRATION))
    for row, factory in enumerate(FACTORIES):
        build_index(gallery(), toy, folder / f"bundle{row}", factory=factory)
        if row % 2:
            calibrate_index(folder / f"bundle{row}")
    bundles = {factory: read_folder(folder / f"bundle{row}") for row, factory in enumerate(FACTORIES)}
    with mock.patch.object(checked, "LARGE", 1):
        for row, factory in enumerate(BY_BLOCK):
            build_index(gallery(), toy, folder / f"blocks{row}", factory=factory)
            bundles[f"{factory} by block"] = read_folder(folder / f"blocks{row}")
    toy_files = {ENCODER: toy.encoder.model, MODEL_CARD: toy.card.to_json(), BEST_CHECKPOINT: b"none"}
    shipped = read_folder(PRETRAINED)
    return Materials(
        bundles=bundles,
        models={
            "toy": toy_files,
            "calibrated": {**toy_files, MODEL_CARD: calibrated.card.to_json()},
            "shipped": {ENCODER: shipped[ENCODER], MODEL_CARD: sealed(shipped[MODEL_CARD])},
        },
        checkpoint=shipped[BEST_CHECKPOINT] if importlib.util.find_spec("torch") else None,
        images=pictures(),
    )


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without the lock."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != ".lock")
    return {path.name: path.read_bytes() for path in paths}


def gallery() -> Split:
    """Quadrant pictures at random; some are equal, so that ties are among the answers."""
    grays = np.random.default_rng(7).integers(0, 5, (ITEMS, 4)) * 60
    grays[:, 0] += 1  # never black
    return toy_split(
        [(tuple(int(gray) for gray in row), row_number % 3) for row_number, row in enumerate(grays)]
    )  # type: ignore[misc]


def toy_model() -> Model:
    """The toy encoder of the tests, with a card."""
    onnx = toy_encoder()
    card = ModelCard(
        name="toy",
        created="2026-01-01T00:00:00+00:00",
        dim=4,
        parameters=0,
        preprocessing=PREPROCESSING_VERSION,
        projection=PlattScaling(10.0, -5.0),
        files={ENCODER: FileRecord.of(onnx), BEST_CHECKPOINT: FileRecord.of(b"none")},
        training={"recipe": "by hand"},
    )
    return Model(OnnxEncoder(onnx, threads=1), card)


def pictures() -> dict[str, bytes]:
    """A digit-like shape in each accepted format, in its modes and variants."""
    shape = np.zeros((40, 32), np.uint8)
    shape[6:34, 13:18] = 255
    shape[6:11, 8:18] = 255
    digit = Image.fromarray(shape)
    alpha = Image.merge("LA", (Image.new("L", digit.size, 0), digit)).convert("RGBA")
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [ImageOps.mirror(digit)], "duration": 40}
    made: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "gray.png": (digit, "PNG", {}),
        "rgb.png": (digit.convert("RGB"), "PNG", {}),
        "alpha.png": (alpha, "PNG", {}),
        "palette.png": (digit.convert("P"), "PNG", {"transparency": 0}),
        "bits.png": (digit.convert("1"), "PNG", {}),
        "deep.png": (Image.fromarray(shape.astype(np.uint16) * 257), "PNG", {}),
        "exif.png": (digit, "PNG", {"exif": turned}),
        "animated.png": (digit, "PNG", frames),
        "gray.jpg": (digit, "JPEG", {}),
        "rgb.jpg": (digit.convert("RGB"), "JPEG", {"exif": turned}),
        "progressive.jpg": (digit.resize((64, 80)).convert("RGB"), "JPEG", {"progressive": True}),
        "cmyk.jpg": (digit.convert("CMYK"), "JPEG", {}),
        "lossy.webp": (digit.convert("RGB"), "WEBP", {}),
        "lossless.webp": (alpha, "WEBP", {"lossless": True}),
        "animated.webp": (digit, "WEBP", frames),
        "gray.bmp": (digit, "BMP", {}),
        "rgb.bmp": (digit.convert("RGB"), "BMP", {}),
        "bits.bmp": (digit.convert("1"), "BMP", {}),
        "still.gif": (digit, "GIF", {}),
        "animated.gif": (digit, "GIF", frames),
        "still.avif": (digit.convert("RGB"), "AVIF", {}),
        "alpha.avif": (alpha, "AVIF", {}),
        "animated.avif": (digit.convert("RGB"), "AVIF", frames),
        "raw.tiff": (digit, "TIFF", {}),
        "deflate.tiff": (digit, "TIFF", {"compression": "tiff_deflate"}),
        "lzw.tiff": (digit.convert("RGB"), "TIFF", {"compression": "tiff_lzw"}),
        "packed.tiff": (digit, "TIFF", {"compression": "packbits"}),
        "jpeg.tiff": (digit.convert("RGB"), "TIFF", {"compression": "jpeg"}),
        "fax.tiff": (digit.convert("1"), "TIFF", {"compression": "group4"}),
    }
    return {name: _encoded(*parts) for name, parts in made.items()}


def sealed(card: bytes) -> bytes:
    """A model card with a checksum of its own, which those from before there was one lack."""
    return ModelCard.from_json(card).to_json()


def document(files: dict[str, bytes], name: str) -> Any:
    """A JSON file of a folder, parsed."""
    return json.loads(files[name])


def _encoded(image: Image.Image, file_format: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
