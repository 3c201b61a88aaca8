"""What the dearest pictures cost that are not refused: time and memory of decoding and preparing one.

Each is made to be dear within the bounds of `prepare/cost.py` and `prepare/large_png.py`, and prepared for a
network of 224 x 224 colors by a process of its own, as many times as there are rounds. Printed are the least
processor time, and the most memory above what the process had before.

    python tests/benchmarks/dear_pictures.py --rounds 3
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from pngs import GRAY, PALETTE, RGB, RGBA, chunk, png

from simsearch.errors import BadImageError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture

COLORS = ImageInput("photo", 1, 224, 224, 3, (0.5,) * 3, (0.5,) * 3)
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, RGBA: 4}
PAETH = 4  # its dearest filter
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

Case = tuple[str, Callable[[], bytes]]


def dear_png(
    width: int, height: int, color: int, bits: int = 8, *, interlaced: bool = False, extra: bytes = b""
) -> bytes:
    """A PNG of one row, again and again, every one filtered by Paeth's predictor: it packs to little."""
    noise = np.random.default_rng(0).integers(0, 256, 64, np.uint8).tobytes()
    deflate, packed = zlib.compressobj(9), []
    for columns, rows in _passes(width, height) if interlaced else [(width, height)]:
        size = columns * bits * CHANNELS[color] // 8
        row = bytes([PAETH]) + (noise * (size // 64 + 1))[:size]
        packed += [deflate.compress(row) for _ in range(rows)]
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if color == PALETTE else b""
    rows_of_all = b"".join([*packed, deflate.flush()])
    return png(
        width, height, rows_of_all, bits=bits, color=color, interlaced=interlaced, before=palette + extra
    )


def _passes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """How many columns and rows each pass of an interlaced picture has."""
    for left, top, across, down in PASSES:
        yield -(-(width - left) // across), -(-(height - top) // down)


def texts(count: int) -> bytes:
    """So many texts of a PNG, each of which unpacks to nearly a megabyte."""
    return chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000), 9)) * count


def noise(side: int, mode: str = "RGB") -> Image.Image:
    """A picture that no format packs."""
    shape = (side, side, len(mode)) if len(mode) > 1 else (side, side)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8), mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as Pillow writes it."""
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def frames(kind: str, count: int, side: int) -> bytes:
    """An animation."""
    more = [Image.new("RGB", (side, side), (number, 0, 0)) for number in range(count)]
    return saved(Image.new("RGB", (side, side)), kind, save_all=True, append_images=more)


CASES: tuple[Case, ...] = (
    ("PNG, RGBA, 37 megapixels", lambda: dear_png(7_490, 5_000, RGBA)),
    ("PNG, RGB, 50 megapixels", lambda: dear_png(8_310, 6_000, RGB)),
    ("PNG, gray, 149 megapixels", lambda: dear_png(14_900, 10_000, GRAY)),
    ("PNG, palette, 50 megapixels", lambda: dear_png(8_310, 6_000, PALETTE)),
    ("PNG, RGBA of 16 bits, 18 megapixels, decoded whole", lambda: dear_png(4_900, 3_800, RGBA, 16)),
    (
        "PNG, RGBA, interlaced, 37 megapixels, decoded whole",
        lambda: dear_png(7_490, 5_000, RGBA, interlaced=True),
    ),
    ("PNG, 60 texts that unpack to a megabyte each", lambda: dear_png(100, 100, RGB, extra=texts(60))),
    ("PNG, animated, 100 frames of 0.4 megapixels", lambda: frames("PNG", 100, 600)),
    ("JPEG, 178 megapixels", lambda: saved(Image.new("L", (13_340, 13_340), 90), "JPEG")),
    ("JPEG, noise, progressive, 16 megapixels", lambda: saved(noise(4_000), "JPEG", progressive=True)),
    ("JPEG, noise, 16 megapixels", lambda: saved(noise(4_000), "JPEG", quality=30)),
    ("WebP, noise, lossless, 4 megapixels", lambda: saved(noise(2_000), "WEBP", lossless=True, method=0)),
    ("WebP, noise with transparency, 4 megapixels", lambda: saved(noise(2_000, "RGBA"), "WEBP")),
    ("WebP, animated, 100 frames of 0.4 megapixels", lambda: frames("WEBP", 100, 600)),
    ("AVIF, noise with transparency, 4 megapixels", lambda: saved(noise(2_000, "RGBA"), "AVIF", quality=80)),
    ("TIFF, noise, LZW, 4 megapixels", lambda: saved(noise(2_000), "TIFF", compression="tiff_lzw")),
    ("GIF, 100 frames of 0.4 megapixels", lambda: frames("GIF", 100, 600)),
    ("BMP, 4 megapixels", lambda: saved(noise(2_000), "BMP")),
)


def prepared(data: bytes) -> tuple[float, float, str]:
    """Seconds of the processor, megabytes, and what came of it."""
    before, started = _most_memory(), time.process_time()
    try:
        prepare_picture(data, COLORS)
        said = ""
    except BadImageError as error:
        said = f"refused: {error}"
    return time.process_time() - started, _most_memory() - before, said


def _most_memory() -> float:
    """Of this process, in megabytes; `ru_maxrss` would begin with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def _answer(data: bytes, to: multiprocessing.SimpleQueue[tuple[float, float, str]]) -> None:
    prepared(saved(noise(64), "PNG"))  # what is loaded for any picture
    to.put(prepared(data))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    Image.MAX_IMAGE_PIXELS = None  # to write them
    apart = multiprocessing.get_context("spawn")
    rows = []
    for name, make in CASES:
        data, found = make(), []
        for _ in range(rounds):
            answers = apart.SimpleQueue()
            process = apart.Process(target=_answer, args=(data, answers))
            process.start()
            found.append(answers.get())
            process.join()
        seconds, memory = min(one[0] for one in found), max(one[1] for one in found)
        rows.append((seconds, f"| {name}, in {len(data) / 1e6:.1f} MB | {seconds:.1f} s | {memory:.0f} MB |"))
        if found[0][2]:
            rows[-1] = (seconds, f"{rows[-1][1]} {found[0][2]}")
    print("| picture | time | memory |\n|---|---|---|")
    for _, row in sorted(rows, reverse=True):
        print(row)


if __name__ == "__main__":
    main()
