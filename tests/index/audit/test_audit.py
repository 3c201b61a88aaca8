"""Audits: findings on a gallery whose vectors are known, and the published label errors of MNIST."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import Quadrants, quadrant_image, toy_split

from simsearch.data.folders import load_image_folder
from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.errors import BadInputError
from simsearch.index.audit.audit import audit, corrected_labels
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.search.searcher import Searcher
from simsearch.text import csv_text

Build = Callable[..., Path]
# The 15 of MNIST's test images whose label fewer than three of five people confirmed, of 100 that were named
# by confident learning: Northcutt, Athalye, Mueller 2021; mturk/mnist_mturk.json in cleanlab/label-errors.
PUBLISHED = {947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729}

RIGHT: list[Quadrants] = [(100, 1, 0, 0), (100, 2, 0, 0), (100, 3, 0, 0), (100, 4, 0, 0)]
DOWN: list[Quadrants] = [(0, 0, 100, 1), (0, 0, 100, 2), (0, 0, 100, 3), (0, 0, 100, 4)]


@pytest.fixture
def gallery() -> Split:
    """Two tight classes, an item among the second with the first's label, and an odd one."""
    items = [(quadrants, 0) for quadrants in RIGHT] + [(quadrants, 1) for quadrants in DOWN]
    return toy_split([*items, ((0, 0, 100, 5), 0), ((30, 90, 30, 0), 0)])


def test_an_audit_of_a_toy_gallery_finds_what_was_put_into_it(build_toy: Build, gallery: Split) -> None:
    found = audit(open_bundle(build_toy(gallery)), k=3)
    assert (found.index, found.items, found.judged, found.confident) == ("toy", 10, 10, 1)
    first = found.label_errors[0]
    assert (first.id, first.source, first.label, first.suggested) == (8, "toy/8", "a", "b")
    assert (first.share, first.suggested_share, first.is_confident) == (0, 1, True)
    assert [(near.id, near.label) for near in first.neighbors] == [(7, "b"), (6, "b"), (5, "b")]
    assert found.corrections == {8: "b"}
    assert found.outliers[0].id == 9
    assert found.outliers[0].score == pytest.approx(
        np.mean([near.score for near in found.outliers[0].neighbors])
    )
    assert [(row.first, row.second) for row in found.overlaps] == [("a", "b")]
    assert (found.against, found.leaking, found.leaks) == (None, 0, ())


def test_corrections_are_what_build_index_reads(tmp_path: Path, plain_model: Model, gallery: Split) -> None:
    folder = tmp_path / "pictures"
    for row, label in enumerate("aaaabbbbaa"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(gallery.images[row]).save(folder / label / f"{row}, picture.png")
    build_index(load_image_folder(folder, plain_model.encoder.input), plain_model, tmp_path / "index")
    bundle = open_bundle(tmp_path / "index")
    rows = list(corrected_labels(bundle, audit(bundle, k=3)))
    assert [row for row in rows if row[2]] == [("a/8, picture.png", "b", "a")]
    (tmp_path / "labels.csv").write_text(csv_text([("path", "label", "was"), *rows]))
    again = load_image_folder(folder, plain_model.encoder.input, labels=str(tmp_path / "labels.csv"))
    assert again.labels is not None
    labels = {source: again.classes[label] for source, label in zip(again.sources, again.labels, strict=True)}
    assert labels["a/8, picture.png"] == "b"
    assert len(labels) == 10
    assert [
        row["path"] for row in csv.DictReader(io.StringIO((tmp_path / "labels.csv").read_text()))
    ] == list(bundle.sources)


def test_without_labels_there_are_outliers_alone(build_toy: Build, gallery: Split) -> None:
    bundle = open_bundle(build_toy(replace(gallery, labels=None, classes=())))
    found = audit(bundle, k=3)
    assert (found.judged, found.label_errors, found.overlaps, found.corrections) == (0, (), (), {})
    assert found.outliers[0].id == 9
    with pytest.raises(BadInputError, match="toy has no labels to correct"):
        list(corrected_labels(bundle, found))


def test_classes_of_one_item_each_are_not_judged(build_toy: Build) -> None:
    bundle = open_bundle(build_toy(toy_split([((1, 0, 0, 0), 0), ((0, 1, 0, 0), 1), ((0, 0, 1, 0), 2)])))
    found = audit(bundle)
    assert (found.judged, found.confident, found.label_errors) == (0, 0, ())
    assert len(audit(open_bundle(build_toy(toy_split([((1, 0, 0, 0), 0)]), "one"))).outliers) == 0


def test_a_leak_names_both_pictures_and_both_labels(build_toy: Build, gallery: Split) -> None:
    own = open_bundle(build_toy(gallery, "test"))
    picture = gallery.images[9]
    train = replace(
        gallery,
        images=np.stack([quadrant_image(9, 9, 9, 0), picture]),
        labels=np.array([0, 1]),
        sources=("x", "y"),
    )
    (leak,) = audit(own, open_bundle(build_toy(train, "train")), k=3).leaks
    assert (leak.id, leak.label, leak.other_id, leak.other_label) == (9, "a", 1, "b")
    assert (leak.kind, leak.score) == (CopyKind.PIXELS, pytest.approx(1))


def test_indexes_of_two_encoders_are_not_compared(
    build_toy: Build, gallery: Split, shipped: Searcher
) -> None:
    with pytest.raises(BadInputError, match="vectors of two encoders say nothing of each other"):
        audit(open_bundle(build_toy(gallery)), shipped.bundle)


def test_known_label_errors_of_mnist_are_among_the_first(shipped: Searcher) -> None:
    found = audit(shipped.bundle, most=50)
    first = [error.id for error in found.label_errors]
    assert len(PUBLISHED & {*first}) == 9
    assert len(PUBLISHED & {*first[:12]}) == 2
    assert found.confident == len(found.corrections) == 12
