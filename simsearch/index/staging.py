"""Items on their way into files, kept beside the index until all are there: what was stopped goes on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from simsearch.errors import SimsearchError
from simsearch.files import read_small_file, sweep_temporaries, sync_folder, write_atomically
from simsearch.index.change.merge import Shape, merge_segments
from simsearch.index.data_files import open_checked
from simsearch.index.manifest import Segment, is_data_file
from simsearch.index.stores.base import Ids

_STATE = "moving.json"
_MOST_STATE = 2**24  # bytes
_TIER = 8  # so many segments of about one size become one: there are few, and all are copied few times
_NONE: Ids = np.empty(0, np.int64)


class _State(msgspec.Struct, frozen=True):
    content: str
    last: int = -1  # the largest id that is kept
    segments: tuple[Segment, ...] = ()


class Staging:
    """Segments in a folder of their own, in ascending order of their ids."""

    def __init__(self, folder: Path, content: str, shape: Shape) -> None:
        """Go on with what lies in the folder, if it is of the same content and whole; else begin.

        :param content: Names what is staged.
        """
        self._folder, self._shape = folder, shape
        self._state = _read(folder, content) or _State(content)
        if not self._state.segments:
            self.discard()
        folder.mkdir(exist_ok=True)
        sweep_temporaries(folder)
        self._keep(self._state)

    @property
    def folder(self) -> Path:
        """Where segments are to be written."""
        return self._folder

    @property
    def last(self) -> int:
        """The largest id that is kept; -1 where there is none."""
        return self._state.last

    @property
    def segments(self) -> Sequence[Segment]:
        """What is kept."""
        return self._state.segments

    @property
    def count(self) -> int:
        """How many items are kept."""
        return sum(segment.count for segment in self.segments)

    def add(self, segment: Segment, last: int) -> None:
        """Keep a segment that was written; it is not lost any more.

        :param last: Its largest id.
        """
        segments = [*self.segments, segment]
        while len(segments) >= _TIER and segments[-_TIER].count < 2 * segments[-1].count:
            merged = merge_segments(self.folder, self.folder, segments[-_TIER:], self._shape, removed=_NONE)
            segments[-_TIER:] = [merged]
        self._keep(msgspec.structs.replace(self._state, last=last, segments=tuple(segments)))

    def discard(self) -> None:
        """Delete everything."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _keep(self, state: _State) -> None:
        sync_folder(self._folder)
        write_atomically(self._folder / _STATE, msgspec.json.encode(state))
        self._state = state
        named = {entry.name for segment in state.segments for entry in segment.files.values()}
        for path in self._folder.iterdir():
            if is_data_file(path.name) and path.name not in named:
                path.unlink()


def _read(folder: Path, content: str) -> _State | None:
    """What was kept of this content, its files whole; None for nothing."""
    try:
        data = read_small_file(folder / _STATE, _MOST_STATE) or b""
        state = msgspec.json.decode(data, type=_State)
        for segment in state.segments:
            for entry in segment.files.values():
                with open_checked(folder, entry):
                    pass
    except (OSError, msgspec.MsgspecError, SimsearchError):
        return None
    return state if state.content == content else None
