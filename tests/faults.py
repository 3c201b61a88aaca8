"""Processes that are killed, or run out of space, at a chosen step of their writing; for the crash tests.

`python faults.py` reads a line of jobs in JSON and does each in a fork of itself: a job costs no imports.
The faults are put in from outside, by an audit hook and around `os.fsync`: the package knows nothing of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from toys import quadrant_image, toy_split

from simsearch.data.splits import Split

GALLERY = toy_split([((100, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1), ((0, 0, 60, 80), 2)])
OTHER = replace(toy_split([((0, 0, 0, 9), 1), ((3, 4, 0, 0), 0)], classes=("x", "y")), name="other")
SPLITS = {split.name: split for split in (GALLERY, OTHER)}
QUERY = quadrant_image(30, 40, 0, 0)  # the vector .6, .8, 0, 0
BEST_SCORES = {"toy": [1.0, 0.8], "other": [1.0, 0.0]}  # of the two nearest items
OLD, NEW = {"weights": [1.0]}, {"weights": [2.0] * 20_000}
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ENDED_OUTSIDE = 9  # the code of a fork that ended before its job began, or after that was done
_WRITES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


class Faults:
    """A process that does jobs, each in a fork of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))},
        )

    def do(self, job: str, folder: Path, **options: Any) -> tuple[int, str]:
        """One job: how its process ended (a negative number is a signal), and the error that it met."""
        return self.do_together([{"job": job, "folder": str(folder), **options}])[0]

    def do_together(self, jobs: list[dict[str, Any]]) -> list[tuple[int, str]]:
        """Several jobs at the same time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(jobs) + "\n")
        self._process.stdin.flush()
        return [(status, said) for status, said in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def die_at(step: int, folder: str) -> None:
    """Kill this process at its n-th step (from 0) that changes something below the folder."""
    steps = itertools.count()

    def count() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _WRITES and str(arguments[0]).startswith(folder) and "rb" not in arguments:
            count()

    flush = os.fsync
    os.fsync = lambda descriptor: (count(), flush(descriptor))[1]  # type: ignore[assignment]
    sys.addaudithook(audit)


def signal_at(step: int, number: int) -> None:
    """Send this process a signal before the n-th line (from 0) of what writes, or as it calls or returns.

    Lines of the modules below count, whoever calls them: that is where Python may stop for a signal.
    """
    import tempfile

    from simsearch import files
    from simsearch.data import decoding
    from simsearch.index import build, bundle, data_files, update, writing
    from simsearch.index.change import commit, guard, ingest

    simsearch = (files, build, bundle, data_files, writing, guard, update, commit, ingest, decoding)
    locks = [module for name, module in sys.modules.items() if name.startswith("filelock.")]
    modules = (*simsearch, contextlib, tempfile, *locks)  # its files have other names in other versions
    watched = {str(module.__file__) for module in modules}
    steps = itertools.count()

    def trace(frame: Any, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in watched:
            return None
        if next(steps) == step:
            signal.raise_signal(number)
        return trace

    heed_signals()
    sys.settrace(trace)


def heed_signals() -> None:
    """Take signals as a command does; those that came meanwhile, too."""
    from simsearch.cli.signals import take_signals

    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    take_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


# --- the jobs


def build(folder: Path, *, split: str, parts: str, **_: object) -> None:
    from simsearch.index.build import build_index

    build_index(SPLITS[split], _toy_model(parts), folder)


def checkpoint(folder: Path, **_: object) -> None:
    import torch

    from simsearch.train.checkpoints import save_checkpoint

    save_checkpoint(folder / "last.pt", {key: torch.tensor(value) for key, value in NEW.items()})


def train(folder: Path, *, resume: bool = False, **_: object) -> None:
    """A run of two tiny epochs. Its encoder is a digest of the weights: exporting takes seconds."""
    from simsearch.train import run
    from simsearch.train.recipes import SIAMESE_PAIRS

    def digest(network: Any, *_: Any, **__: Any) -> bytes:
        values = [value.numpy().tobytes() for value in network.state_dict().values()]
        return hashlib.sha256(b"".join(values)).digest()

    run.export_onnx = digest
    recipe = replace(
        SIAMESE_PAIRS, epochs=2, batch_size=16, pairs_per_epoch=32, validation_pairs=40, held_out_images=40
    )
    run.train(recipe, training_split(), folder, seed=3, resume=resume, threads=1)


def evaluate(folder: Path, *, index: str, **_: object) -> None:
    from simsearch.evaluate.evaluation import evaluate as run
    from simsearch.index.bundle import open_bundle
    from simsearch.show import evaluation_files as outputs

    bundle = open_bundle(Path(index), threads=1)
    wanted = evaluation_outputs(folder)
    for _path in outputs.write(wanted, bundle, None, run(bundle)):
        pass


def fetch(folder: Path, *, raw: str, **_: object) -> None:
    from simsearch.data.mnist import fetch_mnist
    from simsearch.data.mnist_sources import FolderSource

    fetch_mnist(folder, sources=[FolderSource(Path(raw))])


def change(folder: Path, *, kind: str, **_: object) -> None:
    from bundles import CHANGES

    from simsearch.index.update import Index

    CHANGES[kind](Index.open(folder, threads=1))


def add_rounds(folder: Path, *, rounds: int, **_: object) -> None:
    """Add pictures and remove them again, beside another process that does the same."""
    from simsearch.errors import BusyError
    from simsearch.index.update import Index

    index, done = Index.open(folder, threads=1), 0
    while done < rounds:
        try:
            added = index.add([quadrant_image(done + 1, 6, 7, 8)], labels="c").added
        except BusyError:
            continue
        while True:
            with contextlib.suppress(BusyError):
                assert index.remove(added).removed == added
                break
        done += 1


def open_rounds(folder: Path, *, rounds: int, **_: object) -> None:
    """Open the index again and again; its columns and its vectors must be of the same items."""
    from simsearch.index.bundle import open_bundle
    from simsearch.index.stores.base import gather

    for _round in range(rounds):
        bundle = open_bundle(folder, threads=1)
        block = gather(bundle.store)
        assert np.array_equal(block.ids, bundle.ids), "ids"
        assert np.array_equal(block.labels, bundle.labels), "labels"
        assert len(bundle.sources) == len(bundle.thumbnails) == bundle.manifest.count, "counts"
        assert np.allclose(bundle.encoder.encode(np.asarray(bundle.thumbnails)), block.vectors), "vectors"


def write_rounds(folder: Path, *, rounds: int, parts: str, **_: object) -> None:
    """Build the two galleries in turn, beside another process that does the same."""
    from simsearch.errors import BusyError
    from simsearch.index.build import build_index

    model, built = _toy_model(parts), 0
    while built < rounds:
        try:
            build_index((GALLERY, OTHER)[built % 2], model, folder)
            built += 1
        except BusyError:
            continue


def read_rounds(folder: Path, *, rounds: int, **_: object) -> None:
    """Open the index again and again; each must be one gallery in everything, and answer as it must."""
    from simsearch.prepare.prepare import Preprocess
    from simsearch.search.searcher import Searcher

    for _round in range(rounds):
        searcher = Searcher.open(folder, threads=1)
        bundle = searcher.bundle
        split = SPLITS[bundle.manifest.dataset]
        assert np.array_equal(bundle.thumbnails, split.images), "thumbnails"
        assert bundle.labels is not None
        assert split.labels is not None
        assert np.array_equal(bundle.labels, split.labels), "labels"
        assert list(bundle.sources) == list(split.sources), "sources"
        hits = searcher.query(QUERY, k=2, preprocess=Preprocess.NONE).hits
        assert np.allclose([hit.score for hit in hits], BEST_SCORES[split.name], atol=1e-6), "scores"
        assert hits[0].label == split.classes[split.labels[hits[0].id]], "label"


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job
    for job in (
        build,
        change,
        checkpoint,
        train,
        evaluate,
        fetch,
        write_rounds,
        read_rounds,
        add_rounds,
        open_rounds,
    )
}


def training_split() -> Split:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 28, 28), np.uint8)
    return Split(images, np.arange(120) % 10, tuple(map(str, range(120))), "noise", tuple("0123456789"))


def evaluation_outputs(folder: Path) -> Any:
    from simsearch.show.evaluation_files import Outputs

    names = ("report.html", "table.csv", "run.txt", "qrels.txt")
    return Outputs(*(folder / name for name in names))


def _toy_model(parts: str) -> Any:
    from simsearch.encode.model_folder import Model, ModelCard
    from simsearch.encode.onnx import OnnxEncoder

    card = ModelCard.from_json((Path(parts) / "card").read_bytes())
    return Model(OnnxEncoder((Path(parts) / "onnx").read_bytes(), threads=1), card)


# --- the process that forks


def _run(job: dict[str, Any], said: int) -> int:
    """What a fork does: the fault is armed, the job done, its error reported."""
    if "uid" in job:
        os.setgroups([])
        os.setuid(job["uid"])
    if "limit" in job:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], resource.RLIM_INFINITY))
    if "signal" in job:
        signal_at(*job["signal"])
    if "told" in job:
        heed_signals()
    if "kill" in job:
        die_at(job["kill"], job["folder"])
    try:
        JOBS[job["job"]](**{**job, "folder": Path(job["folder"])})
    except BaseException as error:
        os.write(said, f"{type(error).__name__}: {error}".encode())
        return 1
    return 0


def _fork(job: dict[str, Any]) -> tuple[int, int]:
    reading, writing = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING if "told" in job else ())
    child = os.fork()
    if not child:
        code = ENDED_OUTSIDE
        try:
            code = _run(job, writing)
        finally:
            os._exit(code)
    os.close(writing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    if "told" in job:
        seconds, number = job["told"]
        time.sleep(seconds)
        os.kill(child, number)
    return child, reading


def _serve(lines: Iterator[str]) -> None:
    import importlib.readers  # noqa: F401  a fork that becomes another user may not be able to import

    from PIL import Image

    import simsearch.data.mnist_sources
    import simsearch.evaluate.evaluation
    import simsearch.index.build
    import simsearch.index.update
    import simsearch.show.evaluation_files

    Image.preinit()
    for line in lines:
        jobs = json.loads(line)
        if any(job["job"] in ("train", "checkpoint") for job in jobs):
            import torch._dynamo  # noqa: F401  the optimizer imports it when it is made, for over a second

            import simsearch.train.run  # noqa: F401
        forks = [_fork(job) for job in jobs]
        ends = []
        for child, reading in forks:
            with os.fdopen(reading, "rb") as pipe:
                said = pipe.read().decode(errors="replace")
            ends.append((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said))
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    _serve(iter(sys.stdin.readline, ""))
