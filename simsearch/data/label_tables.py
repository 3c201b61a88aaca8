"""A table of labels, CSV or Parquet, read a part at a time: what it unpacks to is bounded, not its size.

pyarrow 26 crashed once in a test of damaged files, and once at the end of a process that had read a good one.
So a process of its own reads Parquet and writes CSV, and leaves without pyarrow's clearing up.
"""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NoReturn

from simsearch.errors import require

PATH, LABEL = "path", "label"
MAX_ROWS = 10_000_000
MAX_LABEL = 1_000  # characters; a name of a folder has at most 255
MAX_BYTES = 2**28  # of a table, and of both columns however it is packed
_LINE = 2**20  # characters
_BATCH = 65_536  # rows of a Parquet file at once
_MEMORY = 2**32  # bytes of addresses for a process that reads Parquet
_REFUSED = 3  # its exit code
_NAMED = 8  # columns of a table that lacks those that are needed


def read_rows(file: io.BufferedReader, *, is_parquet: bool) -> Generator[tuple[str, str]]:
    """Path and label of each row of a table; what is missing is empty.

    :raises ValueError: If it is no such table, or is too large.
    :raises MissingExtraError: If it is Parquet, and pyarrow is not installed.
    """
    with closing(_parquet_rows(file) if is_parquet else _csv_rows(file)) as rows:
        for number, (path, label) in enumerate(rows):
            if number == MAX_ROWS:
                raise ValueError(f"it has more than {MAX_ROWS:,} rows")
            if len(label) > MAX_LABEL:
                raise ValueError(f"it has a label of {len(label):,} characters, more than {MAX_LABEL:,}")
            yield path, label


def _csv_rows(file: IO[bytes]) -> Generator[tuple[str, str]]:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        reader = csv.reader(_lines(text), strict=True)
        columns = next(reader, [])
        _check_columns(columns)
        places = (columns.index(PATH), columns.index(LABEL))
        for row in reader:
            if any(row[len(columns) :]):
                line = f"line {reader.line_num:,}"
                raise ValueError(
                    f"{line} has {len(row)} values for {len(columns)} columns: quote those with commas"
                )
            path, label = (row[place] if place < len(row) else "" for place in places)
            yield path, label
    finally:
        text.detach()  # the file is the caller's


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LINE):
        if len(line) == _LINE:
            raise ValueError(f"it has a line of more than {_LINE:,} characters")
        yield line


def _parquet_rows(file: io.BufferedReader) -> Generator[tuple[str, str]]:
    require("pyarrow", "parquet")
    paths = [path or str(Path.cwd()) for path in sys.path]
    with subprocess.Popen(
        [sys.executable, "-P", "-c", "from simsearch.data.label_tables import convert; convert()"],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    ) as process:
        assert isinstance(process.stdout, io.BufferedReader)
        assert process.stderr is not None
        try:
            if process.stdout.peek(1):  # else it ended before it had written anything
                with closing(_csv_rows(process.stdout)) as rows:
                    yield from rows
            said = process.stderr.read(_LINE).decode("utf-8", "replace")
            if process.wait() == _REFUSED:
                raise ValueError(said)
            if code := process.returncode:
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                raise ValueError(f"it is damaged: reading it ended the process ({how})")
        finally:
            process.kill()


def convert() -> None:
    """What that process does: Parquet on stdin becomes CSV on stdout, or one line on stderr says why not."""
    import pyarrow
    import pyarrow.parquet

    _limit_memory()
    writer = csv.writer(sys.stdout)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass", newline="")  # type: ignore[union-attr]
    writer.writerow((PATH, LABEL))
    try:
        opened = pyarrow.parquet.ParquetFile(sys.stdin.buffer)
        schema = opened.schema_arrow
        _check_columns(schema.names)
        for name in (PATH, LABEL):
            if not _is_plain(pyarrow.types, schema.field(name).type):
                raise ValueError(f"its column {name} is neither text nor whole numbers")
        _check_size(opened.metadata)
        unpacked = 0
        for batch in opened.iter_batches(_BATCH, columns=[PATH, LABEL], use_threads=False):
            unpacked += batch.nbytes  # whatever the file says of itself
            _check_bytes(unpacked)
            writer.writerows(zip(_texts(batch.column(PATH)), _texts(batch.column(LABEL)), strict=True))
    except (ValueError, OSError, NotImplementedError, MemoryError, pyarrow.ArrowException) as error:
        sys.stderr.write((str(error).splitlines() or [type(error).__name__])[0])
        sys.stderr.flush()
        _leave(_REFUSED)
    _leave(0)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    os._exit(code)  # pyarrow may crash at a usual end, when all has been written


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _is_plain(types: Any, kind: Any) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer)
    return any(check(kind) for check in checks)


def _check_size(metadata: Any, most: int = MAX_BYTES) -> None:
    """Refuse what the file's own words say is too large, before any of it is unpacked."""
    if metadata.num_rows > MAX_ROWS:
        raise ValueError(f"it has more than {MAX_ROWS:,} rows")
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    _check_bytes(
        sum(column.total_uncompressed_size for column in columns if column.path_in_schema in (PATH, LABEL)),
        most,
    )


def _check_bytes(count: int, most: int = MAX_BYTES) -> None:
    if count > most:
        raise ValueError(f"its columns path and label have more than {most / 2**20:,.0f} MB")


def _texts(column: Any) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _check_columns(names: Sequence[str]) -> None:
    if twice := [name for name in (PATH, LABEL) if names.count(name) > 1]:
        raise ValueError(f"it has the column {twice[0]} more than once")
    if not {PATH, LABEL} <= {*names}:
        found = ", ".join(name[:40] for name in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        raise ValueError(f"it has the columns {found or 'of nothing'}, not {PATH} and {LABEL}")
