"""What every writer of an index does around its work: the lock before, the sweeping after a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from simsearch.errors import BrokenBundleError, MissingBundleError, cannot_write
from simsearch.files import HeldSignals, sweep_temporaries
from simsearch.index.bundle import bundle_lock, read_manifest, sweep
from simsearch.index.manifest import Manifest


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[HeldSignals]:
    """Hold an index's lock; whatever fails inside leaves no files but those of an index.

    :raises BusyError: If another process is writing it.
    :raises BadInputError: If a file cannot be written.
    """
    try:
        with bundle_lock(folder) as signals:
            before = _standing(folder)
            try:
                yield signals
            except BaseException:
                with contextlib.suppress(OSError):
                    _sweep_failed(folder, before)
                raise
    except OSError as error:
        raise cannot_write(folder, error) from error


def _standing(folder: Path) -> list[Manifest] | None:
    """The index that is there, if there is one; None if it cannot be read, so that nobody knows its files."""
    try:
        return [read_manifest(folder)]
    except MissingBundleError:
        return []
    except BrokenBundleError:
        return None


def _sweep_failed(folder: Path, before: list[Manifest] | None) -> None:
    """Delete what a failed writer left, and nothing that an index needs, even one we cannot read.

    If only the last flush failed, the new index is in place, and a crash may bring back the one before.
    """
    now = _standing(folder)
    if before is None or now is None:
        sweep_temporaries(folder)
    else:
        sweep(folder, keep=before + now)
