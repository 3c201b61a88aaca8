"""What two pictures have in common is claimed only of pictures like those of the gallery."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys import calibrate_index, quadrant_image
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.splits import Split
from simsearch.prepare.prepare import PreparedImage
from simsearch.search.searcher import Limits, Searcher, Similarity
from simsearch.search.similarity import compare_pictures

# The vectors (.6, .8, 0, 0), which is an item's, (.8, .6, 0, 0), and (0, .7, .7, 0), which is like none.
ITEM, NEAR, FAR = (
    PreparedImage(quadrant_image(*grays)) for grays in ((30, 40, 0, 0), (40, 30, 0, 0), (0, 50, 50, 0))
)


@pytest.fixture
def folder(build_toy: Callable[..., Path], toy_gallery: Split) -> Path:
    return calibrate_index(build_toy(toy_gallery))


def test_two_known_pictures_have_the_calibrated_probability(folder: Path) -> None:
    found = compare_pictures(Searcher.open(folder), ITEM, NEAR)
    logit = 8 * 0.96 - 4
    assert found == Similarity(
        pytest.approx(0.96), pytest.approx(logit), pytest.approx(1 / (1 + np.exp(-logit))), (True, True)
    )


def test_of_pictures_that_are_unlike_all_there_is_the_cosine_alone(folder: Path) -> None:
    searcher = Searcher.open(folder)
    assert compare_pictures(searcher, FAR, FAR) == Similarity(pytest.approx(1), None, None, (False, False))
    assert compare_pictures(searcher, ITEM, FAR) == Similarity(
        pytest.approx(0.8 / 2**0.5), None, None, (True, False)
    )
    strict = compare_pictures(searcher, ITEM, NEAR, limits=Limits(unknown_below=1))
    assert strict.known == (False, False)


def test_without_a_calibration_there_is_the_cosine_alone(build_toy, toy_gallery: Split) -> None:
    searcher = Searcher.open(build_toy(toy_gallery))
    assert compare_pictures(searcher, ITEM, NEAR) == Similarity(pytest.approx(0.96), None, None, None)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("item", "near"), "97.5 %: the same class"),
        (("far", "far"), "none: both are unlike anything in the index"),
        (("item", "far"), "far.png is unlike anything in the index"),
    ],
)
def test_the_command_says_so(folder: Path, tmp_path: Path, names: tuple[str, str], said: str) -> None:
    for name, image in (("item", ITEM), ("near", NEAR), ("far", FAR)):
        Image.fromarray(image.pixels).save(tmp_path / f"{name}.png")
    asked = ["similarity", *(str(tmp_path / f"{name}.png") for name in names), "--index", str(folder)]
    runner = CliRunner(env={"COLUMNS": "300"})
    shown = runner.invoke(app, [*asked, "--preprocess", "none"]).stdout
    assert said in shown
    assert ("logit" in shown) == ("97.5" in said)
    document = json.loads(runner.invoke(app, [*asked, "--preprocess", "none", "--json"]).stdout)
    assert document["known"] == [name != "far" for name in names]
    assert (document["probability"] is None) == ("far" in names)
