"""An index that changes: pictures added and removed, a folder followed, segments merged; each one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simsearch.data.collection import Skipped
from simsearch.data.labels import AUTO
from simsearch.encode.absent import no_encoder
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenBundleError, BrokenModelError
from simsearch.files import HeldSignals
from simsearch.index.bundle import read_manifest, sweep
from simsearch.index.change.commit import Change
from simsearch.index.change.guard import writing
from simsearch.index.change.holding import Holding, InFiles
from simsearch.index.change.ingest import Taken, encode_files, encode_or_explain
from simsearch.index.change.paths import AddedFiles, gather_paths
from simsearch.index.change.revise import Classes
from simsearch.index.change.sync import (
    Known,
    Plan,
    added_source,
    check_loss,
    known_items,
    plan_sync,
    present_sources,
)
from simsearch.index.data_files import REBUILD, open_checked
from simsearch.index.manifest import Manifest, Segment
from simsearch.index.reading import STAMP, UNKNOWN
from simsearch.index.writing import Described
from simsearch.prepare.pictures import prepare_picture

Picture: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8]
Progress: TypeAlias = Callable[[int], None]


def _silent(_: int) -> None:
    pass


@dataclass(frozen=True)
class Outcome:
    """What a change did."""

    manifest: Manifest
    added: tuple[int, ...] = ()  # ids of the new items
    removed: tuple[int, ...] = ()
    skipped: tuple[Skipped, ...] = ()  # files that could not be taken


class Index:
    """An index on disk that can be changed; readers see each change whole, or not yet."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Take the index in a folder; see `open`."""
        self.folder, self._threads = folder, threads
        self.manifest = read_manifest(folder)

    @classmethod
    def open(cls, folder: str | Path, *, threads: int = 0) -> Index:
        """Open an index to change it; its vectors are not read.

        :param threads: How many encode, and processes decode; 0 uses every core.
        :raises MissingBundleError: If there is no index in the folder.
        :raises BrokenBundleError: If its manifest cannot be used.
        """
        return cls(Path(folder), threads=threads)

    def __len__(self) -> int:
        return self.manifest.count

    def add(
        self,
        images: Iterable[Picture],
        *,
        labels: Sequence[str] | str | None = None,
        on_progress: Progress = _silent,
    ) -> Outcome:
        """Add pictures as new items.

        :param images: Paths of files, encoded pictures, Pillow images, or uint8 pixels.
        :param labels: The class of each, or of all; None in an index without classes.
        :raises BadInputError: If labels are missing or too many, or nothing can be added.
        :raises BadImageError: If a picture that is no file cannot be used.
        :raises BusyError: If another process is writing the index.
        """
        pictures = list(images)
        names = [labels] * len(pictures) if labels is None or isinstance(labels, str) else list(labels)
        if len(names) != len(pictures):
            raise BadInputError(f"there are {len(pictures)} pictures and {len(names)} labels")
        paths = [Path(picture) for picture in pictures if isinstance(picture, str | Path)]
        if len(paths) == len(pictures):
            return self.add_files(
                AddedFiles.of(zip(paths, names, strict=True), self.manifest.root), on_progress=on_progress
            )
        if paths:
            raise BadInputError(
                "paths and pictures cannot be added together", hint="add them one after the other"
            )
        return self._change(lambda writer: writer.add_pictures(pictures, names))

    def add_paths(
        self,
        paths: Sequence[Path],
        *,
        label: str | None = None,
        labels: str = AUTO,
        on_progress: Progress = _silent,
    ) -> Outcome:
        """Add files, and what lies in folders; what the index has already is left out.

        :param label: The class of all of them.
        :param labels: Where classes come from otherwise; see `simsearch.data.labels`.
        :raises BadInputError: If there is nothing to add, or classes are missing.
        """
        return self.add_files(
            gather_paths(paths, self.manifest, label=label, labels=labels), on_progress=on_progress
        )

    def add_files(self, files: AddedFiles, *, on_progress: Progress = _silent) -> Outcome:
        """Add files that were gathered."""
        return self._change(lambda writer: writer.add_files(files, self._threads, on_progress))

    def remove(self, ids: Iterable[int]) -> Outcome:
        """Remove items; their ids are never used again.

        :raises BadInputError: If there is no such item, or none would be left.
        """
        wanted = np.unique(np.array([int(item) for item in ids], np.int64))
        return self._change(lambda writer: writer.remove(wanted))

    def sync(
        self,
        root: str | Path | None = None,
        *,
        labels: str = AUTO,
        replace: bool = False,
        losing_most: bool = False,
        on_plan: Callable[[Plan], None] = lambda _: None,
        bar: Callable[[int], Progress] = lambda _: _silent,
    ) -> Outcome:
        """Make the index hold what lies in its folder now; items of other places stay.

        :param root: Where the folder is now; None for where it was.
        :param replace: Also if the index was made from another folder that is still there.
        :param losing_most: Also if more than half of the items would go, because their files are not there;
            `replace` allows that, too.
        :param on_plan: Called with what will be done.
        :param bar: Called with the number of files to encode; what it returns, with how many were.
        :raises BadInputError: If the index was not made from this folder, or that is gone or empty, or most
            items would go.
        """
        place = None if root is None else Path(root)

        def follow(writer: _Writer) -> Outcome:
            plan = plan_sync(self.folder, writer.manifest, place, labels, replace=replace)
            if not (losing_most or replace):
                check_loss(plan, writer.manifest.name)
            on_plan(plan)
            return writer.sync(plan, self._threads, bar(len(plan.added)) if plan.added else _silent)

        return self._change(follow)

    def plan(self, root: str | Path | None = None, *, labels: str = AUTO, replace: bool = False) -> Plan:
        """What `sync` would do."""
        place = None if root is None else Path(root)
        return plan_sync(self.folder, read_manifest(self.folder), place, labels, replace=replace)

    def compact(self) -> Outcome:
        """Make one segment of all, trained anew, without what was removed; on a server another collection."""
        return self._change(lambda writer: Outcome(writer.held.compact()))

    def items(self) -> Iterator[Known]:
        """What the index says of its items, in ascending order of id."""
        return known_items(self.folder, read_manifest(self.folder))

    def _change(self, do: Callable[[_Writer], Outcome]) -> Outcome:
        read_manifest(self.folder)  # before a lock would make the folder
        with writing(self.folder) as signals, closing(_Writer(self.folder, signals, self._threads)) as writer:
            outcome = do(writer)
        self.manifest = outcome.manifest
        return outcome


class _Writer:
    """One change of an index whose lock is held."""

    def __init__(self, folder: Path, signals: HeldSignals, threads: int) -> None:
        self.folder, self.signals, self.threads = folder, signals, threads
        self.manifest = read_manifest(folder)
        self.classes = Classes(self.manifest)
        self.held = _held(folder, self.manifest)
        self.added: list[int] = []  # ids

    def close(self) -> None:
        """Give back what was held open."""
        self.held.close()

    @cached_property
    def first_id(self) -> int:
        """The id of the first new item."""
        return self.held.next_id()

    @property
    def next_id(self) -> int:
        """The id of the next item."""
        return self.first_id + len(self.added)

    def add_files(self, files: AddedFiles, processes: int, on_progress: Progress) -> Outcome:
        wanted = {entry.source for entry in files.files}
        present = present_sources(self.folder, self.manifest, wanted)
        fresh = [entry for entry in files.files if entry.source not in present]
        already = [
            Skipped(entry.source, "already in the index") for entry in files.files if entry.source in present
        ]
        skipped = [*files.skipped, *already]
        if not fresh:
            why = f" ({skipped[0].path}: {skipped[0].reason})" if skipped else ""
            raise BadInputError(f"there is nothing to add{why}", hint="name pictures, or folders of pictures")
        taken = [Taken(entry.file, entry.source, self._number(entry.label)) for entry in fresh]
        segments, unread = self._encode(taken, processes, on_progress)
        if not segments:
            raise BadInputError(f"there is nothing to add ({unread[0].path}: {unread[0].reason})")
        return self._apply(Change(segments), (*skipped, *unread))

    def add_pictures(self, pictures: Sequence[Picture], names: Sequence[str | None]) -> Outcome:
        encoder = self._encoder()
        pixels = np.stack([prepare_picture(picture, encoder.input).pixels for picture in pictures])
        vectors = encode_or_explain(encoder, pixels)
        if refused := [vector for vector in vectors if isinstance(vector, str)]:
            raise BadInputError(refused[0])
        ids = range(self.next_id, self.next_id + len(pictures))
        described = Described.of(
            pixels, [added_source(item) for item in ids], np.full(len(pixels), np.array(UNKNOWN, STAMP))
        )
        labels = np.array([self._number(name) for name in names], np.int64)
        return self._apply(Change([self._write(np.stack(vectors), labels, described)]))

    def remove(self, wanted: NDArray[np.int64]) -> Outcome:
        if not len(wanted):
            raise BadInputError("there is nothing to remove")
        if len(absent := np.setdiff1d(wanted, self.held.present(wanted))):
            raise BadInputError(f"there is no item {absent[0]} in {self.manifest.name}")
        return self._apply(Change(removed=wanted))

    def sync(self, plan: Plan, processes: int, on_progress: Progress) -> Outcome:
        root = str(plan.root) if str(plan.root).isprintable() else None
        same = (root, plan.labeling) == (self.manifest.root, self.manifest.labeling)
        if not plan and same:
            sweep(self.folder, keep=[self.manifest])  # a killed writer may have left something
            return Outcome(self.manifest, skipped=plan.skipped)
        files = [Taken(plan.root / item.path, item.path, self._number(label)) for item, label in plan.added]
        segments, unread = self._encode(files, processes, on_progress) if files else ([], ())
        removed = np.array(sorted(known.id for known in plan.removed), np.int64)
        change = Change(segments, removed, plan.revised, root, plan.labeling)
        return self._apply(change, (*plan.skipped, *unread))

    def _apply(self, change: Change, skipped: Iterable[Skipped] = ()) -> Outcome:
        self.signals.heed()
        manifest = self.held.apply(change, self.classes, self.next_id)
        return Outcome(manifest, tuple(self.added), tuple(change.removed.tolist()), tuple(skipped))

    def _encode(
        self, files: Sequence[Taken], processes: int, on_progress: Progress
    ) -> tuple[list[Segment], tuple[Skipped, ...]]:
        segments: list[Segment] = []
        skipped: list[Skipped] = []
        released = self.signals.released
        for chunk in encode_files(
            files, self._encoder(), processes=processes, on_progress=on_progress, released=released
        ):
            skipped += chunk.skipped
            if len(chunk.vectors):
                segments.append(self._write(chunk.vectors, chunk.labels, chunk.described))
        return segments, tuple(skipped)

    def _write(
        self, vectors: NDArray[np.float32], labels: NDArray[np.int64], described: Described
    ) -> Segment:
        ids = np.arange(self.next_id, self.next_id + len(vectors), dtype=np.int64)
        self.added += ids.tolist()
        return self.held.write(ids, vectors, labels, described)

    def _number(self, name: str | None) -> int:
        """What files call a class; in an index without classes it does not matter."""
        if (name is None) == self.manifest.is_labeled:
            has = "has classes, and a picture has none" if name is None else "has no classes"
            raise BadInputError(
                f"{self.manifest.name} {has}",
                hint="name one: --label" if name is None else "leave out labels",
            )
        return 0 if name is None else self.classes.number_of(name)

    def _encoder(self) -> OnnxEncoder:
        """The encoder that made the index's vectors."""
        manifest = self.manifest
        if "encoder" not in manifest.files:
            raise no_encoder(manifest.name)
        try:
            with open_checked(self.folder, manifest.files["encoder"]) as file:
                encoder = OnnxEncoder(
                    file.read(), input=manifest.input, output=manifest.output, threads=self.threads
                )
        except (FileNotFoundError, BrokenModelError) as error:
            raise BrokenBundleError(f"the encoder of {self.folder} cannot be used", hint=REBUILD) from error
        if (encoder.fingerprint, encoder.dim) != (manifest.encoder, manifest.dim):
            raise BrokenBundleError(f"the encoder of {self.folder} is another", hint=REBUILD)
        return encoder


def _held(folder: Path, manifest: Manifest) -> Holding:
    """Where the items of an index are, whose lock is held."""
    if manifest.store is None:
        return InFiles(folder, manifest)
    from simsearch.index.remote import OnServer

    return OnServer(folder, manifest, manifest.store)
