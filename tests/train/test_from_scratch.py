"""The residual network on pictures of colors, from the command line: its run is a model as any other."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import os

import torch
from msgspec import structs
from shapes import CLASSES, write_shapes
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode.model_folder import FileRecord, read_model_card, write_model_card
from simsearch.index.verify import verify
from simsearch.train.loop import configure_torch


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 8, CLASSES[:3])


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """A run of a moment; read only."""
    threads, folder = torch.get_num_threads(), tmp_path_factory.mktemp("runs") / "scratch"
    settings = ["epochs=2", "least_steps=4", "validation_pairs=50"]
    made = run("train", "--dataset", pictures, "--network", "residual", "--size", "40x24", "--out", folder,
               "--threads", 1, *(part for setting in settings for part in ("--set", setting)))  # fmt: skip
    configure_torch(threads=threads)
    assert made.exit_code == 0, made.output
    return folder


def run(*arguments):
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env={**clean, "COLUMNS": "100", "NO_COLOR": "1"})
    return runner.invoke(app, [str(argument) for argument in arguments])


def test_it_builds_an_index_answers_and_is_drawn(trained, pictures, tmp_path):
    place = ("--index-dir", tmp_path)
    built = run("build-index", "--dataset", pictures, "--name", "mine", "--model", trained, *place)
    assert built.exit_code == 0, built.output
    asked = run("query", pictures / CLASSES[0] / "3.png", "--index", "mine", *place, "--k", 1, "--paths")
    assert asked.stdout.strip().endswith(f"{CLASSES[0]}/3.png")
    drawn = run(
        "figure", "architecture", "--model", trained, "-o", tmp_path / "a.png", "--index", "mine", *place
    )
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "a.png").stat().st_size > 10_000
    two = (pictures / CLASSES[0] / "1.png", pictures / CLASSES[1] / "1.png")
    drawn = run("figure", "architecture", *two, "--model", trained, "-o", tmp_path / "b.png")
    assert drawn.exit_code == 0, drawn.output


def test_its_weights_are_compared_with_its_encoder(trained):
    found = {check.name: check for check in verify(trained)}
    assert found["weights"].passed
    assert found["weights"].detail.startswith("encoder.onnx has those of best_model.pt: vectors differ by ")
    assert all(check.passed for check in found.values())


def test_weights_of_another_run_are_found(trained, tmp_path):
    card = read_model_card(trained)
    state = torch.load(trained / "best_model.pt", weights_only=True)
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    other = dict(state) | {"embedding.linear.bias": state["embedding.linear.bias"] + 1}
    torch.save(other, tmp_path / "best_model.pt")
    record = FileRecord.of((tmp_path / "best_model.pt").read_bytes())
    write_model_card(tmp_path, structs.replace(card, files={**card.files, "best_model.pt": record}))
    found = {check.name: check for check in verify(tmp_path)}
    assert found["weights"].passed is False
    assert "has other weights than best_model.pt" in found["weights"].detail


def test_an_encoder_and_a_network_from_scratch_exclude_each_other(trained, pictures):
    made = run("train", "--dataset", pictures, "--encoder", trained, "--network", "residual")
    assert made.exit_code == 2
    assert made.stderr.startswith("error: on an encoder a head is trained, not a network from scratch\n")
