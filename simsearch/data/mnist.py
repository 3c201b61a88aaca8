"""MNIST on this machine: a verified copy, whatever source delivers it.

The four files lie in torchvision's layout, `<data_dir>/MNIST/raw/`. A file gets its final name there only
after its size and SHA-256 have been checked, so a reader never meets half of one. Parsing them is the
business of `simsearch.data.datasets`.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from simsearch.data.mnist_files import FILES, DataFile, find_defects, raw_dir
from simsearch.data.mnist_sources import FAILURES, Source, default_sources
from simsearch.errors import BusyError, DatasetUnavailableError
from simsearch.files import (
    hold_signals,
    read_small_file,
    reason_of,
    sweep_temporaries,
    sync_folder,
    write_durably,
)

Note = Callable[[str], None]

_STAGING_PREFIX = ".tmp-fetch-"


def default_data_dir() -> Path:
    """The platform's own folder for simsearch's datasets."""
    import platformdirs

    return platformdirs.user_data_path("simsearch") / "datasets"


def silent(_message: str) -> None:
    """The `note` of a caller who wants no progress messages."""


def fetch_mnist(
    data_dir: Path,
    *,
    split: str | None = None,
    sources: Sequence[Source] | None = None,
    note: Note = silent,
    lock_timeout_s: float = 300.0,
) -> Path:
    """Return the folder with MNIST's verified files, fetching the missing and the damaged ones.

    :param split: Check only the files of "train" or "test"; None checks all four. A fetch always repairs all.
    :param note: Receives progress and warnings, one line each.
    :raises DatasetUnavailableError: If no source delivers, naming each with its reason.
    :raises BusyError: If another process is still fetching after `lock_timeout_s`.
    """
    raw = raw_dir(data_dir)
    wanted = [file for file in FILES if split in (None, file.split)]
    if not find_defects(raw, wanted):
        _sweep_if_free(data_dir)
        return raw
    try:
        with _locked(data_dir, lock_timeout_s):
            _sweep(raw)
            if find_defects(raw, wanted):  # unless the process we waited for has done it
                _fetch(raw, default_sources(data_dir) if sources is None else sources, note)
    except OSError as error:
        raise DatasetUnavailableError(
            f"MNIST cannot be stored in {raw}: {reason_of(error)}",
            hint="free some space or name another folder: --data-dir or SIMSEARCH_DATA_DIR",
        ) from error
    return raw


def _fetch(raw: Path, sources: Sequence[Source], note: Note) -> None:
    """Repair the folder from the first source that delivers every missing file intact."""
    defects = find_defects(raw)
    for file, defect in defects.items():
        if defect != "missing":
            note(f"{raw / file.name} is damaged ({defect}): replacing it")
    failures = []
    for source in sources:
        note(f"looking for MNIST: {source.name}")
        with (
            hold_signals() as signals,
            tempfile.TemporaryDirectory(prefix=_STAGING_PREFIX, dir=raw) as staging,
        ):
            with signals.released():
                failure = _try_source(source, list(defects), Path(staging))
            if not failure:
                for file in defects:
                    content = read_small_file(Path(staging) / file.name, file.size)
                    write_durably(raw / file.name, content or b"")
                sync_folder(raw)
                note(f"MNIST is in {raw}")
                return
        failures.append(f"{source.name}: {failure}")
    raise DatasetUnavailableError(
        f"no source delivered MNIST ({'; '.join(failures) or 'none was given'})",
        hint=f"download {', '.join(file.name for file in defects)} (or each as .gz) elsewhere "
        f"and put them into {raw}",
    )


def _try_source(source: Source, files: Sequence[DataFile], staging: Path) -> str:
    """Let the source deliver and check what came: the reason of the failure, or ""."""
    try:
        source.deliver(files, staging)
    except FAILURES as error:
        return reason_of(error)
    defects = find_defects(staging, files)
    return (
        "delivered wrong data: " + ", ".join(f"{f.name} {d}" for f, d in defects.items()) if defects else ""
    )


@contextlib.contextmanager
def _locked(data_dir: Path, timeout_s: float) -> Iterator[None]:
    import filelock

    raw_dir(data_dir).mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(data_dir / "MNIST" / "fetch.lock", timeout=timeout_s):
            yield
    except filelock.Timeout as error:
        raise BusyError(
            f"another process has been fetching MNIST into {data_dir} for {timeout_s:g} s",
            hint="wait until it has finished, then try again",
        ) from error


def _sweep(raw: Path) -> None:
    """Delete what killed fetches left; whoever holds the lock is the only one fetching."""
    for folder in raw.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)
    sweep_temporaries(raw)


def _sweep_if_free(data_dir: Path) -> None:
    """Sweep beside a complete copy, where that is allowed and nobody is fetching."""
    if any(raw_dir(data_dir).glob(".tmp-*")):
        with contextlib.suppress(BusyError, OSError), _locked(data_dir, 0):
            _sweep(raw_dir(data_dir))
