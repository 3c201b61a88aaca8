"""No file from outside is waited for, or read without end: whatever lies where a file is expected.

Each reader meets a pipe that nobody writes to, a link to a device without end, a folder, a socket, and a
sparse file of 3 GB, which takes no place on the disk and all of the memory.
"""

from __future__ import annotations

import ast
import io
import os
import resource
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.data.datasets import load_split
from simsearch.data.mnist_files import FILES, defect_of
from simsearch.data.mnist_sources import FolderSource
from simsearch.encode.history import HISTORY, read_history
from simsearch.encode.model_folder import BEST_CHECKPOINT, ENCODER, MODEL_CARD, Model, open_model
from simsearch.errors import BadImageError, SimsearchError
from simsearch.evaluate.saved_report import read_report
from simsearch.files import open_regular
from simsearch.index import checked
from simsearch.index.bundle import MANIFEST, open_bundle, read_manifest
from simsearch.index.manifest import ROLES
from simsearch.index.verify import verify
from simsearch.prepare.prepare import prepare_image

pytestmark = pytest.mark.skipif(os.name != "posix", reason="makes pipes and devices the POSIX way")
FILES_OF_AN_INDEX = [role for role in ROLES if not role.startswith(("picture", "revised"))]  # of digits
CHANGED = ("stamps", "removed")  # roles that only an index of files that has changed has
AT_ONCE_S = 10
MOST_BYTES = 200 * 2**20


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket may be 108 bytes long
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


KINDS = (pipe, endless, folder, listening, sparse)
Put = Callable[[Path], None]
every_kind = pytest.mark.parametrize("put", KINDS, ids=[kind.__name__ for kind in KINDS])


@pytest.fixture(autouse=True)
def _at_once_and_in_little_memory() -> Iterator[None]:
    """A reader that waits is interrupted; one that takes the memory is seen."""

    def stop(*_: object) -> None:
        raise TimeoutError("it waits")

    if find_spec("torch"):
        import simsearch.train.checkpoints  # noqa: F401  it takes more than any reader may

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(AT_ONCE_S)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown * 1024 < MOST_BYTES


@every_kind
@pytest.mark.parametrize("role", ["manifest", *FILES_OF_AN_INDEX])
def test_no_file_of_an_index_may_be_special(
    put: Put, role: str, build_toy, toy_gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if role == "blocks":
        monkeypatch.setattr(checked, "LARGE", 1)
    if role in CHANGED:
        index = shutil.copytree(ROOT / "tests" / "fixtures" / "format-3" / "flat", tmp_path / "changed")
    else:
        index = build_toy(toy_gallery, factory="SQ8")
    name = MANIFEST if role == "manifest" else read_manifest(index).files[role].name
    (index / name).unlink()
    put(index / name)
    with pytest.raises(SimsearchError, match=name) as caught:
        open_bundle(index, threads=1)
    assert caught.value.exit_code == 3
    assert [check.passed for check in verify(index)].count(False) == 1


@every_kind
@pytest.mark.parametrize("name", [MODEL_CARD, ENCODER])
def test_no_file_of_a_model_may_be_special(put: Put, name: str, toy_model: Model, tmp_path: Path) -> None:
    (tmp_path / ENCODER).write_bytes(toy_model.encoder.model)
    (tmp_path / MODEL_CARD).write_bytes(toy_model.card.to_json())
    open_model(tmp_path, threads=1)
    (tmp_path / name).unlink()
    put(tmp_path / name)
    with pytest.raises(SimsearchError, match=name) as caught:
        open_model(tmp_path, threads=1)
    assert caught.value.exit_code == 3


@every_kind
def test_no_checkpoint_may_be_special(put: Put, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    from simsearch.train.checkpoints import load_model

    put(tmp_path / BEST_CHECKPOINT)
    with pytest.raises(SimsearchError, match=BEST_CHECKPOINT):
        load_model(tmp_path / BEST_CHECKPOINT)


@every_kind
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_no_file_of_a_dataset_may_be_special(put: Put, suffix: str, tmp_path: Path) -> None:
    put(tmp_path / f"t10k-images-idx3-ubyte{suffix}")
    with pytest.raises(SimsearchError, match="t10k-images-idx3-ubyte"):
        load_split(str(tmp_path))


@every_kind
def test_no_file_of_mnist_may_be_special(put: Put, tmp_path: Path) -> None:
    put(tmp_path / FILES[3].name)
    assert defect_of(tmp_path / FILES[3].name, FILES[3])
    (tmp_path / "target").mkdir()
    with pytest.raises(FileNotFoundError, match="no undamaged"):
        FolderSource(tmp_path).deliver(FILES[3:], tmp_path / "target")


@every_kind
def test_no_picture_may_be_special(put: Put, tmp_path: Path) -> None:
    put(tmp_path / "digit.png")
    with pytest.raises(SimsearchError, match=r"digit\.png"):
        prepare_image(tmp_path / "digit.png")


@every_kind
def test_no_saved_report_and_no_history_may_be_special(put: Put, tmp_path: Path) -> None:
    put(tmp_path / HISTORY)
    with pytest.raises(SimsearchError, match=HISTORY):
        read_history(tmp_path)
    with pytest.raises(SimsearchError, match=HISTORY):
        read_report(tmp_path / HISTORY)


def test_a_regular_file_that_has_nothing_yet_is_refused_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel's log in /proc is for who may read it: here a pipe that is taken for a regular file."""
    pipe(tmp_path / "log")
    monkeypatch.setattr("stat.S_ISREG", lambda _: True)
    writer = os.open(tmp_path / "log", os.O_RDWR)
    try:
        for read in (io.BufferedReader.read, lambda file: file.read(10), lambda file: file.readline()):
            with open_regular(tmp_path / "log") as file, pytest.raises(BlockingIOError):
                read(file)
        with pytest.raises(BadImageError, match="temporarily unavailable"):
            prepare_image(tmp_path / "log")
    finally:
        os.close(writer)


def test_a_list_of_names_may_be_a_pipe_but_no_name_is_endless(tmp_path: Path) -> None:
    endless(tmp_path / "list")
    result = CliRunner().invoke(app, ["query", "--files-from", str(tmp_path / "list")])
    assert result.exit_code == 2
    assert "holds a name of more than 65,536 bytes" in " ".join(result.stderr.split())


OPENERS = {"open", "read_bytes", "read_text", "load", "open_memmap", "fromfile", "read_index"}
WRITTEN_OR_OWN = {
    "cli/lazy.py": {"command.load"},  # a module
    "cli/query_options.py": {"SCHEMA.read_text"},
    "cli/signals.py": {"open", "os.open"},
    "data/mnist_sources.py": {"archive.open", "target.open", "tarfile.open"},  # written; of an open file
    "data/named/formats.py": {"_Arrays(io.BytesIO(content), encoding='latin1').load"},  # of bytes
    "data/decoding.py": {"pickle.load"},  # in a process of its own, of what it was asked
    "data/corruptions.py": {"Image.open"},  # of bytes
    "files.py": {"open", "os.open", "temporary.open"},
    "index/change/merge.py": {"_Part.open", "np.load", "path.open"},  # through `open_checked`; written, ours
    "index/change/progress.py": {"(self.folder / _LOG).open"},  # written
    "index/audit/groups.py": {"Image.open"},  # of an open file
    "index/audit/moving.py": {"listing.open", "move.target.open"},  # written
    "cli/commands/calibrating.py": {"found.load"},  # ours
    "cli/commands/changing.py": {"Index.open"},
    "cli/commands/measuring.py": {"load"},
    "cli/commands/training.py": {"found.load"},
    "index/shards/places.py": {"Path(aside).open"},  # written
    "index/stores/opening.py": {"path.open"},  # written
    "index/writing.py": {"read_index"},  # ours
    "train/features.py": {"np.load"},  # of bytes
    "train/loop.py": {"torch.load"},  # of bytes
    "index/data_files.py": {"path.open"},
    "index/packed.py": {"Image.open"},  # of bytes
    "index/stores/faiss_index.py": {"faiss.read_index", "path.open"},  # of an open file; written
    "prepare/decode.py": {"Image.open", "image.load"},  # of bytes
    "prepare/large_png.py": {"Image.open", "image.load", "whole.load"},  # of bytes
    "search/hit_files.py": {"target.open"},  # written
    "search/queries.py": {"Path(source).open"},  # a list of names, which may well be a pipe
    "show/html/pages.py": {"resources.files('simsearch.show.html').joinpath(name).read_text"},
    "train/checkpoints.py": {"torch.load"},  # of bytes
    "train/download.py": {"json.load"},  # of what this process is asked
    "train/published.py": {"torch.load"},  # of bytes
    "web/openapi.py": {
        "SCHEMA.read_text",
        "resources.files('simsearch.web').joinpath('examples.json').read_text",
    },
    "web/app.py": {"file.read_bytes"},
}


def test_nothing_else_opens_files_for_itself() -> None:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "simsearch").rglob("*.py"):
        name = path.relative_to(ROOT / "simsearch").as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.split(".")[-1] in OPENERS and not called.endswith("Searcher.open"):
                    found.setdefault(name, set()).add(called)
    assert {name: calls - WRITTEN_OR_OWN.get(name, set()) for name, calls in found.items()} == {
        name: set() for name in found
    }
