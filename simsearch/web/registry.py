"""The indexes that a server answers from, opened once, and opened again when their manifest changes."""

from __future__ import annotations

import base64
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.encode.encoder import any_picture
from simsearch.errors import BadInputError, NotUsableError
from simsearch.index.bundle import MANIFEST
from simsearch.index.originals import Originals
from simsearch.index.stored_map import MAP
from simsearch.prepare.prepare import png_bytes
from simsearch.search.batch import item_image
from simsearch.search.searcher import Searcher
from simsearch.web.problems import NotFoundError

_REMEMBERED_PICTURES = 16_384
_EXAMPLES = 10

_log = logging.getLogger("simsearch.web")


class OpenIndex:
    """One version of one index."""

    def __init__(self, name: str, folder: Path) -> None:
        """Open and warm up an index: its first answer costs what the others cost.

        :raises NotUsableError: If it is missing or broken.
        """
        self.name, self.stamp = name, manifest_stamp(folder)
        self.searcher = Searcher.open(folder, threads=1)
        self.picture = lru_cache(_REMEMBERED_PICTURES)(self._picture)
        if encoder := self.searcher.bundle.own_encoder:
            encoder.encode(any_picture(encoder.input))

    def png(self, item: int) -> bytes:
        """An item's picture as a PNG.

        :raises NotFoundError: If there is no such item.
        """
        return png_bytes(self.thumbnail(item))

    def thumbnail(self, item: int) -> NDArray[np.uint8]:
        """An item's picture, uint8 (H, W).

        :raises NotFoundError: If there is no such item.
        """
        try:
            return item_image(self.searcher, item).pixels
        except BadInputError as error:
            raise NotFoundError(error.message, error.hint) from None

    def describe(self) -> dict[str, Any]:
        """What the index is, and some of its items to begin with."""
        manifest, encoder = self.searcher.bundle.manifest, self.searcher.bundle.own_encoder
        return {
            "name": self.name,
            "items": manifest.count,
            "model": manifest.model,
            "encoder": manifest.encoder,
            "preparation": encoder.input.preparation if encoder else "none",
            "classes": list(manifest.classes),
            "examples": [{"id": item, "picture": self.picture(item)} for item in self._examples()],
        }

    def describe_item(self, item: int) -> dict[str, Any]:
        """What is stored about an item.

        :raises NotFoundError: If there is no such item.
        """
        self.thumbnail(item)
        bundle = self.searcher.bundle
        [known] = bundle.columns.describe(np.array([item]))
        label = None if known.label is None else bundle.manifest.classes[known.label]
        is_there = Originals(bundle).existing(item) is not None
        return {"index": self.name, "id": item, "label": label, "source": known.source, "original": is_there}

    def _examples(self) -> list[int]:
        """The first item of each class, or the first few of a gallery without labels; on a server any few."""
        bundle = self.searcher.bundle
        if bundle.manifest.store is not None:
            return [int(item) for item in bundle.store.sample(_EXAMPLES).ids]
        if bundle.labels is None:
            return [int(item) for item in bundle.ids[:_EXAMPLES]]
        _, rows = np.unique(bundle.labels, return_index=True)
        return [int(item) for item in bundle.ids[rows][:_EXAMPLES]]

    def _picture(self, item: int) -> str:
        return data_uri(self.png(item))


@dataclass(frozen=True)
class _Failure:
    """A new version of an index that could not be opened, and when to try again."""

    files: object  # as they were
    pause: float  # seconds since the last try; infinite where only other files can help
    until: float


class Registry:
    """Open indexes by name; the first is the default. Readers never wait for a reload."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        interval: float,
        patience: float = math.inf,
        on_reload: Callable[[str, bool], None] = lambda *_: None,
        open_index: Callable[[str, Path], OpenIndex] = OpenIndex,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open every index, then look for changed manifests until closed.

        :param folders: The folder of each index, by name.
        :param interval: Seconds between two looks.
        :param patience: At most so many seconds between two tries to open an index that could not be read.
        :param on_reload: Called with the name, and whether the new version could be opened.
        :raises NotUsableError: If an index is missing or broken.
        """
        self._folders = dict(folders)
        self._open_index, self._clock = open_index, clock
        self._open = {name: open_index(name, folder) for name, folder in self._folders.items()}
        self._failed: dict[str, _Failure] = {}
        self._interval, self._patience, self._on_reload = interval, patience, on_reload
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="simsearch-reload", daemon=True)
        self._watcher.start()

    @property
    def names(self) -> tuple[str, ...]:
        """Every index's name, the default first."""
        return tuple(self._folders)

    def __getitem__(self, name: str | None) -> OpenIndex:
        """The current version of an index; of the default one for None.

        :raises NotFoundError: If there is none of that name.
        """
        found = self._open.get(self.names[0] if name is None else name)
        if found is None:
            raise NotFoundError(f"there is no index {name!r}", hint=f"choose one of: {', '.join(self.names)}")
        return found

    def close(self) -> None:
        """Stop looking for changes."""
        self._closing.set()
        self._watcher.join()

    def refresh(self) -> None:
        """Open again what has changed; where that fails, the version that is open goes on answering.

        What is broken is tried again when its files change; what could not be read for another reason (no
        file could be opened, there was no memory) after a second, and then after twice as long each time.
        """
        for name, folder in self._folders.items():
            stamp = manifest_stamp(folder)
            if stamp is None or stamp == self._open[name].stamp:
                self._failed.pop(name, None)
                continue
            files, failed = files_stamp(folder), self._failed.get(name)
            if failed is not None and failed.files == files and self._clock() < failed.until:
                continue
            try:
                self._open[name] = self._open_index(name, folder)
            except Exception as error:  # whatever it is, the watcher lives on
                _log.warning("%s was not reloaded: %s", name, error)
                pause = self._pause(error, failed if failed and failed.files == files else None)
                self._failed[name] = _Failure(files, pause, self._clock() + pause)
                self._on_reload(name, False)
            else:
                self._failed.pop(name, None)
                _log.info("%s was reloaded", name)
                self._on_reload(name, True)

    def _pause(self, error: Exception, before: _Failure | None) -> float:
        if is_broken(error):
            return math.inf
        doubled = 2 * before.pause if before and before.pause < math.inf else self._interval
        return min(doubled, self._patience)

    def _watch(self) -> None:
        while not self._closing.wait(self._interval):
            try:
                self.refresh()
            except Exception as error:  # such as no memory to look with
                _log.warning("indexes could not be looked at: %s", error)


def is_broken(error: Exception) -> bool:
    """Whether an index that could not be opened is wrong in itself, and trying again is no use."""
    return isinstance(error, NotUsableError) and not isinstance(error.__cause__, OSError | MemoryError)


def manifest_stamp(folder: Path) -> tuple[int, ...] | None:
    """What changes when a manifest, or the map beside it, is replaced; None where there is no manifest."""
    manifest = _stamp(folder / MANIFEST)
    return None if manifest is None else (*manifest, *(_stamp(folder / MAP) or ()))


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def files_stamp(folder: Path) -> object:
    """What changes when any file of a folder is replaced or written to."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.stat()) for entry in entries]
    except OSError as error:  # the next look may say more
        return error.errno
    return sorted((name, status.st_ino, status.st_size, status.st_mtime_ns) for name, status in found)


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
