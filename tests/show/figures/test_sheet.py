import io

import numpy as np
import pytest
from looking import shown_texts, texts, untidy
from PIL import Image

from simsearch.errors import BadInputError
from simsearch.show.figures.files import render, save
from simsearch.show.figures.fonts import families, readable
from simsearch.show.figures.sheet import Sheet, Style
from simsearch.show.figures.theme import DARK, LIGHT


def test_characters_without_a_glyph_are_spelt_out_and_stay_distinct() -> None:
    assert readable("Ж ä é ✓ ш") == "Ж ä é ✓ ш"
    assert readable("a\nb\x00") == "aU+000AbU+0000"
    assert readable("\ue000") == "U+E000"  # private use: no font may promise it
    assert readable("\ud800") == "U+D800"
    assert readable("\U0010ffff") == "U+10FFFF"
    assert families()[0] == "DejaVu Sans"


def test_names_in_any_script_are_drawn_without_a_warning() -> None:
    names = ("東京", "北京", "مرحبا", "हिन्दी", "🙂", "$x^2$", "a_b", "\\frac", "Ünïcödé", "x" * 3000)
    for theme in (LIGHT, DARK):
        sheet = Sheet(Style(theme), 8, 6)
        for row, name in enumerate(names):
            sheet.text(0.3, 0.5 + row * 0.5, sheet.fit(name, 4))
        assert untidy(sheet.figure) == []
        for form in ("png", "svg", "pdf"):
            assert render(sheet.figure, form, dpi=40)
    assert "$x^2$" in texts(sheet.figure)


def test_long_names_lose_their_middle_and_fit() -> None:
    sheet = Sheet(Style(), 8, 6)
    for width in (0.3, 1.0, 2.0):
        shown = sheet.fit("class-of-very-long-name-17", width)
        assert shown.startswith("c") or width < 0.3
        assert "…" in shown
        assert sheet.text_width(shown) <= width
    assert sheet.fit("class-of-very-long-name-17", 1.6).endswith("17")
    assert sheet.fit("short", 2) == "short"
    assert sheet.fit("", 1) == ""
    assert sheet.fit("abc", 0.001) == "…"


def test_everything_grows_with_the_page_and_the_rest_is_room() -> None:
    sheet = Sheet(Style(width=16, height=20), 8, 6)
    assert (sheet.scale, sheet.width, sheet.height) == (2, 8, 10)
    assert sheet.figure.get_size_inches().tolist() == [16, 20]
    assert sheet.text(1, 1, "x", size=11).get_fontsize() == 22
    assert sheet.text_width("abc") == pytest.approx(Sheet(Style(), 8, 6).text_width("abc"), rel=0.05)
    only_high = Sheet(Style(height=3), 8, 6)
    assert only_high.figure.get_size_inches().tolist() == [4, 3]
    with pytest.raises(ValueError, match=r"from 0\.5 to 100 inches, not 0"):
        Style(width=0)


def test_coordinates_are_inches_from_the_top_left() -> None:
    sheet = Sheet(Style(), 8, 6)
    sheet.text(1, 2, "x", ha="left", va="baseline")
    (text,) = shown_texts(sheet.figure)
    where = text.get_transform().transform(text.get_position()) / sheet.figure.dpi
    assert where.tolist() == pytest.approx([1, 4])
    picture = sheet.picture(3, 1, 2, np.zeros((28, 28), np.uint8))
    corners = picture.get_window_extent().get_points() / sheet.figure.dpi
    assert corners.ravel().tolist() == pytest.approx([3, 3, 5, 5])


def test_what_is_drawn_later_lies_above() -> None:
    sheet = Sheet(Style(), 4, 4)
    sheet.box(0, 0, 4, 4, fill="#ff0000")
    sheet.picture(1, 1, 2, np.full((28, 28), 255, np.uint8))
    sheet.box(1.5, 1.5, 1, 1, fill="#0000ff")
    pixels = np.asarray(Image.open(io.BytesIO(render(sheet.figure, "png", dpi=10))).convert("RGB"))
    assert pixels[5, 5].tolist() == [255, 0, 0]
    assert pixels[12, 12].tolist() == [255, 255, 255]
    assert pixels[20, 20].tolist() == [0, 0, 255]


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes_of_its_format(form: str) -> None:
    def draw() -> bytes:
        sheet = Sheet(Style(DARK), 4, 3)
        sheet.header("A title", "and what it is of")
        sheet.picture(1, 1, 1, np.arange(784, dtype=np.uint8).reshape(28, 28))
        return render(sheet.figure, form, dpi=50)

    content = draw()
    assert content == draw()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])


def test_a_png_has_the_size_in_inches_times_dpi_and_the_color_of_the_page() -> None:
    image = Image.open(io.BytesIO(render(Sheet(Style(DARK), 4, 3).figure, "png", dpi=50)))
    assert image.size == (200, 150)
    assert image.convert("RGB").getpixel((0, 0)) == (0x15, 0x18, 0x1D)
    with pytest.raises(BadInputError, match="36,000 x 36,000 pixels is too large"):
        render(Sheet(Style(width=60, height=60), 4, 3).figure, "png", dpi=600)


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tmp_path) -> None:
    path = tmp_path / "a.SVG"
    save(Sheet(Style(), 2, 2).figure, path)
    assert path.read_bytes().startswith(b"<?xml")
    with pytest.raises(BadInputError, match="cannot write"):
        save(Sheet(Style(), 2, 2).figure, tmp_path / "none" / "a.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.SVG"]
