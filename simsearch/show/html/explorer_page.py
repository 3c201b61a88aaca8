"""An index as one HTML document that searches itself in the browser; `explorer.html.jinja` writes it.

Vectors are there as bytes, a 127th of their largest component a step; pictures in sheets of tiles. Nothing is
asked of anybody, and the one script that may run is named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.errors import BadInputError
from simsearch.index.bundle import Bundle
from simsearch.index.originals import Originals
from simsearch.index.stores.base import gather
from simsearch.prepare.inputs import Picture
from simsearch.show.html.pages import read_part, render_page

MOST_ITEMS = 20_000
MOST_BYTES = 64 * 2**20  # of vectors and pictures, before they are written as text
_SIDE = 48  # pixels of a tile, at most
_ACROSS = 40  # tiles in a row of a sheet
_ROWS = 40  # of tiles in a sheet: 1,920 pixels, which every browser decodes
_QUALITY = 75


def render_explorer(bundle: Bundle) -> str:
    """One self-contained HTML5 document in which the items of this index are searched.

    :raises BadInputError: If there are too many.
    """
    count = len(bundle.ids)
    if count > MOST_ITEMS:
        raise BadInputError(
            f"{bundle.manifest.name} holds {count:,} items, and a page at most {MOST_ITEMS:,}",
            hint="--parquet and --npz hold any number; `simsearch serve` searches them in the browser",
        )
    steps = quantize(gather(bundle.store).vectors)
    side = min(_SIDE, max(bundle.thumbnails[0].shape[:2]))
    sheets = [_encoded(sheet) for sheet in _sheets(bundle, side)]
    size = steps.nbytes + sum(map(len, sheets))
    if size > MOST_BYTES:
        raise BadInputError(
            f"{bundle.manifest.name} would make a page of {size / 1e6:,.0f} MB",
            hint="--parquet and --npz hold any size; `simsearch serve` searches it in the browser",
        )
    script = read_part("explorer.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render_page(
        "explorer.html.jinja",
        name=bundle.manifest.name,
        about=_about(bundle),
        data=_json(_data(bundle, steps, side, sheets)),
        script=script,
        policy=f"'sha256-{digest}'",
        classes=bundle.manifest.classes,
    )


def quantize(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Unit rows as whole numbers of -127 to 127, int8 (N, D), each in its own steps; cosines nearly stay."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)  # more than 0: they have length 1
    steps: NDArray[np.int8] = np.rint(vectors / largest * 127).astype(np.int8)
    return steps


def _about(bundle: Bundle) -> str:
    manifest = bundle.manifest
    classes = f" in {len(manifest.classes):,} classes" if manifest.classes else ""
    return f"{len(bundle.ids):,} images{classes}, by model {manifest.model}"


def _data(bundle: Bundle, steps: NDArray[np.int8], side: int, sheets: list[bytes]) -> dict[str, Any]:
    originals = Originals(bundle)
    root = originals.root
    return {
        "ids": bundle.ids.tolist(),
        "dim": bundle.store.dim,
        "vectors": base64.b64encode(steps.tobytes()).decode(),
        "labels": None if bundle.labels is None else bundle.labels.tolist(),
        "classes": list(bundle.manifest.classes),
        "sources": [source.encode(errors="backslashreplace").decode() for source in bundle.sources],
        "root": None if root is None else root.absolute().as_uri() + "/",
        "side": side,
        "across": _ACROSS,
        "rows": _ROWS,
        "sheets": [f"data:image/webp;base64,{base64.b64encode(sheet).decode()}" for sheet in sheets],
    }


def _sheets(bundle: Bundle, side: int) -> Iterator[Picture]:
    """Tiles of all items, row by row, uint8 (H, W, 3) each sheet."""
    most = _ACROSS * _ROWS
    for start in range(0, len(bundle.ids), most):
        count = min(most, len(bundle.ids) - start)
        sheet = np.zeros((math.ceil(count / _ACROSS) * side, _ACROSS * side, 3), np.uint8)
        for place in range(count):
            tile = _tile(bundle.thumbnails[start + place], side)
            top, left = place // _ACROSS * side, place % _ACROSS * side
            sheet[top : top + side, left : left + side] = tile
        yield sheet


def _tile(picture: Picture, side: int) -> Picture:
    image = Image.fromarray(picture).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    tile = Image.new("RGB", (side, side), image.getpixel((0, 0)))
    tile.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(tile)


def _encoded(sheet: Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "WEBP", quality=_QUALITY)
    return file.getvalue()


def _json(data: dict[str, Any]) -> str:
    """JSON that can stand inside a script element: nothing in it ends the element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
