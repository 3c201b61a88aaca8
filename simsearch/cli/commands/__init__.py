"""The commands, a file for each close group, and the table that lists them without loading any.

searching.py    query, similarity
measuring.py    evaluate, compare
figures.py      figure, of everything but an evaluation
report_figures.py  figure, of an evaluation
building.py     build-index
changing.py     add, remove, sync, compact
importing.py    import-model
tuning.py       tune
calibrating.py  calibrate
training.py     train
exchanging.py   export, import
serving.py      serve
auditing.py     audit, duplicates
managing.py     list, rename, delete, migrate
inspecting.py   info, verify, doctor, data fetch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Listed:
    """A command as lists of commands show it."""

    place: str  # of its function: module:function
    summary: str  # the first line of its docstring


@dataclass(frozen=True)
class ListedGroup:
    """Commands that share their first word."""

    summary: str
    commands: Mapping[str, Listed]


_FIGURES = {
    "pairs": Listed(
        "figures:pairs",
        "Balanced random pairs of one class and of two, with the model's probability.",
    ),
    "similarity": Listed(
        "figures:similarity",
        "The picture beside the most similar item of every class, from red (low) to green (high).",
    ),
    "architecture": Listed(
        "figures:architecture",
        "The network in 3-D and its two towers, read off the model while two images run through it.",
    ),
    "history": Listed(
        "figures:history", "Loss, accuracy and learning rate of a training run, and the epoch that was kept."
    ),
    "embedding": Listed(
        "figures:embedding",
        "A map of the gallery: every item a point, classes by color and shape, with example images.",
    ),
    "confusion": Listed(
        "report_figures:confusion", "Which classes are taken for which, by the nearest item of each query."
    ),
    "pr-curve": Listed("report_figures:pr_curve", "Mean precision at each level of recall."),
    "scores": Listed("report_figures:scores", "How similar random pairs of one class and of two are."),
    "reliability": Listed(
        "report_figures:reliability", "Predicted probabilities of pairs against what was true."
    ),
    "mistakes": Listed(
        "report_figures:mistakes",
        "The queries with the lowest average precision, and what was found instead.",
    ),
    "retrieval": Listed(
        "figures:retrieval",
        "Queries and their nearest items; gallery items are queried without themselves, and judged.",
    ),
}
_FETCH = {"fetch": Listed("inspecting:data_fetch", "Fetch a dataset, verify it, and say where it is.")}

# The panels of `simsearch --help`.
COMMANDS: Mapping[str, Mapping[str, Listed | ListedGroup]] = {
    "Search": {
        "query": Listed(
            "searching:query", "Find the nearest images to yours, by cosine similarity, and rank the classes."
        ),
        "similarity": Listed(
            "searching:similarity",
            "Say how similar two images are: cosine, logit, and probability of one class.",
        ),
        "serve": Listed(
            "serving:serve", "Serve a page to draw on, and an HTTP API, until it is stopped with Ctrl-C."
        ),
    },
    "Measure": {
        "evaluate": Listed(
            "measuring:evaluate",
            "Measure how good an index's answers are: each item queried against all others.",
        ),
        "compare": Listed(
            "measuring:compare",
            "Say which of two evaluations is better, metric by metric, and how sure that is.",
        ),
        "figure": ListedGroup(
            "Draw results as PNG, SVG or PDF.\n\nExample: simsearch figure history -o history.png", _FIGURES
        ),
    },
    "Build": {
        "build-index": Listed(
            "building:build_index",
            "Encode a gallery of images into an index; by default MNIST's 10,000 test images.",
        ),
        "add": Listed("changing:add", "Add pictures to an index; it is not built again."),
        "remove": Listed("changing:remove", "Remove items from an index; the pictures stay where they are."),
        "sync": Listed(
            "changing:sync",
            "Make an index hold what lies in its folder now: new, changed, renamed and missing files.",
        ),
        "compact": Listed(
            "changing:compact", "Merge what was added to an index, and free what was removed from it."
        ),
        "tune": Listed("tuning:tune", "Choose an index type by measuring, and make the index one of it."),
        "map": Listed(
            "building:lay_out",
            "Compute a t-SNE map of an index and keep it beside the index, for the page of `serve`.",
        ),
        "import-model": Listed(
            "importing:import_model",
            "Import an ONNX image encoder as a model folder, for build-index --model.",
        ),
    },
    "Train": {
        "train": Listed(
            "training:train", "Train the Siamese network, or a head on an encoder's features, and export it."
        ),
        "calibrate": Listed(
            "calibrating:calibrate",
            "Fit a model's probabilities and thresholds on the images that its training held out.",
        ),
    },
    "Look after": {
        "list": Listed("managing:list_all", "List every index: its images, classes, model, size and age."),
        "rename": Listed("managing:rename", "Give an index another name."),
        "migrate": Listed(
            "managing:migrate",
            "Move an index to a Milvus server, or back into files: the same items under the same ids.",
        ),
        "delete": Listed(
            "managing:delete",
            "Delete an index; the pictures that it was made from stay where they are.",
        ),
        "audit": Listed(
            "auditing:audit",
            "Find likely label errors, outliers, classes that overlap, and leaks between two indexes.",
        ),
        "duplicates": Listed(
            "auditing:duplicates",
            "Find pictures that are there twice: the same files, the same pixels, and near copies.",
        ),
        "export": Listed(
            "exchanging:export_any",
            "Export an index as Parquet, .npz or a self-searching page; a run's checkpoint to ONNX;"
            " a model in int8.",
        ),
        "import": Listed(
            "exchanging:import_vectors",
            "Make an index of vectors that another program computed, from .npz or Parquet.",
        ),
        "info": Listed("inspecting:info", "Describe an index or a model."),
        "verify": Listed(
            "inspecting:verify",
            "Check an index or a model: every file, all they say of each other, and what they compute.",
        ),
        "doctor": Listed("inspecting:doctor", "Check the installation; say what is wrong and how to fix it."),
        "data": ListedGroup("Fetch and verify datasets.\n\nExample: simsearch data fetch mnist", _FETCH),
    },
}
