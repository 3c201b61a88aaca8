"""Learning a head from start to end: the folder that it leaves, and what it refuses."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import os
import re
import shutil
from dataclasses import replace

import numpy as np
import torch
from msgspec import structs
from shapes import CLASSES, color_encoder, write_shapes
from toys import TOY_CALIBRATION
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.training_set import find_training_set
from simsearch.encode.encoder import AS_IS, VectorOutput
from simsearch.encode.history import read_history
from simsearch.encode.imported import import_encoder
from simsearch.encode.model_folder import open_model, read_model_card, write_model_card
from simsearch.errors import BadInputError, BrokenModelError, MissingModelError
from simsearch.index.bundle import read_manifest
from simsearch.prepare.inputs import ImageInput
from simsearch.train import features as features_module
from simsearch.train.features import FEATURES, compute_features
from simsearch.train.head_run import train_head
from simsearch.train.loop import configure_torch
from simsearch.train.recipes import HEAD_PAIRS, configure
from simsearch.train.run import export

INPUT = ImageInput("photo", 1, 24, 24, 3, (0.5,) * 3, (0.25,) * 3)
QUICK = configure("head-pairs", ["epochs=3", "least_steps=30", "validation_pairs=200"])
FILES_OF_A_RUN = ["best_model.pt", "encoder.onnx", "features.npz", "history.csv", "last.pt", "model.json"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    configure_torch(threads=threads)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "colors"
    output = VectorOutput(normalize=True)
    import_encoder(color_encoder(), folder, input=INPUT, output=output, source="colors.onnx", threads=1)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """200 pictures of eight classes; 16 of them held out."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 25)


@pytest.fixture(scope="module")
def finished(encoder, pictures, tmp_path_factory):
    """A finished run, and what came of it; read only."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    result = train_head(QUICK, find_training_set(str(pictures)), encoder, folder, seed=2, threads=1)
    return folder, result


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def run(*arguments):
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env={**clean, "COLUMNS": "100", "NO_COLOR": "1"})
    return runner.invoke(app, [str(argument) for argument in arguments])


def test_a_run_leaves_a_model_whose_card_says_how_it_came_to_be(finished, encoder, pictures):
    folder, (card, exam) = finished
    training = card.training

    assert visible(folder) == FILES_OF_A_RUN
    assert read_model_card(folder) == card
    assert (card.name, card.dim, card.input, card.output) == ("shapes-head-pairs-seed2", 140, INPUT, AS_IS)
    assert card.parameters == 1 + 12 * 128 + 128 + 256
    assert card.projection is card.calibration is None  # 16 validation images support no probability
    assert (training["network"], training["dataset"], training["root"]) == ("head", "shapes", str(pictures))
    assert training["encoder"]["fingerprint"] == open_model(encoder).encoder.fingerprint
    assert training["head"]["weight"] == exam.weight
    assert list(training["head"]["results"]) == [row.name for row in exam.rows]
    assert training["head"]["held_out_classes"] == exam.held_out_classes == 2
    history = read_history(folder)
    assert [record.epoch for record in history] == [1, 2, 3]
    assert training["best"]["val_map_at_r"] == max(record.val_map_at_r for record in history)


def test_the_same_seed_gives_the_same_encoder_and_no_other_does(finished, encoder, pictures, tmp_path):
    data = find_training_set(str(pictures))
    again = train_head(QUICK, data, encoder, tmp_path / "again", seed=2, threads=1)
    other = train_head(QUICK, data, encoder, tmp_path / "other", seed=3, threads=1)

    files = [result.card.files["encoder.onnx"] for result in (finished[1], again, other)]
    assert files[0] == files[1] != files[2]


def test_an_interrupted_run_is_continued_with_the_features_that_it_kept(
    finished, encoder, pictures, tmp_path, monkeypatch
):
    data, folder = find_training_set(str(pictures)), tmp_path / "cut"

    def stop(record, _):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head(QUICK, data, encoder, folder, seed=2, threads=1, on_epoch=stop)
    assert visible(folder) == ["best_model.pt", "features.npz", "history.csv", "last.pt"]
    monkeypatch.setattr(features_module, "_compute", lambda *_: pytest.fail("computed again"))
    result = train_head(QUICK, data, encoder, folder, seed=2, resume=True, threads=1)

    assert result.card.files == finished[1].card.files
    with pytest.raises(BadInputError, match="already holds a training run"):
        train_head(QUICK, data, encoder, folder, seed=2, threads=1)
    with pytest.raises(BadInputError, match="another recipe or seed"):
        train_head(QUICK, data, encoder, folder, seed=4, resume=True, threads=1)


def test_features_of_other_pictures_or_damaged_ones_are_computed_again(encoder, pictures, tmp_path):
    data, opened = find_training_set(str(pictures)), open_model(encoder).encoder
    first = compute_features(data, opened, tmp_path)
    np.testing.assert_array_equal(compute_features(data, opened, tmp_path).vectors, first.vectors)
    loaded = data.load(INPUT, processes=1)
    np.testing.assert_allclose(first.vectors, opened.encode(loaded.split.images), atol=1e-6)
    np.testing.assert_array_equal(first.part.validation, loaded.part.validation)

    content = (tmp_path / FEATURES).read_bytes()
    for broken in (b"", content[:-200], content.replace(b"vectors", b"vectorz")):
        (tmp_path / FEATURES).write_bytes(broken)
        np.testing.assert_array_equal(compute_features(data, opened, tmp_path).vectors, first.vectors)
        assert (tmp_path / FEATURES).read_bytes() == content
    other = find_training_set(str(write_shapes(tmp_path / "shapes", 25, seed=7)))
    assert not np.array_equal(compute_features(other, opened, tmp_path).vectors, first.vectors)


def test_a_run_that_goes_on_keeps_the_features_of_its_own_encoder(encoder, pictures, tmp_path):
    data, opened = find_training_set(str(pictures)), open_model(encoder).encoder
    compute_features(data, opened, tmp_path)
    before = (tmp_path / FEATURES).read_bytes()
    other = find_training_set(str(write_shapes(tmp_path / "shapes", 25, seed=7)))
    with pytest.raises(BadInputError, match="is of a run on other pictures or another encoder"):
        compute_features(other, opened, tmp_path, resume=True)
    assert (tmp_path / FEATURES).read_bytes() == before
    (tmp_path / FEATURES).write_bytes(b"damaged")
    compute_features(data, opened, tmp_path, resume=True)
    assert (tmp_path / FEATURES).read_bytes() == before


def test_pictures_that_cannot_be_decoded_are_named_and_left_out(encoder, tmp_path):
    folder = write_shapes(tmp_path / "shapes", 6, CLASSES[:3])
    (folder / CLASSES[0] / "2.png").write_bytes(b"\x89PNG broken")
    notes, counted = [], []
    found = compute_features(
        find_training_set(str(folder)),
        open_model(encoder).encoder,
        tmp_path,
        on_progress=counted.append,
        note=notes.append,
    )
    assert (len(found.vectors), len(found.labels), sum(counted)) == (17, 17, 18)
    assert re.match(rf"skipped {CLASSES[0]}/2.png: ", notes[-1])


def test_a_finished_run_is_exported_again_while_its_encoder_is_there(finished, pictures, tmp_path):
    own = tmp_path / "colors"
    import_encoder(
        color_encoder(), own, input=INPUT, output=VectorOutput(normalize=True), source="c", threads=1
    )
    folder = tmp_path / "run"
    train_head(QUICK, find_training_set(str(pictures)), own, folder, seed=2, threads=1)
    before = (folder / "encoder.onnx").read_bytes()
    (folder / "encoder.onnx").unlink()
    card = export(folder)

    assert (folder / "encoder.onnx").read_bytes() == before
    assert read_model_card(folder) == card
    assert card.files == finished[1].card.files
    changed = structs.replace(read_model_card(own), output=VectorOutput())
    write_model_card(own, changed)
    with pytest.raises(BrokenModelError, match="is not the one that the head"):
        export(folder)
    for path in own.iterdir():
        path.unlink()
    with pytest.raises(MissingModelError):
        export(folder)


def test_the_model_works_wherever_a_model_does(finished, pictures, tmp_path):
    folder, place = finished[0], ("--index-dir", tmp_path)
    built = run("build-index", "--dataset", pictures, "--name", "mine", "--model", folder, *place)
    assert built.exit_code == 0, built.output
    asked = run("query", pictures / CLASSES[0] / "3.png", "--index", "mine", *place, "--k", 1, "--paths")
    assert asked.stdout.strip().endswith(f"{CLASSES[0]}/3.png")
    assert run("evaluate", "--index", "mine", *place).exit_code == 0
    assert run("verify", "mine", *place).exit_code == 0
    about = run("info", "--model", folder)
    assert "shapes-head-pairs-seed2" in about.stdout
    assert "140-dimensional" in about.stdout


def calibration_of(data, model, place):
    """That of an index of these pictures."""
    built = run("build-index", "--dataset", data, "--name", "mine", "--model", model, "--index-dir", place)
    assert built.exit_code == 0, built.output
    return read_manifest(place / "mine").calibration


def test_a_model_of_few_validation_images_has_no_probabilities(encoder, tmp_path):
    data = write_shapes(tmp_path / "shapes", 60, CLASSES[::2])
    settings = [f"--set={one}" for one in ("epochs=2", "least_steps=20", "held_out_share=0.5")]
    out = tmp_path / "run"
    trained = run("train", "--dataset", data, "--encoder", encoder, "--out", out, *settings)
    assert trained.exit_code == 0, trained.output
    assert read_model_card(out).calibration is None  # 120 images are too few
    refused = run("calibrate", out, "--dataset", data)
    assert refused.exit_code == 2
    assert "error: shapes holds out too few images to calibrate on" in refused.stderr
    other = run("calibrate", out, "--dataset", write_shapes(tmp_path / "other", 50, CLASSES[:4]))
    assert "was not trained on other" in other.stderr
    assert calibration_of(data, out, tmp_path) is None  # of 240 labeled images, which training has seen


def test_an_index_of_what_the_model_was_trained_on_keeps_the_models_calibration(finished, pictures, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(finished[0], model)
    write_model_card(model, structs.replace(read_model_card(model), calibration=TOY_CALIBRATION))
    found = calibration_of(pictures, model, tmp_path / "own")
    assert found == replace(TOY_CALIBRATION, gallery="not checked: the model was trained on these images")
    other = write_shapes(tmp_path / "shapes", 26, seed=5)
    assert calibration_of(other, model, tmp_path / "other") is None  # it does not hold, and a fit neither


def test_the_command_says_what_was_gained_and_shows_every_way(encoder, pictures, tmp_path):
    settings = [f"--set={one}" for one in ("epochs=2", "least_steps=20")]
    out = tmp_path / "run"
    result = run("train", "--dataset", pictures, "--encoder", encoder, "--out", out, *settings)

    assert result.exit_code == 0, result.output
    for name in ("the encoder alone", "shrunken LDA", "logistic regression", "the head alone", "joined, "):
        assert name in result.stdout
    assert "2 held-out classes" in result.stdout
    assert result.stdout.splitlines()[-2].startswith(f"{out}: best epoch ")
    assert re.match(
        "gained (nothing )?on validation images over the encoder alone", result.stdout.splitlines()[-1]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--encoder", "{tmp}/none"], 3, "there is no model in {tmp}/none (no model.json)"),
        (["--encoder", "{encoder}", "--size", "32"], 2, "an encoder says itself what pictures it takes"),
        (
            ["--encoder", "{encoder}", "--set", "flip=0.5"],
            2,
            "flip of the recipe head-pairs changes",
        ),
        (["--encoder", "{encoder}", "--dataset", "{flat}"], 2, "{flat} has no labels to train on"),
        (["--encoder", "{encoder}", "--dataset", "{few}"], 2, "few cannot be trained on: "),
        (["--encoder", "{encoder}", "--resume"], 3, "there is no run to continue in "),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line_and_writes_nothing(
    encoder, pictures, tmp_path, arguments, code, message
):
    few = write_shapes(tmp_path / "few", 1)
    words = {"tmp": tmp_path, "encoder": encoder, "few": few, "flat": pictures / CLASSES[0]}
    result = run(
        "train",
        "--dataset",
        pictures,
        *(word.format(**words) for word in arguments),
        "--out",
        tmp_path / "out",
    )
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == code, result.output
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {message.format(**words)}")
    assert visible(tmp_path) == ["few"]


def test_the_recipe_of_heads_follows_the_number_of_steps_and_chooses_by_map():
    assert (HEAD_PAIRS.average, HEAD_PAIRS.choose) == (0.0, "map-at-r")
    assert HEAD_PAIRS.average_share > 0
    assert HEAD_PAIRS.least_steps > 0
