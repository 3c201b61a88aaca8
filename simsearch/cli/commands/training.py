"""Train a model; the only commands that need torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simsearch.cli.options import DataDirOption, ThreadsOption, find_chosen_model, seed_option
from simsearch.errors import BadInputError, require

if TYPE_CHECKING:
    from simsearch.data.training_set import TrainingSet
    from simsearch.encode.model_folder import ModelCard
    from simsearch.train.head_run import HeadResult
    from simsearch.train.networks import ImageNetwork
    from simsearch.train.recipes import Recipe

_DATA = "What it learns from"
_MODEL = "What is trained"


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from."""

    dataset: Annotated[
        str,
        typer.Option(
            help="mnist, fashion-mnist or another by name, or a folder of images or IDX files.",
            rich_help_panel=_DATA,
        ),
    ] = "mnist"
    labels: Annotated[
        str,
        typer.Option(help="Where a folder's classes come from; see build-index.", rich_help_panel=_DATA),
    ] = "auto"
    data_dir: DataDirOption = None


@dataclass(frozen=True)
class TrainedNetwork:
    """Which network is trained, and on what."""

    encoder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an encoder: learn a head on its features, instead of a network from scratch.",
            callback=find_chosen_model,
            rich_help_panel=_MODEL,
        ),
    ] = None
    network: Annotated[
        str | None,
        typer.Option(
            help="From scratch: embedding-net, which is the default, or residual.", rich_help_panel=_MODEL
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            help="For pictures other than digits: a side in pixels, or WIDTHxHEIGHT.", rich_help_panel=_MODEL
        ),
    ] = None
    channels: Annotated[
        int | None,
        typer.Option(help="3 for colors, 1 for grays; 3 where a size is given.", rich_help_panel=_MODEL),
    ] = None


@dataclass(frozen=True)
class RunOptions:
    """How a run goes."""

    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; by default in runs, named by data, recipe and seed."),
    ] = None
    seed: Annotated[int, seed_option("Of initial weights and pairs.")] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Only deterministic kernels.")] = (
        False
    )
    workers: Annotated[int, typer.Option(min=0, help="Processes that assemble batches.")] = 0
    threads: ThreadsOption = 0

    def folder(self, name: str) -> Path:
        """Where the run of this name lies."""
        return self.out or Path("runs") / name


def train(
    recipe: Annotated[
        str | None,
        typer.Option(
            help="batch-pairs or siamese-pairs for digits, photo-pairs for other pictures, head-pairs for"
            " heads; by default what suits."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe.")
    ] = None,
    *,
    data: TrainingData,
    model: TrainedNetwork,
    options: RunOptions,
) -> None:
    """Train the Siamese network, or a head on an encoder's features, and export it.

    Example: simsearch train --dataset my-photos --encoder models/efficientnet-lite0
    """
    require("torch", "train")
    if model.encoder is not None:
        _train_head(recipe or "head-pairs", settings or [], data, model, options)
    else:
        _train_network(recipe, settings or [], data, model, options)


def _train_network(
    recipe: str | None, settings: list[str], data: TrainingData, model: TrainedNetwork, options: RunOptions
) -> None:
    from simsearch.show.terminal.progress import training_progress
    from simsearch.train.recipes import DEFAULT_RECIPE, PHOTO_PAIRS, configure
    from simsearch.train.run import train as run
    from simsearch.train.run_folder import run_name

    network = _network(model)
    photos = network.input.preparation == "photo"
    configured = configure(recipe or (PHOTO_PAIRS.name if photos else DEFAULT_RECIPE), settings)
    network.augmentation(configured)  # or it is refused, before anything is read
    found = _find(data, configured)
    folder = options.folder(run_name(configured, found.name, options.seed, network.name))
    loaded = found.load(network.input, processes=options.threads)
    with training_progress(configured.epochs, by_map=configured.choose == "map-at-r") as show:
        card = run(
            configured,
            loaded.split,
            folder,
            seed=options.seed,
            resume=options.resume,
            deterministic=options.deterministic,
            workers=options.workers,
            threads=options.threads,
            network=network,
            part=loaded.part,
            on_step=show.step,
            on_epoch=show.epoch,
        )
    _say(folder, card)


def _train_head(
    recipe: str, settings: list[str], data: TrainingData, model: TrainedNetwork, options: RunOptions
) -> None:
    from simsearch.encode.model_folder import read_model_card
    from simsearch.show.terminal import terminal
    from simsearch.show.terminal.exam_view import exam_view
    from simsearch.show.terminal.progress import progress, training_progress
    from simsearch.train.head_run import train_head
    from simsearch.train.recipes import configure
    from simsearch.train.run_folder import run_name

    if model.network is not None:
        raise BadInputError(
            "on an encoder a head is trained, not a network from scratch",
            hint="leave --network out, or --encoder",
        )
    if model.size is not None or model.channels is not None:
        raise BadInputError(
            "an encoder says itself what pictures it takes", hint="leave --size and --channels out"
        )
    assert model.encoder is not None
    read_model_card(model.encoder)  # before the files are hashed
    configured = configure(recipe, settings)
    found = _find(data, configured)
    folder = options.folder(run_name(configured, found.name, options.seed))
    with (
        progress("Encoding", len(found.labels)) as advance,
        training_progress(configured.epochs, by_map=configured.choose == "map-at-r") as show,
    ):
        result = train_head(
            configured,
            found,
            model.encoder,
            folder,
            seed=options.seed,
            resume=options.resume,
            deterministic=options.deterministic,
            threads=options.threads,
            on_encoded=advance,
            on_step=show.step,
            on_epoch=show.epoch,
            note=terminal.note,
        )
    terminal.results().print(exam_view(result.exam))
    _say(folder, result.card)
    typer.echo(_gain(result))


def _network(model: TrainedNetwork) -> ImageNetwork:
    """The network that the options describe.

    :raises BadInputError: If there is none.
    """
    from simsearch.encode.reference import EMBEDDING_NET
    from simsearch.prepare.inputs import parse_size
    from simsearch.prepare.prepare import DIGIT
    from simsearch.train.networks import ImageNetwork, check_network, photo_input

    name = model.network or EMBEDDING_NET
    check_network(name)
    if model.size is None:
        if model.channels is not None:
            raise BadInputError("--channels goes with --size", hint="such as --size 64 --channels 1")
        return ImageNetwork(name, DIGIT)
    return ImageNetwork(name, photo_input(parse_size(model.size), model.channels or 3))


def _find(data: TrainingData, recipe: Recipe) -> TrainingSet:
    from simsearch.data.training_set import find_training_set
    from simsearch.show.terminal import terminal

    return find_training_set(
        data.dataset,
        labels=data.labels,
        share=recipe.held_out_share,
        most=recipe.held_out_images,
        data_dir=data.data_dir,
        note=terminal.note,
    )


def _say(folder: Path, card: ModelCard) -> None:
    """The epoch that was kept, and what is wrong with it."""
    from simsearch.encode.history import EpochRecord
    from simsearch.show.terminal import terminal
    from simsearch.train.run_folder import doubts

    best = EpochRecord(**card.training["best"])
    chosen = "" if best.val_map_at_r is None else f", MAP@R {best.val_map_at_r:.4f}"
    typer.echo(
        f"{folder}: best epoch {best.epoch}, on validation pairs loss {best.val_loss:.4f}, "
        f"accuracy {best.val_accuracy:.4f}{chosen}"
    )
    for doubt in doubts(best):
        terminal.note(doubt)


def _gain(result: HeadResult) -> str:
    """What the head gained on validation images, in a sentence."""
    alone, joined = result.exam.rows[0].known, result.exam.rows[-1].known
    found, given = (f"MAP@R {one.map_at_r:.3f} and P@1 {one.p_at_1:.3f}" for one in (joined, alone))
    figures = f"{found} for {given}"
    if result.exam.is_gain:
        return f"gained on validation images over the encoder alone: {figures}"
    return f"gained nothing on validation images over the encoder alone ({figures}): use the encoder itself"
