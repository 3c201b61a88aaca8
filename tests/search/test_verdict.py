"""What an answer says about the whole query, worked by hand.

The toy calibration: pairs 8 x cosine - 4; posterior softmax of 10 x mean; familiarity logit 4 x best - 2,
whose share is 0 at -1, a half at 1 and 1 at 3; a match from 0.75 on; unknown below 0.25.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from toys import TOY_CALIBRATION, calibrate_index, quadrant_image, toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.prepare.prepare import Preprocess, prepare_image
from simsearch.search.answers import STORED_LIMITS, Answer, Limits, Verdict
from simsearch.search.searcher import Searcher, measure_similarity

NONE = Preprocess.NONE


def sigmoid(logit: float) -> float:
    return 1 / (1 + float(np.exp(-logit)))


@pytest.fixture
def calibrated_model(toy_model: Model) -> Model:
    return toy_model._replace(card=replace(toy_model.card, calibration=TOY_CALIBRATION))


@pytest.fixture
def searcher(tmp_path: Path, calibrated_model: Model, toy_gallery: Split) -> Searcher:
    build_index(toy_gallery, calibrated_model, tmp_path / "toy")
    return Searcher.open(calibrate_index(tmp_path / "toy"))


def ask(searcher: Searcher, limits: Limits = STORED_LIMITS, k: int = 4) -> Answer:
    """Ask about the vector (.6, .8, 0, 0): classes a (best 1, mean 2.2/3), b (.8, .4) and c (0, 0)."""
    return searcher.query(quadrant_image(30, 40, 0, 0), k=k, preprocess=NONE, limits=limits)


def test_a_verdict_worked_by_hand(searcher: Searcher) -> None:
    answer = ask(searcher)
    weights = np.exp([22 / 3, 4, 0])
    posterior = weights / weights.sum()
    # The familiarity's logit is 4 x 1 - 2 = 2, half of the way from 1 to 3.
    assert answer.verdict == Verdict(
        label="a",
        probability=pytest.approx(posterior[0]),
        known=True,
        familiarity=pytest.approx(0.75),
        unknown_below=0.25,
        best=pytest.approx(1.0),
        min_score=0.75,
    )
    assert [row.posterior for row in answer.classes] == pytest.approx(posterior)
    assert [row.probability for row in answer.classes] == pytest.approx(
        [sigmoid(4), sigmoid(2.4), sigmoid(-4)]
    )
    assert [hit.probability for hit in answer.hits] == pytest.approx([sigmoid(x) for x in (4, 2.4, 0.8, 0.8)])
    assert [hit.match for hit in answer.hits] == [True, True, False, False]


@pytest.mark.parametrize(
    ("limits", "known", "matches"),
    [
        (Limits(min_score=0.6), True, 4),
        (Limits(min_score=0.81), True, 1),
        (Limits(min_probability=0.9), True, 2),  # from the cosine 0.7747 on
        (Limits(min_score=0.0, min_probability=0.95), True, 1),  # 0.868: the stricter of the two
        (Limits(min_probability=1.0), False, 0),
        (Limits(min_probability=0.0), True, 4),
        (Limits(unknown_below=0.76), False, 2),
        (Limits(unknown_below=0.74), True, 2),
        (Limits(unknown_below=0.0), True, 2),
    ],
)
def test_limits_replace_the_stored_ones(
    searcher: Searcher, limits: Limits, known: bool, matches: int
) -> None:
    answer, stored = ask(searcher, limits), ask(searcher)
    assert answer.verdict is not None
    assert stored.verdict is not None
    assert (answer.verdict.known, answer.verdict.label) == (known, "a" if known else None)
    assert sum(bool(hit.match) for hit in answer.hits) == matches
    assert answer.verdict.probability == stored.verdict.probability


def test_a_picture_without_a_match_or_too_unfamiliar_is_unknown_and_keeps_its_posterior(
    searcher: Searcher,
) -> None:
    # The vector (2, 3, 3, 2) / sqrt(26): class c 3.4 / sqrt(26) = 0.667, then b 3 / sqrt(26), then a.
    image, length = quadrant_image(40, 60, 60, 40), 26**0.5
    familiarity = 3.4 / length - 1 / 4
    for limits, known in (
        (STORED_LIMITS, False),  # the best item is below 0.75
        (Limits(min_score=0.6), True),
        (Limits(min_score=0.6, unknown_below=0.5), False),
    ):
        answer = searcher.query(image, preprocess=NONE, limits=limits)
        assert answer.verdict is not None
        assert (answer.verdict.known, answer.verdict.label) == (known, "c" if known else None)
        assert answer.verdict.familiarity == pytest.approx(familiarity, abs=1e-6)
        assert answer.verdict.probability == answer.classes[0].posterior


@pytest.mark.parametrize("name", ["min_score", "min_probability", "unknown_below"])
@pytest.mark.parametrize("value", [1.01, -1.01, float("nan")])
def test_limits_beyond_reach_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must lie in -?[01] to 1, not"):
        Limits(**{name: value})


def test_without_labels_there_is_no_verdict_but_matches(tmp_path: Path, calibrated_model: Model) -> None:
    split = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=())
    build_index(split, calibrated_model, tmp_path / "bare")
    calibrate_index(tmp_path / "bare")
    answer = Searcher.open(tmp_path / "bare").query(quadrant_image(50, 0, 0, 0), preprocess=NONE)
    assert (answer.verdict, answer.classes) == (None, ())
    assert [hit.match for hit in answer.hits] == [True, False]


def test_an_index_without_a_calibration_answers_without_a_verdict(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    searcher = Searcher.open(build_toy(toy_gallery, "plain"))
    answer = ask(searcher)
    assert answer.verdict is None
    assert {hit.match for hit in answer.hits} == {None}
    assert {row.posterior for row in answer.classes} == {None}
    limited = ask(searcher, Limits(min_score=0.7))
    assert limited.verdict is None
    assert [hit.match for hit in limited.hits] == [True, True, False, False]


def test_a_gallery_of_one_class_has_a_posterior_of_one(tmp_path: Path, calibrated_model: Model) -> None:
    build_index(toy_split([((9, 0, 0, 0), 0)], ("a",)), calibrated_model, tmp_path / "one")
    calibrate_index(tmp_path / "one")
    answer = ask(Searcher.open(tmp_path / "one"), Limits(min_score=0.5))
    assert answer.verdict is not None
    assert (answer.verdict.label, answer.verdict.probability) == ("a", 1.0)
    assert answer.verdict.familiarity == pytest.approx(0.35)


def test_the_json_carries_verdict_posteriors_and_matches(searcher: Searcher) -> None:
    answer = ask(searcher, k=1)
    document = json.loads(json.dumps(answer.to_dict()))
    assert answer.verdict is not None
    assert document["verdict"] == {
        "label": "a",
        "probability": answer.verdict.probability,
        "known": True,
        "familiarity": answer.verdict.familiarity,
        "unknown_below": 0.25,
        "best": answer.hits[0].score,
        "min_score": 0.75,
    }
    assert document["hits"][0]["match"] is True
    assert document["classes"][0]["posterior"] == answer.verdict.probability


def test_the_similarity_of_two_pictures_is_calibrated_too(calibrated_model: Model) -> None:
    images = [
        prepare_image(quadrant_image(*grays), preprocess=NONE) for grays in ((30, 40, 0, 0), (50, 0, 0, 0))
    ]
    found = measure_similarity(calibrated_model, *images)
    assert (found.score, found.logit) == (pytest.approx(0.6), pytest.approx(0.8, abs=1e-5))
    assert found.probability == pytest.approx(sigmoid(0.8))
