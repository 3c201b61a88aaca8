"""What a user names -> queries: files, folders, globs, standard input and items of the gallery, in order.

Nothing is read here but standard input and lists of names; pictures are left to `batch.py`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from simsearch.errors import BadImageError, BadInputError
from simsearch.prepare.decode import MAX_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STDIN = "-"
STDIN_NAME = "stdin"
_LONGEST_NAME = 2**16  # bytes in a list of names
_MOST_VECTORS = 2**30  # bytes of a file of vectors
Note = Callable[[str], None]
_MAGIC = re.compile(r"[*?[]")  # of patterns, as in `glob`
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def silent(_message: str) -> None:
    """The `note` of a caller who wants none."""


@dataclass(frozen=True)
class Query:
    """One query: a picture, an item of the gallery, or something that cannot be used.

    With none of these it stands for what a composed query alone is about.
    """

    name: str  # what the user called it, and the answer does
    picture: Path | bytes | None = None
    item: int | None = None  # id
    label: str | None = None  # its class, where the user's folders say so
    error: BadInputError | None = None
    own: tuple[int, ...] = ()  # items of the gallery that are this very picture, and no answers to it
    vector: NDArray[np.float32] | None = field(default=None, compare=False)  # (D,), of length 1

    @property
    def kind(self) -> str:
        """`file`, `stdin`, `item`, `vector` or, without any of its own, `combination`."""
        if self.item is not None:
            return "item"
        if self.vector is not None:
            return "vector"
        if self.picture is None and self.error is None:
            return "combination"
        return "stdin" if self.name == STDIN_NAME else "file"


def gather(
    names: Sequence[str],
    ids: Sequence[int],
    files_from: str | None,
    stdin: BinaryIO,
    *,
    vectors: Sequence[Path] = (),
    steered: bool = False,
    note: Note = silent,
) -> tuple[Iterator[Query], int | None]:
    """Everything that is asked: what is named, the lines of a list, items of the gallery, vectors.

    :param steered: Whether there is a composed query, which can stand alone.
    :return: The queries, and how many there are unless they come from a list.
    :raises BadInputError: If nothing is asked.
    """
    if files_from is not None:
        listed = expand(read_names(files_from, stdin), stdin, note=note)
        return chain(expand(names, stdin, note=note), listed, items(ids), read_vectors(vectors)), None
    queries = [*expand(names, stdin, note=note), *items(ids), *read_vectors(vectors)]
    if not queries and steered:
        queries = [Query("")]
    if not queries:
        hint = "name a picture: simsearch query digit.png; or an item of the gallery: simsearch query --id 0"
        raise BadInputError("there is nothing to ask about", hint)
    return iter(queries), len(queries)


def expand(arguments: Iterable[str], stdin: BinaryIO, *, note: Note = silent) -> Iterator[Query]:
    """The queries that command-line arguments name, in their order, duplicates kept.

    A folder stands for the image files in it and below it; the sub-folder that a file lies in is taken for
    its class. A pattern (`*`, `?`, `[...]`, `**`) stands for what it matches, `-` for the bytes of one
    picture on standard input.

    :param note: Receives what was passed over, one line each.
    """
    read = False
    for argument in arguments:
        if argument == STDIN:
            yield Query(STDIN_NAME, error=_second_stdin()) if read else _from_stdin(stdin)
            read = True
        else:
            yield from _expand(argument, note)


def items(ids: Iterable[int]) -> Iterator[Query]:
    """Queries about items of the gallery."""
    for item in ids:
        yield Query(f"id {item}", item=item)


def read_vectors(files: Iterable[Path]) -> Iterator[Query]:
    """Queries about vectors in files: `.npy` or JSON, one (D,) or several (Q, D) a file, of any length.

    :raises BadInputError: If a file cannot be read, or holds anything else.
    """
    for file in files:
        from simsearch.data.vector_tables import unit_rows  # few ask by vectors

        rows = _numbers(file)
        units, lengths = unit_rows(rows) if rows.ndim == 2 and rows.size else (None, None)
        if units is None or lengths is None or lengths.min() != lengths.min():  # one is NaN
            raise BadInputError(f"{file} holds no vectors: rows of finite numbers that are not all 0")
        for number, row in enumerate(units):
            yield Query(str(file) if len(rows) == 1 else f"{file}[{number}]", vector=row)


def _numbers(file: Path) -> NDArray[np.float64]:
    import io
    import json

    import numpy as np

    from simsearch.files import open_regular

    try:
        with open_regular(file, _MOST_VECTORS) as opened:
            data = opened.read()
        if data.lstrip()[:1] == b"[":
            return np.atleast_2d(np.asarray(json.loads(data), np.float64))
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return np.atleast_2d(np.asarray(array, np.float64))
    except (OSError, ValueError, TypeError, EOFError, RecursionError) as error:
        reason = (getattr(error, "strerror", None) or "").lower() or "neither .npy nor JSON of numbers"
        raise BadInputError(f"cannot read vectors from {file}: {reason}") from error


def read_names(source: str, stdin: BinaryIO) -> Iterator[str]:
    """The names in a list, one a line, read as they are needed; `-` is standard input.

    :raises BadInputError: If the list cannot be read.
    """
    try:
        with stdin if source == STDIN else Path(source).open("rb") as lines:
            mark = codecs.BOM_UTF8  # which some editors begin a file with
            while line := lines.readline(_LONGEST_NAME + 1).removeprefix(mark):
                mark = b""
                if len(line) > _LONGEST_NAME:
                    raise BadInputError(f"{source} holds a name of more than {_LONGEST_NAME:,} bytes")
                if name := line.rstrip(b"\r\n"):
                    yield name.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise BadInputError(f"cannot read {source}: {(error.strerror or str(error)).lower()}") from error


def single(argument: str, stdin: BinaryIO) -> Query:
    """The one picture that an argument names.

    :raises BadInputError: If it is a folder or a pattern of none or several, or cannot be used.
    """
    found: Sequence[Query] = list(expand([argument], stdin))
    if len(found) != 1:
        raise BadInputError(f"{argument} holds {len(found):,} pictures", hint="name one picture")
    if found[0].error:
        raise found[0].error
    return found[0]


def _from_stdin(stdin: BinaryIO) -> Query:
    data = stdin.read(MAX_BYTES + 1)
    if not data:
        error = BadImageError(
            "nothing came on standard input", hint="as in: cat digit.png | simsearch query -"
        )
        return Query(STDIN_NAME, error=error)
    if len(data) > MAX_BYTES:
        return Query(STDIN_NAME, error=BadImageError(f"{STDIN_NAME} is larger than {MAX_BYTES // 2**20} MB"))
    return Query(STDIN_NAME, data)


def _second_stdin() -> BadInputError:
    return BadInputError("standard input holds one picture, and was read already", hint="name - once")


def _expand(argument: str, note: Note) -> Iterator[Query]:
    if _URL.match(argument):
        hint = f"fetch it yourself: curl -sL '{argument}' | simsearch query -"
        yield Query(argument, error=BadInputError(f"{argument} is an address, and is not fetched", hint=hint))
        return
    if not argument:
        yield Query(argument, error=BadInputError("an empty name is no picture", hint="is a variable unset?"))
        return
    path = Path(argument)
    if _exists(path) or not _MAGIC.search(argument):
        yield from _from_path(path, note)
        return
    import glob

    from simsearch.data.collection import natural

    matches = sorted(set(glob.glob(argument, recursive=True)), key=natural)  # noqa: PTH207 - absolute too
    if not matches:
        hint = "look at the pattern, or pass the path of a picture"
        yield Query(argument, error=BadInputError(f"nothing matches {argument}", hint=hint))
    for match in matches:
        yield from _from_path(Path(match), note)


def _from_path(path: Path, note: Note) -> Iterator[Query]:
    if not _is_folder(path):
        yield Query(str(path), path)
        return
    from simsearch.data.collection import scan, summary  # which a query by a file's name does without

    try:
        found = scan(path)
    except BadInputError as error:
        yield Query(str(path), error=error)
        return
    for line in summary(found.skipped, f"{path}/"):
        note(line)
    if not found.items:
        hint = "pictures may also lie in sub-folders of it"
        yield Query(str(path), error=BadInputError(f"there is no picture in {path}", hint=hint))
    for item in found.items:
        file = found.file(item)
        yield Query(str(file), file, label=item.parts[0] if len(item.parts) > 1 else None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
