"""The features of how unlike the known a picture is, worked by hand."""

import math

import numpy as np
import pytest
from toys import quadrant_image

from simsearch.stats.novelty import FEATURES, Neighbors, look_at, novelty_features

TOP, BOTTOM = quadrant_image(200, 200, 0, 0), quadrant_image(0, 0, 200, 200)


def neighbors(vectors, pictures, there=None):
    """All items, the neighbors of one query."""
    there = np.ones((1, len(vectors)), bool) if there is None else np.array([there])
    items = np.arange(len(vectors))[None]
    return Neighbors(np.array(vectors, np.float32), look_at(np.array(pictures)), items, there)


def ask(vector, picture, nearest):
    features = novelty_features(np.array([vector], np.float32), picture[None], nearest)
    assert set(features) == set(FEATURES)
    return {name: float(values[0]) for name, values in features.items()}


def test_a_picture_among_its_copies_lies_as_they_do():
    found = ask([1, 0], TOP, neighbors([[1, 0]] * 3, [TOP] * 3))

    expected = {"best": 1, "density": 0, "overlap": 1, "likeness": 0, "texture": 0}
    assert found == pytest.approx(expected, abs=1e-4)


def test_an_outlier_beside_a_tight_cluster_worked_by_hand():
    # The items' cosine with each other is 1, with the query 0.6; the pictures are each other's negatives.
    found = ask([0.6, 0.8], BOTTOM, neighbors([[1, 0]] * 3, [TOP] * 3))

    assert found["best"] == pytest.approx(0.6)
    assert found["density"] == pytest.approx(math.log(0.003) - math.log(0.4 + 0.003))
    assert -1 <= found["overlap"] < -0.85  # the best shift of a pixel helps a little
    assert found["likeness"] == pytest.approx(
        math.log(0.02) - math.log(1 - found["overlap"] + 0.02), abs=1e-4
    )
    assert found["texture"] == pytest.approx(0, abs=1e-4)


def test_density_is_taken_from_the_mean_cosines():
    # Cosines with the query 0.8, 0.6; of the two with each other 0.96.
    found = ask([1, 0], TOP, neighbors([[0.8, 0.6], [0.6, 0.8]], [TOP, TOP]))

    assert found["best"] == pytest.approx(0.8)
    assert found["density"] == pytest.approx(math.log(0.043 / 0.303), abs=1e-5)


def test_overlap_forgives_a_shift_by_one_pixel():
    moved = np.roll(TOP, 1, axis=0)
    moved[0] = 0

    assert ask([1, 0], moved, neighbors([[1, 0]], [np.roll(TOP, 2, axis=0)]))["overlap"] > 0.999


def test_texture_counts_deviations_of_the_log_gradient():
    # Stripes have 14 times the edges; the items do not vary, so a deviation is 0.05.
    stripes = np.zeros((28, 28), np.uint8)
    stripes[::2] = 200
    found = ask([1, 0], stripes, neighbors([[1, 0]] * 2, [TOP] * 2))

    edge = 28 * 200 / 255
    expected = -(math.log1p(27 * edge) - math.log1p(edge)) / 0.05
    assert found["texture"] == pytest.approx(expected, rel=1e-5)


def test_an_item_alone_has_nothing_to_be_compared_with():
    found = ask([0.6, 0.8], BOTTOM, neighbors([[1, 0]], [TOP]))

    assert (found["density"], found["likeness"]) == (0, 0)
    assert found["best"] == pytest.approx(0.6)


def test_places_without_an_item_count_for_nothing():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pictures = rng.integers(0, 256, (6, 28, 28)).astype(np.uint8)
    query = vectors[0]
    few = ask(query, pictures[0], neighbors(vectors[1:4], pictures[1:4]))
    padded = ask(query, pictures[0], neighbors(vectors[1:], pictures[1:], [True, True, True, False, False]))

    assert padded == pytest.approx(few, rel=1e-5)


def test_a_blank_picture_gives_finite_features():
    blank = np.zeros((28, 28), np.uint8)
    found = ask([1, 0], blank, neighbors([[1, 0]] * 2, [blank, TOP]))

    assert all(math.isfinite(value) for value in found.values())
