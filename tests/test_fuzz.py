"""The per-commit share of `tests/fuzz/run.py`, the named picture cases, and any command line at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pngs import chunk
from toys import quadrant_image, toy_split
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="the toy encoder is made with it")

from fuzz.campaign import Campaign
from fuzz.cases import GROWN_KINDS, KINDS, grown_case, intact, make_case
from fuzz.materials import make_materials, toy_model
from fuzz.worker import Worker

from simsearch.cli.main import app
from simsearch.encode.model_folder import ENCODER, MODEL_CARD
from simsearch.errors import BadImageError
from simsearch.index.build import build_index
from simsearch.prepare.prepare import prepare_image

SEED = 20_26
GROWN = 40
SHARES = {"bundle": 300, "model": 150, "checkpoint": 150, "image": 600}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "made").mkdir()
    campaign = Campaign(make_materials(folder / "made"), folder)
    yield campaign
    campaign.close()


@pytest.mark.parametrize("kind", KINDS)
def test_each_broken_or_hostile_thing_is_answered_rightly_or_refused(campaign: Campaign, kind: str) -> None:
    if kind == "checkpoint" and campaign.materials.checkpoint is None:
        pytest.skip("needs the extra: pip install 'simsearch[train]'")
    findings = [campaign.try_case(kind, (SEED, number)) for number in range(SHARES[kind])]
    assert [str(finding) for finding in findings if finding] == []
    outcomes = campaign.tally.outcomes
    assert outcomes[kind, "answered"] + outcomes[kind, "refused"] == SHARES[kind]
    assert outcomes[kind, "refused"] > SHARES[kind] / 2  # the mutations do reach something


@pytest.mark.parametrize("kind", GROWN_KINDS)
def test_each_thing_that_asks_for_more_and_more_is_answered_or_refused(campaign: Campaign, kind: str) -> None:
    """Within the worker's 2 s and 300 MB, however often, however large, however deep."""
    judged = [campaign.judge(grown_case(kind, (SEED, number), campaign.materials)) for number in range(GROWN)]
    assert [str(one.finding) for one in judged if one.finding] == []
    assert sum(one.outcome.what == "refused" for one in judged) > GROWN / 3


def test_a_case_is_the_same_whenever_it_is_made(campaign: Campaign) -> None:
    kinds = {case.kind for case in intact(campaign.materials)} & {*KINDS}
    for kind in kinds:
        first, again, other = (make_case(kind, (SEED, number), campaign.materials) for number in (1, 1, 2))
        assert first == again
        assert first != other


def test_the_watch_notices_a_crash_a_hang_memory_and_foreign_errors(
    tmp_path: Path,
) -> None:
    """The harness itself: code put in the place of an answer is run in the watched process."""
    worker = Worker()
    codes = {
        "crash": "import os; os.abort()",
        "hang": "while True: pass",
        "memory": "held = bytearray(400 * 2**20); held[::4096] = b'x' * len(held[::4096])",
        "foreign": "raise KeyError('x')",
        "answered": "pass",
    }
    for expected, code in codes.items():
        (tmp_path / "code").write_text(code)
        assert worker.ask("selftest", tmp_path).what == expected
    worker.close()


# --- pictures by name that tests/prepare does not hold


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return png[:33] + chunk(kind, body) + png[33:]


DIGIT = Image.fromarray(np.pad(np.full((28, 8), 255, np.uint8), ((6, 6), (16, 16))))
PNG, JPEG, BMP, GIF = (encoded(DIGIT, name) for name in ("PNG", "JPEG", "BMP", "GIF"))
WEBP = encoded(DIGIT.convert("RGB"), "WEBP")
BOMB = zlib.compress(bytes(200 * 2**20), 9)  # 200 MB in 200 KB
SIXTEEN = np.asarray(DIGIT).astype(">u2") * 257

REFUSED = {
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "html": b"<!doctype html><img src=x>",
    "zip": b"PK\x03\x04" + bytes(60),
    "mp4": b"\0\0\0\x18ftypmp42" + bytes(60),
    "pickle": b"\x80\x04\x95" + bytes(60),
    "numpy": b"\x93NUMPY\x01\0" + bytes(60),
    "ico": encoded(DIGIT, "ICO"),
    "pcx": encoded(DIGIT, "PCX"),
    "psd": b"8BPS\0\x01" + bytes(40),
    "jpeg2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "png-signature-only": PNG[:8],
    "png-header-only": PNG[:33],
    "png-of-no-size": PNG[:16] + bytes(8) + PNG[24:],
    "png-wrong-header-checksum": PNG[:29] + b"\0\0\0\0" + PNG[33:],
    "png-text-bomb": with_chunk(PNG, b"zTXt", b"k\0\0" + BOMB),
    "jpeg-start-only": JPEG[:2],
    "jpeg-of-65535-squared": JPEG.replace(b"\0\x11\x08\0\x28\0\x28", b"\0\x11\x08\xff\xff\xff\xff").replace(
        b"\0\x0b\x08\0\x28\0\x28", b"\0\x0b\x08\xff\xff\xff\xff"
    ),
    "bmp-of-30000-squared": BMP[:18] + struct.pack("<ii", 30_000, 30_000) + BMP[26:],
    "bmp-of-negative-width": BMP[:18] + struct.pack("<ii", -5, 40) + BMP[26:],
    "bmp-truncated": BMP[: len(BMP) // 2],
    "gif-of-65535-squared": GIF[:6] + b"\xff" * 4 + GIF[10:],
    "gif-start-only": GIF[:13],
    "webp-truncated": WEBP[: len(WEBP) // 2],
    "webp-of-16383-squared": encoded(Image.new("L", (16_383, 16_383)), "WEBP", lossless=True, method=0)
    if os.environ.get("SIMSEARCH_SLOW")
    else WEBP[:26] + b"\xff\x3f\xff\x3f" + WEBP[30:],
}
PREPARED = {
    "trailing-garbage": PNG + b"garbage" * 99,
    "polyglot-zip": PNG + b"PK\x05\x06" + bytes(18),
    "16-bit-big-endian": encoded(Image.fromarray(SIXTEEN.astype(np.uint16)), "PNG"),
    "interlaced-gif": encoded(DIGIT, "GIF", interlace=1),
    "webp": WEBP,
    "cmyk-jpeg": encoded(DIGIT.convert("CMYK"), "JPEG"),
    "exif-garbage": with_chunk(PNG, b"eXIf", b"MM\0*\xff\xff\xff\xff"),
    "absurd-resolution": with_chunk(PNG, b"pHYs", b"\xff" * 9),
    "animated-webp": encoded(DIGIT, "WEBP", lossless=True, save_all=True, append_images=[DIGIT.rotate(90)]),
    "animated-png": encoded(DIGIT, "PNG", save_all=True, append_images=[DIGIT.rotate(90)]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_named_picture_that_cannot_be_right_is_refused(name: str) -> None:
    with pytest.raises(BadImageError) as caught:
        prepare_image(REFUSED[name])
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize("name", PREPARED)
def test_a_named_picture_that_is_odd_and_sound_gives_the_same_digit(name: str) -> None:
    pixels = prepare_image(PREPARED[name]).pixels.astype(int)
    assert np.abs(pixels - prepare_image(PNG).pixels).mean() < 12


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such devices here")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device_is_no_picture(device: str) -> None:
    with pytest.raises(BadImageError, match="not a regular file"):
        prepare_image(device)


def test_a_link_to_itself_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(BadImageError, match="cannot read"):
        prepare_image(tmp_path / "loop.png")


# --- any command line: exit code 0, 2 or 3 and never a traceback


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good picture, index and model, and some that are not."""
    folder = tmp_path_factory.mktemp("place")
    model = toy_model()
    entries = [((100, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1), ((0, 0, 60, 80), 1)]
    build_index(toy_split(entries), model, folder / "good")
    build_index(toy_split(entries), model, folder / "broken")
    (index,) = (folder / "broken").glob("index-*")
    index.write_bytes(b"broken")
    for name in ("model", "hollow"):
        (folder / name).mkdir()
        (folder / name / MODEL_CARD).write_bytes(model.card.to_json())
    (folder / "model" / ENCODER).write_bytes(model.encoder.model)
    Image.fromarray(quadrant_image(30, 40, 0, 0)).save(folder / "good.png")
    Image.fromarray(quadrant_image(0, 0, 0, 0)).save(folder / "black.png")
    (folder / "text.png").write_text("text")
    (folder / "list.txt").write_bytes(b"good.png\n*.png\nnowhere\n\xff\n")
    (folder / "line\nbreak\x1b[31m.png").write_text("text")
    return folder


NAMES = ("good", "broken", "model", "hollow", "good.png", "black.png", "text.png", "line\nbreak\x1b[31m.png")
PLACES = st.sampled_from((*NAMES, "nowhere", ".", "", "x" * 300, "a\0b", "..", "good/../good", "ü\udcff"))
PICTURES = st.sampled_from(("*.png", "**", "[", "-", "http://x/y.png", "good.png/*")) | PLACES
OUTPUTS = st.sampled_from(
    ("out.csv", "out.parquet", "nowhere/out.csv", "list.txt/out.csv", "good", ".", "", "x" * 300, "a\0b.csv")
)
TEXTS = st.text(max_size=8) | st.sampled_from(("-1", "0", "3", "9" * 30, "1e3", "nan", "--", "-", "-k"))
NUMBERS = st.integers(-2, 12).map(str) | st.sampled_from((str(2**31), str(2**63), "9" * 40)) | TEXTS
OPTIONS = {
    "query": {
        "--k": NUMBERS,
        "--preprocess": st.sampled_from(("auto", "none", "mnist")) | TEXTS,
        "--id": NUMBERS,
        "--label": st.sampled_from(("a", "b")) | TEXTS,
        "--like": PICTURES,
        "--unlike": PICTURES,
        "--min-score": NUMBERS,
        "--min-probability": NUMBERS,
        "--unknown-below": NUMBERS,
        "--files-from": st.sampled_from(("list.txt", "-")) | PLACES,
        "--images": st.sampled_from(("auto", "blocks", "braille", "kitty", "sixel", "none")) | TEXTS,
    },
    "similarity": {"--model": PLACES, "--preprocess": st.sampled_from(("auto", "none")) | TEXTS},
    "compare": {"--seed": NUMBERS},
    "info": {"--model": PLACES},
    "verify": {"--seed": NUMBERS},
    "evaluate": {
        "--k": NUMBERS,
        "--seed": NUMBERS,
        "--queries": PLACES,
        "--depth": NUMBERS,
        "--report": OUTPUTS,
        "--per-query": OUTPUTS,
        "--run": OUTPUTS,
        "--qrels": OUTPUTS,
    },
}
SWITCHES = (
    "--json",
    "--jsonl",
    "--csv",
    "--paths",
    "--by-class",
    "--all",
    "--invert",
    "--help",
    "--nonsense",
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with options and arguments that may or may not be its own."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    words = [command]
    for option in draw(st.lists(st.sampled_from(sorted(OPTIONS[command])), unique=True, max_size=3)):
        words += [option, draw(OPTIONS[command][option])]
    if command in ("query", "info", "evaluate") and draw(st.integers(0, 4)):
        words += ["--index", draw(PLACES)]
    words += draw(st.lists(st.sampled_from(SWITCHES), unique=True, max_size=2))
    words += draw(st.lists(PICTURES, max_size=3))
    return words


STDIN = st.sampled_from((b"", b"text", b"good.png\nnowhere\n\0\n\xff\n", PNG)) | st.binary(max_size=40)


@given(words=command_lines(), stdin=STDIN)
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_command_line_ends_in_a_traceback(
    words: list[str], stdin: bytes, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    environment = {**clean, "SIMSEARCH_INDEX_DIR": ".", "SIMSEARCH_INDEX": "good", "SIMSEARCH_THREADS": "1"}
    result = CliRunner(env=environment).invoke(app, words, input=stdin)
    assert result.exit_code in (0, 2, 3), result.output
    assert "Traceback" not in result.output
    assert "error: unexpected" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
