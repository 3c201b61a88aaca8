"""What is stored of a calibration, and what every kind of damage to it is called."""

import json
import math
from dataclasses import replace

import pytest
from toys import TOY_CALIBRATION

from simsearch.encode.stored_calibration import restore_calibration, store_calibration
from simsearch.stats.calibration import ClassPosterior, PlattScaling


def stored(**changes):
    """The toy calibration as parsed JSON, with some of its fields replaced."""
    return {**json.loads(json.dumps(store_calibration(TOY_CALIBRATION))), **changes}


def familiarity(**changes):
    return {"familiarity": {**stored()["familiarity"], **changes}}


def test_the_stored_form_is_this():
    assert stored() == {
        "pairs": {"weight": 8.0, "bias": -4.0},
        "classes": {"weight": 10.0},
        "familiarity": {
            "weights": {"best": 4.0},
            "bias": -2.0,
            "levels": [0.0, 0.5, 1.0],
            "values": [-1.0, 1.0, 3.0],
        },
        "thresholds": {
            "match": {"value": 0.75, "target": "by hand"},
            "f1": {"value": 0.5, "target": "by hand"},
            "unknown": {"value": 0.25, "target": "by hand"},
        },
        "fitted_on": "nothing",
        "gallery": "",
    }


def test_a_lapse_is_stored_where_there_is_one_and_is_a_share():
    lapsing = replace(TOY_CALIBRATION, classes=ClassPosterior(10.0, 0.25))
    assert store_calibration(lapsing)["classes"] == {"weight": 10.0, "lapse": 0.25}
    sure = replace(TOY_CALIBRATION, classes=ClassPosterior(10.0, 0.25, PlattScaling(1.5, 0.5)))
    stretched = {"weight": 10.0, "lapse": 0.25, "top": {"weight": 1.5, "bias": 0.5}}
    assert store_calibration(sure)["classes"] == stretched
    for calibration in (lapsing, sure):
        fields = {"calibration": store_calibration(calibration)}
        restore_calibration(fields)
        assert fields == {"calibration": calibration}
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"classes\.lapse"):
            restore_calibration({"calibration": stored(classes={"weight": 10.0, "lapse": wrong})})


def test_a_document_gets_its_records_back():
    fields = {"projection": {"weight": 1, "bias": -2}, "calibration": stored(), "other": [1]}
    restore_calibration(fields)
    assert fields == {"projection": PlattScaling(1.0, -2.0), "calibration": TOY_CALIBRATION, "other": [1]}


def test_what_a_document_lacks_stays_away():
    fields = {"calibration": None}
    restore_calibration(fields)
    assert fields == {"calibration": None}


def test_a_field_of_later_is_let_pass():
    fields = {"calibration": stored(later=1)}
    restore_calibration(fields)
    assert fields == {"calibration": TOY_CALIBRATION}


@pytest.mark.parametrize(
    ("changes", "place", "what"),
    [
        ({"pairs": {"weight": math.nan, "bias": 0.0}}, "pairs.weight", ": expected a finite number"),
        ({"pairs": {"weight": "1", "bias": 0.0}}, "pairs.weight", ": expected a number, got text"),
        ({"pairs": {"weight": 1, "bias": 0.0, "power": 2}}, "pairs", " has the unknown field 'power'"),
        ({"classes": {"weight": math.inf}}, "classes.weight", ": expected a finite number"),
        ({"classes": {"weight": True}}, "classes.weight", ": expected a number, got true or false"),
        ({"classes": []}, "classes", ": expected an object, got a list"),
        (familiarity(bias=-math.inf), "familiarity.bias", ": expected a finite number"),
        (familiarity(weights={"best": None}), "familiarity.weights.*", ": expected a number, got null"),
        (familiarity(values=7), "familiarity.values", ": expected a list, got a whole number"),
        (familiarity(values=[0.0]), "familiarity.values", ": expected a list of length >= 2"),
        (familiarity(values=[0.0] * 1001), "familiarity.values", ": expected a list of length <= 1000"),
        (familiarity(values=[0.0, "1", 2]), "familiarity.values[1]", ": expected a number, got text"),
        ({"thresholds": {"match": {"value": 0.5}}}, "thresholds.*", " lacks 'target'"),
        ({"fitted_on": 3}, "fitted_on", ": expected text, got a whole number"),
        ({"gallery": None}, "gallery", ": expected text, got null"),
    ],
)
def test_a_malformed_calibration_is_refused_with_the_place(changes, place, what):
    with pytest.raises(ValueError, match="malformed") as caught:
        restore_calibration({"calibration": stored(**changes)})
    assert str(caught.value) == f"it is incomplete or malformed (calibration.{place}{what})"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (familiarity(weights={"smell": 1.0}), "it rests on features that this simsearch does not know"),
        (familiarity(weights={}), "it rests on features that this simsearch does not know"),
        (familiarity(levels=[0.0, 1.0]), "its levels do not run from 0 to 1"),
        (familiarity(levels=[0.1, 0.5, 1.0]), "its levels do not run from 0 to 1"),
        (familiarity(values=[1.0, 0.0, 2.0]), "its levels do not ascend"),
        (familiarity(levels=[0.0, 0.6, 0.5, 1.0], values=[0.0] * 4), "its levels do not ascend"),
        ({"thresholds": {}}, "it lacks a threshold"),
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(changes, what):
    with pytest.raises(ValueError, match="cannot be used") as caught:
        restore_calibration({"calibration": stored(**changes)})
    assert str(caught.value) == f"the calibration cannot be used: {what}"
