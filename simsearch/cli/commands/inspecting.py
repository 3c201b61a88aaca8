"""Describe and check indexes, models, data and the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simsearch.cli.options import (
    DataDirOption,
    IndexArgument,
    IndexChoice,
    IndexDirOption,
    JsonOption,
    ThreadsOption,
    find_chosen_model,
    seed_option,
)
from simsearch.errors import MissingBundleError
from simsearch.index.locations import DEFAULT_INDEX, DEFAULT_INDEX_DIR, find_index


def info(
    index: IndexChoice,
    named: IndexArgument = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Describe this model instead of an index: a folder, embedding-net or residual.",
            callback=find_chosen_model,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe an index or a model.

    Example: simsearch info mine
    """
    import json

    from simsearch.encode.model_folder import read_model_card
    from simsearch.index.bundle import read_manifest
    from simsearch.index.catalog import class_counts
    from simsearch.show.terminal import terminal, views

    if model is not None:
        card = read_model_card(model)
        document, facts = json.loads(card.to_json()), views.model_facts(card)
    else:
        folder = index.folder(named)
        manifest = read_manifest(folder)
        counts = class_counts(folder, manifest)
        document = {**json.loads(manifest.to_json()), "class_counts": counts}
        facts = views.index_facts(folder, manifest, counts)
    if as_json:
        terminal.print_json(document)
    else:
        terminal.results().print(views.facts_view(facts))


def verify(
    target: Annotated[
        str, typer.Argument(metavar="[INDEX|MODEL]", help="Name or folder of an index or a model.")
    ] = DEFAULT_INDEX,
    index_dir: IndexDirOption = DEFAULT_INDEX_DIR,
    check_all: Annotated[
        bool, typer.Option("--all", help="Encode and search for every item again, not a sample of 256.")
    ] = False,
    seed: Annotated[int, seed_option("Of the sample.")] = 0,
    as_json: JsonOption = False,
    threads: ThreadsOption = 0,
) -> None:
    """Check an index or a model: every file, all they say of each other, and what they compute.

    Example: simsearch verify mnist-test
    """
    from dataclasses import asdict

    from simsearch.index.verify import verify as run_checks
    from simsearch.show.terminal import terminal, views

    folder = _to_verify(target, index_dir)
    checks = list(run_checks(folder, seed=seed, everything=check_all, threads=threads))
    passed = all(check.passed is not False for check in checks)
    if as_json:
        document = {"folder": str(folder), "passed": passed, "checks": [asdict(check) for check in checks]}
        terminal.print_json(document)
    else:
        found = [(check.passed, check.name, check.detail) for check in checks]
        terminal.results().print(views.checks_view(found))
    if not passed:
        raise typer.Exit(3)


def _to_verify(target: str, index_dir: Path) -> Path:
    """The folder of a model, of an index, or of the shipped model of that name."""
    from simsearch.encode.shipped_models import find_model
    from simsearch.index.verify import is_model

    if is_model(Path(target)):
        return Path(target)
    try:
        return find_index(target, index_dir)
    except MissingBundleError:
        if is_model(model := find_model(Path(target))):
            return model
        raise


def doctor(index_dir: IndexDirOption = DEFAULT_INDEX_DIR, data_dir: DataDirOption = None) -> None:
    """Check the installation; say what is wrong and how to fix it.

    Example: simsearch doctor
    """
    from simsearch.cli.doctor import run_checks
    from simsearch.data.mnist import default_data_dir
    from simsearch.show.terminal import terminal, views

    checks = [
        (check.passed, check.name, check.detail)
        for check in run_checks(index_dir, data_dir or default_data_dir())
    ]
    terminal.results().print(views.checks_view(checks))
    if any(passed is False for passed, _, _ in checks):
        raise typer.Exit(3)


def data_fetch(
    dataset: Annotated[str, typer.Argument(help="Its name, such as mnist or fashion-mnist.")] = "mnist",
    data_dir: DataDirOption = None,
) -> None:
    """Fetch a dataset, verify it, and say where it is.

    Example: simsearch data fetch mnist
    """
    from simsearch.data.datasets import fetch
    from simsearch.show.terminal import terminal

    typer.echo(fetch(dataset, data_dir, note=terminal.note))
