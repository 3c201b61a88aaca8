"""simsearch: learned visual similarity search. Start at `simsearch.search.searcher.Searcher`."""

__version__ = "0.1.0"
