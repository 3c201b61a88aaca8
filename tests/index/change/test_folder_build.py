"""A folder becomes the index that its pictures make, however often the build was ended on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import assert_tidy
from numpy.testing import assert_array_equal
from test_sequences import KilledError, Killing, contents
from toys import PLAIN, write_quadrants

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.errors import BadDatasetError, BadInputError
from simsearch.index.build import build_index
from simsearch.index.bundle import BUILDING, open_bundle, read_manifest
from simsearch.index.catalog import delete_index, rename_index
from simsearch.index.change import ingest
from simsearch.index.change.folder_build import Built, Source, build_folder
from simsearch.index.update import Index
from simsearch.index.verify import verify

COUNT = 20


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty pictures of two classes, and a third class whose only picture is broken."""
    for row in range(COUNT):
        write_quadrants(tmp_path / "pictures" / "ab"[row % 2] / f"{row}.png", row + 1, 2, 3, 90 - row)
    broken = tmp_path / "pictures" / "c" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    return tmp_path / "pictures"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch of three files is a chunk."""
    monkeypatch.setattr(ingest, "_BATCH", 3)
    monkeypatch.setattr(ingest, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(ingest, "_REPORT_SECONDS", 0.0)


class EndedError(Exception):
    """Raised in place of Ctrl-C."""


class Run:
    """A build of the folder; ends after so many files if it is told to."""

    def __init__(self, pictures: Path, model: Model, folder: Path, **options: str) -> None:
        self.source, self.model, self.folder, self.options = (
            Source(pictures, "pictures"),
            model,
            folder,
            options,
        )
        self.seen: list[int] = []

    def __call__(self, ends_after: float = float("inf")) -> Built:
        self.seen = []

        def bar(total: int, done: int) -> Callable[[int], None]:
            assert total == COUNT + 1
            self.seen.append(done)

            def advance(count: int) -> None:
                self.seen.append(count)
                if sum(self.seen) >= ends_after:
                    raise EndedError

            return advance

        return build_folder(self.source, self.model, self.folder, processes=1, bar=bar, **self.options)


@pytest.fixture
def run(pictures: Path, plain_model: Model, tmp_path: Path) -> Run:
    return Run(pictures, plain_model, tmp_path / "index")


@pytest.fixture
def expected(pictures: Path, plain_model: Model, tmp_path: Path) -> dict[int, tuple[str, str, bytes, bytes]]:
    """What the folder comes to when it is read at once."""
    build_index(load_image_folder(pictures, PLAIN, processes=1), plain_model, tmp_path / "expected")
    return contents(tmp_path / "expected")


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF2,Flat"])
def test_a_folder_becomes_the_index_that_its_pictures_make(run: Run, expected: object, factory: str) -> None:
    run.options = {"factory": factory}
    built = run()
    assert contents(run.folder) == expected
    manifest = read_manifest(run.folder)
    assert manifest == built.manifest
    assert (manifest.classes, manifest.labeling, manifest.factory) == (("a", "b"), "folder", factory)
    assert manifest.root == str(run.source.root)
    assert [part.count for part in manifest.parts] == [COUNT]
    assert [(entry.path, entry.reason) for entry in built.skipped] == [
        ("c/broken.png", "cannot decode it: not a picture, or damaged")
    ]
    assert sum(run.seen) == COUNT + 1
    assert_tidy(run.folder)
    assert all(check.passed for check in verify(run.folder, threads=1))
    assert not Index.open(run.folder).plan().touched  # it knows its files


def test_a_build_that_was_ended_goes_on_where_it_was(run: Run, expected: object) -> None:
    for ends_after, done in [(9, 0), (15, 6), (float("inf"), 12)]:
        if ends_after < COUNT:
            with pytest.raises(EndedError):
                run(ends_after)
            assert not (run.folder / "manifest.json").exists()
        else:
            assert run(ends_after).resumed == done
        assert run.seen[0] == done
    assert contents(run.folder) == expected
    assert_tidy(run.folder)


def test_an_index_that_is_there_answers_until_the_new_one_is_done(run: Run, expected: object) -> None:
    run()
    before = contents(run.folder)
    write_quadrants(run.source.root / "a" / "0.png", 200, 2, 3, 9)
    with pytest.raises(EndedError):
        run(9)
    assert contents(run.folder) == before == expected
    Index.open(run.folder, threads=1).remove([1])  # does not disturb the build
    assert len(contents(run.folder)) == COUNT - 1
    assert run().resumed == 6
    after = contents(run.folder)
    assert sorted(after) == list(range(COUNT))
    assert {item for item in after if after[item] != before[item]} == {0}


def test_files_that_changed_meanwhile_are_read_again_and_so_are_all_after_them(run: Run) -> None:
    with pytest.raises(EndedError):
        run(15)
    write_quadrants(run.source.root / "a" / "8.png", 200, 2, 3, 9)  # the fifth of the first twelve
    assert run().resumed == 3
    found = open_bundle(run.folder, threads=1)
    split = load_image_folder(run.source.root, PLAIN, processes=1)
    assert_array_equal(found.thumbnails, split.images)
    assert tuple(found.sources) == tuple(split.sources)


def test_another_build_begins_anew(run: Run, plain_model: Model, tmp_path: Path) -> None:
    with pytest.raises(EndedError):
        run(9)
    other = write_quadrants(tmp_path / "other" / "x" / "1.png", 1, 2, 3, 4).parents[1]
    built = build_folder(Source(other, "other"), plain_model, run.folder, processes=1)
    assert (built.resumed, built.manifest.count, built.manifest.classes) == (0, 1, ("x",))
    assert_tidy(run.folder)


@pytest.mark.parametrize(
    "torn",
    [
        b'{"end": 9, "cla',
        b"\xff\xfe\n",
        b"{}\n",
        b'{"end": 99, "classes": [], "skipped": [], "segment": null}\n',
    ],
)
def test_a_torn_log_loses_its_end_alone(run: Run, expected: object, torn: bytes) -> None:
    with pytest.raises(EndedError):
        run(9)
    with (run.folder / BUILDING / "log.jsonl").open("ab") as file:
        file.write(torn)
    assert run().resumed == 6
    assert contents(run.folder) == expected


def test_a_damaged_segment_is_encoded_again(run: Run, expected: object) -> None:
    with pytest.raises(EndedError):
        run(15)
    stamps = sorted((run.folder / BUILDING).glob("stamps-*"))
    stamps[0].write_bytes(b"junk")
    assert run().resumed in (0, 3, 6, 9)
    assert contents(run.folder) == expected


def test_a_build_killed_anywhere_goes_on_to_the_same_index(run: Run, expected: object) -> None:
    from syscalls import watched

    for step in itertools.count(0, 37):
        try:
            with watched(run.folder.parent, Killing(step)):
                run()
        except KilledError:
            continue
        break
    assert step > 100
    assert contents(run.folder) == expected
    assert_tidy(run.folder)


def test_a_folder_without_a_readable_picture_leaves_nothing(plain_model: Model, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for write in (False, True):
        if write:
            (tmp_path / "pictures" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        with pytest.raises(BadDatasetError, match="holds no readable image"):
            build_folder(Source(tmp_path / "pictures", "p"), plain_model, tmp_path / "index", processes=1)
        assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_folder_that_goes_away_replaces_nothing_and_is_read_on_when_it_is_back(
    run: Run, expected: object, left: str
) -> None:
    root, aside = run.source.root, run.source.root.with_name("aside")
    run()

    def go_away(*_: int) -> Callable[[int], None]:
        root.rename(aside)
        if left == "an empty folder":
            root.mkdir()
        return lambda _: None

    with pytest.raises(BadDatasetError, match="is not there any more, or empty, so nothing was replaced"):
        build_folder(run.source, run.model, run.folder, processes=1, bar=go_away)
    assert contents(run.folder) == expected
    if root.exists():
        root.rmdir()
    aside.rename(root)
    run()
    assert contents(run.folder) == expected
    assert_tidy(run.folder)


def test_an_impossible_index_type_is_refused_before_the_work(run: Run) -> None:
    run.options = {"factory": "Flat,Nonsense"}
    with pytest.raises(BadInputError):
        run()
    assert run.seen == []


def test_renaming_takes_a_build_in_progress_along_and_deleting_deletes_it(run: Run, expected: object) -> None:
    run()
    with pytest.raises(EndedError):
        run(9)
    moved = rename_index("index", "renamed", run.folder.parent)
    assert (moved / BUILDING).is_dir()
    assert contents(moved) == expected
    delete_index("renamed", run.folder.parent)
    assert not moved.exists()
