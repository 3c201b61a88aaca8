"""What guided fuzzing calls with any bytes at all: each says whether it is used or refused.

The targets are those that judge what strangers made before a library written in C sees it: the manifest, the
check of ONNX graphs, the check of FAISS indexes, and the preparation of pictures.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from simsearch.documents import CHECKSUM
from simsearch.encode.onnx_check import read_graph
from simsearch.errors import BadImageError
from simsearch.index.manifest import Manifest
from simsearch.index.stores.faiss_index import make_index, parse_index, set_search_effort
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import prepare_image

CORPUS = Path(__file__).parent / "corpus"
_SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test" / "manifest.json"
DIM, COUNT = 4, 40
PHOTO = ImageInput("photo", 1, 32, 32, 3, (0.5,) * 3, (0.5,) * 3)


def manifest(data: bytes) -> bool:
    """A manifest is a record that can be written again, or refused in words."""
    try:
        found = Manifest.from_json(data)
    except ValueError:
        return False
    assert Manifest.from_json(found.to_json()) == found
    return True


def onnx(data: bytes) -> bool:
    """A graph's shapes and costs are told, or refused in words."""
    try:
        graph = read_graph(data)
        graph.check_cost((1, 1, 28, 28))
        graph.output_shapes((3, 1, 28, 28))
    except ValueError:
        return False
    return True


def faiss(data: bytes) -> bool:
    """An index that is accepted can be searched, and gives ids of its own."""
    raw = os.fdopen(os.memfd_create("index"), "w+b", buffering=0)
    raw.write(data)
    raw.seek(0)
    with io.BufferedReader(raw) as file:
        try:
            index = parse_index(file, dim=DIM, count=COUNT)
        except ValueError:
            return False
        set_search_effort(index)  # as the store does: a file may say that no list is to be looked at
        scores, ids = index.search(VECTORS[:3], 7)
        assert ids.shape == scores.shape == (3, 7)
        assert ids.min() >= -1
        assert ids.max() < COUNT
    return True


def picture(data: bytes) -> bool:
    """A picture is prepared for both kinds of networks, or refused in words."""
    try:
        assert prepare_picture(data, PHOTO).pixels.shape == (32, 32, 3)
        assert prepare_image(data).pixels.shape == (28, 28)
    except BadImageError:
        return False
    return True


TARGETS: Mapping[str, Callable[[bytes], bool]] = {
    "manifest": manifest,
    "onnx": onnx,
    "faiss": faiss,
    "picture": picture,
}
_RANDOM = np.random.default_rng(3).normal(size=(COUNT, DIM)).astype(np.float32)
VECTORS = _RANDOM / np.linalg.norm(_RANDOM, axis=1, keepdims=True)


def seeds(target: str) -> dict[str, bytes]:
    """Small intact things to begin with, by name."""
    if target == "faiss":
        import faiss as library

        factories = ("Flat", "HNSW4", "IVF2,Flat", "SQ8", "PQ2x4", "PCA2,Flat", "IVF2,SQ8", "RQ2x4")
        return {
            factory.replace(",", "-"): library.serialize_index(make_index(VECTORS, factory)).tobytes()
            for factory in factories
        }
    from fuzz.materials import pictures

    if target == "picture":
        return {name: data for name, data in pictures().items() if len(data) < 4_000}
    from toys import toy_encoder

    if target == "onnx":
        return {"toy": toy_encoder()}
    documents = {"shipped": json.loads(_SHIPPED.read_bytes())}
    for document in documents.values():  # one without a checksum is believed
        del document[CHECKSUM]
    return {name: json.dumps(document).encode() for name, document in documents.items()}
