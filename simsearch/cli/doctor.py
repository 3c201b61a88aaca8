"""The health of an installation: each check says what it found and, if that is bad, how to fix it."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from simsearch.data.mnist_files import FILES, find_defects, raw_dir
from simsearch.encode.model_folder import open_model
from simsearch.encode.shipped_models import SHIPPED
from simsearch.errors import SimsearchError
from simsearch.index.checks import Check, guarded
from simsearch.index.locations import DEFAULT_INDEX, find_index
from simsearch.search.searcher import Searcher

_CORE = ("faiss-cpu", "numpy", "onnxruntime", "pillow", "rich", "typer")
_NMS_ERROR = "operator torchvision::nms does not exist"
_IMPORT_TIMEOUT_S = 120


def run_checks(index_dir: Path, data_dir: Path) -> Iterator[Check]:
    """Run every check, in the order in which a failure would explain the next one."""
    yield Check("python", True, f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield Check("packages", True, ", ".join(f"{name} {metadata.version(name)}" for name in _CORE))
    for folder in SHIPPED.values():
        yield guarded("shipped model", partial(_check_model, folder))
    yield guarded(f"index {DEFAULT_INDEX}", lambda: _check_index(find_index(DEFAULT_INDEX, index_dir)))
    yield _check_mnist(data_dir)
    yield check_torch()


def check_torch() -> Check:
    """Import torch and torchvision together in a process of their own, and explain the usual failure."""
    if importlib.util.find_spec("torch") is None:
        return Check("torch", None, "not installed; only training needs it: pip install 'simsearch[train]'")
    code = "import torch, torchvision; print(torch.__version__, torchvision.__version__)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check("torch", False, f"importing it took more than {_IMPORT_TIMEOUT_S} s")
    if done.returncode == 0:
        torch_version, torchvision_version = done.stdout.split()
        return Check("torch", True, f"torch {torch_version}, torchvision {torchvision_version}")
    return Check("torch", False, explain_torch_failure(done.stderr))


def explain_torch_failure(stderr: str) -> str:
    """What a failed import of torch and torchvision means, and what to do."""
    if _NMS_ERROR in stderr:
        return (
            "torch and torchvision come from different builds (one for CUDA, one for the CPU); "
            "fix: pip uninstall -y torch torchvision && pip install torch torchvision"
        )
    last = stderr.strip().splitlines()[-1:] or ["no message"]
    return f"importing it fails: {last[0]}"


def _check_model(folder: Path) -> str:
    model = open_model(folder)
    return f"{model.card.name}, encoder {model.encoder.fingerprint[:12]}"


def _check_index(folder: Path) -> str:
    """Open the index and encode one of its thumbnails again."""
    searcher = Searcher.open(folder)
    bundle = searcher.bundle
    if not bundle.keeps_input:
        return f"{len(searcher):,} items in {folder}"
    vector = bundle.encoder.encode(bundle.pictures(bundle.ids[:1]))
    difference = float(np.abs(vector - bundle.store.vectors(bundle.ids[:1])).max())
    if not difference < bundle.manifest.tolerance:
        raise SimsearchError(
            f"the encoder in {folder} gives another vector for item 0 than the stored one",
            hint="this processor or onnxruntime computes differently; rebuild with `simsearch build-index`",
        )
    return f"{len(searcher):,} items in {folder}"


def _check_mnist(data_dir: Path) -> Check:
    raw = raw_dir(data_dir)
    defects = find_defects(raw)
    if not defects:
        return Check("mnist", True, f"verified in {raw}")
    if len(defects) == len(FILES) and set(defects.values()) == {"missing"}:
        return Check("mnist", None, f"not in {raw}; fetched when a command needs it")
    found = ", ".join(f"{file.name} ({defect})" for file, defect in defects.items())
    return Check("mnist", False, f"{found} in {raw}; fix: simsearch data fetch mnist")
