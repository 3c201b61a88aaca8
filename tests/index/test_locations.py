"""Which folder a name means, in which order places are searched, and which names are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from simsearch.errors import BadInputError, MissingBundleError
from simsearch.index import locations
from simsearch.index.locations import find_index, index_folder


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, and a package that ships nothing yet."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(locations, "_PACKAGE", tmp_path / "site" / "simsearch")


def make_index(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return folder


def refusal(index: str, index_dir: Path) -> tuple[str, str]:
    with pytest.raises(MissingBundleError) as caught:
        find_index(index, index_dir)
    assert caught.value.exit_code == 3
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    "name", ["a", "mnist-test", "A_1.2-x", "0", "com10", "console", "a" * 100, "a.b", "x-"]
)
def test_a_name_is_a_folder_below_the_index_folder(name):
    assert index_folder(Path("some/where"), name) == Path("some/where") / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "_x",
        "a/b",
        "a\\b",
        "/a",
        "a b",
        "a\n",
        "\na",
        "ä",
        "a\0",
        "a:b",
        "a" * 101,
        "a.",
        "a..",
        "con",
        "NUL",
        "Com1",
        "lpt9.txt",
        "aux.index",
        "~",
        "*",
    ],
)
def test_what_could_not_be_a_folders_name_everywhere_is_refused(name):
    with pytest.raises(BadInputError) as caught:
        index_folder(Path("indexes"), name)
    assert (caught.value.exit_code, str(caught.value)) == (2, f"{name!r} cannot name an index")
    assert caught.value.hint == "use letters, digits, '.', '_' and '-'"


def test_a_name_is_found_in_the_index_folder_then_in_the_package_then_in_the_checkout(tmp_path):
    index_dir = tmp_path / "indexes"
    places = [
        tmp_path / "site" / "indexes" / "toy",
        tmp_path / "site" / "simsearch" / "shipped" / "toy",
        index_dir / "toy",
    ]
    for place in places:  # each takes precedence over those before it
        make_index(place)
        assert find_index("toy", index_dir) == place


def test_an_index_is_found_by_its_path(tmp_path, monkeypatch):
    folder = make_index(tmp_path / "my indexes" / "toy")
    assert find_index(str(folder), Path("absent")) == folder
    assert find_index("../my indexes/toy", Path("absent")) == Path("../my indexes/toy")
    monkeypatch.chdir(folder)
    assert find_index(".", Path("absent")) == Path()
    monkeypatch.chdir(folder.parent)
    assert find_index("./toy", Path("absent")) == Path("toy")


def test_a_folder_right_here_that_is_an_index_comes_before_a_name(tmp_path):
    named = make_index(tmp_path / "indexes" / "toy")
    Path("toy").mkdir()
    assert find_index("toy", tmp_path / "indexes") == named  # an empty folder is no index
    Path("toy/manifest.json").write_text("{}")
    assert find_index("toy", tmp_path / "indexes") == Path("toy")


def test_a_path_is_not_looked_up_as_a_name(tmp_path):
    make_index(tmp_path / "indexes" / "toy")
    message, _ = refusal("./toy", tmp_path / "indexes")
    assert message == "there is no index in toy"


def test_an_error_names_the_place_and_the_indexes_there_are(tmp_path):
    index_dir = tmp_path / "indexes"
    for name in ("b", "a"):
        make_index(index_dir / name)
    (index_dir / "no-index").mkdir()
    assert refusal("c", index_dir) == (
        f"there is no index in {index_dir / 'c'}",
        f"`simsearch build-index --dataset FOLDER --name c --index-dir {index_dir}` builds it; "
        "there are: a, b",
    )


@pytest.mark.parametrize("index", ["absent", "../absent", "", "a\0b", "x" * 300, "ä", "~/absent"])
def test_whatever_is_asked_for_a_missing_index_is_one_error(index, tmp_path):
    message, hint = refusal(index, tmp_path / "absent")
    assert message.startswith("there is no index in ")
    assert hint.startswith("`simsearch build-index --dataset FOLDER --name ")


def test_a_folder_named_like_a_manifest_is_no_index(tmp_path):
    (tmp_path / "indexes" / "toy" / "manifest.json").mkdir(parents=True)
    assert refusal("toy", tmp_path / "indexes")[0] == f"there is no index in {tmp_path / 'indexes' / 'toy'}"


@pytest.mark.parametrize("index", ["mnist-tst", "Mnist-Test", "./indexes/mnist_test"])
def test_the_closest_index_is_guessed_and_those_there_are_named(index, tmp_path):
    make_index(tmp_path / "site" / "indexes" / "mnist-test")
    make_index(tmp_path / "ix" / "mine")
    hint = refusal(index, tmp_path / "ix")[1]
    assert hint.startswith("did you mean 'mnist-test'? ")
    assert hint.endswith("; there are: mine, mnist-test")


def test_without_any_index_the_hint_is_the_command_that_makes_it(tmp_path):
    assert refusal("mnist-test", Path("indexes"))[1] == (
        "build it from MNIST's test images: `simsearch build-index`"
    )
    assert refusal("mnist-test", tmp_path / "ix")[1] == (
        f"build it from MNIST's test images: `simsearch build-index --index-dir {tmp_path / 'ix'}`"
    )
    assert refusal("mine", tmp_path / "ix")[1] == (
        f"`simsearch build-index --dataset FOLDER --name mine --index-dir {tmp_path / 'ix'}` builds it"
    )
