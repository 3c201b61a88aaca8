"""Networks by name: the residual one, what each takes, and how pictures other than digits are augmented."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from simsearch.encode.model_folder import ModelCard
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.prepare.prepare import DIGIT
from simsearch.train.export import export_onnx
from simsearch.train.model import EmbeddingNet
from simsearch.train.networks import ImageNetwork, check_network, network_of, photo_input
from simsearch.train.objectives import BatchPairs
from simsearch.train.photo_augment import PhotoAugmentation
from simsearch.train.recipes import BATCH_PAIRS, PHOTO_PAIRS, configure
from simsearch.train.residual import ResidualNet

STILL = replace(PHOTO_PAIRS, crop=0.0, flip=0.0, color=0.0)
SMALL = photo_input((16, 12), 3)


def multiplications(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of one image, in convolutions and linear layers, counted while it runs."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        each = layer.weight[0].numel() if isinstance(layer.weight, torch.Tensor) else 0
        total += output[0].numel() * each

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    network.eval()(torch.zeros(1, *shape))
    return total


def test_the_residual_network_costs_less_than_three_times_embedding_net() -> None:
    network = ResidualNet()
    assert sum(one.numel() for one in network.parameters()) == 891_720
    assert multiplications(network, (1, 28, 28)) < 3 * multiplications(EmbeddingNet(), (1, 28, 28))


@pytest.mark.parametrize(
    ("channels", "width", "height"),
    [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 65, 40), (1, 8, 8), (3, 224, 160)],
)
@pytest.mark.parametrize("name", ["embedding-net", "residual"])
def test_vectors_of_any_size_are_unit_rows_without_negative_numbers(
    name: str, channels: int, width: int, height: int
) -> None:
    network = ImageNetwork(name, photo_input((width, height), channels)).build().eval()
    with torch.inference_mode():
        vectors = network(torch.randn(2, channels, height, width))
    assert vectors.shape == (2, 128)
    assert float(vectors.min()) >= 0
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_large_picture_costs_little_more_than_one_of_32_pixels() -> None:
    costs = [multiplications(ResidualNet(3, side, side), (3, side, side)) for side in (32, 64, 128)]
    assert costs[0] < costs[1] < costs[2] < 2.5 * costs[0]


def test_a_block_adds_what_went_in() -> None:
    block = ResidualNet().block1.eval()
    with torch.no_grad():
        for layer in (block.norm2.weight, block.norm2.bias):
            layer.zero_()
        x = torch.rand(1, 56, 5, 5)
        assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", ["embedding-net", "residual"])
def test_a_network_of_photographs_is_exported_for_its_own_pictures(name: str) -> None:
    torch.manual_seed(0)
    network = ImageNetwork(name, SMALL)
    trained = network.build().eval()
    encoder = OnnxEncoder(export_onnx(trained, SMALL), input=SMALL, threads=1)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3)).astype(np.uint8)
    with torch.inference_mode():
        expected = trained(network.enter(network.keep(pictures))).numpy()
    np.testing.assert_allclose(encoder.encode(pictures), expected, atol=1e-5)


def test_pictures_enter_as_their_input_says() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (4, 12, 16, 3)).astype(np.uint8)
    network = ImageNetwork("residual", SMALL)
    np.testing.assert_allclose(
        network.enter(network.keep(pictures)).numpy(), SMALL.to_batch(pictures), atol=1e-6
    )
    gray = ImageNetwork("residual", photo_input((16, 12), 1))
    np.testing.assert_allclose(
        gray.enter(gray.keep(pictures[..., 0])).numpy(), gray.input.to_batch(pictures[..., 0]), atol=1e-6
    )


def augmented(pictures: torch.Tensor, seed: int = 0, **changes: float) -> torch.Tensor:
    recipe = replace(STILL, **changes)
    return PhotoAugmentation(recipe, SMALL)(pictures, torch.Generator().manual_seed(seed))


def test_each_picture_is_changed_by_itself_and_the_same_way_for_the_same_seed() -> None:
    pictures = torch.randint(0, 256, (1, 3, 12, 16), dtype=torch.uint8).repeat(40, 1, 1, 1)
    torch.manual_seed(8)
    expected = torch.rand(2)
    torch.manual_seed(8)

    assert torch.equal(augmented(pictures), pictures)
    flipped = augmented(pictures, flip=0.5)
    mirrored = sum(bool(torch.equal(one, pictures[0].flip(-1))) for one in flipped)
    assert 10 < mirrored < 30
    assert sum(bool(torch.equal(one, pictures[0])) for one in flipped) == 40 - mirrored
    for changes in ({"crop": 0.5}, {"color": 0.4}):
        changed = augmented(pictures, **changes)
        assert (changed.shape, changed.dtype) == (pictures.shape, torch.uint8)
        assert len({one.numpy().tobytes() for one in changed}) > 35
        assert torch.equal(changed, augmented(pictures, **changes))
        assert not torch.equal(changed, augmented(pictures, seed=1, **changes))
    assert torch.equal(torch.rand(2), expected)  # the caller's generator is where it was


def test_a_crop_is_a_part_of_the_picture() -> None:
    ramp = torch.arange(16, dtype=torch.uint8).mul(10).expand(1, 3, 12, 16)
    for seed in range(5):
        found = augmented(ramp, seed, crop=0.8)[0, 0, 0].int()
        steps = found.diff()
        assert bool((steps >= 0).all())
        assert 0 <= int(found[0]) <= int(found[-1]) <= 150
        assert int(found[-1] - found[0]) < 150


def test_a_small_set_is_one_batch_and_is_seen_as_often_as_the_steps_take() -> None:
    images, labels = torch.zeros(10, 3, 12, 16, dtype=torch.uint8), np.arange(10) % 2
    recipe = replace(STILL, epochs=4, batch_size=64, least_steps=30)
    network = ImageNetwork("residual", SMALL)
    objective = BatchPairs(recipe, images, labels, seed=0, device=torch.device("cpu"), network=network)
    assert objective.steps == 8  # of four epochs: 32
    assert len(list(objective.epoch(1))) == 8
    whole = replace(recipe, batch_size=3, least_steps=1)
    assert BatchPairs(whole, images, labels, seed=0, device=torch.device("cpu"), network=network).steps == 3


@pytest.mark.parametrize(
    ("name", "size", "channels", "message"),
    [
        ("residual", (7, 20), 3, "pictures of 7x20 pixels are too small"),
        ("residual", (64, 15), 3, "pictures of 64x15 pixels are too long"),
        ("residual", (64, 64), 2, "an input has 1 or 3 channels, not 2"),
        ("residual", (2000, 2000), 3, "an input of 2000x2000 pixels is not within 1 to 1024"),
        ("resnet", (64, 64), 3, "there is no network 'resnet'"),
    ],
)
def test_what_no_network_takes_is_refused(
    name: str, size: tuple[int, int], channels: int, message: str
) -> None:
    def chosen() -> None:
        check_network(name)
        photo_input(size, channels)

    with pytest.raises(BadInputError) as caught:
        chosen()
    assert caught.value.message == message


def test_recipes_of_digits_and_of_other_pictures_are_not_mixed() -> None:
    with pytest.raises(BadInputError, match=r"^rotation of the recipe batch-pairs is for digits$"):
        ImageNetwork("residual", SMALL).augmentation(BATCH_PAIRS)
    with pytest.raises(BadInputError, match=r"^crop of the recipe photo-pairs is for other pictures$"):
        ImageNetwork("residual", DIGIT).augmentation(configure("photo-pairs"))


def test_a_card_names_the_network_of_its_checkpoint() -> None:
    fields = {"created": "", "dim": 128, "parameters": 1, "preprocessing": 1, "projection": None, "files": {}}
    plain = ModelCard(name="plain", training={}, **fields)
    assert network_of(plain) == ImageNetwork("embedding-net", DIGIT)
    assert network_of(
        ModelCard(name="r", training={"network": "residual"}, input=SMALL, **fields)
    ) == ImageNetwork("residual", SMALL)
    with pytest.raises(BrokenModelError, match="holds no network that was trained from scratch, but 'head'"):
        network_of(ModelCard(name="h", training={"network": "head"}, **fields))
