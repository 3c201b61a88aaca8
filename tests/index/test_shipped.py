"""What ships with simsearch: the model, and the index that answers in a fresh clone."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simsearch.data.mnist_files import FILES
from simsearch.data.splits import Split
from simsearch.encode.model_folder import BEST_CHECKPOINT, open_model, read_model_card
from simsearch.encode.reference import EMBEDDING_NET
from simsearch.encode.shipped_models import SHIPPED
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.stores.base import gather
from simsearch.index.verify import verify
from simsearch.prepare.prepare import prepare_image, to_batch
from simsearch.search.searcher import Searcher


def test_the_shipped_index_is_what_the_shipped_encoder_makes_of_mnist(
    shipped: Searcher, mnist_test: Split
) -> None:
    bundle, model = shipped.bundle, open_model()
    assert bundle.encoder.model == model.encoder.model
    assert bundle.manifest.encoder == model.encoder.fingerprint
    assert bundle.manifest.projection == model.card.projection
    assert bundle.manifest.data_sha256 == {file.name: file.sha256 for file in FILES if file.split == "test"}
    np.testing.assert_array_equal(bundle.thumbnails, mnist_test.images)
    np.testing.assert_array_equal(bundle.labels, mnist_test.labels)
    np.testing.assert_array_equal(bundle.ids, np.arange(10_000))
    assert list(bundle.sources) == [f"mnist/test/{row}" for row in range(10_000)]
    vectors = model.encoder.encode(mnist_test.images)
    np.testing.assert_allclose(gather(bundle.store).vectors, vectors, rtol=0, atol=1e-5)


def test_ten_real_digits_find_themselves_first(shipped: Searcher, mnist_test: Split, tmp_path: Path) -> None:
    rows = [int(np.flatnonzero(mnist_test.labels == label)[label]) for label in range(10)]
    for row in rows:
        path = tmp_path / f"{row}.png"
        Image.fromarray(mnist_test.images[row]).save(path)
        answer = shipped.query(path, k=10)
        assert answer.hits[0].id == row
        assert f"{answer.hits[0].score:.3f}" == "1.000"
        assert answer.hits[0].label == answer.classes[0].label == str(mnist_test.labels[row])


def test_the_readmes_picture_is_a_five(shipped: Searcher) -> None:
    answer = shipped.query(Path(__file__).parents[2] / "docs" / "digit.png", k=10)
    assert answer.classes[0].label == "5"


def test_enlarged_inverted_shifted_digits_keep_their_class(shipped: Searcher, mnist_test: Split) -> None:
    rng = np.random.default_rng(2)
    prepared = []
    for image in mnist_test.images[:200]:
        canvas = np.full((500, 420), 255, np.uint8)
        y, x = rng.integers(10, 160, size=2)
        canvas[y : y + 224, x : x + 224] = 255 - np.kron(image, np.ones((8, 8), np.uint8))
        prepared.append(prepare_image(canvas))
    answers = shipped.query_prepared(prepared, k=1)
    found = np.array([int(answer.classes[0].label) for answer in answers])
    assert (found == mnist_test.labels[:200]).mean() >= 0.98


@pytest.mark.parametrize("name", SHIPPED)
def test_checkpoint_and_encoder_agree(name: str, mnist_test: Split) -> None:
    torch = pytest.importorskip("torch")
    from simsearch.train.checkpoints import load_model
    from simsearch.train.networks import network_of

    folder = SHIPPED[name]
    model = open_model(folder)
    data = (folder / BEST_CHECKPOINT).read_bytes()
    assert hashlib.sha256(data).hexdigest() == model.card.files[BEST_CHECKPOINT].sha256
    network = load_model(folder / BEST_CHECKPOINT, network_of(model.card))
    with torch.inference_mode():
        expected = network.embedding(torch.from_numpy(to_batch(mnist_test.images[:256])))
    np.testing.assert_allclose(
        model.encoder.encode(mnist_test.images[:256]), expected.numpy(), rtol=0, atol=1e-5
    )
    assert network.projection.weight.item() == pytest.approx(model.card.projection.weight)
    assert network.projection.bias.item() == pytest.approx(model.card.projection.bias)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_what_its_name_says_and_passes_its_checks(name: str) -> None:
    card = read_model_card(SHIPPED[name])
    assert card.training.get("network", EMBEDDING_NET) == name
    assert card.calibration is not None
    assert [check for check in verify(SHIPPED[name]) if check.passed is False] == []


def test_the_second_model_knows_the_digits(mnist_test: Split, tmp_path: Path) -> None:
    split = mnist_test.take(np.arange(2_000))
    build_index(split, open_model(SHIPPED["residual"]), tmp_path / "residual")
    report = evaluate(open_bundle(tmp_path / "residual"))
    assert report.figures["P@1"].value >= 0.985
