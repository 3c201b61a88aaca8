"""Pictures -> answers.

searcher.py  an open index that is queried
answers.py   hits, class rankings, verdicts, and the limits they are taken at
similarity.py two pictures, and whether comparing them says anything
compose.py   like and unlike: vectors added and subtracted
queries.py   what a user names -> queries
batch.py     many queries -> outcomes, by several threads, in order
hit_files.py  the files behind hits: named, copied, linked
own_files.py  items that are the very file that is queried with
formats.py   outcomes -> JSON, JSON lines, CSV, paths
answers.schema.json  the JSON Schema of answers
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simsearch.search.searcher import Searcher as Searcher

__all__ = ["Searcher"]


def __getattr__(name: str) -> Any:
    """`simsearch.search.Searcher`, loaded when it is first asked for: the other files need no index."""
    if name == "Searcher":
        from simsearch.search.searcher import Searcher

        return Searcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
