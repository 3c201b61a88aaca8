"""Every index and model that a released or landed version wrote opens, and answers as it did.

`tests/fixtures/VERSION/` was written by that version's own code: two toy indexes and a toy model; those of
`format-2` take pictures that are no digits, and a learned head and a residual network (packed, its weights of
few values) lie beside them; those of `format-3` are of a folder, an item was removed from them and one was
added. Runs to go on with are for `tests/train/test_kept_runs.py`. Whoever changes a format adds a folder, and
keeps the old ones.
"""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
from toys import quadrant_image

from simsearch.documents import CHECKSUM
from simsearch.encode.model_folder import open_model
from simsearch.errors import NotUsableError
from simsearch.index.bundle import open_bundle
from simsearch.index.stored_map import read_map
from simsearch.index.verify import verify
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.searcher import Searcher

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir())
MODELS = [version for version in VERSIONS if (FIXTURES / version / "model").is_dir()]
QUERY = PreparedImage(quadrant_image(30, 40, 0, 0))  # the vector .6, .8, 0, 0


def test_there_are_formats_to_open() -> None:
    assert set(VERSIONS) >= {"v0.1.0", "format-2", "format-3"}
    assert set(MODELS) >= {"v0.1.0", "format-2"}


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


def test_a_learned_head_encodes_as_it_did_and_its_checkpoint_is_still_its_own() -> None:
    folder = FIXTURES / "format-2" / "head"
    assert all(check.passed is not False for check in verify(folder, threads=1))
    picture = (np.arange(24 * 24 * 3) % 251).astype(np.uint8).reshape(1, 24, 24, 3)
    vectors = open_model(folder, threads=1).encoder.encode(picture)
    np.testing.assert_allclose(vectors, np.load(folder / "expected.npy"), rtol=0, atol=1e-5)


def test_a_residual_network_encodes_as_it_did_and_its_checkpoint_is_still_its_own(tmp_path: Path) -> None:
    kept = FIXTURES / "format-2" / "residual"
    folder = shutil.copytree(kept, tmp_path / "residual")
    for packed in kept.glob("*.xz"):
        (folder / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    checks = {check.name: check.passed for check in verify(folder, threads=1)}
    assert False not in checks.values()
    assert checks["weights"] is checks["run"] is True
    images = (np.arange(2 * 28 * 28) * 7919 % 251).astype(np.uint8).reshape(2, 28, 28)
    vectors = open_model(folder, threads=1).encoder.encode(images)
    np.testing.assert_allclose(vectors, np.load(kept / "expected.npy"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["index", "model"])
def test_a_format_of_a_later_version_is_refused_in_words(name: str, tmp_path: Path) -> None:
    """What has no checksum is believed, as of versions that wrote none: only the format is another."""
    folder = shutil.copytree(
        FIXTURES / "format-2" / {"index": "flat", "model": "model"}[name], tmp_path / name
    )
    path = folder / {"index": "manifest.json", "model": "model.json"}[name]
    document = {**json.loads(path.read_bytes()), "format": 4}
    del document[CHECKSUM]
    path.write_text(json.dumps(document))
    words = {
        "index": "it has format 4; this simsearch reads the formats 1, 2 and 3",
        "model": "format 1 or 2",
    }
    with pytest.raises(NotUsableError, match=words[name]) as caught:
        Searcher.open(folder, threads=1) if name == "index" else open_model(folder, threads=1)
    assert caught.value.exit_code == 3


def test_a_map_that_was_kept_beside_an_index_is_still_its_map() -> None:
    bundle = open_bundle(FIXTURES / "format-3" / "flat", threads=1)
    kept = read_map(bundle)
    assert kept is not None
    assert (kept.method, kept.ids.tolist()) == ("tsne", bundle.ids.tolist())
    np.testing.assert_array_equal(kept.places, np.stack([bundle.ids * 0.5, -bundle.ids], 1))
