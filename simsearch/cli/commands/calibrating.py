"""Make a model's probabilities mean what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import DataDirOption, JsonOption, ThreadsOption, limit_threads


def calibrate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of the model.")],
    dataset: Annotated[
        str, typer.Option(help="What it was trained on: mnist, another by name, or a folder.")
    ] = "mnist",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Fit a model's probabilities and thresholds on the images that its training held out.

    They are written into its card, and go from there into every index that is built with it. `train` does
    this by itself.

    Example: simsearch calibrate runs/batch-pairs-seed0
    """
    import json

    from simsearch.data.datasets import load_split
    from simsearch.index.calibrate import calibrate_model
    from simsearch.show.terminal import terminal, views

    limit_threads(threads)
    card = calibrate_model(
        model, load_split(dataset, "train", data_dir=data_dir, note=terminal.note), threads=threads
    )
    if as_json:
        terminal.print_json(json.loads(card.to_json())["calibration"])
    else:
        terminal.results().print(views.facts_view(views.model_facts(card)))
