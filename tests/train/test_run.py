"""A whole run: what its folder holds, what the card says, and when it is refused."""

import pytest
from msgspec import structs

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import csv
import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from importlib import metadata

import numpy as np
import torch
from filelock import FileLock

from simsearch import __version__
from simsearch.data.mnist import FILES
from simsearch.data.splits import Split, hold_out
from simsearch.encode.history import EpochRecord, history_csv
from simsearch.encode.model_folder import (
    BEST_CHECKPOINT,
    ENCODER,
    MODEL_CARD,
    PRETRAINED,
    FileRecord,
    open_model,
    read_model_card,
)
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenModelError, BusyError, MissingModelError, SimsearchError
from simsearch.index.verify import verify
from simsearch.prepare.prepare import DIGIT, PREPROCESSING_VERSION, to_batch
from simsearch.train import export as export_module
from simsearch.train import run
from simsearch.train.checkpoints import load_model, read_checkpoint
from simsearch.train.exposure import check_classes, draw_outliers
from simsearch.train.loop import Trainer, configure_torch
from simsearch.train.networks import DIGIT_NETWORK
from simsearch.train.recipes import SIAMESE_PAIRS
from simsearch.train.run import export, train
from simsearch.train.run_folder import doubts, run_name
from simsearch.train.validation import embed

RECIPE = replace(
    SIAMESE_PAIRS, epochs=2, batch_size=16, pairs_per_epoch=40, validation_pairs=60, held_out_images=80
)
FILES_OF_A_RUN = ["best_model.pt", "encoder.onnx", "history.csv", "last.pt", "model.json"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    configure_torch(threads=threads)


@pytest.fixture(scope="module")
def split(mnist_train):
    return mnist_train.take(np.arange(200))


@pytest.fixture(scope="module")
def finished(split, tmp_path_factory):
    """A finished run, its card and the records its callback saw; read only."""
    folder = tmp_path_factory.mktemp("runs") / "deep" / "finished"
    seen = []
    card = train(RECIPE, split, folder, seed=3, threads=1, on_epoch=lambda *record: seen.append(record))
    return folder, card, seen


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    """A folder of this test's own with the same files."""
    for name in FILES_OF_A_RUN:
        (tmp_path / name).write_bytes((finished[0] / name).read_bytes())
    return tmp_path


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in visible(folder)}


def without_luck(card):
    """What must be equal in two cards of the same run."""
    training = {**card.training, "seconds": None, "best": {**card.training["best"], "seconds": None}}
    return structs.replace(card, created="", training=training)


def test_a_run_folder_holds_its_five_files_and_nothing_else(finished):
    assert visible(finished[0]) == FILES_OF_A_RUN


def test_the_card_says_how_the_model_came_to_be(finished):
    folder, card, seen = finished
    best = min((record for record, _ in seen), key=lambda record: record.val_loss)
    held_out = hold_out(200, 80).validation.astype("<i8").tobytes()

    assert read_model_card(folder) == card
    assert (card.name, card.dim, card.parameters) == ("siamese-pairs-seed3", 128, 454_080)
    assert card.preprocessing == PREPROCESSING_VERSION
    training = dict(card.training)
    assert training.pop("seconds") == pytest.approx(sum(record.seconds for record, _ in seen), abs=0.051)
    assert training == {
        "recipe": asdict(RECIPE),
        "seed": 3,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "dataset": "mnist-train",
        "data_sha256": {file.name: file.sha256 for file in FILES if file.name.startswith("train")},
        "held_out_rows_sha256": hashlib.sha256(held_out).hexdigest(),
        "best": best.figures(),
        "versions": {
            "simsearch": __version__,
            "python": platform.python_version(),
            **{
                name: metadata.version(name)
                for name in ("torch", "torchvision", "numpy", "onnx", "onnxruntime")
            },
        },
    }
    assert len(training["data_sha256"]) == 2


def test_the_card_is_json_that_any_reader_understands(finished):
    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    raw = json.loads((finished[0] / "model.json").read_bytes(), parse_constant=refuse)

    assert raw["format"] == 1
    assert sorted(raw["files"]) == ["best_model.pt", "encoder.onnx"]


def test_the_card_describes_the_files_beside_it(finished):
    folder, card, _ = finished

    assert dict(card.files) == {
        name: FileRecord.of((folder / name).read_bytes()) for name in ("best_model.pt", "encoder.onnx")
    }
    model = load_model(folder / "best_model.pt", sha256=card.files["best_model.pt"].sha256)
    assert (card.projection.weight, card.projection.bias) == (
        model.projection.weight.item(),
        model.projection.bias.item(),
    )


def test_the_encoder_of_a_run_is_the_network_of_its_best_checkpoint(finished, split):
    folder, _, _ = finished
    images = split.images[:70]

    found = open_model(folder, threads=1).encoder.encode(images)

    expected = embed(load_model(folder / "best_model.pt"), torch.from_numpy(to_batch(images))).numpy()
    assert float(np.abs(found - expected).max()) < 1e-5


def parse_history(data):
    rows = csv.DictReader(io.StringIO(data.decode(), newline=""))
    return [EpochRecord(int(row.pop("epoch")), **{key: float(row[key]) for key in row}) for row in rows]


def test_the_history_file_holds_exactly_what_the_epochs_reported(finished):
    folder, _, seen = finished
    data = (folder / "history.csv").read_bytes()

    assert parse_history(data) == [record for record, _ in seen]
    assert data.splitlines()[0] == (
        b"epoch,train_loss,train_accuracy,val_loss,val_accuracy,learning_rate,seconds"
    )
    assert b"\r" not in data


def test_any_history_survives_its_csv_form_exactly():
    history = [
        EpochRecord(1, 1 / 3, 0.1 + 0.2, 1e-17, 1.0, 5e-324, 12.000000000000002),
        EpochRecord(2, 0.0, 1.7976931348623157e308, -0.0, 2 / 3, 1e-05, 0.1),
    ]

    assert parse_history(history_csv(history)) == history
    assert parse_history(history_csv([])) == []


def test_the_history_is_on_disk_before_an_epoch_is_reported(split, tmp_path):
    lengths = []

    def stop_after_the_first(*_):
        lengths.append(len(parse_history((tmp_path / "history.csv").read_bytes())))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, split, tmp_path, seed=3, threads=1, on_epoch=stop_after_the_first)

    assert lengths == [1]
    assert visible(tmp_path) == ["best_model.pt", "history.csv", "last.pt"]


KILLED = """
    import os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    import numpy as np
    from simsearch import files as atomic
    from simsearch.data.datasets import load_split
    from simsearch.train.recipes import SIAMESE_PAIRS
    from simsearch.train.run import train

    folder, data_dir, changes = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
    replaced, replace_file = [], atomic.replace_file

    def replace_or_die(source, target):
        replaced.append(target.name)
        if replaced.count("history.csv") == 2:  # all epochs are over, the second is not in the history yet
            os.kill(os.getpid(), signal.SIGKILL)
        replace_file(source, target)

    atomic.replace_file = replace_or_die
    split = load_split("mnist", "train", data_dir=data_dir).take(np.arange(200))
    train(replace(SIAMESE_PAIRS, **changes), split, folder, seed=3, threads=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_after_its_last_epoch_is_finished_by_resuming_it(finished, split, mnist_dir, tmp_path):
    whole, card, _ = finished
    changes = {
        field: value for field, value in asdict(RECIPE).items() if value != asdict(SIAMESE_PAIRS)[field]
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), tmp_path, mnist_dir, repr(changes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [name for name in visible(tmp_path) if name.startswith(".tmp-")] != []
    assert len(parse_history((tmp_path / "history.csv").read_bytes())) == 1

    resumed = train(
        RECIPE, split, tmp_path, seed=3, resume=True, threads=1,
        on_epoch=lambda *_: pytest.fail("no epoch was left"),
    )  # fmt: skip

    assert visible(tmp_path) == FILES_OF_A_RUN  # the temporary file is gone, too
    assert without_luck(resumed) == without_luck(card)
    for name in ("best_model.pt", "encoder.onnx"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    history = [
        [replace(record, seconds=0) for record in parse_history((folder / "history.csv").read_bytes())]
        for folder in (tmp_path, whole)
    ]
    assert history[0] == history[1]
    assert len(history[0]) == 2


def test_resuming_a_finished_run_gives_the_same_model_again(copy_of_finished, finished, split):
    before = contents(copy_of_finished)

    card = train(RECIPE, split, copy_of_finished, seed=3, resume=True, threads=1)

    after = contents(copy_of_finished)
    assert structs.replace(card, created="") == structs.replace(finished[1], created="")
    assert {**after, "model.json": b""} == {**before, "model.json": b""}


def test_exporting_a_finished_run_gives_the_same_encoder_again(copy_of_finished, finished):
    before = contents(copy_of_finished)
    (copy_of_finished / "encoder.onnx").write_bytes(b"lost")

    card = export(copy_of_finished)

    assert structs.replace(card, created="") == structs.replace(finished[1], created="")
    assert {**contents(copy_of_finished), "model.json": b""} == {**before, "model.json": b""}
    assert OnnxEncoder((copy_of_finished / "encoder.onnx").read_bytes()).dim == 128


def test_an_encoder_that_differs_from_torch_is_not_written(copy_of_finished, monkeypatch):
    before = contents(copy_of_finished)
    other = load_model(copy_of_finished / "best_model.pt").embedding
    with torch.no_grad():
        other.norm3.bias += 0.01
    wrong = export_module.to_onnx(other, DIGIT.tensor_shape)
    monkeypatch.setattr(export_module, "to_onnx", lambda *_: wrong)

    with pytest.raises(SimsearchError, match=r"^the exported encoder differs from torch by ") as caught:
        export(copy_of_finished)

    assert caught.value.exit_code == 1
    assert contents(copy_of_finished) == before


def test_a_checkpoint_that_is_not_the_described_one_is_not_exported(copy_of_finished):
    path = copy_of_finished / "best_model.pt"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    before = contents(copy_of_finished)

    with pytest.raises(BrokenModelError, match=r"best_model.pt is not the file that model.json describes$"):
        export(copy_of_finished)

    assert contents(copy_of_finished) == before


def test_a_folder_without_a_model_is_not_exported(tmp_path):
    with pytest.raises(MissingModelError, match=r"^there is no model in "):
        export(tmp_path)


@pytest.mark.parametrize("kept", ["last.pt", "model.json"])
def test_a_folder_that_holds_a_run_is_left_alone(copy_of_finished, split, kept):
    for name in FILES_OF_A_RUN:
        if name != kept:
            (copy_of_finished / name).unlink()
    before = contents(copy_of_finished)

    with pytest.raises(BadInputError) as caught:
        train(RECIPE, split, copy_of_finished, threads=1)

    assert caught.value.message == f"{copy_of_finished} already holds a training run"
    assert caught.value.hint == "add --resume to continue it, or choose another --out"
    assert contents(copy_of_finished) == before


def test_a_run_of_another_seed_or_recipe_is_not_resumed(copy_of_finished, split):
    before = contents(copy_of_finished)

    for recipe, seed in ((RECIPE, 4), (replace(RECIPE, epochs=3), 3)):
        with pytest.raises(BadInputError, match=r"last.pt is of a run with another recipe or seed$"):
            train(recipe, split, copy_of_finished, seed=seed, resume=True, threads=1)

    assert contents(copy_of_finished) == before


def test_there_is_nothing_to_resume_in_an_empty_folder(split, tmp_path):
    with pytest.raises(MissingModelError) as caught:
        train(RECIPE, split, tmp_path, resume=True, threads=1)

    assert caught.value.message == f"there is no run to continue in {tmp_path} (no last.pt)"
    assert caught.value.hint == "leave --resume out to start one"
    assert caught.value.exit_code == 3


def test_a_folder_another_process_trains_into_is_busy(split, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(BusyError) as caught:
        train(RECIPE, split, tmp_path, threads=1)

    assert caught.value.message == f"another process is training into {tmp_path}"
    assert caught.value.exit_code == 4
    assert visible(tmp_path) == []


def test_an_unlabeled_split_cannot_be_trained_on(split, tmp_path):
    with pytest.raises(BadInputError, match=r"^mnist-train has no labels to train on$"):
        train(RECIPE, replace(split, labels=None), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_a_split_too_small_to_hold_images_out_of_is_refused(split, tmp_path):
    with pytest.raises(BadInputError) as caught:
        train(SIAMESE_PAIRS, split, tmp_path, threads=1)

    assert caught.value.message == "cannot hold out 5000 of 200 images, which choose the checkpoint"
    assert caught.value.hint == "choose fewer with --set held_out_images=NUMBER"
    assert caught.value.exit_code == 2
    assert visible(tmp_path) == []


def test_a_split_of_a_single_class_is_refused(split, tmp_path):
    one = Split(split.images, np.zeros(200, np.int64), split.sources, "one", ("zero",))

    with pytest.raises(BadInputError, match=r"^the 80 validation images cannot be paired: ") as caught:
        train(RECIPE, one, tmp_path, threads=1)

    assert caught.value.exit_code == 2


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
def test_a_seed_no_generator_takes_is_refused(split, tmp_path, seed):
    with pytest.raises(BadInputError, match=rf"^the seed must lie in 0 to 2\*\*64 - 1, not {seed}$"):
        train(RECIPE, split, tmp_path / "run", seed=seed)


def test_the_largest_seed_trains(split, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "export_onnx", lambda *_: b"not of interest here")

    card = train(replace(RECIPE, epochs=1), split, tmp_path, seed=2**64 - 1, threads=1)

    assert card.training["seed"] == 2**64 - 1
    assert read_checkpoint(tmp_path / "last.pt")["seed"] == 2**64 - 1


@pytest.mark.parametrize("below", [(), ("below",)], ids=["the file", "below the file"])
def test_a_file_in_the_folders_place_is_refused(split, tmp_path, below):
    (tmp_path / "run").write_text("mine")
    folder = (tmp_path / "run").joinpath(*below)

    with pytest.raises(BadInputError) as caught:
        train(RECIPE, split, folder, threads=1)

    assert caught.value.message == f"{folder} cannot be a folder: a file has that name"
    assert (tmp_path / "run").read_text() == "mine"


def test_a_deterministic_run_gives_the_same_weights_and_encoder(finished, split, tmp_path):
    train(RECIPE, split, tmp_path, seed=3, deterministic=True, threads=1)

    assert torch.are_deterministic_algorithms_enabled()
    for name in ("best_model.pt", "encoder.onnx"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


# Classes that training never sees


def test_training_sees_only_the_classes_that_the_recipe_names(split, tmp_path):
    recipe = replace(RECIPE, epochs=1, classes="7, 1,3")
    trainer = Trainer(recipe, split.images, split.labels, tmp_path, seed=3, seen=(1, 3, 7))
    part = hold_out(200, 80)
    inside = np.isin(split.labels, [1, 3, 7])
    held_out = to_batch(split.images[part.validation[inside[part.validation]]])
    np.testing.assert_array_equal(trainer._validation.images.numpy(), held_out)
    seen_images = split.take(part.train[inside[part.train]])
    assert sorted(set(trainer._objective._labels.tolist())) == [1, 3, 7]
    np.testing.assert_array_equal(trainer._objective._images.numpy(), to_batch(seen_images.images))
    card = train(recipe, split, tmp_path / "run", seed=3, threads=1)
    trainer.run()
    assert card.training["recipe"]["classes"] == "7, 1,3"
    assert card.training["best"]["val_loss"] == trainer.best.val_loss  # `train` chose those labels


def test_a_class_that_the_data_lacks_is_refused_before_a_folder_is_made(split, tmp_path):
    with pytest.raises(BadInputError) as refusal:
        train(replace(RECIPE, classes="1,x"), split, tmp_path / "run")
    assert refusal.value.message == "there is no class 'x' to train on"
    assert refusal.value.hint == "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert not (tmp_path / "run").exists()


def test_a_finished_run_passes_every_check_and_foreign_weights_in_it_are_found(copy_of_finished):
    assert [(check.name, check.passed) for check in verify(copy_of_finished)][-2:] == [
        ("weights", True),
        ("run", True),
    ]
    for name in (BEST_CHECKPOINT, ENCODER, MODEL_CARD):  # of another run, each vouching for the other
        (copy_of_finished / name).write_bytes((PRETRAINED / name).read_bytes())
    (found,) = [check for check in verify(copy_of_finished) if check.passed is False]
    assert (found.name, found.detail) == (
        "run",
        "best_model.pt is not what the run kept, as last.pt says",
    )


@pytest.mark.parametrize(
    ("train_accuracy", "val_accuracy", "said"),
    [
        (0.95, 0.93, ""),
        (0.7, 0.53, "of the validation pairs 53% are judged rightly, and half would be by chance: "),
        (0.995, 0.8, "the training images are known by heart: of their pairs 100% are judged rightly, "),
        (0.995, 0.95, ""),
    ],
)
def test_a_run_that_learned_nothing_or_everything_by_heart_says_so(train_accuracy, val_accuracy, said):
    found = doubts(EpochRecord(1, 0.1, train_accuracy, 0.1, val_accuracy, 0.1, 1.0))
    assert len(found) == bool(said)
    assert all(doubt.startswith(said) for doubt in found)


def test_runs_are_named_by_their_data_and_network():
    assert run_name(RECIPE, "mnist-train", 3) == "siamese-pairs-seed3"
    assert run_name(RECIPE, "fashion-mnist-train", 0) == "fashion-mnist-siamese-pairs-seed0"
    assert run_name(RECIPE, "my-photos", 1) == "my-photos-siamese-pairs-seed1"
    assert run_name(RECIPE, "mnist-train", 3, "residual") == "siamese-pairs-residual-seed3"
    assert run_name(RECIPE, "my-photos", 1, "residual") == "my-photos-siamese-pairs-residual-seed1"


def test_letters_are_outliers_for_digits_alone(split, tmp_path):
    recipe = replace(RECIPE, pairing="batch", epochs=1, outliers=0.5)
    card = train(recipe, split, tmp_path / "digits")
    assert card.training["recipe"]["outliers"] == 0.5
    assert train(replace(recipe, outliers=0.0), split, tmp_path / "plain").files != card.files

    names = (*split.classes[:9], "omega")
    with pytest.raises(BadInputError, match="is for the digits 0 to 9, not for 'omega'") as refusal:
        train(recipe, replace(split, classes=names), tmp_path / "run")
    assert refusal.value.hint == "leave them out: --set outliers=0"
    assert not (tmp_path / "run").exists()
    check_classes(RECIPE, names)  # without outliers any class will do


def test_outliers_are_made_of_two_classes(split):
    alone = replace(split, labels=np.zeros_like(split.labels))
    recipe = replace(RECIPE, pairing="batch", epochs=1, outliers=0.5)
    with pytest.raises(BadInputError, match="training images of one class: outliers are made of two"):
        draw_outliers(recipe, alone.images, alone.labels, seed=0, network=DIGIT_NETWORK)
    assert draw_outliers(RECIPE, split.images, split.labels, seed=0, network=DIGIT_NETWORK) is None
    made = draw_outliers(recipe, split.images[:20], split.labels[:20], seed=0, network=DIGIT_NETWORK)
    assert made.shape == (recipe.batch_size // 2, 1, 28, 28)  # enough for a batch
