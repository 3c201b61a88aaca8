"""The files that a command writes, checked before work is spent on them: none replaces what is no output."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from simsearch.errors import BadInputError
from simsearch.files import check_target, open_regular
from simsearch.prepare.formats import HEAD_BYTES, kind_of

_DESCRIBES = {"manifest.json": "an index", "model.json": "a model"}  # a folder, which is then its own


def check_targets(
    *targets: Path | None, inputs: Iterable[str | Path | None] = (), pictures: bool = False
) -> None:
    """Refuse targets that cannot be written, or hold what nobody can have meant to replace.

    :param targets: None for those that are not wanted.
    :param inputs: Files that the command reads.
    :param pictures: Whether it writes pictures, which may replace pictures.
    :raises BadInputError: Naming the first, and why.
    """
    taken = {Path(name).resolve(): "is read by this command" for name in inputs if name}
    for target in targets:
        if target is None:
            continue
        check_target(target)
        real = target.resolve()
        reason = taken.get(real) or _held(real, pictures)
        if reason:
            raise BadInputError(f"cannot write {target}: it {reason}", hint="name another file")
        taken[real] = "is written by this command already"


def _held(target: Path, pictures: bool) -> str | None:
    for name, what in _DESCRIBES.items():
        if (target.parent / name).is_file():
            return f"lies in the folder of {what}"
    if not pictures:
        with suppress(OSError), open_regular(target) as file:  # mostly there is none
            if kind_of(file.read(HEAD_BYTES)) is not None:
                return "is a picture"
    return None
