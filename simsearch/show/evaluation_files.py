"""The files an evaluation can leave behind; checked before the work, written after it, each in one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simsearch.data.splits import Split
from simsearch.errors import BadInputError, require
from simsearch.evaluate.evaluation import prepare_queries
from simsearch.evaluate.mistakes import find_mistakes
from simsearch.evaluate.query_table import write_query_table
from simsearch.evaluate.report import Report
from simsearch.evaluate.trec import DEFAULT_DEPTH, write_qrels, write_run
from simsearch.files import check_target, open_atomically
from simsearch.index.bundle import Bundle


@dataclass(frozen=True)
class Outputs:
    """Which files are wanted; None for those that are not."""

    report: Path | None = None
    per_query: Path | None = None
    run: Path | None = None
    qrels: Path | None = None
    depth: int = DEFAULT_DEPTH  # items a query in the run; 0 for all

    def paths(self) -> tuple[Path, ...]:
        """The wanted files."""
        wanted = (self.report, self.per_query, self.run, self.qrels)
        return tuple(path for path in wanted if path is not None)


def check(outputs: Outputs) -> None:
    """Refuse what could not be written, before an evaluation is spent on it.

    :raises BadInputError: If a folder does not exist, or a table's ending is unknown.
    :raises MissingExtraError: If Parquet is wanted without pyarrow.
    """
    for path in outputs.paths():
        check_target(path)
    table = outputs.per_query
    if table is not None and table.suffix not in (".csv", ".parquet"):
        raise BadInputError(f"cannot write {table}: the name must end in .csv or .parquet")
    if table is not None and table.suffix == ".parquet":
        require("pyarrow", "parquet")


def write(outputs: Outputs, bundle: Bundle, split: Split | None, report: Report) -> Iterator[Path]:
    """Write the wanted files, yielding each path when it is complete.

    :param split: The query set of the evaluation; None for gallery leave-one-out.
    :raises BadInputError: If one cannot be written.
    """
    if outputs.report:
        from simsearch.show.html.html_report import render_report  # loads Jinja2

        document = render_report(report, find_mistakes(bundle, report.per_query, split))
        with open_atomically(outputs.report) as file:
            file.write(document.encode())
        yield outputs.report
    if outputs.per_query:
        write_query_table(outputs.per_query, report.per_query)
        yield outputs.per_query
    if outputs.run or outputs.qrels:
        queries = prepare_queries(bundle, split)
        if outputs.run:
            write_run(outputs.run, bundle, queries, depth=outputs.depth)
            yield outputs.run
        if outputs.qrels:
            write_qrels(outputs.qrels, bundle, queries)
            yield outputs.qrels
