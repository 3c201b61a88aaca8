"""The whole check of one index or model: every file, what the files say of each other, and what they compute.

Each check says what it found. That an encoder has the weights of its checkpoint is computed in numpy: nothing
here needs torch.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.checkpoint import MAX_CHECKPOINT_BYTES, open_archive, read_state, read_weights
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    LAST_CHECKPOINT,
    MODEL_CARD,
    ModelCard,
    read_model_card,
    read_model_file,
)
from simsearch.encode.onnx import OnnxEncoder
from simsearch.encode.reference import EMBEDDING_NET, KNOWN, RESIDUAL, embed, shapes_of
from simsearch.errors import BrokenBundleError, BrokenModelError, SimsearchError
from simsearch.files import read_small_file
from simsearch.index.bundle import Bundle, open_bundle, read_manifest
from simsearch.index.checks import Check, failed, guarded
from simsearch.index.data_files import REBUILD, open_checked
from simsearch.index.manifest import FileEntry
from simsearch.index.stores.base import is_unit
from simsearch.index.stores.exact import exact_scores
from simsearch.prepare.inputs import Pictures
from simsearch.prepare.prepare import DIGIT
from simsearch.stats.calibration import PlattScaling

Rows = NDArray[np.int64]

SAMPLE = 256  # items that are encoded and searched for again
_SAME_VECTOR = 1e-4  # onnxruntime's kernels differ a little from processor to processor
_COMPARED = 16  # pictures that are encoded from the checkpoint
_MOST_PIXELS = 2**16  # of each; numpy takes too long for more
_NAMES = {EMBEDDING_NET: "EmbeddingNet", RESIDUAL: "the residual network"}
_SAME_WEIGHTS = 1e-5  # what `export` holds its encoder to
_BLOCK = 4096  # rows looked at together
_USABLE_RECALL = 0.5  # of stored vectors that an approximate index finds when asked for them


def verify(folder: Path, *, seed: int = 0, everything: bool = False, threads: int = 0) -> Iterator[Check]:
    """Check an index folder, or a model folder.

    :param seed: Of the sample of items that are encoded and searched for again.
    :param everything: Take all items instead of a sample.
    :return: Checks in the order in which a failure would explain the next one; they end at a failure
        without which the rest cannot be looked at.
    """
    random = np.random.default_rng(seed)
    if is_model(folder):
        yield from _verify_model(folder, random, threads)
    else:
        yield from _verify_index(folder, random, everything, threads)


def is_model(folder: Path) -> bool:
    """Whether a folder is to be checked as a model."""
    return os.path.lexists(folder / MODEL_CARD)


def _verify_index(
    folder: Path, random: np.random.Generator, everything: bool, threads: int
) -> Iterator[Check]:
    try:
        manifest = read_manifest(folder)
    except SimsearchError as error:
        yield failed("manifest", error)
        return
    yield Check("manifest", True, f"{manifest.name}, {manifest.count:,} items, {manifest.engine}")
    files = [
        guarded(_role_of(entry), partial(_check_bundle_file, folder, entry)) for entry in manifest.all_files
    ]
    yield from files
    if not all(check.passed for check in files):
        return
    try:
        bundle = open_bundle(folder, threads=threads)
    except SimsearchError as error:
        yield failed("contents", error)
        return
    held = "FAISS structure" if manifest.store is None else "the collection"
    yield Check("contents", True, f"types, shapes, ids, labels, {held} and encoder fit the manifest")
    rows = np.arange(len(bundle.ids))
    if not everything and len(rows) > SAMPLE:
        rows = np.sort(random.choice(len(rows), SAMPLE, replace=False))
    yield guarded("sources", partial(_check_sources, bundle))
    yield guarded("vectors", partial(_check_vectors, bundle))
    yield guarded("search", partial(_check_search, bundle, rows))
    yield guarded("pictures", partial(_check_pictures, bundle, rows))


def _verify_model(folder: Path, random: np.random.Generator, threads: int) -> Iterator[Check]:
    try:
        card = read_model_card(folder)
    except SimsearchError as error:
        yield failed("card", error)
        return
    line = "no projection" if card.projection is None else "projection finite"
    yield Check("card", True, f"{card.name}, {card.parameters:,} parameters, {line}")
    others = [name for name in card.files if name != ENCODER]  # one that is no file's is refused when read
    files = [guarded(name, partial(_check_model_file, folder, name, card)) for name in others]
    yield from files
    try:
        content = read_model_file(folder, ENCODER, card)
    except SimsearchError as error:
        yield failed(ENCODER, error)
        return
    yield Check(ENCODER, True, f"{len(content):,} bytes, SHA-256 right")
    yield guarded("vectors", partial(_check_model, content, card, random, threads))
    if BEST_CHECKPOINT in card.files and all(check.passed for check in files):
        network = card.training.get("network", EMBEDDING_NET)
        if network in KNOWN and card.input.width * card.input.height <= _MOST_PIXELS:
            yield guarded("weights", partial(_check_weights, network, folder, content, card, random, threads))
        else:
            detail = "not compared with the encoder: that needs torch; `simsearch export` does it"
            yield Check("weights", None, detail)
        yield _check_run(folder, card)


def _role_of(entry: FileEntry) -> str:
    return entry.name.partition("-")[0]


def _check_bundle_file(folder: Path, entry: FileEntry) -> str:
    try:
        with open_checked(folder, entry):
            pass
    except FileNotFoundError:
        raise BrokenBundleError(f"{entry.name} is missing", hint=REBUILD) from None
    return f"{entry.size:,} bytes, XXH3-128 right"


def _check_model_file(folder: Path, name: str, card: ModelCard) -> str:
    return f"{len(read_model_file(folder, name, card)):,} bytes, SHA-256 right"


def _check_vectors(bundle: Bundle) -> str:
    """Every stored vector is finite and of length 1."""
    for block in bundle.store.scan():
        if not is_unit(block.vectors):
            first, last = block.ids[0], block.ids[-1]
            raise BrokenBundleError(f"a vector among the items {first} to {last} is no unit vector")
    return f"{len(bundle.store):,} finite unit vectors of length {bundle.store.dim}"


def _check_sources(bundle: Bundle) -> str:
    """Every source decodes."""
    empty = sum(not source for source in bundle.sources)
    return f"{len(bundle.sources):,} decode" + (f", {empty:,} are empty" if empty else "")


def _check_search(bundle: Bundle, rows: Rows) -> str:
    """Each sampled vector is the best match of itself, exactly or nearly always."""
    store = bundle.store
    found = 0
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        queries = store.vectors(bundle.ids[part])
        hits = store.search(queries, 1)
        found += int((hits.scores[:, 0] >= exact_scores(queries, queries)).sum())
    if store.is_exact and found < len(rows):
        raise BrokenBundleError(
            f"{len(rows) - found:,} of {len(rows):,} stored vectors do not find themselves"
        )
    if found < _USABLE_RECALL * len(rows):
        raise BrokenBundleError(f"only {found:,} of {len(rows):,} stored vectors find themselves")
    return f"{found:,} of {len(rows):,} stored vectors find themselves"


def _check_pictures(bundle: Bundle, rows: Rows) -> str:
    """The encoder gives the stored vectors of the stored thumbnails."""
    if not bundle.keeps_input:
        return _decode_pictures(bundle)
    worst = 0.0
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        vectors = bundle.encoder.encode(bundle.pictures(bundle.ids[part]))
        differences = np.abs(vectors - bundle.store.vectors(bundle.ids[part])).max(axis=1)
        worst = max(worst, float(differences.max()))
        if wrong := np.flatnonzero(~(differences <= bundle.manifest.tolerance)).tolist():
            item = bundle.ids[part[wrong[0]]]
            raise BrokenBundleError(
                f"the picture of item {item} gives another vector than the stored one "
                f"(difference {differences[wrong[0]]:.2g})"
            )
    return f"{len(rows):,} of {len(bundle.ids):,} pictures give their vectors, to {worst:.1g}"


def _decode_pictures(bundle: Bundle) -> str:
    """Small pictures are only shown: they decode, and have no vectors to compare."""
    for row in range(len(bundle.ids)):
        bundle.thumbnails[row]
    return f"{len(bundle.ids):,} small pictures decode"


def _check_weights(
    network: str, folder: Path, content: bytes, card: ModelCard, random: np.random.Generator, threads: int
) -> str:
    """The encoder and the card's projection are those of the checkpoint."""
    if "network" not in card.training and card.input != DIGIT:
        raise BrokenModelError(f"{BEST_CHECKPOINT} is of a network for digits, and {ENCODER} takes others")
    shapes = shapes_of(network, card.input)
    try:
        weights = read_weights(read_model_file(folder, BEST_CHECKPOINT, card), shapes)
    except ValueError as error:
        what = f"{BEST_CHECKPOINT} holds no weights of {_NAMES[network]}: {error}"
        raise BrokenModelError(what) from error
    encoder = OnnxEncoder(content, input=card.input, output=card.output, threads=threads)
    images: Pictures = random.integers(0, 256, (_COMPARED, *card.input.picture_shape)).astype(np.uint8)
    found, expected = encoder.encode(images), embed(network, weights, card.input.to_batch(images))
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= _SAME_WEIGHTS:
        raise BrokenModelError(
            f"{ENCODER} has other weights than {BEST_CHECKPOINT}: vectors differ by {difference:.2g}",
            hint="one of them is of another model; `simsearch export` makes the encoder of the checkpoint",
        )
    learned = PlattScaling(float(weights["projection.weight"][0, 0]), float(weights["projection.bias"][0]))
    if card.projection != learned:
        raise BrokenModelError(f"the projection in {MODEL_CARD} is not that of {BEST_CHECKPOINT}")
    return f"{ENCODER} has those of {BEST_CHECKPOINT}: vectors differ by {difference:.1g}"


def _check_run(folder: Path, card: ModelCard) -> Check:
    """The checkpoint is the one that the run in the folder kept, as its last state says."""
    path = folder / LAST_CHECKPOINT
    try:
        data = read_small_file(path, MAX_CHECKPOINT_BYTES) or b""
        with open_archive(data) as archive:
            kept = read_state(archive).get("best_sha256")
    except FileNotFoundError:
        return Check("run", None, f"no {LAST_CHECKPOINT}, which would say which weights the run kept")
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        return failed(
            "run", BrokenModelError(f"{path} is not a readable checkpoint ({type(error).__name__})")
        )
    if not kept:
        return Check("run", None, f"{LAST_CHECKPOINT} does not say which weights the run kept")
    if kept != card.files[BEST_CHECKPOINT].sha256:
        wrong = BrokenModelError(f"{BEST_CHECKPOINT} is not what the run kept, as {LAST_CHECKPOINT} says")
        return failed("run", wrong)
    return Check("run", True, f"{BEST_CHECKPOINT} is what the run kept")


def _check_model(content: bytes, card: ModelCard, random: np.random.Generator, threads: int) -> str:
    """The encoder loads, has the card's dimension, and gives unit vectors, the same in any batch."""
    encoder = OnnxEncoder(content, input=card.input, output=card.output, threads=threads)
    if encoder.dim != card.dim:
        raise BrokenModelError(f"its vectors have length {encoder.dim}, not {card.dim} as the card says")
    images: Pictures = random.integers(0, 256, (SAMPLE, *card.input.picture_shape)).astype(np.uint8)
    vectors = encoder.encode(images)
    alone = encoder.encode(images[-1:])
    difference = float(np.abs(alone - vectors[-1:]).max())
    if not difference <= _SAME_VECTOR:
        raise BrokenModelError(f"a picture alone gives another vector than in a batch ({difference:.2g})")
    return f"{SAMPLE} random pictures give unit vectors of length {encoder.dim}"
