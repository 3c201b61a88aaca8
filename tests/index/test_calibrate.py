"""Calibrating a model on held-out images, and what becomes of it on a gallery."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from msgspec import structs
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.outliers.make import KINDS, make_outliers
from simsearch.data.splits import hold_out, rows_sha256
from simsearch.encode.model_folder import PRETRAINED, open_model, read_model_card, write_model_card
from simsearch.encode.stored_calibration import restore_calibration
from simsearch.errors import BadInputError
from simsearch.index.build import build_index
from simsearch.index.calibrate import (
    FALSE_REJECT,
    calibrate_model,
    fit_calibration,
    suit_gallery,
)
from simsearch.index.held_out import validation_split
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore
from simsearch.prepare.prepare import PreparedImage, Preprocess, prepare_image
from simsearch.search.searcher import Searcher
from simsearch.stats.calibration import F1, LEAST_IMAGES, MATCH, UNKNOWN, Calibration, ClassPosterior
from simsearch.stats.pairs import roc_auc, verify_pairs


@pytest.fixture(scope="module")
def model():
    return open_model(threads=1)


@pytest.fixture(scope="module")
def held_out(mnist_train):
    split = mnist_train.take(hold_out(len(mnist_train)).validation[:600])
    return replace(split, name="mnist-held-out")


@pytest.fixture(scope="module")
def fitted(model, held_out):
    return fit_calibration(model.encoder, held_out, outliers=15)


def test_the_shipped_probabilities_of_pairs_are_right_on_test_images(shipped):
    bundle = shipped.bundle
    figures = verify_pairs(gather(bundle.store).vectors, bundle.labels, bundle.manifest.pair_scaling)

    assert figures is not None
    assert figures.calibration.ece <= 0.01


def test_the_shipped_index_carries_the_calibration_of_the_shipped_model(shipped):
    of_model, of_index = read_model_card(PRETRAINED).calibration, shipped.bundle.manifest.calibration

    assert of_model is not None
    assert of_index is not None
    assert replace(of_index, gallery="") == of_model
    assert of_index.gallery.startswith("holds: ")


def test_real_digits_are_known_and_what_is_made_of_them_is_less_familiar(shipped, mnist_test):
    digits = [shipped.query_item(item, k=1).verdict for item in range(0, 10_000, 100)]
    assert sum(verdict.known for verdict in digits) >= 0.97 * len(digits)
    right = [str(mnist_test.labels[100 * row]) == verdict.label for row, verdict in enumerate(digits)]
    assert sum(right) >= 0.95 * len(digits)

    made = make_outliers(mnist_test.images, mnist_test.labels, 10, seed=8)
    answers = shipped.query_prepared([PreparedImage(image) for image in made if np.ptp(image)], k=1)
    of_outliers = [answer.verdict.familiarity for answer in answers]
    familiarity = np.array([*(verdict.familiarity for verdict in digits), *of_outliers])
    assert roc_auc(familiarity, np.arange(len(familiarity)) < len(digits)) >= 0.9


def restored(document: str | bytes) -> Calibration:
    """The calibration in a card's JSON."""
    fields = {"calibration": json.loads(document)["calibration"]}
    restore_calibration(fields)
    return fields["calibration"]


def test_a_calibration_is_the_same_each_time_and_survives_its_json(model, held_out, fitted):
    assert fit_calibration(model.encoder, held_out, outliers=15) == fitted
    assert restored(structs.replace(model.card, calibration=fitted).to_json()) == fitted


def test_a_hundredth_of_what_it_was_fitted_on_is_unknown(model, held_out, fitted):
    store = FaissStore.build(model.encoder.encode(held_out.images), np.arange(600), held_out.labels)
    checked = suit_gallery(fitted, store, held_out.images.__getitem__)

    assert fitted.thresholds[UNKNOWN].value == FALSE_REJECT
    assert checked.gallery.startswith("holds: 1.00% of 600 of its images unknown, ECE of pairs 0.00")
    assert replace(checked, gallery="") == fitted
    assert fitted.thresholds[MATCH].value < fitted.thresholds[F1].value  # of a model this good
    assert "600 images" in fitted.fitted_on


def test_a_gallery_on_which_the_calibration_does_not_hold_gets_one_of_its_own(model, held_out, fitted):
    wrong = replace(fitted, pairs=replace(fitted.pairs, bias=fitted.pairs.bias + 6))
    store = FaissStore.build(model.encoder.encode(held_out.images), np.arange(600), held_out.labels)
    own = suit_gallery(wrong, store, held_out.images.__getitem__)

    assert own.gallery.startswith("the model's did not hold: ")
    assert "; its own: ECE of pairs 0.00" in own.gallery
    assert own.gallery.endswith(" by chance alone")
    assert own.fitted_on == "the gallery itself: 600 images, each against the others"
    assert own.novelty.weights == fitted.novelty.weights
    after = verify_pairs(gather(store).vectors, held_out.labels, own.pairs, count=20_000)
    assert after.calibration.ece < 0.01


def test_a_gallery_on_which_no_calibration_holds_gets_none(model, held_out, fitted):
    # Two classes of five digits each: most pairs of one class show two digits, and score low.
    labels = (held_out.labels >= 5).astype(np.int64)
    store = FaissStore.build(model.encoder.encode(held_out.images), np.arange(600), labels)
    assert suit_gallery(fitted, store, held_out.images.__getitem__) is None


def test_the_models_calibration_is_checked_on_small_galleries_too(model, held_out, fitted, tmp_path):
    calibrated = model._replace(card=structs.replace(model.card, calibration=fitted))
    few = held_out.take(np.arange(LEAST_IMAGES - 1))
    own = build_index(few, calibrated, tmp_path / "few").calibration
    assert own is not None
    assert own.gallery.startswith("holds: ")
    assert replace(own, gallery="") == fitted
    mixed = replace(few, labels=few.labels % 2)
    assert build_index(mixed, calibrated, tmp_path / "mixed").calibration is None


def test_where_nothing_can_be_checked_nothing_is_claimed_and_info_says_why(model, held_out, fitted, tmp_path):
    calibrated = model._replace(card=structs.replace(model.card, calibration=fitted))
    galleries = {
        "nineteen": (held_out.take(np.arange(19)), "labeled images with another of their class are too few"),
        "unlabeled": (replace(held_out, labels=None, classes=()), "without labels nothing can be checked"),
        "mixed": (
            replace(held_out.take(np.arange(100)), labels=np.arange(100) % 2),
            "100 labeled images are too few to fit one (fewer than 200), so answers have scores only",
        ),
    }
    for name, (split, why) in galleries.items():
        manifest = build_index(split, calibrated, tmp_path / name)
        assert (manifest.calibration, manifest.pair_scaling) == (None, None)
        searcher = Searcher.open(tmp_path / name, threads=1)
        answer = searcher.query(held_out.images[0])
        assert answer.verdict is None
        assert {hit.probability for hit in answer.hits} == {None}
        assert {row.posterior for row in answer.classes} | {row.probability for row in answer.classes} <= {
            None
        }
        shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["info", "--index", str(tmp_path / name)])
        assert why in shown.stdout


def test_a_class_of_one_image_keeps_no_gallery_from_a_calibration(model, held_out, fitted, tmp_path):
    labels = held_out.labels.copy()
    labels[[3, 77]] = 10, 11
    alone = replace(held_out, labels=labels, classes=(*held_out.classes, "ten", "eleven"))
    calibrated = model._replace(card=structs.replace(model.card, calibration=fitted))
    own = build_index(alone, calibrated, tmp_path / "alone").calibration
    assert own.gallery.startswith("holds: ")
    assert "of 598 of its images" in own.gallery
    assert fit_calibration(model.encoder, alone, outliers=2).fitted_on.startswith(
        "mnist-held-out: 598 images"
    )


def test_a_gallery_of_a_model_without_a_calibration_gets_one_that_holds_across_its_halves(
    model, held_out, tmp_path
):
    uncalibrated = model._replace(card=structs.replace(model.card, calibration=None))
    own = build_index(held_out, uncalibrated, tmp_path / "own").calibration
    assert own is not None
    assert own.fitted_on == "the gallery itself: 600 images, each against the others"
    assert own.gallery.startswith("fitted to it: ECE of pairs 0.00")
    assert own.novelty.weights == {"best": 1.0}
    few = held_out.take(np.arange(LEAST_IMAGES - 1))
    assert build_index(few, uncalibrated, tmp_path / "few").calibration is None


def test_a_fit_that_does_not_hold_on_other_pairs_or_the_other_half_is_not_shown(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 100)
    vectors = (np.eye(4)[labels] + rng.normal(size=(400, 4)) / 3).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = FaissStore.build(vectors, np.arange(400), labels)
    fitted = suit_gallery(None, store, None)
    assert fitted.gallery.startswith("fitted to it: ")
    with monkeypatch.context() as large:
        large.setattr("simsearch.index.leave_one_out._HELD", 0)  # whose vectors are not gathered
        large.setattr(store, "scan", lambda: [store._block(slice(None))._replace(vectors=None)])
        assert suit_gallery(None, store, None) == fitted
    wrong = replace(fitted.pairs, bias=fitted.pairs.bias + 3)
    with monkeypatch.context() as patched:
        patched.setattr("simsearch.index.calibrate.fit_platt_scaling", lambda *_: wrong)
        assert suit_gallery(None, store, None) is None
    monkeypatch.setattr("simsearch.stats.checking.fit_posterior", lambda *_: ClassPosterior(2.0))
    assert suit_gallery(None, store, None) is None


def test_a_gallery_whose_vectors_say_nothing_of_its_labels_gets_no_probabilities():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 8)).astype(np.float32)
    vectors[:200] *= 0.05  # of a few directions: near copies, whose labels are drawn apart from them
    vectors[:200] += np.eye(8, dtype=np.float32)[rng.integers(0, 2, 200)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = FaissStore.build(vectors, np.arange(400), rng.integers(0, 2, 400))
    fitted = suit_gallery(None, store, None)
    assert fitted is None or abs(fitted.pairs.weight) < 1  # no cosine makes one class more likely


def test_too_few_or_unlabeled_images_give_no_calibration(model, held_out):
    assert fit_calibration(model.encoder, held_out.take(np.arange(LEAST_IMAGES - 1))) is None
    assert fit_calibration(model.encoder, replace(held_out, labels=None)) is None
    assert fit_calibration(model.encoder, held_out.take(held_out.labels == 3)) is None


@pytest.fixture
def folder(tmp_path, model):
    """A copy of the shipped model whose card says that 250 of a training split were held out."""
    shutil.copytree(PRETRAINED, tmp_path / "model")
    training = {"recipe": {"held_out_images": 250}}
    write_model_card(tmp_path / "model", structs.replace(model.card, calibration=None, training=training))
    return tmp_path / "model"


def test_calibrating_a_folder_changes_its_card_and_nothing_else(folder, mnist_train):
    before = read_model_card(folder)
    card = calibrate_model(folder, mnist_train.take(np.arange(400)), outliers=5, threads=1)

    assert card.calibration is not None
    assert card.calibration.fitted_on.startswith("mnist-held-out: 250 images")
    assert read_model_card(folder) == card == structs.replace(before, calibration=card.calibration)


def test_the_rows_are_those_that_training_held_out(folder, mnist_train):
    split = mnist_train.take(np.arange(400))
    rows = hold_out(400, 250).validation
    card = read_model_card(folder)
    np.testing.assert_array_equal(validation_split(card, split).images, split.images[rows])

    told = structs.replace(card, training={**card.training, "held_out_rows_sha256": rows_sha256(rows)})
    assert len(validation_split(told, split)) == 250


@pytest.mark.parametrize(
    "training",
    [
        {"recipe": {"held_out_images": 250}, "held_out_rows_sha256": "0" * 64},
        {"recipe": {"held_out_images": 250}, "data_sha256": {"train-images-idx3-ubyte": "0" * 64}},
    ],
)
def test_images_that_training_may_have_seen_are_refused(folder, mnist_train, training):
    card = structs.replace(read_model_card(folder), training=training)
    with pytest.raises(BadInputError, match="was not trained on mnist-train") as caught:
        validation_split(card, mnist_train.take(np.arange(400)))
    assert caught.value.hint == "name the dataset that it was trained on: --dataset"


def test_the_command_calibrates_and_shows_what_it_did(folder, mnist_dir, tmp_path):
    digits = tmp_path / "digits"
    digits.mkdir()
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(mnist_dir / "MNIST" / "raw" / f"t10k-{kind}-ubyte", digits / f"train-{kind}-ubyte")
    result = CliRunner().invoke(app, ["calibrate", str(folder), "--dataset", str(digits)])

    assert result.exit_code == 0, result.output
    assert "digits-held-out: 250 images" in result.stdout
    assert "99% precision of balanced pairs" in result.stdout
    shown = CliRunner().invoke(app, ["info", "--model", str(folder), "--json"])
    assert restored(shown.stdout) == read_model_card(folder).calibration


def test_the_command_refuses_what_it_cannot_calibrate_on(folder, tmp_path):
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "none")])
    assert result.exit_code == 3
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(ROOT / "docs" / "digit.png", few)
    result = CliRunner().invoke(app, ["calibrate", str(folder), "--dataset", str(few)])
    assert result.exit_code == 2
    assert "has no labels to train on" in result.stderr


def test_outliers_are_pictures_of_every_kind_the_same_each_time(held_out):
    made = make_outliers(held_out.images, held_out.labels, 4)

    assert made.shape == (4 * len(KINDS), 28, 28)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, make_outliers(held_out.images, held_out.labels, 4))
    assert (make_outliers(held_out.images, held_out.labels, 4, seed=1) != made).any()
    known = {image.tobytes() for image in held_out.images}
    assert not any(image.tobytes() in known for image in made)


def test_halves_are_of_two_classes():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 4:24, 4:24], images[1, 8:20, 10:18] = 255, 255
    for seed in range(8):
        picture = KINDS["halves"](images, np.array([0, 1]), np.random.default_rng(seed))
        small = prepare_image(picture, preprocess=Preprocess.NONE).pixels > 128
        for whole in images:
            assert (small != (whole > 128)).any()


def test_a_query_asks_about_its_picture_and_a_combination_has_no_verdict(shipped, mnist_test):
    vectors = shipped.bundle.encoder.encode(mnist_test.images[:1])
    (with_picture,) = shipped.query_vectors(vectors, [PreparedImage(mnist_test.images[0])], k=1)
    (without,) = shipped.query_vectors(vectors, [None], k=1)

    assert with_picture.verdict is not None
    assert without.verdict is None
    assert [row.posterior for row in without.classes] == [row.posterior for row in with_picture.classes]
