"""Every index and model that a released or landed version wrote opens, and answers as it did.

`tests/fixtures/VERSION/` was written by that version's own code: two toy indexes and a toy model; those of
`format-3` are of a folder, an item was removed from them and one was added. Whoever changes a format adds a
folder, and keeps the old ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import quadrant_image

from simsearch.encode.model_folder import open_model
from simsearch.index.verify import verify
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.searcher import Searcher

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir())
MODELS = [version for version in VERSIONS if (FIXTURES / version / "model").is_dir()]
QUERY = PreparedImage(quadrant_image(30, 40, 0, 0))  # the vector .6, .8, 0, 0


def test_there_are_formats_to_open() -> None:
    assert {"v0.1.0", "format-3"} <= set(VERSIONS)
    assert "v0.1.0" in MODELS


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_index_of_each_version_answers_as_it_did(version: str, kind: str) -> None:
    folder = FIXTURES / version / kind
    assert all(check.passed is not False for check in verify(folder, threads=1))
    searcher = Searcher.open(folder, threads=1)
    [found] = searcher.query_prepared([QUERY], k=4)
    assert [hit.id for hit in found.hits] == [1, 2, 0, 3]
    assert [hit.score for hit in found.hits] == pytest.approx([1.0, 0.8, 0.6, 0.0], abs=1e-6)
    assert [hit.label for hit in found.hits] == ["a", "b", "a", "c"]


@pytest.mark.parametrize("version", MODELS)
def test_a_model_of_each_version_encodes_as_it_did(version: str) -> None:
    folder = FIXTURES / version / "model"
    assert all(check.passed is not False for check in verify(folder, threads=1))
    [vector] = open_model(folder, threads=1).encoder.encode(QUERY.pixels[None])
    assert vector.tolist() == pytest.approx([0.6, 0.8, 0.0, 0.0], abs=1e-6)
