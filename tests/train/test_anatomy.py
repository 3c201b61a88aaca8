"""The anatomy of a network is what its own run did; the figure of it says nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import pictures, texts, untidy
from torch import Tensor, nn
from toys import quadrant_image

from simsearch.encode.model_folder import PRETRAINED, ModelCard, write_model_card
from simsearch.errors import BadInputError
from simsearch.prepare.prepare import DIGIT, to_batch
from simsearch.search.searcher import Searcher
from simsearch.show.figures.architecture import architecture_figure
from simsearch.show.figures.sheet import Style
from simsearch.show.figures.theme import DARK
from simsearch.stats.calibration import PlattScaling
from simsearch.train.anatomy import Anatomy, blocks
from simsearch.train.dissect import dissect, dissect_folder, input_of_dissectable
from simsearch.train.model import SimilarityModel
from simsearch.train.networks import ImageNetwork, photo_input


@pytest.fixture(scope="module")
def images(shipped: Searcher) -> tuple[np.ndarray, np.ndarray]:
    return np.array(shipped.thumbnail(0)), np.array(shipped.thumbnail(17))


@pytest.fixture(scope="module")
def anatomy(images: tuple[np.ndarray, np.ndarray]) -> Anatomy:
    torch.manual_seed(0)
    return dissect(SimilarityModel(), *images)


def test_the_steps_are_those_that_ran_with_their_shapes_and_parameters(
    anatomy: Anatomy, images: tuple[np.ndarray, np.ndarray]
) -> None:
    first, second = anatomy.towers
    assert [(step.operation, step.name, step.shape) for step in first] == [
        (step.operation, step.name, step.shape) for step in second
    ]
    layers = {step.name: (step.operation, step.detail, step.parameters) for step in first if step.name}
    assert layers == {
        "conv1": ("Conv2d", "5x5", 25 * 32 + 32),
        "norm1": ("BatchNorm2d", "", 64),
        "conv2": ("Conv2d", "5x5", 25 * 32 * 64 + 64),
        "norm2": ("BatchNorm2d", "", 128),
        "linear": ("Linear", "", 3136 * 128 + 128),
        "norm3": ("BatchNorm1d", "", 256),
    }
    assert sum(step.parameters for step in first) == anatomy.parameters == 454_080
    assert [step.shape for step in first if step.operation == "max_pool2d"] == [(32, 14, 14), (64, 7, 7)]
    assert first[-1].operation == "normalize"
    assert anatomy.shared
    for shown, given in zip(anatomy.images, images, strict=True):
        np.testing.assert_array_equal(shown, given)


def test_every_value_is_what_the_model_computes(images: tuple[np.ndarray, np.ndarray]) -> None:
    model = SimilarityModel(projection_weight=7.0, projection_bias=-2.0).eval()
    anatomy = dissect(model, *images)
    first, second = (torch.from_numpy(to_batch(image[None])) for image in images)
    with torch.inference_mode():
        for step, expected in (
            (anatomy.towers[0][0], model.embedding.conv1(first)[0]),
            (anatomy.towers[1][1], model.embedding.norm1(model.embedding.conv1(second))[0]),
            (anatomy.towers[1][-1], model.embedding(second)[0]),
        ):
            np.testing.assert_allclose(step.output, expected.numpy(), atol=1e-6)
        assert anatomy.cosine == pytest.approx(model.get_raw_similarity(first, second).item(), abs=1e-6)
        assert anatomy.logit == pytest.approx(model(first, second).item(), abs=1e-5)
    assert (anatomy.weight, anatomy.bias) == (7.0, -2.0)
    assert anatomy.logit == pytest.approx(7 * anatomy.cosine - 2, abs=1e-5)


def test_another_network_has_another_anatomy_and_another_figure(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 8, kernel_size=(3, 7), padding=(1, 3))
            self.last = nn.Linear(8 * 7 * 7, 50)

        def forward(self, x: Tensor) -> Tensor:
            return F.normalize(self.last(F.max_pool2d(self.first(x), 4).flatten(1)))

    model = SimilarityModel()
    model.embedding = Wider()  # type: ignore[assignment]
    anatomy = dissect(model, *images)
    assert [(step.name or step.operation, step.detail, step.shape) for step in anatomy.towers[0]] == [
        ("first", "3x7", (8, 28, 28)),
        ("max_pool2d", "4x4", (8, 7, 7)),
        ("flatten", "", (392,)),
        ("last", "", (50,)),
        ("normalize", "", (50,)),
    ]
    figure = architecture_figure(anatomy)
    written = texts(figure)
    assert {"first 3x7", "max pool 4x4", "8 x 28 x 28", "8 x 7 x 7", "50 values"} <= set(written)
    assert "conv1 5x5" not in written
    assert written[0] == f"Wider: {8 * 21 + 8 + 392 * 50 + 50:,} parameters"
    assert untidy(figure) == []


def test_towers_that_do_not_share_their_weights_are_said_not_to(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    class Two(SimilarityModel):
        def __init__(self) -> None:
            super().__init__()
            self.other = SimilarityModel().embedding

        def get_raw_similarity(self, img1: Tensor, img2: Tensor) -> Tensor:
            return F.cosine_similarity(self.embedding(img1), self.other(img2))

    anatomy = dissect(Two(), *images)
    assert not anatomy.shared
    assert "different weights" in texts(architecture_figure(anatomy))


def test_what_is_not_two_towers_is_refused(images: tuple[np.ndarray, np.ndarray]) -> None:
    class Early(SimilarityModel):
        def forward(self, img1: Tensor, img2: Tensor) -> Tensor:
            return self.embedding(img1 + img2).sum(dim=1)

    with pytest.raises(ValueError, match="not two towers that meet in a cosine"):
        dissect(Early(), *images)


def test_blocks_begin_where_the_shape_changes(anatomy: Anatomy) -> None:
    grouped = blocks(anatomy.towers[0])
    assert [block.shape for block in grouped] == [
        (32, 28, 28),
        (32, 14, 14),
        (64, 14, 14),
        (64, 7, 7),
        (128,),
        (128,),
    ]
    assert [step for block in grouped for step in block.steps] == list(anatomy.towers[0])
    assert [step.operation for step in grouped[4].steps][:2] == ["flatten", "Linear"]
    np.testing.assert_array_equal(grouped[-1].output, anatomy.towers[0][-1].output)


@pytest.mark.parametrize("style", [Style(), Style(DARK, width=5, height=9)], ids=["light", "dark"])
def test_the_figure_shows_the_steps_the_sizes_and_the_values_of_the_run(
    anatomy: Anatomy, style: Style
) -> None:
    figure = architecture_figure(anatomy, style, about="a model")
    assert untidy(figure) == []
    written = texts(figure)
    assert written[:2] == ["EmbeddingNet: 454,080 parameters", "a model"]
    for label in ("image", "1 x 28 x 28", "conv1 5x5", "norm1", "32 x 28 x 28", "64 x 7 x 7", "linear"):
        assert written.count(label) == 1
    assert written.count("max pool 2x2") == 2
    assert written.count("128 values") == 2
    assert {"SimilarityModel: two images, the same weights, one cosine", "the same weights"} <= set(written)
    probability = PlattScaling(10, -5).probability(anatomy.cosine)
    assert f"{anatomy.cosine:.3f}" in written
    assert f"logit {anatomy.logit:+.2f}" in written
    assert "10.00 x cosine - 5.00" in written
    assert f"{np.floor(probability * 1000) / 10:.1f} %" in written
    shown = [image.get_array() for image in pictures(figure)]
    np.testing.assert_array_equal(shown[-2], anatomy.images[0])
    np.testing.assert_array_equal(shown[-1], anatomy.images[1])
    conv = max((step for step in anatomy.towers[0][:3]), key=lambda step: step.operation == "relu").output
    best = conv[conv.std(axis=(1, 2)).argmax()]
    assert any(np.allclose(image, (best - best.min()) / np.ptp(best), atol=1e-6) for image in shown)


def test_the_shipped_model_can_be_dissected_and_its_card_comes_along() -> None:
    card, anatomy = dissect_folder(PRETRAINED, quadrant_image(9, 200, 0, 0), quadrant_image(0, 0, 50, 255))
    assert card.parameters == anatomy.parameters
    assert card.projection.weight == pytest.approx(anatomy.weight)
    assert anatomy.logit == pytest.approx(float(card.projection.logit(anatomy.cosine)), abs=1e-4)


def test_a_residual_network_of_colors_is_drawn_with_what_it_adds() -> None:
    input = photo_input((40, 24), 3)
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 24, 40, 3)).astype(np.uint8)
    model = SimilarityModel(embedding=ImageNetwork("residual", input).build())
    anatomy = dissect(model, first, second, input)
    added = [step.shape for step in anatomy.towers[0] if step.operation == "add"]
    assert added == [(56, 6, 10), (96, 3, 5)]
    figure = architecture_figure(anatomy)
    assert untidy(figure) == []
    written = texts(figure)
    assert written[0] == f"ResidualNet: {anatomy.parameters:,} parameters"
    assert {"3 x 24 x 40", "stem.0.0 3x3", "block1.conv2 3x3", "56 x 6 x 10", "128 values"} <= set(written)
    assert written.count("+ what went in") == 2


def test_what_was_not_trained_from_scratch_is_not_drawn(tmp_path):
    card = ModelCard(
        name="photos",
        created="",
        dim=128,
        parameters=1,
        preprocessing=1,
        projection=None,
        files={},
        training={"network": "head"},
    )
    write_model_card(tmp_path, card)
    with pytest.raises(BadInputError, match=r"^photos holds no network that was trained from scratch"):
        input_of_dissectable(tmp_path)
    assert input_of_dissectable(PRETRAINED) == DIGIT
