"""Fetching a named dataset by torchvision, in a process of its own: no other room imports torch.

torchvision writes where it pleases and goes on from half a file, so it works in a folder aside; its files
take their places when it is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from simsearch.data.mnist import Note
from simsearch.data.named.catalog import NamedDataset
from simsearch.files import folder_lock, replace_file, sweep_temporaries, sync_folder

_COMMAND = "from simsearch.train.download import main; main()"
_STAGING = ".tmp-fetch-"
_LONGEST_S = 4 * 3600.0


def fetch_by_torchvision(dataset: NamedDataset, split: str, data_dir: Path, note: Note) -> str:
    """Have torchvision fetch a split into its layout below a folder: why it could not, or "".

    :raises BusyError: If another process is fetching it.
    :raises BadInputError: If nothing can be written there.
    """
    if find_spec("torchvision") is None:
        return "it is not installed (pip install 'simsearch[train]')"
    target = data_dir / dataset.folder
    with folder_lock(target, busy=f"another process is fetching into {target}") as signals:
        sweep_temporaries(target)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=target) as staging:
            note(f"fetching {dataset.title} through torchvision, up to {dataset.megabytes} MB")
            with signals.released():
                reason = _run(dataset, split, Path(staging))
            brought = Path(staging) / dataset.folder
            for file in sorted(brought.iterdir()) if brought.is_dir() else []:
                if file.is_file():
                    replace_file(file, target / file.name)
            sync_folder(target)
        return reason


def _run(dataset: NamedDataset, split: str, root: Path) -> str:
    """Run torchvision: the last line that it complains with, or ""."""
    request = {
        "name": dataset.torchvision,
        "split": split,
        "options": dict(dataset.options),
        "root": str(root),
    }
    paths = [path or str(Path.cwd()) for path in sys.path]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _COMMAND],
            input=json.dumps(request),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            text=True,
            errors="replace",
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it was not done after {_LONGEST_S / 3600:g} hours"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return "" if not done.returncode else (lines[-1][:300] if lines else f"it ended with {done.returncode}")
