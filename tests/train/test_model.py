"""The network: exactly the one the seed describes, compared with a second writing of it."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import numpy as np
import torch
from torch import nn

from simsearch.train.model import EMBEDDING_DIM, EmbeddingNet, SimilarityModel


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model():
    """A model in evaluation mode, none of whose numbers is at its trivial start value."""
    generator = torch.Generator().manual_seed(5)
    torch.manual_seed(5)
    model = SimilarityModel()
    with torch.no_grad():
        for name, value in model.embedding.state_dict().items():
            if "norm" in name and value.dtype == torch.float32:
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return model.eval()


def pictures(count, seed=0):
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


def test_the_embedding_net_has_454080_parameters_and_the_model_two_more():
    model = SimilarityModel()

    assert sum(parameter.numel() for parameter in model.embedding.parameters()) == 454_080
    assert sum(parameter.numel() for parameter in model.parameters()) == 454_082
    assert EMBEDDING_DIM == 128


def test_every_layer_has_the_shape_it_is_described_with(model):
    shapes = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape)}))
        for name, layer in model.embedding.named_children()
    ]
    with torch.inference_mode():
        vectors = model.embedding(pictures(3))
    for hook in hooks:
        hook.remove()

    assert shapes == {
        "conv1": (3, 32, 28, 28),
        "norm1": (3, 32, 28, 28),
        "conv2": (3, 64, 14, 14),
        "norm2": (3, 64, 14, 14),
        "linear": (3, 128),
        "norm3": (3, 128),
    }
    assert tuple(vectors.shape) == (3, 128)


def test_vectors_are_of_length_one_and_nowhere_negative(model):
    with torch.inference_mode():
        vectors = model.embedding(pictures(200)).numpy()

    assert vectors.dtype == np.float32
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert vectors.min() >= 0


def convolve(x, weight, bias):
    """5x5 convolution with padding 2: the sum over its 25 shifts, in float64."""
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    height, width = x.shape[2:]
    total = bias[None, :, None, None]
    for row in range(5):
        for column in range(5):
            shifted = padded[:, :, row : row + height, column : column + width]
            total = total + np.einsum("nchw,oc->nohw", shifted, weight[:, :, row, column])
    return total


def normalize(x, values, name):
    scale, shift, mean, variance = (
        values[f"{name}.{part}"].reshape(-1, *([1] * (x.ndim - 2)))
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


def embed_by_hand(values, images):
    """EmbeddingNet written a second time from the seed's text, with numpy alone."""
    x = pool(
        np.maximum(
            normalize(convolve(images, values["conv1.weight"], values["conv1.bias"]), values, "norm1"), 0
        )
    )
    x = pool(
        np.maximum(normalize(convolve(x, values["conv2.weight"], values["conv2.bias"]), values, "norm2"), 0)
    )
    x = x.reshape(len(x), 3136) @ values["linear.weight"].T + values["linear.bias"]
    x = np.maximum(normalize(x, values, "norm3"), 0)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_network_agrees_with_one_written_in_numpy_from_its_description(model):
    images = pictures(5)
    values = {name: value.double().numpy() for name, value in model.embedding.state_dict().items()}

    expected = embed_by_hand(values, images.double().numpy())
    with torch.inference_mode():
        found = model.embedding(images).numpy()

    assert np.abs(found - expected).max() < 1e-6
    assert expected.std() > 0.01  # and that is not because all of it is flat


def test_the_whole_model_agrees_with_cosine_and_projection_by_hand(model):
    values = {name: value.double().numpy() for name, value in model.embedding.state_dict().items()}
    first, second = pictures(4, seed=1), pictures(4, seed=2)
    cosines = (
        embed_by_hand(values, first.double().numpy()) * embed_by_hand(values, second.double().numpy())
    ).sum(1)

    with torch.inference_mode():
        raw, logits = model.get_raw_similarity(first, second), model(first, second)

    assert raw.shape == logits.shape == (4,)
    assert raw.numpy() == pytest.approx(cosines, abs=1e-6)
    assert logits.numpy() == pytest.approx(10 * cosines - 5, abs=1e-5)


def test_the_logit_is_the_projection_of_the_raw_similarity(model):
    first, second = pictures(9, seed=1), pictures(9, seed=2)

    with torch.inference_mode():
        assert torch.equal(model(first, second), model.project(model.get_raw_similarity(first, second)))


def test_similarity_is_symmetric_and_one_for_an_image_and_itself(model):
    first, second = pictures(9, seed=1), pictures(9, seed=2)

    with torch.inference_mode():
        assert torch.equal(model.get_raw_similarity(first, second), model.get_raw_similarity(second, first))
        own = model.get_raw_similarity(first, first)
    assert own.numpy() == pytest.approx(np.ones(9), abs=1e-6)


def test_raw_similarities_lie_between_zero_and_one(model):
    with torch.inference_mode():
        raw = model.get_raw_similarity(pictures(200, seed=1), pictures(200, seed=2))

    assert float(raw.min()) >= 0
    assert float(raw.max()) <= 1 + 1e-6


def test_both_images_go_through_one_and_the_same_network(model):
    assert [name for name, _ in model.named_children()] == ["embedding", "projection"]
    seen = []
    hook = model.embedding.register_forward_hook(lambda network, _, __: seen.append(id(network)))
    with torch.inference_mode():
        model(pictures(2), pictures(2))
    hook.remove()

    assert seen == [id(model.embedding)] * 2


def test_the_projection_starts_at_weight_ten_and_bias_minus_five_whatever_the_seed():
    for seed in range(5):
        torch.manual_seed(seed)
        projection = SimilarityModel().projection
        assert isinstance(projection, nn.Linear)
        assert (projection.weight.tolist(), projection.bias.tolist()) == ([[10.0]], [-5.0])


def test_another_start_of_the_projection_can_be_asked_for():
    projection = SimilarityModel(2.0, 0.25).projection

    assert (projection.weight.tolist(), projection.bias.tolist()) == ([[2.0]], [0.25])


def test_project_keeps_any_shape(model):
    with torch.inference_mode():
        found = model.project(torch.tensor([[0.0, 0.5, 1.0], [0.25, 0.75, 0.1]]))

    assert found.tolist() == [[-5.0, 0.0, 5.0], [-2.5, 2.5, -4.0]]


def test_a_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    model = SimilarityModel()

    model(pictures(8, seed=1), pictures(8, seed=2)).square().sum().backward()

    still = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


def test_pooling_before_relu_gives_the_vectors_and_gradients_of_the_described_order():
    torch.manual_seed(2)
    net = EmbeddingNet()
    described = nn.Sequential(
        *(net.conv1, net.norm1, nn.ReLU(), nn.MaxPool2d(2)),
        *(net.conv2, net.norm2, nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), net.linear, net.norm3, nn.ReLU()),
    )
    images, towards = pictures(8), torch.randn(8, 128)
    results = []
    for run in (net, lambda batch: nn.functional.normalize(described(batch))):
        net.zero_grad()
        vectors = run(images)
        (vectors * towards).sum().backward()
        results.append([vectors.detach(), *(value.grad.clone() for value in net.parameters())])
    for found, expected in zip(*results, strict=True):
        assert torch.equal(found, expected)


def test_a_picture_is_embedded_alike_alone_and_in_company(model):
    images = pictures(6)

    with torch.inference_mode():
        together = model.embedding(images)
        alone = torch.cat([model.embedding(image[None]) for image in images])

    assert float((together - alone).abs().max()) < 1e-6


def test_an_embedding_net_has_the_names_the_checkpoints_use():
    assert [name for name, _ in EmbeddingNet().named_children()] == [
        "conv1",
        "norm1",
        "conv2",
        "norm2",
        "linear",
        "norm3",
    ]
