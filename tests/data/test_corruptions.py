import numpy as np
import pytest
from PIL import Image

from simsearch.data.corruptions import CAPTURE, FORM, corrupt, corrupt_images
from simsearch.data.datasets import load_named, load_split
from simsearch.data.splits import Split, hold_out
from simsearch.errors import BadDatasetError
from simsearch.prepare.prepare import prepare_image


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def digit(mnist_test: Split) -> Image.Image:
    """A real seven, enlarged, light on dark, with a margin."""
    canvas = np.zeros((258, 258), np.uint8)
    canvas[45:213, 45:213] = np.kron(mnist_test.images[0], np.ones((6, 6), np.uint8))
    return Image.fromarray(canvas)


def ink(picture: Image.Image) -> float:
    return float((np.asarray(picture) > 100).sum())


@pytest.mark.parametrize("name", [*FORM, *CAPTURE])
def test_each_distortion_changes_the_picture_and_leaves_a_digit_to_find(
    name: str, digit: Image.Image
) -> None:
    kind = {**FORM, **CAPTURE}[name]
    before = prepare_image(digit).pixels.astype(int)
    pixels = []
    for seed in range(8):
        distorted = kind(digit, rng(seed))
        assert distorted.mode == "L"
        assert distorted.tobytes() != digit.tobytes() or distorted.size != digit.size
        pixels.append(prepare_image(distorted).pixels.astype(int))
    differences = [np.abs(image - before).mean() for image in pixels]
    assert max(differences) < 45  # still the same seven: another digit differs by 50 or more
    assert kind(digit, rng(3)).tobytes() == kind(digit, rng(3)).tobytes()


def test_pens_become_finer_and_broader(digit: Image.Image) -> None:
    assert ink(FORM["thin"](digit, rng())) < 0.8 * ink(digit)
    assert ink(FORM["thick"](digit, rng())) > 1.2 * ink(digit)


def test_a_stroke_is_never_thinned_away() -> None:
    hair = np.zeros((100, 100), np.uint8)
    hair[10:90, 50:52] = 255
    assert ink(FORM["thin"](Image.fromarray(hair), rng())) == ink(Image.fromarray(hair))


def test_paper_is_light_and_ink_dark_on_it(digit: Image.Image) -> None:
    photo = np.asarray(CAPTURE["paper"](digit, rng()), float)
    written = np.asarray(digit) > 200
    assert photo[written].mean() < 0.5 * photo[~written].mean()


def test_cropping_leaves_a_margin_round_all_of_the_ink(digit: Image.Image) -> None:
    cropped = CAPTURE["crop"](digit, rng())
    assert ink(cropped) == ink(digit)
    assert cropped.width < digit.width
    assert cropped.height < digit.height
    blank = Image.new("L", (50, 50))
    assert CAPTURE["crop"](blank, rng()) is blank


def test_every_image_is_distorted_its_own_way_the_same_for_the_same_seed(mnist_test: Split) -> None:
    same = np.repeat(mnist_test.images[:1], 6, axis=0)
    distorted = corrupt_images(same)
    assert distorted.shape == (6, 28, 28)
    assert distorted.dtype == np.uint8
    assert len({image.tobytes() for image in distorted}) == 6
    np.testing.assert_array_equal(corrupt_images(same), distorted)
    assert (corrupt_images(same, seed=1) != distorted).any()
    np.testing.assert_array_equal(corrupt_images(same[:3]), distorted[:3])  # whatever else is distorted
    assert corrupt_images(same[:0]).shape == (0, 28, 28)
    assert corrupt(same[0], rng(0)).mode == "L"


@pytest.mark.parametrize("part", ["mnist:validation", "mnist:held-out"])
def test_the_parts_of_the_training_split_are_those_that_training_uses(
    part: str, mnist_train: Split, mnist_dir: object
) -> None:
    rows = hold_out(60_000)
    kept = load_named("mnist:kept", data_dir=mnist_dir)  # type: ignore[arg-type]
    held_out = load_named(part, data_dir=mnist_dir)  # type: ignore[arg-type]
    assert (len(kept), kept.name) == (55_000, "mnist-kept")
    assert (len(held_out), held_out.name) == (5_000, "mnist-held-out")
    np.testing.assert_array_equal(kept.images, mnist_train.images[rows.train])
    np.testing.assert_array_equal(held_out.images, mnist_train.images[rows.validation])
    assert list(held_out.sources[:2]) == [f"mnist/train/{row}" for row in rows.validation[:2]]


@pytest.mark.parametrize("part", ["corrupted", "distorted"])
def test_the_corrupted_part_is_that_of_validation_with_corruptions(
    part: str, monkeypatch: pytest.MonkeyPatch, mnist_train: Split, mnist_dir: object
) -> None:
    monkeypatch.setattr("simsearch.data.datasets.corrupt_images", lambda images: 255 - images)
    distorted = load_split("mnist", part, data_dir=mnist_dir)  # type: ignore[arg-type]
    held_out = mnist_train.take(hold_out(60_000).validation)
    np.testing.assert_array_equal(distorted.images, 255 - held_out.images)
    np.testing.assert_array_equal(distorted.labels, held_out.labels)
    assert distorted.name == "mnist-distorted"


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadDatasetError, match="there is no split 'val'") as refused:
        load_split("mnist", "val")
    assert refused.value.hint == (
        "choose one of: train, test, kept, validation, corrupted, held-out, distorted"
    )
