"""The files behind items: given as they are, and nothing else is, whatever an index or a folder holds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from browsers import open_browser
from PIL import Image
from playwright.sync_api import expect
from servers import running
from toys import quadrant_image

from simsearch.data.folders import load_image_folder
from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.originals import Originals
from simsearch.web.app import create_app
from simsearch.web.headers import SECURITY_HEADERS
from simsearch.web.settings import Settings


@pytest.fixture
def gallery(tmp_path: Path, plain_model: Model) -> Split:
    """A PNG that is called .jpg, and a JPEG."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(quadrant_image(90, 10, 0, 40)).save(folder / "a.jpg", "PNG")
    Image.fromarray(quadrant_image(10, 90, 0, 40)).save(folder / "b.jpg", "JPEG")
    return load_image_folder(folder, plain_model.encoder.input)


def ask(index: Path, *paths: str, token: str | None = None) -> list[httpx.Response]:
    app = create_app({"toy": index}, Settings(token=token))

    async def get() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(get())


def test_a_file_comes_as_it_is_with_the_type_of_its_bytes(
    tmp_path: Path, plain_model: Model, gallery: Split
) -> None:
    build_index(gallery, plain_model, tmp_path / "toy")
    paths = ("/api/items/0/original", "/api/items/1/original?index=toy", "/api/items/0")
    first, second, item = ask(tmp_path / "toy", *paths)
    assert first.content == (tmp_path / "pictures" / "a.jpg").read_bytes()
    types = [response.headers["content-type"] for response in (first, second)]
    assert types == ["image/png", "image/jpeg"]
    assert all(first.headers[name] == value for name, value in SECURITY_HEADERS.items())
    assert first.headers["cache-control"] == "no-store"
    assert item.json()["original"] is True
    (refused,) = ask(tmp_path / "toy", "/api/items/0/original", token="secret")
    assert refused.status_code == 401


def test_what_is_no_picture_any_more_is_not_given(tmp_path: Path, plain_model: Model, gallery: Split) -> None:
    build_index(gallery, plain_model, tmp_path / "toy")
    (tmp_path / "pictures" / "a.jpg").write_text("a letter")
    (tmp_path / "pictures" / "b.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(11 * 2**20))
    paths = ("/api/items/0/original", "/api/items/1/original", "/api/items/7/original", "/api/items/0")
    *refused, item = ask(tmp_path / "toy", *paths)
    assert [response.status_code for response in refused] == [404] * 3
    assert "is not there, or no picture that can be shown" in refused[0].json()["detail"]
    assert item.json()["original"] is False


@pytest.mark.parametrize(
    "source", ["../secret.png", "a/../../secret.png", "/etc/secret.png", "", "a\0.png", "..", "pictures/.."]
)
def test_a_source_never_leads_out_of_the_folder(
    source: str, tmp_path: Path, plain_model: Model, gallery: Split
) -> None:
    Image.fromarray(quadrant_image(1, 2, 3, 4)).save(tmp_path / "secret.png")
    build_index(replace(gallery, sources=(source, "b.jpg")), plain_model, tmp_path / "toy")
    bundle = open_bundle(tmp_path / "toy")
    originals = Originals(bundle)
    assert (originals.path(0), originals.existing(0), originals.read(0)) == (None, None, None)
    assert originals.path(1) == tmp_path / "pictures" / "b.jpg"
    assert [row for row, _ in originals.all_existing()] == [1]


def test_an_index_without_a_folder_has_no_files(tmp_path: Path, plain_model: Model, gallery: Split) -> None:
    build_index(replace(gallery, root=None), plain_model, tmp_path / "toy")
    refused, item = ask(tmp_path / "toy", "/api/items/0/original", "/api/items/0")
    assert (refused.status_code, item.json()["original"]) == (404, False)


def test_pictures_in_color_are_shown_too(tmp_path: Path, plain_model: Model, gallery: Split) -> None:
    from simsearch.index.packed import SmallPictures
    from simsearch.web.registry import OpenIndex

    build_index(gallery, plain_model, tmp_path / "toy")
    opened = OpenIndex("toy", tmp_path / "toy")
    colored = SmallPictures(*SmallPictures.pack([gallery.images[0], gallery.images[1]]))
    opened.searcher.bundle = replace(
        opened.searcher.bundle, columns=replace(opened.searcher.bundle.columns, thumbnails=colored)
    )
    assert opened.png(0).startswith(b"\x89PNG")


@pytest.mark.browser
def test_the_page_opens_the_file_of_an_item(tmp_path: Path, plain_model: Model, gallery: Split) -> None:
    build_index(gallery, plain_model, tmp_path / "toy")
    with (
        running({"toy": tmp_path / "toy"}, Settings(workers=1, token="secret")) as url,
        open_browser() as browser,
    ):
        page = browser.new_page()
        page.goto(f"{url}/#token=secret&id=0")
        button = page.get_by_role("button", name="Show the original file")
        with page.expect_popup() as popup:
            button.click()
        picture = popup.value.locator("img")
        expect(picture).to_have_js_property("naturalWidth", 28)
        (tmp_path / "pictures" / "b.jpg").unlink()
        page.goto(f"{url}/#id=1")
        expect(page.locator("#asked")).to_have_text("Item 1")
        expect(button).to_be_hidden()
