import io
from pathlib import Path

import pytest

from simsearch.errors import BadInputError
from simsearch.prepare.decode import MAX_BYTES
from simsearch.search.queries import Query, expand, gather, items, read_names, single


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files whose content nobody looks at."""
    for name in (
        "10.png",
        "9.png",
        "b/2.JPG",
        "b/1.png",
        "b/deep/3.webp",
        "notes.txt",
        ".hidden.png",
        "e/x.txt",
    ):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).touch()
    (tmp_path / "[1].png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(*arguments: str, stdin: bytes = b"") -> list[tuple[str, str | None]]:
    """Name and error of each query."""
    found = expand(arguments, io.BytesIO(stdin))
    return [(query.name, query.error and query.error.message) for query in found]


def test_files_are_taken_as_they_come_there_or_not_twice_or_not() -> None:
    assert named("b.png", "a.png", "b.png") == [("b.png", None), ("a.png", None), ("b.png", None)]


@pytest.mark.usefixtures("folder")
def test_a_folder_is_the_pictures_in_and_below_it_in_natural_order() -> None:
    found = list(expand(["d"], io.BytesIO()))
    assert [query.name for query in found] == [
        "d/9.png",
        "d/10.png",
        "d/b/1.png",
        "d/b/2.JPG",
        "d/b/deep/3.webp",
    ]
    assert [query.label for query in found] == [None, None, "b", "b", "b"]
    assert [query.picture for query in found] == [Path(query.name) for query in found]


@pytest.mark.usefixtures("folder")
def test_a_folder_without_a_picture_is_told() -> None:
    assert named("d/e") == [("d/e", "there is no picture in d/e")]


def test_a_link_to_a_folder_is_passed_over_with_a_note(folder: Path) -> None:
    (folder / "d" / "e" / "link").symlink_to(folder / "d" / "b")
    said: list[str] = []
    assert len(list(expand(["d/e"], io.BytesIO(), note=said.append))) == 1
    assert said == [
        "skipped d/e/link: a link to a folder, not followed",
        "skipped d/e/x.txt: not a picture",
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("d/*.png", ["d/9.png", "d/10.png"]),
        ("d/?.png", ["d/9.png"]),
        ("d/**/*.png", ["d/9.png", "d/10.png", "d/b/1.png"]),
        ("d/[0-9].*", ["d/9.png"]),
        (
            "d/b*",
            ["d/b/1.png", "d/b/2.JPG", "d/b/deep/3.webp"],
        ),  # a folder that matches stands for its pictures
        ("[1].png", ["[1].png"]),  # a file of exactly this name comes before the pattern
    ],
)
def test_patterns_are_expanded_in_natural_order(folder: Path, pattern: str, names: list[str]) -> None:
    assert named(pattern) == [(name, None) for name in names]
    assert named(str(folder / pattern)) == [(str(folder / name), None) for name in names]


@pytest.mark.usefixtures("folder")
def test_a_pattern_without_a_match_is_told_and_the_rest_goes_on() -> None:
    assert named("d/*.gif", "d/9.png") == [("d/*.gif", "nothing matches d/*.gif"), ("d/9.png", None)]


def test_standard_input_is_one_picture_read_once() -> None:
    found = list(expand(["-", "a.png", "-"], io.BytesIO(b"bytes")))
    assert found[:2] == [Query("stdin", b"bytes"), Query("a.png", Path("a.png"))]
    assert found[2].error is not None
    assert found[2].error.message == "standard input holds one picture, and was read already"
    assert [query.kind for query in found] == ["stdin", "file", "stdin"]


def test_standard_input_that_is_empty_or_too_large_is_told() -> None:
    assert named("-") == [("stdin", "nothing came on standard input")]
    assert named("-", stdin=bytes(MAX_BYTES + 1)) == [("stdin", "stdin is larger than 10 MB")]


@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "HTTP://x", "file:///etc/passwd", "s3://b/k"]
)
def test_an_address_is_never_fetched(address: str) -> None:
    ((name, message),) = named(address)
    assert (name, message) == (address, f"{address} is an address, and is not fetched")


@pytest.mark.parametrize("name", ["a" * 5_000, "nul\0byte", "", "?" * 5_000])
def test_impossible_names_are_left_to_the_reader_or_told(name: str) -> None:
    assert len(named(name)) == 1


def test_items_are_named_by_their_ids() -> None:
    assert list(items([7, 7])) == [Query("id 7", item=7)] * 2
    assert Query("id 7", item=7).kind == "item"


def test_a_list_of_names_is_read_as_it_is_needed(tmp_path: Path) -> None:
    lines = io.BytesIO(b"a.png\r\n\nb c.png\n\xff.png")
    assert list(read_names("-", lines)) == ["a.png", "b c.png", "\udcff.png"]
    path = tmp_path / "list"
    path.write_text("x.png\ny.png\n")
    assert list(read_names(str(path), io.BytesIO())) == ["x.png", "y.png"]
    path.write_bytes(b"\xef\xbb\xbfx.png\n\xef\xbb\xbfy.png\n")  # a mark, and a strange name
    assert list(read_names(str(path), io.BytesIO())) == ["x.png", "\ufeffy.png"]
    with pytest.raises(BadInputError, match="cannot read nowhere: no such file or directory"):
        list(read_names("nowhere", io.BytesIO()))


def test_everything_asked_is_gathered_in_order() -> None:
    queries, total = gather(["a.png", "b.png"], [3, 1], None, io.BytesIO())
    assert ([query.name for query in queries], total) == (["a.png", "b.png", "id 3", "id 1"], 4)
    queries, total = gather(["a.png"], [3], "-", io.BytesIO(b"x.png\ny.png\n"))
    assert ([query.name for query in queries], total) == (["a.png", "x.png", "y.png", "id 3"], None)
    queries, total = gather([], [], None, io.BytesIO(), steered=True)
    assert ([query.kind for query in queries], total) == (["combination"], 1)
    with pytest.raises(BadInputError, match="there is nothing to ask about"):
        gather([], [], None, io.BytesIO())


@pytest.mark.usefixtures("folder")
def test_a_single_picture_is_one() -> None:
    assert single("d/9.png", io.BytesIO()) == Query("d/9.png", Path("d/9.png"))
    for argument, message in (("d", "d holds 5 pictures"), ("d/e", "there is no picture in d/e")):
        with pytest.raises(BadInputError, match=message):
            single(argument, io.BytesIO())
