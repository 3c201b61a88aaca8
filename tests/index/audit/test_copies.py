"""Copies: found in generated folders, told from what only looks alike, grouped, the best one named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from toys import toy_split

from simsearch.data.folders import load_image_folder
from simsearch.encode.model_folder import Model
from simsearch.index.audit.agreement import Comparable, agreement
from simsearch.index.audit.copies import Copy, CopyRules, find_copies
from simsearch.index.audit.groups import as_rows, group_copies, read_file, union
from simsearch.index.audit.kinds import CopyKind
from simsearch.index.build import build_index
from simsearch.index.bundle import Bundle, open_bundle
from simsearch.search.searcher import Searcher

Build = Callable[..., Path]
A, B, C, D, E = ((False, item) for item in range(5))


def test_union_joins_chains() -> None:
    assert union([(A, B), (D, C), (B, E)]) == [[A, B, E], [C, D]]
    assert union([]) == []


@pytest.mark.parametrize(
    ("score", "as_is", "mirrored", "kind"),
    [
        (0.7, 0.99, 0.1, CopyKind.NEAR),
        (0.7, 0.1, 0.99, CopyKind.MIRRORED),
        (0.98, 0.81, 0.1, CopyKind.EDITED),
        (0.98, 0.79, 0.1, None),
        (0.96, 0.97, 0.1, None),
    ],
)
def test_a_cosine_alone_is_no_proof(
    score: float, as_is: float, mirrored: float, kind: CopyKind | None
) -> None:
    assert CopyRules().kind(score, as_is, mirrored, digits=False) is kind


def test_of_digits_only_equal_ones_as_they_are_are_copies() -> None:
    rules = CopyRules(agreement=0.5)
    assert rules.kind(1, 0.985, 1, digits=True) is None
    assert rules.kind(1, 0.995, 0, digits=True) is CopyKind.NEAR


def test_no_two_of_mnists_test_images_are_copies(shipped: Searcher) -> None:
    assert find_copies(shipped.bundle).pairs == ()


def test_agreement_is_a_correlation_and_flat_pictures_have_none(build_toy: Build) -> None:
    quadrants = [((200, 0, 0, 0), 0), ((100, 0, 0, 0), 0), ((0, 200, 0, 0), 0), ((50, 50, 50, 50), 0)]
    bundle = open_bundle(build_toy(toy_split(quadrants)))
    rows = np.array([0, 0, 0])
    others = np.array([1, 2, 3])
    pictures = Comparable(bundle, np.arange(4))
    found = agreement(pictures.grays(rows), pictures.grays(others))
    assert found.as_is == pytest.approx([1, -1 / 3, 0], abs=1e-5)  # means 1/4: (1/4 - 2/4 ...) / 3
    assert found.mirrored == pytest.approx([-1 / 3, 1, 0], abs=1e-5)


def drawing(seed: int, side: int) -> Image.Image:
    """A picture of some random discs; the same seed gives the same at every size."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (4 * side, 4 * side), "white")
    pen = ImageDraw.Draw(image)
    for x, y, size, *color in rng.random((9, 6)):
        box = [4 * side * part for part in (x * 0.8, y * 0.8, x * 0.8 + size / 4, y * 0.8 + size / 4)]
        pen.ellipse(box, fill=tuple(int(200 * part) for part in color))
    return image.resize((side, side), Image.Resampling.LANCZOS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A drawing in six files, another in two, and three that are alone."""
    place = tmp_path / "pictures"
    place.mkdir()
    drawing(1, 120).save(place / "1.png")
    drawing(1, 120).save(place / "1-soft.jpg", quality=60)
    drawing(1, 60).save(place / "1-small.png")
    ImageOps.grayscale(drawing(1, 120)).save(place / "1-gray.png")
    (place / "a copy.png").write_bytes((place / "1.png").read_bytes())
    drawing(2, 90).save(place / "2.jpg", quality=90)
    drawing(2, 90).filter(ImageFilter.GaussianBlur(0.7)).save(place / "2-blurred.jpg", quality=40)
    for seed in (3, 4, 5):
        drawing(seed, 80).save(place / f"{seed}.png")
    return place


@pytest.fixture
def bundle(folder: Path, tmp_path: Path, plain_model: Model) -> Bundle:
    """Its index. The toy encoder sees four quadrants, so every pair is looked at."""
    gallery = load_image_folder(folder, plain_model.encoder.input)
    build_index(gallery, plain_model, tmp_path / "index")
    return open_bundle(tmp_path / "index")


def test_the_best_of_a_group_is_the_largest_and_least_compressed(bundle: Bundle) -> None:
    found = group_copies(bundle, None, find_copies(bundle, None, CopyRules(threshold=-1)))
    kinds = {
        group.best.source: {member.source: member.kind.value for member in group.others}
        for group in found.groups
    }
    of_one = {"a copy.png": "file", "1-gray.png": "pixels", "1-soft.jpg": "near", "1-small.png": "near"}
    assert kinds == {"1.png": of_one, "2.jpg": {"2-blurred.jpg": "near"}}  # the network sees gray
    first, second = found.groups
    assert first.why == "the first of equal files"
    assert second.why.startswith("the least compressed of 90 x 90 pixels: ")
    assert (found.copies, found.files, found.unreadable) == (5, 10, 0)
    assert (first.best.width, first.best.height) == (120, 120)
    rows = list(as_rows(found))
    assert rows[0][:3] == ("group", "best", "kind")
    assert [row[:2] for row in rows[1:]] == [(1, "true"), *[(1, "false")] * 4, (2, "true"), (2, "false")]


def test_the_same_files_are_found_whatever_their_vectors_say(bundle: Bundle) -> None:
    found = find_copies(bundle, None, CopyRules(threshold=1.0, neighbors=1))
    sources = {int(item): source for item, source in zip(bundle.ids, bundle.sources, strict=True)}
    files = [pair for pair in found.pairs if pair.kind is CopyKind.FILE]
    assert [{sources[pair.first], sources[pair.second]} for pair in files] == [{"1.png", "a copy.png"}]


def test_without_files_what_the_index_keeps_is_compared(bundle: Bundle, folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    found = group_copies(bundle, None, find_copies(bundle, None, CopyRules(threshold=-1)))
    assert found.files == 0
    assert {group.why for group in found.groups} == {"the first; no file is there to be measured"}
    assert len(found.groups) == 2
    assert "pixels" in {member.kind for member in found.groups[0].others}


def test_against_another_index_its_picture_is_the_best(
    bundle: Bundle, folder: Path, tmp_path: Path, plain_model: Model
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.png").write_bytes((folder / "3.png").read_bytes())
    drawing(9, 70).save(tmp_path / "new" / "other.png")
    build_index(
        load_image_folder(tmp_path / "new", plain_model.encoder.input), plain_model, tmp_path / "index-new"
    )
    own = open_bundle(tmp_path / "index-new")
    (group,) = group_copies(own, bundle, find_copies(own, bundle)).groups
    assert (group.best.index, group.best.source, group.why) == ("index", "3.png", "it is the other index's")
    assert [(member.index, member.source, member.kind) for member in group.others] == [
        ("index-new", "mine.png", CopyKind.FILE)
    ]


def test_a_file_is_measured_without_being_decoded_and_by_its_bytes(tmp_path: Path) -> None:
    place = tmp_path / "picture.jpg"
    Image.new("L", (30, 20)).save(place, "PNG")
    file = read_file(place)
    assert file is not None
    assert (file.kind, file.width, file.height, file.is_lossless) == ("PNG", 30, 20, True)
    place.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert read_file(place) is None
    place.write_text("no picture")
    assert read_file(place) is None
    assert read_file(tmp_path / "none.png") is None


def test_pairs_come_surest_first(bundle: Bundle) -> None:
    kinds = [pair.kind for pair in find_copies(bundle, None, CopyRules(threshold=-1)).pairs]
    order = list(CopyKind)
    assert kinds == sorted(kinds, key=order.index)
    assert isinstance(find_copies(bundle).pairs[0], Copy)
