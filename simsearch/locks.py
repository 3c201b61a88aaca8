"""One writer at a time in a folder, and no empty folder left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from simsearch.errors import BadInputError, BusyError, cannot_write

LOCK = ".lock"


@contextlib.contextmanager
def folder_lock(folder: Path, *, busy: str) -> Iterator[None]:
    """Hold a folder's lock, creating the folder; if it is new and nothing was written, it is gone afterwards.

    :param busy: What another process is doing if it holds the lock, as the message of the error.
    :raises BusyError: If another process holds the lock.
    :raises BadInputError: If there can be no such folder, or it may not be written.
    """
    created: list[Path] = []
    with contextlib.ExitStack() as held:
        try:
            created = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise BusyError(busy, hint="wait for it, then try again") from None
        except (FileExistsError, NotADirectoryError):
            raise BadInputError(f"{folder} cannot be a folder: a file has that name") from None
        except OSError as error:
            _remove_if_empty(created)
            raise cannot_write(folder, error) from error
        try:
            yield
        finally:
            _remove_if_empty(created)


def _remove_if_empty(created: list[Path]) -> None:
    """Remove a new folder that holds a lock and nothing else, while it is held, and its new parents."""
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        for folder in created:
            if {path.name for path in folder.iterdir()} == {LOCK}:
                (folder / LOCK).unlink()
            folder.rmdir()
