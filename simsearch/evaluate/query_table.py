"""The per-query values of a report as a table in a file: CSV, or Parquet."""

from __future__ import annotations

from pathlib import Path

from simsearch.errors import BadInputError, require
from simsearch.evaluate.report import PerQuery
from simsearch.files import open_atomically
from simsearch.text import csv_text


def write_query_table(path: Path, table: PerQuery) -> None:
    """Write one row a query: its name, row, label, nearest item, and its value of every metric.

    :param path: Ends in `.csv` or `.parquet`; the latter needs the extra `parquet`.
    :raises BadInputError: On another ending, or if the file cannot be written.
    :raises MissingExtraError: If pyarrow is not installed.
    """
    if path.suffix == ".csv":
        with open_atomically(path) as file:
            file.write(_csv(table))
    elif path.suffix == ".parquet":
        require("pyarrow", "parquet")
        import pyarrow
        import pyarrow.parquet

        with open_atomically(path) as file:
            pyarrow.parquet.write_table(pyarrow.table(_columns(table)), file)
    else:
        raise BadInputError(f"{path} ends neither in .csv nor in .parquet")


def _columns(table: PerQuery) -> dict[str, list[object]]:
    return {
        "query": list(table.query),
        "row": table.row.tolist(),
        "label": list(table.label),
        "nearest": table.nearest.tolist(),
        **{name: column.tolist() for name, column in table.values.items()},
    }


def _csv(table: PerQuery) -> bytes:
    columns = _columns(table)
    return csv_text([columns, *zip(*columns.values(), strict=True)]).encode()
