"""An index becomes one of another kind in one step: its items, their order and their answers stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from toys import quadrant_image, toy_split

from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError, BrokenBundleError
from simsearch.index import checked
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.index.retype import IndexKind, retype
from simsearch.index.stores.base import gather
from simsearch.index.stores.coded import CodedVectors, coded_factory
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import make_index
from simsearch.index.update import Index
from simsearch.index.verify import verify

GALLERY = toy_split(
    [((100, row, 0, 0), 0) for row in range(40)] + [((0, row, 100, 0), 1) for row in range(40)],
    classes=("a", "b"),
)
WORST = {"float32": 0.0, "float16": 5e-4, "int8": 5e-3}  # of a number of a vector of length 1


@pytest.fixture(params=[checked.LARGE, 1], ids=["read", "mapped"])
def index(
    request: pytest.FixtureRequest, build_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An index of 80 items, whose files are also taken for large ones."""
    monkeypatch.setattr(checked, "LARGE", request.param)
    return build_toy(GALLERY)


def assert_whole(folder: Path) -> None:
    checks = list(verify(folder, threads=1))
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("factory", ["Flat", "IVF4,Flat", "HNSW8"])
@pytest.mark.parametrize("precision", WORST)
def test_items_stay_and_scores_come_from_what_is_stored(index: Path, factory: str, precision: str) -> None:
    before = gather(open_bundle(index, threads=1).store)
    manifest = retype(index, IndexKind(factory, precision, None if factory == "Flat" else 4))
    assert manifest == read_manifest(index)
    assert (manifest.dtype, "vectors" in manifest.files) == (
        precision,
        precision == "float32" and factory != "Flat",
    )
    for private in (0, 2**20):
        store = open_bundle(index, threads=1, private=private).store
        assert store.is_exact == (factory == "Flat")
        stored = gather(store)
        assert_array_equal(stored.ids, before.ids, strict=True)
        assert_array_equal(stored.labels, before.labels, strict=True)
        assert_allclose(stored.vectors, before.vectors, rtol=0, atol=WORST[precision])
        assert_array_equal(store.vectors(np.array([7, 70])), stored.vectors[[7, 70]], strict=True)
        hits = store.search(before.vectors, 3)
        cosines = np.einsum("qd,qkd->qk", before.vectors, stored.vectors[hits.ids], dtype=np.float64)
        assert_allclose(hits.scores, cosines, rtol=0, atol=2e-7)
        if factory == "Flat":
            every = before.vectors.astype(np.float64) @ stored.vectors.T.astype(np.float64)
            assert_allclose(hits.scores, -np.sort(-every, axis=1)[:, :3], rtol=0, atol=2e-7)
    assert_whole(index)
    assert sorted(path.suffix for path in index.glob("index-*")) == [".faiss"]  # the old one is gone


def test_an_index_is_made_smaller_and_smaller_but_never_more_precise_than_it_is(index: Path) -> None:
    sizes = []
    for precision in WORST:
        retype(index, IndexKind("Flat", precision))
        sizes.append(read_manifest(index).files["index"].size)
    assert sizes[0] > sizes[1] > sizes[2]
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(BadInputError, match="the vectors of toy are stored as int8: float32 ones are gone"):
        retype(index, IndexKind("Flat"))
    assert (index / "manifest.json").read_bytes() == before


def test_what_is_added_is_merged_in_the_precision_of_the_index(tmp_path: Path, plain_model: Model) -> None:
    index = tmp_path / "plain"
    build_index(GALLERY, plain_model, index)
    retype(index, IndexKind("Flat", "int8"))
    Index.open(index, threads=1).add([quadrant_image(90, 0, 0, 200)], labels="a")
    with pytest.raises(BadInputError, match="has changed since it was built"):
        retype(index, IndexKind("IVF4", "int8"))
    assert len(open_bundle(index, threads=1).store) == 81
    assert_whole(index)
    compacted = Index.open(index, threads=1).compact().manifest
    assert (compacted.dtype, compacted.factory, compacted.count) == ("int8", "SQ8", 81)
    assert "vectors" not in compacted.files
    assert_whole(index)
    assert retype(index, IndexKind("IVF4,SQ8", "int8", 2)).effort == 2
    store = open_bundle(index, threads=1).store
    assert isinstance(store, FaissStore)
    assert store.index.nprobe == 2


@pytest.mark.parametrize(
    ("factory", "precision", "full"),
    [
        ("Flat", "int8", "SQ8"),
        ("Flat", "float16", "SQfp16"),
        ("IVF16", "int8", "IVF16,SQ8"),
        ("IVF16,Flat", "float16", "IVF16,SQfp16"),
        ("IVF16,SQ8", "int8", "IVF16,SQ8"),
        ("HNSW32", "int8", "HNSW32_SQ8"),
    ],
)
def test_a_precision_has_its_codes(factory: str, precision: str, full: str) -> None:
    assert coded_factory(factory, precision) == full


@pytest.mark.parametrize("factory", ["PQ4", "IVF16,SQ8", "HNSW32,PQ4", "IVF16,PQ4x4", "OPQ2,IVF4,SQfp16"])
def test_what_has_no_such_codes_is_refused(index: Path, factory: str) -> None:
    with pytest.raises(BadInputError, match="vectors of precision float16 go with Flat, IVF and HNSW"):
        retype(index, IndexKind(factory, "float16"))


def test_codes_that_give_no_unit_vectors_are_refused() -> None:
    index = make_index(np.eye(4, dtype=np.float32), "SQ8")
    vectors = CodedVectors(index)
    assert_allclose(vectors[1:3], np.eye(4)[1:3], atol=0.01)
    with pytest.raises(IndexError):
        vectors[np.array([4])]
    trained = faiss.rev_swig_ptr(index.sq.trained.data(), index.sq.trained.size())
    for width in (np.nan, 0.1, 9.0):
        trained[4:] = width
        with pytest.raises(BrokenBundleError, match="not finite and of length 1"):
            vectors[:]
