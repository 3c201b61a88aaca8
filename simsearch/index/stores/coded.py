"""Vectors of lower precision: the codes of a FAISS index are what is stored, and scores come from them.

A code is decoded when its vector is asked for, and brought back to length 1: a cosine is of directions alone.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.errors import BrokenBundleError
from simsearch.index.stores.base import Rows, Vectors
from simsearch.index.stores.faiss_index import few_threads, holds_vectors

PRECISIONS = ("float32", "float16", "int8")  # of stored vectors
_CODES = {"float16": "SQfp16", "int8": "SQ8"}
_SHORTEST, _LONGEST = 0.5, 2.0  # decoded unit vectors, by far


def coded_factory(factory: str, precision: str) -> str:
    """The FAISS factory string of an index of this kind whose codes have this precision.

    :raises ValueError: If there is none.
    """
    code = _CODES[precision]
    if factory == "Flat":
        return code
    if found := re.fullmatch(r"(IVF\d+|HNSW\d+)(?:,Flat)?", factory):
        return f"{found[1]}{',' if factory.startswith('IVF') else '_'}{code}"
    if re.fullmatch(rf"(?:IVF\d+,|HNSW\d+_)?{code}", factory):
        return factory
    raise ValueError(f"vectors of precision {precision} go with Flat, IVF and HNSW, not with {factory!r}")


class CodedVectors:
    """The vectors that an index holds as codes, float32 (N, D), unit rows; read when they are asked for."""

    dtype, ndim = np.dtype(np.float32), 2

    def __init__(self, index: Any) -> None:
        """Decode what an index holds.

        :raises ValueError: If it holds no codes that give vectors back.
        """
        if not holds_vectors(index):
            raise ValueError(f"a {type(index).__name__} does not give its vectors back; pass them")
        self._index, self._lock, self._is_mapped = index, threading.Lock(), False
        self.shape = (index.ntotal, index.d)
        self._codes: NDArray[np.uint8] | None = None  # row by row, but in an inverted file
        if not isinstance(index, faiss.IndexIVF):
            flat: Any = faiss.downcast_index(index.storage) if hasattr(index, "storage") else index
            codes: Any = faiss.rev_swig_ptr(flat.codes.data(), index.ntotal * flat.code_size)
            self._flat, self._codes = flat, codes.reshape(index.ntotal, flat.code_size)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> Vectors:
        """Some vectors, by a slice or by numbers, float32 (n, D).

        :raises BrokenBundleError: If one is not finite, or far from length 1.
        """
        chosen: Rows = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError("there is no such vector")
        decoded: NDArray[np.float32] = np.empty((0, self.shape[1]), np.float32)
        if len(chosen):
            with few_threads(decoded.shape[1] * len(chosen)):
                decoded = self._decode(chosen)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.sqrt(np.einsum("nd,nd->n", decoded, decoded, dtype=np.float64))
        if not ((lengths > _SHORTEST) & (lengths < _LONGEST)).all():  # nor where it is NaN
            raise BrokenBundleError("a stored vector is not finite and of length 1")
        unit: Vectors = (decoded / lengths[:, None]).astype(np.float32)
        return unit

    def _decode(self, rows: Rows) -> NDArray[np.float32]:
        decoded: NDArray[np.float32]
        if self._codes is not None:
            decoded = self._flat.sa_decode(self._codes[rows])
            return decoded
        with self._lock:
            if not self._is_mapped:  # then it finds the code of a row
                self._index.make_direct_map(True)
                self._is_mapped = True
        decoded = self._index.reconstruct_batch(rows)
        return decoded
