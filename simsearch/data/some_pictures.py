"""Some pictures of a gallery, spread over all of it, without reading the rest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from simsearch.data.collection import scan
from simsearch.data.datasets import image_folder, load_split
from simsearch.data.decoding import pixels_or_reason
from simsearch.data.folders import nothing_readable, prepared_pixels
from simsearch.data.mnist import Note, silent
from simsearch.prepare.inputs import ImageInput, Pictures


def some_pictures(
    dataset: str,
    split: str | None,
    input: ImageInput,
    count: int,
    *,
    data_dir: Path | None = None,
    note: Note = silent,
) -> Pictures:
    """At most so many pictures, always the same of the same gallery: uint8 (N, *input.picture_shape).

    :param dataset: As for `load_split`, which also says what is raised. Files that are no pictures are left
        out, and no others taken instead.
    """
    found = image_folder(dataset, split, note=note)
    if found is None:
        gallery = load_split(dataset, split, input=input, data_dir=data_dir, note=note)
        return gallery.images[_spread(len(gallery), count)]
    _, root = found
    items, prepare = scan(root).items, partial(prepared_pixels, input)
    decoded = [pixels_or_reason(root / items[row].path, prepare) for row in _spread(len(items), count)]
    pictures = [one for one in decoded if not isinstance(one, str)]
    if not pictures:
        raise nothing_readable(root, ())
    return np.stack(pictures)


def _spread(total: int, count: int) -> list[int]:
    """At most so many of `total` rows, at equal distances."""
    taken = min(total, count)
    return [number * total // taken for number in range(taken)]
