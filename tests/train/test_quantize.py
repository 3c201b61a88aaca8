"""An encoder in int8: its vectors stay close, and its file says what they must be on any processor."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode.model_folder import PRETRAINED, Model, open_model
from simsearch.encode.onnx import PROBE, OnnxEncoder
from simsearch.errors import BadInputError, BrokenModelError
from simsearch.index.bundle import open_bundle
from simsearch.search.searcher import Searcher

onnx = pytest.importorskip("onnx")
from simsearch.train.quantize import quantize_model  # noqa: E402


@pytest.fixture(scope="module")
def pictures(shipped: Searcher):
    return np.asarray(shipped.bundle.thumbnails[:2_000:4])


@pytest.fixture(scope="module")
def quantized(pictures) -> Model:
    return quantize_model(open_model(threads=1), pictures[:200], threads=1)


def probed(model: bytes, change) -> bytes:
    """The file, with what it carries changed."""
    graph = onnx.load_model_from_string(model)
    [entry] = [entry for entry in graph.metadata_props if entry.key == PROBE]
    entry.value = change(entry.value)
    return graph.SerializeToString()


def turned(text: str) -> str:
    """The numbers of the third vector a place on, as another processor might have them."""
    fields = json.loads(text)
    vectors = np.frombuffer(base64.b64decode(fields["vectors"]), "<f4").reshape(-1, 128).copy()
    vectors[2] = np.roll(vectors[2], 1)
    return json.dumps({**fields, "vectors": base64.b64encode(vectors.tobytes()).decode()})


def test_vectors_stay_close_and_the_nearest_are_of_the_same_class(quantized, pictures, shipped):
    whole = open_model(threads=1).encoder.encode(pictures)
    coarse = quantized.encoder.encode(pictures)
    cosines = np.einsum("nd,nd->n", whole, coarse)
    assert cosines.min() > 0.99
    assert cosines.mean() > 0.9998
    assert (cosines < 1 - 1e-6).any()  # or nothing was quantized
    tops = [
        [answer.classes[0].label for answer in shipped.query_vectors(vectors, [None] * len(vectors))]
        for vectors in (whole, coarse)
    ]
    assert np.mean(np.array(tops[0]) == np.array(tops[1])) > 0.99


def test_the_kernels_but_the_first_and_the_matrices_are_in_int8(quantized):
    graph = onnx.load_model_from_string(quantized.encoder.model).graph
    weights = {one.name: one.data_type for one in graph.initializer}
    scaled = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.input[:1]}
    assert sum(weights.get(name) == onnx.TensorProto.INT8 for name in scaled) == 2
    assert weights["conv1.weight"] == onnx.TensorProto.FLOAT


def test_the_same_pictures_give_the_same_file_and_its_card_says_of_what_it_was_made(quantized, pictures):
    again = quantize_model(open_model(threads=1), pictures[:200], threads=1)
    assert again.encoder.fingerprint == quantized.encoder.fingerprint
    assert again.card.name == "outlier-exposure-seed1-int8"
    assert again.card.training["quantized"] == {
        "from": open_model().encoder.fingerprint,
        "precision": "int8",
        "pictures": 200,
    }


def test_an_encoder_that_gives_other_vectors_here_is_refused(quantized):
    with pytest.raises(BrokenModelError, match="other vectors than where it was made"):
        OnnxEncoder(probed(quantized.encoder.model, turned), threads=1)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 9_000, '{"pictures": "", "vectors": ""}', '{"pictures": 1, "vectors": "?"}'],
)
def test_a_file_that_carries_something_else_is_refused(quantized, text):
    with pytest.raises(BrokenModelError, match="cannot be read"):
        OnnxEncoder(probed(quantized.encoder.model, lambda _: text), threads=1)


def test_what_cannot_be_quantized_is_refused(quantized, pictures):
    with pytest.raises(BadInputError, match="no picture"):
        quantize_model(quantized, pictures[:0])
    with pytest.raises(BadInputError, match="in int8 already"):
        quantize_model(quantized, pictures[:10])


def test_an_encoder_with_a_head_still_gives_unit_vectors(pictures):
    torch = pytest.importorskip("torch")
    from simsearch.train.head import HeadNet, JoinedHead
    from simsearch.train.head_export import export_head

    base = open_model(threads=1)
    torch.manual_seed(3)
    center = torch.from_numpy(base.encoder.encode(pictures).mean(axis=0))
    joined = JoinedHead(HeadNet(center, 2.0), 0.5).eval()
    whole = OnnxEncoder(export_head(base.encoder, joined), input=base.encoder.input, threads=1)
    quantized = quantize_model(Model(whole, base.card), pictures[:200], threads=1)
    vectors = quantized.encoder.encode(pictures)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = np.einsum("nd,nd->n", whole.encode(pictures), vectors)
    assert cosines.mean() > 0.999
    assert (cosines < 1 - 1e-6).any()


def test_build_index_and_export_in_int8(tmp_path: Path, pictures):
    for number, picture in enumerate(pictures[:30]):
        folder = tmp_path / "digits" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number}.png")
    (tmp_path / "digits" / "0" / "broken.png").write_bytes(b"no picture")
    run = CliRunner().invoke
    built = ["build-index", "--dataset", str(tmp_path / "digits"), "--index-dir", str(tmp_path)]
    made = run(app, [*built, "--name", "direct", "--encoder-precision", "int8"])
    assert made.exit_code == 0, made.stderr
    assert "quantizing the encoder by 30 pictures of the gallery" in made.stderr
    model = str(tmp_path / "model")
    by = ["--int8", model, "--dataset", str(tmp_path / "digits")]
    exported = run(app, ["export", str(PRETRAINED), *by])
    assert exported.exit_code == 0, exported.stderr
    assert run(app, [*built, "--name", "through", "--model", model]).exit_code == 0
    direct, through = (open_bundle(tmp_path / name) for name in ("direct", "through"))
    assert direct.manifest.encoder == through.manifest.encoder != open_model().encoder.fingerprint
    assert direct.manifest.model == "outlier-exposure-seed1-int8"
    order = [int(Path(source).stem) for source in direct.sources]
    assert np.array_equal(direct.store.vectors(direct.ids), direct.encoder.encode(pictures[order]))
    again = run(app, ["export", str(PRETRAINED), *by])
    assert (again.exit_code, "holds a model already" in again.stderr) == (2, True)
    shared = run(app, [*built, "--name", "no", "--encoder-precision", "int8", "--engine", "ray"])
    assert (shared.exit_code, "export RUN --int8 FOLDER" in shared.stderr) == (2, True)
