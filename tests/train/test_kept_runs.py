"""Runs that earlier versions began go on: their last checkpoints are read, and nothing of them is lost.

`last.pt.xz` and `best_model.pt.xz` were written by the code of their version after the first of two epochs;
their weights were set to few values before, so that they pack.
"""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from simsearch.encode.history import EpochRecord
from simsearch.errors import BadInputError
from simsearch.train.checkpoints import read_checkpoint
from simsearch.train.loop import Trainer
from simsearch.train.networks import DIGIT_NETWORK, ImageNetwork
from simsearch.train.recipes import BATCH_PAIRS

FIXTURES = Path(__file__).parents[1] / "fixtures"
IMAGES = (np.arange(64 * 28 * 28) * 7919 % 251).astype(np.uint8).reshape(64, 28, 28)
LABELS = np.arange(64) % 4
RECIPE = replace(BATCH_PAIRS, epochs=2, batch_size=16, validation_pairs=20, held_out_images=16)
RUNS = {"v0.1.0/run": DIGIT_NETWORK, "format-2/residual": ImageNetwork("residual")}


def unpacked(run: str, folder: Path) -> Path:
    for name in ("last.pt", "best_model.pt"):
        (folder / name).write_bytes(lzma.decompress((FIXTURES / run / f"{name}.xz").read_bytes()))
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_a_run_that_an_earlier_version_began_goes_on_to_its_end(run: str, tmp_path: Path) -> None:
    folder = unpacked(run, tmp_path)
    stored = read_checkpoint(folder / "last.pt")
    trainer = Trainer(RECIPE, IMAGES, LABELS, folder, network=RUNS[run])
    trainer.resume()

    assert trainer.history == [EpochRecord(1, 0.5, 0.75, 0.25, 0.875, 0.01, 1.5)]
    weights = trainer.model.state_dict()
    assert weights.keys() == stored["model"].keys()
    assert all(torch.equal(weights[name], value) for name, value in stored["model"].items())
    moments = [(state["step"], state["exp_avg"]) for state in trainer._optimizer.state.values()]
    for (step, mean), kept in zip(moments, stored["optimizer"]["state"].values(), strict=True):
        assert step == kept["step"] == 3
        assert torch.equal(mean, kept["exp_avg"])

    trainer.run()
    assert [record.epoch for record in trainer.history] == [1, 2]
    assert np.isfinite(trainer.best.val_loss)
    trainer.best_model()  # that of an epoch whose weights are there


@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_an_earlier_version_with_other_settings_is_refused_and_left_as_it_was(
    run: str, tmp_path: Path
) -> None:
    folder = unpacked(run, tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {
        "another recipe or seed": {"recipe": replace(RECIPE, rotation=3.0)},
        "another network": {"network": ImageNetwork({"v0.1.0/run": "residual"}.get(run, "embedding-net"))},
    }
    for words, changed in others.items():
        settings = {"recipe": RECIPE, "network": RUNS[run], **changed}
        recipe, network = settings["recipe"], settings["network"]
        with pytest.raises(BadInputError, match=f"is of a run (with|of) {words}"):
            Trainer(recipe, IMAGES, LABELS, folder, network=network).resume()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
