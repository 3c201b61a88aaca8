"""simsearch: learned visual similarity search. Start at `simsearch.search.searcher.Searcher`."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime keeps a device id in the user's home

__version__ = "0.2.0"
