"""Recipes: the described one to the number, and settings that are refused before any training."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

from dataclasses import asdict

from simsearch.errors import BadInputError
from simsearch.train.recipes import DEFAULT_RECIPE, RECIPES, configure, get_recipe

SETTABLE = (
    "pairing, epochs, batch_size, learning_rate, weight_decay, optimizer, schedule, pairs_per_epoch,"
    " plateau_patience, plateau_factor, warm_up, average, precision, projection_weight, projection_bias,"
    " validation_pairs, held_out_images, held_out_share, choose, average_share, least_steps, rotation, scale,"
    " shear, shift, perspective, elastic, thickness, blur, coarse, remains, outliers, outlier_weight, crop,"
    " flip, color, classes"
)


def test_siamese_pairs_is_the_described_recipe():
    settings = asdict(get_recipe("siamese-pairs"))
    del settings["summary"]

    assert settings == {
        "name": "siamese-pairs",
        "pairing": "sampled",
        "optimizer": "adam",
        "schedule": "plateau",
        "precision": "float32",
        "warm_up": 0.2,
        "average": 0.0,
        **dict.fromkeys(("rotation", "scale", "shear", "shift"), 0.0),
        **dict.fromkeys(
            ("perspective", "elastic", "thickness", "blur", "coarse", "remains", "outliers"), 0.0
        ),
        "outlier_weight": 0.08,
        **dict.fromkeys(("crop", "flip", "color", "average_share"), 0.0),
        "held_out_share": 0.15,
        "choose": "loss",
        "least_steps": 0,
        "classes": "",
        "epochs": 30,
        "batch_size": 256,
        "pairs_per_epoch": 20_000,
        "learning_rate": 1e-2,
        "weight_decay": 1e-5,
        "plateau_patience": 2,
        "plateau_factor": 0.5,
        "projection_weight": 10.0,
        "projection_bias": -5.0,
        "validation_pairs": 5_000,
        "held_out_images": 5_000,
    }


def test_every_recipe_is_found_under_its_own_name_and_can_be_used_as_it_is():
    assert DEFAULT_RECIPE in RECIPES
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert get_recipe(name) is recipe
        assert configure(name) == recipe


def test_settings_change_their_fields_and_no_others():
    changed = configure("siamese-pairs", ["epochs=3", "learning_rate=1e-3", "projection_bias=-2", "epochs=4"])

    before, after = asdict(get_recipe("siamese-pairs")), asdict(changed)
    assert {field: after[field] for field in after if after[field] != before[field]} == {
        "epochs": 4,  # the last one counts
        "learning_rate": 0.001,
        "projection_bias": -2.0,
    }
    assert type(changed.projection_bias) is float
    assert get_recipe("siamese-pairs").epochs == 30


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(BadInputError) as caught:
        configure("siamese", ["epochs=1"])

    assert caught.value.message == "there is no recipe 'siamese'"
    assert caught.value.hint == f"did you mean 'siamese-pairs'? choose one of: {', '.join(RECIPES)}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("setting", ["epoch=3", "=3", "", "name=x", "summary=5", " epochs=3", "__class__=1"])
def test_a_field_that_cannot_be_set_is_refused_with_those_that_can(setting):
    with pytest.raises(BadInputError) as caught:
        configure("siamese-pairs", [setting])

    assert caught.value.message == f"a recipe has no field {setting.partition('=')[0]!r} to set"
    assert caught.value.hint.endswith(f"fields: {SETTABLE}")
    assert ("did you mean 'epochs'? " in caught.value.hint) == ("epoch" in setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "'epochs': '' is not a value for epochs (int)"),
        ("epochs=", "'epochs=': '' is not a value for epochs (int)"),
        ("epochs=2.5", "'epochs=2.5': '2.5' is not a value for epochs (int)"),
        ("epochs=nan", "'epochs=nan': 'nan' is not a value for epochs (int)"),
        ("learning_rate=fast", "'learning_rate=fast': 'fast' is not a value for learning_rate (float)"),
        ("learning_rate=1=2", "'learning_rate=1=2': '1=2' is not a value for learning_rate (float)"),
        ("epochs=0", "epochs must be at least 1, not 0"),
        ("pairs_per_epoch=-1", "pairs_per_epoch must be at least 1, not -1"),
        ("validation_pairs=0", "validation_pairs must be at least 1, not 0"),
        ("held_out_images=0", "held_out_images must be at least 1, not 0"),
        ("batch_size=1", "batch_size must be at least 2, not 1: batch normalization needs two"),
        ("plateau_patience=-1", "plateau_patience must not be negative, not -1"),
        ("epochs=10000001", "epochs must be at most 10,000,000"),
        ("batch_size=" + "9" * 40, "batch_size must be at most 10,000,000"),
        ("pairs_per_epoch=1" + "0" * 12, "pairs_per_epoch must be at most 10,000,000"),
        *(
            (f"{field}={value}", f"{field} must be finite, not {value}")
            for field in (
                "learning_rate",
                "weight_decay",
                "plateau_factor",
                "projection_weight",
                "projection_bias",
            )
            for value in ("nan", "inf", "-inf")
        ),
        ("shift=-1", "shift must not be negative, not -1.0"),
        ("perspective=0.5", "perspective must be at most 0.4, not 0.5"),
        ("thickness=1.5", "thickness must be at most 1.0, not 1.5"),
        ("blur=2", "blur must be at most 1.0, not 2.0"),
        ("outliers=5", "outliers must be at most 4.0, not 5.0"),
        ("outliers=0.5", "outliers belong to batches: they need pairing=batch"),
        ("outlier_weight=-1", "outlier_weight must not be negative, not -1.0"),
        ("learning_rate=1e999", "learning_rate must be finite, not inf"),
        *(
            (
                setting,
                "learning_rate must be positive, plateau_factor between 0 and 1, weight_decay not negative",
            )
            for setting in (
                "learning_rate=0",
                "learning_rate=-1",
                "weight_decay=-1e-9",
                "plateau_factor=0",
                "plateau_factor=1",
            )
        ),
        (
            "pairs_per_epoch=257",
            "257 pairs_per_epoch in batches of 256 leave a last batch of one pair:"
            " batch normalization needs two",
        ),
        (
            "batch_size=19999",
            "20000 pairs_per_epoch in batches of 19999 leave a last batch of one pair:"
            " batch normalization needs two",
        ),
        (
            "pairs_per_epoch=1",
            "1 pairs_per_epoch in batches of 256 leave a last batch of one pair:"
            " batch normalization needs two",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_reason(setting, message):
    with pytest.raises(BadInputError) as caught:
        configure("siamese-pairs", [setting])

    assert caught.value.message == message
    assert caught.value.exit_code == 2


def test_a_number_of_too_many_digits_to_parse_is_refused_too():
    with pytest.raises(BadInputError, match=r"is not a value for epochs \(int\)"):
        configure("siamese-pairs", ["epochs=" + "9" * 5000])


def test_values_at_the_edge_are_accepted():
    recipe = configure(
        "siamese-pairs",
        ["epochs=1", "batch_size=2", "pairs_per_epoch=2", "validation_pairs=1", "held_out_images=1",
         "weight_decay=0", "plateau_patience=0", "plateau_factor=0.999", "projection_weight=-10"],
    )  # fmt: skip

    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (1, 2, 0.0)
    assert (recipe.plateau_patience, recipe.projection_weight) == (0, -10.0)
