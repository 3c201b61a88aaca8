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
    labels: Annotated[
        str, typer.Option(help="Where a folder's classes come from; see build-index.")
    ] = "auto",
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

    from simsearch.data.training_set import find_training_set
    from simsearch.encode.model_folder import read_model_card
    from simsearch.index.calibrate import calibrate_model
    from simsearch.index.held_out import held_out_of
    from simsearch.show.terminal import terminal, views

    limit_threads(threads)
    card = read_model_card(model)
    most, share = held_out_of(card)
    found = find_training_set(
        dataset,
        labels=labels,
        share=share,
        most=most,
        data_dir=data_dir,
        note=terminal.note,
    )
    loaded = found.load(card.input, processes=threads)
    card = calibrate_model(model, loaded.split, loaded.part, threads=threads)
    if as_json:
        terminal.print_json(json.loads(card.to_json())["calibration"])
    else:
        terminal.results().print(views.facts_view(views.model_facts(card)))
