"""simsearch: learned visual similarity search. Start at `simsearch.search.searcher.Searcher`."""

__version__ = "0.2.0"
