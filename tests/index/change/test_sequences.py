"""After any changes, with kills in between, an index answers as one that was built of what there is then.

Sequences are drawn with a seed; `SIMSEARCH_SLOW=1` draws more than ten times as many.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bundles import assert_tidy
from toys import PLAIN, quadrant_image, write_quadrants

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.index.serving import Target
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.update import Index
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.searcher import Searcher

pytest.importorskip("fcntl", reason="replaces the system calls of POSIX")

from syscalls import Call, Watch, watched

IS_SLOW = bool(os.environ.get("SIMSEARCH_SLOW"))
SEQUENCES = 60 if IS_SLOW else 4
APPROXIMATE = 12 if IS_SLOW else 1  # of each index type
CHANGES = 10  # in a sequence
QUERIES = [PreparedImage(quadrant_image(*grays)) for grays in ((9, 8, 7, 6), (200, 3, 50, 90), (1, 0, 0, 9))]


class KilledError(BaseException):
    """The process is no more: nothing after this is done to the disk, by no handler."""


class Killing(Watch):
    """Nothing more is done from the n-th call on that changes something."""

    def __init__(self, step: int) -> None:
        self.left = step

    def before(self, call: Call) -> None:
        if call.name in ("write", "rename", "unlink", "mkdir", "fsync"):
            self.left -= 1
        if self.left < 0:
            raise KilledError


class World:
    """A folder that somebody works in, and the index of it."""

    def __init__(
        self, top: Path, model: Model, seed: int, factory: str = "Flat", target: Target | None = None
    ) -> None:
        self.random, self.model, self.top, self.target = random.Random(seed), model, top, target
        self.pictures, self.count = top / "pictures", 0
        self.seen: set[int] = set()  # all ids that there ever were
        for _ in range(8):
            self.new()
        split = load_image_folder(self.pictures, PLAIN, processes=1)
        build_index(split, model, top / "index", factory=factory, target=target)

    @property
    def index(self) -> Index:
        return Index.open(self.top / "index", threads=1)

    def files(self) -> list[Path]:
        return sorted(self.pictures.rglob("*.png"))

    def new(self, file: Path | None = None) -> Path:
        """A file that never was, or another picture in a file that there is."""
        self.count += 1
        grays = [self.random.randrange(1, 250) for _ in range(4)]
        if file is None:
            file = self.pictures / self.random.choice("abc") / f"{self.count}.png"
        write_quadrants(file, *grays)
        os.utime(file, (2_000_000_000 + self.count,) * 2)
        return file

    def work(self) -> None:
        """Somebody adds, changes, moves and deletes files."""
        for _ in range(self.random.randrange(1, 6)):
            do = self.random.choice(("new", "new", "change", "move", "delete"))
            file = self.random.choice(self.files())
            if do == "new":
                self.new()
            elif do == "change":
                self.new(file)
            elif do == "move":
                self.count += 1
                target = self.pictures / self.random.choice("abcd") / f"{self.count}.png"
                target.parent.mkdir(exist_ok=True)
                file.rename(target)
            elif len(self.files()) > 4:
                file.unlink()

    def change(self, kind: str) -> None:
        if kind == "compact":
            self.index.compact()
        elif kind == "add":
            known = {item.source for item in self.index.items()}
            fresh = [path for path in self.files() if path.relative_to(self.pictures).as_posix() not in known]
            if fresh:
                self.index.add(fresh, labels=[path.parent.name for path in fresh])
        elif kind == "remove":
            missing = [item.id for item in self.index.items() if not (self.pictures / item.source).exists()]
            if 0 < len(missing) < len(self.index):
                self.index.remove(missing)
        else:
            self.index.sync()

    def killed_change(self, kind: str) -> None:
        """The change is killed somewhere, or comes to its end: the index is what it was, or will be."""
        before = contents(self.top / "index")
        try:
            with watched(self.top / "index", Killing(self.random.randrange(60))), self.storing():
                self.change(kind)
        except KilledError:
            now = contents(self.top / "index")
            if now != before:
                self.change(kind)
                assert contents(self.top / "index") == now

    @contextmanager
    def storing(self) -> Iterator[None]:
        """On a server, what is stored may be the last thing that a writer does, or not be done."""
        if self.target is None:
            yield
            return
        from simsearch.index.stores.milvus import collection as stored

        end = self.random.choice(("before", "after", "never"))

        def upsert(*arguments: object) -> None:
            if end != "before":
                whole(*arguments)
            if end != "never":
                raise KilledError

        with pytest.MonkeyPatch.context() as patched:
            whole = stored.upsert
            patched.setattr(stored, "upsert", upsert)
            yield

    def rebuilt(self) -> Path:
        shutil.rmtree(self.top / "rebuilt", ignore_errors=True)
        build_index(load_image_folder(self.pictures, PLAIN, processes=1), self.model, self.top / "rebuilt")
        return self.top / "rebuilt"


def contents(folder: Path) -> dict[int, tuple[str, str, bytes, bytes]]:
    """Source, class, picture and vector of each item, by id."""
    bundle = open_bundle(folder, threads=1)
    assert bundle.labels is not None
    vectors = gather(bundle.store).vectors
    return {
        item: (source, bundle.manifest.classes[label], picture.tobytes(), vector.tobytes())
        for item, source, label, picture, vector in zip(
            bundle.ids.tolist(), bundle.sources, bundle.labels, bundle.thumbnails[:], vectors, strict=True
        )
    }


def answers(folder: Path) -> Iterator[object]:
    """What a searcher says, without ids."""
    searcher = Searcher.open(folder, threads=1)
    for labels in ((), ("a",), ("b", "c")):
        there = [label for label in labels if label in searcher.bundle.manifest.classes]
        for answer in searcher.query_prepared(QUERIES, k=7, labels=there):
            yield [(hit.score, hit.source, hit.label, hit.probability) for hit in answer.hits]
            yield [(row.label, row.best, row.mean, row.probability) for row in answer.classes]


def assert_same_evaluation(folder: Path, expected_folder: Path) -> None:
    """All that does not depend on the order of the items is equal, up to the order of sums."""
    found, expected = (
        evaluate(open_bundle(at, threads=1), k=3, threads=1) for at in (folder, expected_folder)
    )
    means = {name: figure.value for name, figure in found.figures.items()}
    assert means == pytest.approx(
        {name: figure.value for name, figure in expected.figures.items()}, abs=1e-12
    )
    assert (found.classes, found.confusion) == (expected.classes, expected.confusion)
    assert found.precision == pytest.approx(expected.precision, abs=1e-12)


def assert_like_rebuilt(world: World, *, evaluated: bool = False) -> None:
    index, rebuilt = world.top / "index", world.rebuilt()
    assert sorted(contents(index).values()) == sorted(contents(rebuilt).values())
    assert read_manifest(index).classes == read_manifest(rebuilt).classes
    assert list(answers(index)) == list(answers(rebuilt))
    if evaluated and len(read_manifest(index).classes) > 1:
        assert_same_evaluation(index, rebuilt)
    assert_tidy(index)


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_any_changes_lead_to_the_index_of_what_is_there(
    tmp_path: Path, plain_model: Model, seed: int
) -> None:
    assert_changes_lead_to_what_is_there(World(tmp_path, plain_model, seed), CHANGES)


@pytest.mark.engine
@pytest.mark.parametrize("seed", range(SEQUENCES // 2))
def test_any_changes_of_an_index_on_a_server_lead_to_the_index_of_what_is_there(
    tmp_path: Path, plain_model: Model, seed: int, milvus: str
) -> None:
    assert_changes_lead_to_what_is_there(World(tmp_path, plain_model, seed, target=Target(milvus)), 6)


def assert_changes_lead_to_what_is_there(world: World, changes: int) -> None:
    tmp_path = world.top
    for _ in range(changes):
        before = contents(tmp_path / "index")
        world.work()
        kind = world.random.choice(("sync", "sync", "add", "remove", "compact"))
        world.killed_change(kind)
        world.change(kind)
        after = contents(tmp_path / "index")
        for item in before.keys() & after.keys():
            assert before[item][2:] == after[item][2:], "an id names another picture"
        world.seen |= before.keys()
        assert not (after.keys() - before.keys()) & world.seen, "an id was used again"
        if kind == "sync":
            assert_like_rebuilt(world)
    world.change("sync")
    assert_like_rebuilt(world, evaluated=True)
    world.change("compact")
    assert_like_rebuilt(world, evaluated=True)


@pytest.mark.parametrize("seed", range(1, 1 + APPROXIMATE))
@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "SQ8"])
def test_an_approximate_index_finds_nearly_all_and_once_compacted_what_a_new_one_does(
    tmp_path: Path, plain_model: Model, factory: str, seed: int
) -> None:
    world = World(tmp_path, plain_model, seed, factory)
    rng = np.random.default_rng(0)
    queries = rng.uniform(0, 1, (50, 4))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    for _ in range(6):
        world.work()
        kind = world.random.choice(("sync", "sync", "add", "remove"))
        world.killed_change(kind)
        world.change(kind)
        store = open_bundle(tmp_path / "index", threads=1).store
        ids, labels, vectors = gather(store)
        exact = FaissStore.build(vectors, ids, labels).search(queries, 3)
        found = store.search(queries, 3)
        assert np.mean([len(set(a) & set(b)) for a, b in zip(found.ids, exact.ids, strict=True)]) >= 2.7
    world.change("sync")
    assert sorted(contents(tmp_path / "index").values()) == sorted(contents(world.rebuilt()).values())
    world.change("compact")
    store = open_bundle(tmp_path / "index", threads=1).store
    assert not store.is_exact
    ids, labels, vectors = gather(store)
    new = FaissStore.build(vectors, ids, labels, factory=factory)
    for found, expected in zip(store.search(queries, 5), new.search(queries, 5), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)
