"""How near the page of `simsearch export --html` comes to exact search: its vectors have a byte a component.

Of items drawn at random the nearest others are found twice: by the vectors of the index, and by those in the
page, as its script compares them. Printed are the share of the exact nearest that the page finds, the largest
difference of a cosine, and the size of the page. With a folder of pictures an index is built of it first.

    python tests/benchmarks/page_recall.py
    python tests/benchmarks/page_recall.py --dataset drawings --model models/efficientnet-lite0
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.model_folder import PRETRAINED, open_model
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.index.change.folder_build import Source, build_folder
from simsearch.index.stores.base import gather
from simsearch.show.html.explorer_page import render_explorer

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"
_DATA = re.compile(r'<script[^>]*id="data"[^>]*>(.*?)</script>', re.DOTALL)


def read_vectors(page: str) -> NDArray[np.float64]:
    """The vectors in a page, (N, D), made as long as its script takes them for."""
    found = _DATA.search(page)
    assert found is not None, "the page holds no data"
    data = json.loads(found[1])
    steps = np.frombuffer(base64.b64decode(data["vectors"]), np.int8).reshape(-1, data["dim"])
    vectors = steps.astype(np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def nearest(cosines: NDArray[np.float64], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k nearest others of each row, (len(rows), k); equal ones by row, as the page orders them."""
    others = cosines.copy()
    others[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-others, axis=1, kind="stable")[:, :k]


def report(bundle: Bundle, queries: int, k: int) -> None:
    page, exact = render_explorer(bundle), gather(bundle.store).vectors.astype(np.float64)
    rows = np.sort(np.random.default_rng(0).permutation(len(exact))[:queries])
    stored = read_vectors(page)
    mine, theirs = stored[rows] @ stored.T, exact[rows] @ exact.T
    pairs = zip(nearest(mine, rows, k), nearest(theirs, rows, k), strict=True)
    recall = np.mean([len(np.intersect1d(*pair)) / k for pair in pairs])
    print(f"{bundle.manifest.name}: {len(exact):,} items, a page of {len(page.encode()) / 1e6:.1f} MB")
    print(f"of the exact {k} nearest of {len(rows):,} items the page finds {recall:.3f}")
    print(f"the largest difference of a cosine: {np.abs(mine - theirs).max():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index", type=Path, default=SHIPPED)
    parser.add_argument("--dataset", type=Path, help="a folder of pictures, in place of an index")
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--k", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.dataset is None:
        report(open_bundle(arguments.index), arguments.queries, arguments.k)
        return
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / arguments.dataset.name
        build_folder(Source(arguments.dataset, arguments.dataset.name), open_model(arguments.model), folder)
        report(open_bundle(folder), arguments.queries, arguments.k)


if __name__ == "__main__":
    main()
