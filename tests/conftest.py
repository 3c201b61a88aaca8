"""Shared fixtures: real MNIST, and a toy encoder whose vectors can be computed in the head."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import toy_encoder, toy_split

from simsearch.data.datasets import load_split
from simsearch.data.mnist import default_data_dir, fetch_mnist
from simsearch.data.splits import Split
from simsearch.encode.model_folder import BEST_CHECKPOINT, ENCODER, FileRecord, Model, ModelCard
from simsearch.encode.onnx import OnnxEncoder
from simsearch.index.build import build_index
from simsearch.index.stores.base import VectorStore
from simsearch.prepare.photo import PHOTO_VERSION
from simsearch.prepare.prepare import DIGIT, PREPROCESSING_VERSION
from simsearch.search.searcher import Searcher
from simsearch.stats.calibration import PlattScaling

ROOT = Path(__file__).parents[1]
SHIPPED_INDEX = ROOT / "indexes" / "mnist-test"


def pytest_configure(config: pytest.Config) -> None:
    """Workers that share the cores compute with one thread each, or they wait for each other's."""
    if config.getoption("numprocesses", default=None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, or all but one worker wait for it in the end."""
    items.sort(key=lambda item: item.name != "test_the_notebook_runs_on_a_short_schedule")


@pytest.fixture(scope="session", autouse=True)
def _signals_are_heeded() -> None:
    """A job in a script's background inherits an ignored SIGINT, and hands it on: here no child may."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """A data folder in which MNIST is complete and verified; never write to it."""
    folder = Path(os.environ.get("SIMSEARCH_DATA_DIR") or default_data_dir())
    fetch_mnist(folder)
    return folder


@pytest.fixture(scope="session")
def mnist_test(mnist_dir: Path) -> Split:
    return load_split("mnist", "test", data_dir=mnist_dir)


@pytest.fixture(scope="session")
def mnist_train(mnist_dir: Path) -> Split:
    return load_split("mnist", "train", data_dir=mnist_dir)


@pytest.fixture(scope="session")
def shipped() -> Searcher:
    """The index that ships with simsearch."""
    return Searcher.open(SHIPPED_INDEX)


@pytest.fixture(scope="session")
def toy_onnx() -> bytes:
    """The toy encoder; see `toys.toy_encoder`."""
    pytest.importorskip("onnx")
    return toy_encoder()


@pytest.fixture(scope="session")
def toy_model(toy_onnx: bytes) -> Model:
    """The toy encoder with the projection 10 * cosine - 5."""
    card = ModelCard(
        name="toy",
        created="2026-01-01T00:00:00+00:00",
        dim=4,
        parameters=0,
        preprocessing=PREPROCESSING_VERSION,
        projection=PlattScaling(10.0, -5.0),
        files={ENCODER: FileRecord.of(toy_onnx), BEST_CHECKPOINT: FileRecord.of(b"none")},
        training={"recipe": "by hand"},
    )
    return Model(OnnxEncoder(toy_onnx, threads=1), card)


@pytest.fixture(scope="session")
def plain_model(toy_model: Model) -> Model:
    """The toy encoder for pictures of any kind, in gray, which are only resized."""
    plain = replace(DIGIT, preparation="plain", version=PHOTO_VERSION, fit="stretch")
    return Model(OnnxEncoder(toy_model.encoder.model, input=plain, threads=1), toy_model.card)


@pytest.fixture
def toy_gallery() -> Split:
    """Six pictures: items 0 and 1 are identical, 4 and 5 point away from the rest."""
    return toy_split(
        [
            ((100, 0, 0, 0), 0),
            ((200, 0, 0, 0), 0),
            ((60, 80, 0, 0), 0),
            ((0, 100, 0, 0), 1),
            ((0, 0, 100, 0), 1),
            ((0, 0, 60, 80), 2),
        ]
    )


@pytest.fixture
def build_toy(tmp_path: Path, toy_model: Model) -> Callable[..., Path]:
    """Build a toy index and return its folder."""

    def build(split: Split, name: str = "toy", factory: str = "Flat") -> Path:
        folder = tmp_path / name
        build_index(split, toy_model, folder, factory=factory)
        return folder

    return build


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory) -> Iterator[Any]:
    """Milvus that holds nothing at first: one server, or a cluster; see `tests/engines`."""
    from engines.cluster import Cluster
    from engines.single import PASSWORD, Single

    folder = tmp_path_factory.mktemp("milvus") / "run"
    if os.environ.get("SIMSEARCH_TEST_CLUSTER"):
        cluster = Cluster(folder, query_nodes=4)
        cluster.start()
        yield cluster
        cluster.stop()
        return
    server = Single(folder)
    with pytest.MonkeyPatch.context() as environment:
        server.start()
        server.set_password()
        environment.setenv("SIMSEARCH_MILVUS_TOKEN", f"root:{PASSWORD}")
        yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is given up soon."""
    from simsearch.index.stores.milvus import client

    monkeypatch.setattr(client, "READ_S", 1.5)


@pytest.fixture(scope="session")
def milvus(request: pytest.FixtureRequest) -> str:
    """The address of Milvus: of one that `SIMSEARCH_TEST_MILVUS` says is there already, or of our own."""
    from engines.single import URI

    there = os.environ.get("SIMSEARCH_TEST_MILVUS")
    if not there:
        request.getfixturevalue("milvus_server")
    return there or URI


@pytest.fixture(scope="session")
def milvus_galleries(milvus: str) -> Callable[..., VectorStore]:
    """Makes stores on the server, as the contract's tests need them."""
    from engines.galleries import Refilled

    copies = 2 if os.environ.get("SIMSEARCH_TEST_CLUSTER") else 1
    return Refilled(milvus, copies)
