"""Train a model; the only commands that need torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import DataDirOption, ThreadsOption, seed_option
from simsearch.errors import require


def train(
    recipe: Annotated[str, typer.Option(help="batch-pairs or siamese-pairs.")] = "batch-pairs",
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE-seedN by default.")] = None,
    seed: Annotated[int, seed_option("Of initial weights and pairs.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Only deterministic kernels.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that assemble batches.")] = 0,
    threads: ThreadsOption = 0,
    dataset: Annotated[
        str, typer.Option(help="mnist, fashion-mnist or another by name, or a folder of images or IDX files.")
    ] = "mnist",
    data_dir: DataDirOption = None,
) -> None:
    """Train the Siamese network on a training split and export its encoder.

    Example: simsearch train --seed 1 --set epochs=8
    """
    require("torch", "train")
    from simsearch.data.datasets import load_split
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.progress import training_progress
    from simsearch.train.recipes import configure
    from simsearch.train.run import train as run

    configured = configure(recipe, settings or [])
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    split = load_split(dataset, "train", data_dir=data_dir, note=terminal.note)
    with training_progress(configured.epochs) as show:
        card = run(
            configured,
            split,
            folder,
            seed=seed,
            resume=resume,
            deterministic=deterministic,
            workers=workers,
            threads=threads,
            on_step=show.step,
            on_epoch=show.epoch,
        )
    best = card.training["best"]
    typer.echo(
        f"{folder}: best epoch {best['epoch']}, on validation pairs loss {best['val_loss']:.4f}, "
        f"accuracy {best['val_accuracy']:.4f}"
    )
