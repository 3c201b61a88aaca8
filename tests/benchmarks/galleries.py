"""Large indexes under the shipped encoder, made of the shipped vectors: for benchmarks that open an index.

Real vectors at random are moved by seeded noise of half their class's own spread and brought back to length
1, so that classes stay the clusters that they are. An item's picture is its vector's own digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
from msgspec import structs

from simsearch.index.bundle import Bundle, commit, open_bundle
from simsearch.index.change.merge import array_writer
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.packed import Sources
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss_index import write_index
from simsearch.index.stores.opening import write_flat
from simsearch.index.writing import with_block_sums, write_bytes

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"
_BLOCK = 50_000
_TRAINED = 100_000


class Made:
    """So many items, made block by block, the same for the same seed."""

    def __init__(self, bundle: Bundle, count: int, seed: int) -> None:
        stored = gather(bundle.store)
        assert stored.labels is not None
        self._vectors, self._labels = stored.vectors, stored.labels
        self.rows = np.random.default_rng(seed).integers(0, len(stored.ids), count)
        self.labels, self._seed = stored.labels[self.rows], seed
        self._roots = [self._root(label) for label in range(stored.labels.max() + 1)]

    def vectors(self) -> Iterator[np.ndarray]:
        """Unit rows, float32, in blocks."""
        for start in range(0, len(self.rows), _BLOCK):
            rows = self.rows[start : start + _BLOCK]
            noise = np.random.default_rng((self._seed, start)).standard_normal(
                (len(rows), self._vectors.shape[1]), np.float32
            )
            made = self._vectors[rows].copy()
            for label, root in enumerate(self._roots):
                own = self._labels[rows] == label
                made[own] += noise[own] @ root
            yield made / np.linalg.norm(made, axis=1, keepdims=True)

    def _root(self, label: int) -> np.ndarray:
        spread = np.cov(self._vectors[self._labels == label].T) + 1e-9 * np.eye(self._vectors.shape[1])
        return 0.5 * np.linalg.cholesky(spread).astype(np.float32).T


def make_gallery(
    folder: Path, count: int, factory: str = "Flat", seed: int = 2, precision: str = "float32"
) -> None:
    """Write an index of so many items.

    :param precision: Less than float32: the codes of this factory's index are what is stored.
    """
    bundle = open_bundle(SHIPPED)
    shipped, made = bundle.manifest, Made(bundle, count, seed)
    folder.mkdir(parents=True)
    shape = (count, shipped.dim)
    text, ends = Sources.pack([f"made/{row}.png" for row in range(count)])

    def pictures() -> Iterator[np.ndarray]:
        for start in range(0, count, _BLOCK):
            yield np.asarray(bundle.thumbnails[made.rows[start : start + _BLOCK]])

    writers = {
        "encoder": lambda path: write_bytes(path, bundle.encoder.model),
        "ids": write_array(np.arange(count)),
        "labels": write_array(made.labels),
        "sources": lambda path: write_bytes(path, text),
        "source_ends": write_array(ends),
        "thumbnails": array_writer(np.uint8, (count, 28, 28), pictures()),
    }
    if factory == "Flat":
        writers["index"] = lambda path: write_flat(path, *shape[::-1], made.vectors())
    else:
        writers["index"] = lambda path: write_index(_indexed(made, shipped.dim, factory), path)
        if precision == "float32":
            writers["vectors"] = array_writer(np.float32, shape, made.vectors())
    files = {role: write_data_file(folder, role, write) for role, write in writers.items()}
    files = dict(with_block_sums(folder, files))
    about = {"name": folder.name, "count": count, "factory": factory, "dtype": precision}
    commit(folder, structs.replace(shipped, files=files, **about))


def _indexed(made: Made, dim: int, factory: str) -> faiss.Index:
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    some: list[np.ndarray] = []
    for block in made.vectors():
        some.append(block[:: max(1, len(made.rows) // _TRAINED)])
    index.train(np.concatenate(some))  # a part of them, or it would take all memory
    for block in made.vectors():
        index.add(block)
    return index
