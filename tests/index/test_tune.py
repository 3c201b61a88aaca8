"""Kinds of index are measured on a gallery's own items; the quickest that comes up to what is wanted wins."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.splits import Split
from simsearch.errors import BadInputError
from simsearch.index import tune
from simsearch.index.bundle import open_bundle, read_manifest
from simsearch.index.retype import IndexKind
from simsearch.index.stores.base import Hits, Vectors
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import make_index
from simsearch.index.stores.flat import FlatStore
from simsearch.index.tune import K, Measured, Wanted, best_of, frontier, kinds, measure_kinds, size_of

SHIPPED = Path(__file__).parents[2] / "indexes" / "mnist-test"


def measured(recall: float, seconds: float, size: int) -> Measured:
    return Measured(IndexKind(f"IVF{size},Flat"), recall, seconds, size)


SLOW, QUICK, SMALL, WORSE = (
    measured(1.0, 4.0, 400),
    measured(0.96, 1.0, 400),
    measured(0.96, 2.0, 100),
    measured(0.95, 3.0, 400),
)


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        (Wanted(), QUICK),
        (Wanted(0.99), SLOW),
        (Wanted(size=100), SMALL),
        (Wanted(seconds=1.5), QUICK),
        (Wanted(0.99, seconds=1.5), None),
    ],
)
def test_the_quickest_that_comes_up_to_what_is_wanted_is_the_best(
    wanted: Wanted, best: Measured | None
) -> None:
    assert best_of([SLOW, WORSE, QUICK, SMALL], wanted) == best


def test_the_frontier_leaves_out_what_another_beats() -> None:
    assert frontier([SLOW, WORSE, QUICK, SMALL]) == [SLOW, QUICK, SMALL]


def test_kinds_and_their_sizes_follow_the_gallery() -> None:
    assert {kind.factory for kind in kinds(500)} == {"Flat", "HNSW32"}
    assert {kind.factory for kind in kinds(1_000_000)} == {"Flat", "IVF1024,Flat", "IVF1024,SQ8"}
    assert size_of(IndexKind("Flat", "int8"), 1_000, 128) == 128_000
    assert size_of(IndexKind("Flat"), 1_000, 128) == 512_000
    assert size_of(IndexKind("IVF16,SQ8"), 1_000, 128) == 1_000 * (512 + 128 + 8) + 16 * 512


def test_of_one_item_no_recall_can_be_measured(build_toy: Callable[..., Path], toy_gallery: Split) -> None:
    folder = build_toy(toy_gallery.take(np.array([0])))
    with pytest.raises(BadInputError, match="has one item, of which no other is the nearest"):
        list(measure_kinds(folder))


def test_recall_is_that_of_the_exact_hits_of_other_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """More effort finds more, all of it where everything is looked at; nothing is written."""
    monkeypatch.setattr(tune, "kinds", lambda _: [IndexKind("Flat"), IndexKind("IVF64,Flat")])
    before = (SHIPPED / "manifest.json").read_bytes()
    flat, *lists = measure_kinds(SHIPPED)
    assert (flat.kind, flat.recall) == (IndexKind("Flat"), 1.0)
    assert [one.kind.effort for one in lists] == [1, 2, 4, 8, 16, 32][: len(lists)]
    assert 0.6 < lists[0].recall < lists[2].recall
    store, sample = open_bundle(SHIPPED).store, open_bundle(SHIPPED).store.sample(tune._ASKED)
    exact = store.search(sample.vectors, K, left_out=sample.ids).ids
    assert not (exact == sample.ids[:, None]).any()
    assert lists[-1].recall > 0.99
    assert (SHIPPED / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_is_measured_is_what_would_be_written(precision: str) -> None:
    """Though the lists were found for another kind before."""
    store, kind = open_bundle(SHIPPED).store, IndexKind("IVF16,Flat", precision)
    assert isinstance(store, FlatStore)
    centroids: dict[str, Vectors] = {}
    tune._built(store, IndexKind("IVF16,SQ8"), centroids)
    measured = tune._built(store, kind, centroids)
    assert isinstance(measured, FaissStore)
    written = make_index(store.matrix, kind.full_factory)
    assert (faiss.serialize_index(measured.index) == faiss.serialize_index(written)).all()


def test_slow_kinds_are_timed_by_few_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "kinds", lambda _: [IndexKind("Flat")])
    monkeypatch.setattr(tune, "_TIMING_S", 0.0)
    monkeypatch.setattr(tune.time, "perf_counter", itertools.count().__next__)
    searched, search = [], FlatStore.search

    def counted(store: FlatStore, queries: Vectors, k: int, **settings: object) -> Hits:
        searched.append(len(queries))
        return search(store, queries, k, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(FlatStore, "search", counted)
    assert [one.seconds for one in measure_kinds(SHIPPED)] == [1]
    assert searched == [tune._ASKED, *[1] * tune._FEWEST_TIMED]


def test_the_command_takes_the_best_and_what_cannot_be_had_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "kinds", lambda _: [IndexKind("Flat", "float16"), IndexKind("IVF64", "int8")])
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED, folder)
    before = (folder / "manifest.json").read_bytes()
    run = CliRunner()
    arguments = ["tune", "mine", "--index-dir", str(tmp_path), "--json"]
    refused = run.invoke(app, [*arguments, "--latency", "0.001us"])
    assert refused.exit_code == 2
    assert "no kind of index suits; the best recall@10 found is " in refused.stderr
    for option in ("--memory", "--latency"):
        unreadable = run.invoke(app, [*arguments, option, "2 parsecs"])
        assert (unreadable.exit_code, f"{option} '2 parsecs' is no amount" in unreadable.stderr) == (2, True)
    assert run.invoke(app, [*arguments, "--dry-run"]).exit_code == 0
    assert (folder / "manifest.json").read_bytes() == before
    done = run.invoke(app, [*arguments, "--recall", ".9", "--memory", "2MB"])
    assert done.exit_code == 0, done.stderr
    best = json.loads(done.stdout)["best"]
    manifest = read_manifest(folder)
    assert (manifest.factory, manifest.dtype, manifest.effort) == ("IVF64,SQ8", "int8", best["effort"])
    assert best["recall_at_10"] >= 0.9
    shown = run.invoke(app, ["info", "-i", "mine", "--index-dir", str(tmp_path)]).stdout
    assert "computed from the int8 vectors" in shown
    assert "chosen by `simsearch tune`" in shown
