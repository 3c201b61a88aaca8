"""Names of the models that ship."""

from pathlib import Path

import pytest

from simsearch.encode.model_folder import ENCODER, PRETRAINED, Model, open_model, write_model_card
from simsearch.encode.shipped_models import SHIPPED, find_model
from simsearch.errors import MissingModelError


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_found_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model(Path(name)) == find_model(Path(f"{name}/")) == SHIPPED[name]


def test_a_folder_with_a_model_goes_before_a_name(
    toy_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "residual").mkdir()
    (tmp_path / "residual" / ENCODER).write_bytes(toy_model.encoder.model)
    write_model_card(tmp_path / "residual", toy_model.card)
    monkeypatch.chdir(tmp_path)
    assert open_model(find_model(Path("residual"))).card == toy_model.card


def test_a_folder_without_a_model_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "residual").mkdir()  # such as a run that is not at its end
    monkeypatch.chdir(tmp_path)
    hidden = r"^there is no model in residual here .* hides the shipped"
    with pytest.raises(MissingModelError, match=hidden) as said:
        open_model(find_model(Path("residual")))
    assert said.value.hint == f"rename it, or pass the shipped one's folder: {SHIPPED['residual']}"


@pytest.mark.parametrize("named", ["nowhere", "x" * 300, "a\0b", "Residual"])
def test_what_is_neither_is_left_to_whoever_opens_it(named: str) -> None:
    assert find_model(Path(named)) == Path(named)


def test_the_model_without_a_name_is_the_first() -> None:
    assert next(iter(SHIPPED.values())) == PRETRAINED
